//! Arbitrary bytes as a key file, unsealed with the empty password.
//!
//! A fuzzer derives no keys, so the corpus contains files whose derivation has a single round;
//! others are parsed and written again, which must change nothing.

use whisht::keystore::{KeystoreError, Password, SealedIdentity};

/// Parses, writes, and unseals cheap files. Panics if a rule is broken.
pub fn keystore_json(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let Ok(file) = SealedIdentity::parse(text) else {
        return;
    };
    let written = file.to_json();
    let again = SealedIdentity::parse(&written).expect("a written file parses");
    assert_eq!(again.to_json(), written);
    assert_eq!(again.name(), file.name());
    assert_eq!(again.public_identity(), file.public_identity());
    if !written.contains("\"c\":1,") {
        return;
    }
    match file.open(&Password::none()) {
        Ok(identity) => {
            // The data readable without the password must equal the unsealed data.
            assert!(
                file.public_identity()
                    .is_none_or(|public_identity| public_identity == identity.public_identity())
            );
        }
        Err(error) => assert!(matches!(
            error,
            KeystoreError::WrongPassword | KeystoreError::Damaged(_)
        )),
    }
}
