//! CMAF boxes, AES-128, HLS manifests, publishing.

pub mod aes128;
