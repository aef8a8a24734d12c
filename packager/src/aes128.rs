//! Whole-segment AES-128-CBC with PKCS#7 padding: METHOD=AES-128 of RFC 8216bis, clause 4.4.4.4.
//!
//! This is encryption, not authentication: a changed ciphertext decrypts to changed plaintext. Segments are served
//! over TLS from immutable storage keys, and [`crate::check`] proves each one before it is published.

use aes::cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockModeDecrypt, BlockSizeUser,
    KeyInit, KeyIvInit, block_padding::Pkcs7, consts::U16,
};
use hkdf::Hkdf;
use lectern_domain::keys::ContentKey;
use sha2::Sha256;

/// Bytes of an AES block, and of an initialisation vector.
pub const BLOCK_BYTES: usize = 16;

/// The initialisation vector of one segment. Public: it stands in the playlist.
pub type Iv = [u8; BLOCK_BYTES];

/// A ciphertext that cannot have been made with this key and IV. Says no more than that on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected AES-128-CBC with PKCS#7 padding under this key and IV, got {bytes} bytes that are not")]
pub struct DecryptError {
    /// Length of the ciphertext.
    pub bytes: usize,
}

/// The IV of a segment of a track under a content key: HKDF-SHA-256 (RFC 5869) of the key with
/// `lectern segment iv|track|segment` as info.
///
/// CBC wants an IV that nobody can foresee and that no other message under the same key has. All rungs of an asset
/// share one key, so the track's name is part of the derivation; a segment that is packaged again under the same key
/// gets the same bytes, so a repeated attempt changes nothing. See ADR 0003.
pub fn segment_iv(key: &ContentKey, track: &str, segment: u32) -> Iv {
    let mut iv = Iv::default();
    // The number is last and has no separator in it, so that no two pairs give one info string.
    let info = format!("lectern segment iv|{track}|{segment}");
    Hkdf::<Sha256>::new(None, key.expose())
        .expand(info.as_bytes(), &mut iv)
        .expect("16 bytes is a valid HKDF output length");
    iv
}

/// The length of the ciphertext of `clear_bytes` of plaintext: the next multiple of 16, always at least one more byte.
pub const fn encrypted_bytes(clear_bytes: u64) -> u64 {
    (clear_bytes / BLOCK_BYTES as u64 + 1) * BLOCK_BYTES as u64
}

/// Encrypts a segment where it stands. The buffer grows by 1 to 16 bytes of padding; reserve
/// [`encrypted_bytes`] beforehand to keep it from moving.
pub fn encrypt_in_place(key: &ContentKey, iv: &Iv, segment: &mut Vec<u8>) {
    let clear = segment.len();
    let padding = BLOCK_BYTES - clear % BLOCK_BYTES;
    segment.reserve_exact(padding);
    // PKCS#7: each byte of the padding is its length (RFC 5652, 6.3).
    segment.resize(clear + padding, padding as u8);
    let (blocks, _) = segment.as_chunks_mut();
    aes::Aes128::new(key.expose().into()).encrypt_with_backend(Chain { iv, blocks });
}

/// The chain of CBC (NIST SP 800-38A, 6.2). `cbc::Encryptor` makes the same bytes, but passes the block before through
/// memory; each block waits for it, and that costs a sixth of the speed.
struct Chain<'a> {
    iv: &'a Iv,
    blocks: &'a mut [[u8; BLOCK_BYTES]],
}

impl BlockSizeUser for Chain<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Chain<'_> {
    #[expect(
        clippy::inline_always,
        reason = "the AES instructions are only enabled in the function that calls this"
    )]
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mut chain = Block::<aes::Aes128>::from(*self.iv);
        for block in self.blocks {
            for (chained, clear) in chain.iter_mut().zip(&*block) {
                *chained ^= clear;
            }
            backend.encrypt_block((&mut chain).into());
            *block = chain.into();
        }
    }
}

