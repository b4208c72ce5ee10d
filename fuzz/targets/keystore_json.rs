//! Any bytes as a key file, opened without a password.
//!
//! A fuzzer derives no keys, so the corpus holds files whose derivation is a single round; others
//! are parsed and written again, which must change nothing.

use whisht::keystore::{KeystoreError, Password, SealedIdentity};

/// Parses, writes, and opens what opens at once. Panics if a rule is broken.
pub fn keystore_json(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let Ok(file) = SealedIdentity::parse(text) else {
        return;
    };
    let written = file.to_json();
    let again = SealedIdentity::parse(&written).expect("what was written can be read");
    assert_eq!(again.to_json(), written);
    assert_eq!(again.name(), file.name());
    assert_eq!(again.public_identity(), file.public_identity());
    if !written.contains("\"c\":1,") {
        return;
    }
    match file.open(&Password::none()) {
        Ok(identity) => {
            // Whatever is claimed without the password holds with it.
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
