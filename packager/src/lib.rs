//! CMAF boxes, AES-128, HLS manifests, publishing.