/// Decrypts a segment where it stands and cuts the padding off. After an error the buffer's content is undefined.
pub fn decrypt_in_place(key: &ContentKey, iv: &Iv, segment: &mut Vec<u8>) -> Result<(), DecryptError> {
    let bytes = segment.len();
    let clear = cbc::Decryptor::<aes::Aes128>::new(key.expose().into(), iv.into())
        .decrypt_padded::<Pkcs7>(segment)
        .map_err(|_| DecryptError { bytes })?
        .len();
    segment.truncate(clear);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        io::Write,
        process::{Command, Stdio},
    };

    use lectern_domain::{
        Timestamp,
        ids::Kid,
        keys::{AssetSecret, TrackClass},
    };
    use proptest::prelude::*;

    use super::*;

    /// Some key. Content keys come out of a derivation only, so tests with a fixed key go to the cipher below.
    fn key(seed: u8) -> ContentKey {
        let kid = Kid::generate(Timestamp::UNIX_EPOCH, &[seed; 10]);
        AssetSecret::from_bytes([seed; 32]).content_key(kid, 0, TrackClass::Video)
    }

    /// NIST SP 800-38A, F.2.1 and F.2.2: CBC-AES128. The padding block behind the vector's four is ours.
    #[test]
    fn nist_sp_800_38a_f_2_1() {
        let key = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").expect("hex");
        let iv = hex::decode("000102030405060708090a0b0c0d0e0f").expect("hex");
        let clear = hex::decode(concat!(
            "6bc1bee22e409f96e93d7e117393172a",
            "ae2d8a571e03ac9c9eb76fac45af8e51",
            "30c81c46a35ce411e5fbc1191a0a52ef",
            "f69f2445df4f9b17ad2b417be66c3710",
        ))
        .expect("hex");
        let cipher = concat!(
            "7649abac8119b246cee98e9b12e9197d",
            "5086cb9b507219ee95db113a917678b2",
            "73bed6b8e3c1743b7116e69e22229516",
            "3ff1caa1681fac09120eca307586e1a7",
        );
        let key = ContentKey::from_bytes(key.try_into().expect("16 bytes"));
        let iv: Iv = iv.try_into().expect("16 bytes");
        let mut segment = clear.clone();
        encrypt_in_place(&key, &iv, &mut segment);
        assert_eq!(segment.len(), 80);
        assert_eq!(hex::encode(&segment[..64]), cipher);
        decrypt_in_place(&key, &iv, &mut segment).expect("our own ciphertext");
        assert_eq!(segment, clear);
    }

    /// The same bytes as `openssl enc`, for lengths around the block and beyond.
    #[test]
    fn openssl_makes_the_same_bytes() {
        for length in [0usize, 1, 15, 16, 17, 31, 32, 1000, 65_536, 1_000_003] {
            let clear: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
            let (key, iv) = (key(3), segment_iv(&key(3), "720p", 7));
            let mut ours = clear.clone();
            encrypt_in_place(&key, &iv, &mut ours);
            assert_eq!(ours.len() as u64, encrypted_bytes(length as u64));
            let mut openssl = Command::new("openssl")
                .args(["enc", "-aes-128-cbc", "-K", &hex::encode(key.expose()), "-iv", &hex::encode(iv)])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("openssl is installed (make test installs what the tests need)");
            let mut stdin = openssl.stdin.take().expect("piped");
            let writer = std::thread::spawn(move || stdin.write_all(&clear));
            let theirs = openssl.wait_with_output().expect("openssl ends");
            writer.join().expect("no panic").expect("openssl reads everything");
            assert!(theirs.status.success());
            assert!(ours == theirs.stdout, "{length} bytes differ");
        }
    }

    #[test]
    fn ivs_are_stable_and_differ_by_key_track_and_segment() {
        let mut seen = HashSet::new();
        for seed in [1, 2] {
            for track in ["1080p", "720p", "audio-0", "audio-1", "", "a|1", "a"] {
                for segment in [0, 1, 2, 10, 11, u32::MAX] {
                    let iv = segment_iv(&key(seed), track, segment);
                    assert_eq!(iv, segment_iv(&key(seed), track, segment));
                    assert!(seen.insert(iv), "{track} {segment}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_a_ciphertext_is_an_error() {
        let (key, iv) = (key(1), [0; 16]);
        let mut good = b"a segment".to_vec();
        encrypt_in_place(&key, &iv, &mut good);
        for bad in [vec![], vec![0; 15], good[..15].to_vec(), [&good[..], b"x"].concat()] {
            let bytes = bad.len();
            assert_eq!(decrypt_in_place(&key, &iv, &mut bad.clone()), Err(DecryptError { bytes }));
        }
    }

    proptest! {
        #[test]
        fn decryption_gives_back_what_was_encrypted(clear in proptest::collection::vec(any::<u8>(), 0..2000), iv: Iv) {
            let mut segment = clear.clone();
            encrypt_in_place(&key(5), &iv, &mut segment);
            prop_assert_eq!(segment.len() % BLOCK_BYTES, 0);
            decrypt_in_place(&key(5), &iv, &mut segment).expect("our own ciphertext");
            prop_assert_eq!(segment, clear);
        }
    }
}
