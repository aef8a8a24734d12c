//! Doors to the outside: objects, queue, vault, clock; and the worker loop, shutdown, telemetry.
