//! The vault's conformance suite. Every form of the door runs it.

use lectern_platform::vault::{MasterKeyVault, Vault};

async fn conforms(vault: &dyn Vault, same: &dyn Vault, other: &dyn Vault) {
    for secret in [&b""[..], b"s", &[0; 32], &[7; 4_096]] {
        let wrapped = vault.wrap("asset|1", secret).await.unwrap();
        assert_eq!(vault.unwrap("asset|1", &wrapped).await.unwrap().as_slice(), secret);
        // The same key opened elsewhere, as another process of the deployment has it.
        assert_eq!(same.unwrap("asset|1", &wrapped).await.unwrap().as_slice(), secret);
        assert!(secret.len() < 16 || !wrapped.windows(secret.len()).any(|part| part == secret));
        assert_ne!(wrapped, vault.wrap("asset|1", secret).await.unwrap(), "never the same twice");

        assert!(vault.unwrap("asset|2", &wrapped).await.is_err(), "of something else");
        assert!(other.unwrap("asset|1", &wrapped).await.is_err(), "under another key");
        for at in 0..wrapped.len().min(64) {
            let mut tampered = wrapped.clone();
            tampered[at] ^= 1;
            assert!(vault.unwrap("asset|1", &tampered).await.is_err(), "byte {at} was changed");
        }
        for length in [0, 1, wrapped.len() / 2, wrapped.len() - 1] {
            assert!(vault.unwrap("asset|1", &wrapped[..length]).await.is_err(), "cut to {length}");
        }
    }
    let shown = format!("{vault:?}");
    assert!(!shown.contains("mTIz") && shown.len() < 100, "{shown}");
}

#[tokio::test]
async fn a_key_in_a_file_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| MasterKeyVault::open_or_create(&folder.path().join(name)).unwrap();
    conforms(&open("one"), &open("one"), &open("two")).await;
}

#[tokio::test]
async fn a_key_from_the_configuration_conforms() {
    let key = |text: &str| MasterKeyVault::from_base64(&text.to_owned().into()).unwrap();
    let (one, two) =
        ("mTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=", "nTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=");
    conforms(&key(one), &key(one), &key(two)).await;
}
