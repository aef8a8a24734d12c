//! Playback sessions, entitlement checks, keys, signed delivery.
