//! Key files of go-ethereum, and the published examples of the format.

use serde_json::Value;
use whisht::identity::IdentityName;
use whisht::keystore::{Cost, EthereumAddress, KeystoreError, Password, SealedIdentity};
use whisht::node::Identity;
use zeroize::Zeroizing;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::{array, bytes, cases, name, text};

fn password(case: &Value) -> Password {
    let typed = text(&case["password"]);
    if let Some(recorded) = case.get("password_utf8") {
        assert_eq!(typed.as_bytes(), bytes(recorded), "{}", name(case));
    }
    Password::new(Zeroizing::new(typed.to_owned())).unwrap()
}

fn open(case: &Value) -> Result<Identity, KeystoreError> {
    SealedIdentity::parse(&case["keystore"].to_string())?.open(&password(case))
}

#[test]
fn recorded_key_files_decrypt() {
    for case in cases("keystore_v3", "cases") {
        let Ok(Identity::KeyPair(secret)) = open(&case) else {
            panic!("{} does not open", name(&case))
        };
        assert_eq!(
            secret.expose(),
            &array(&case["private_key"]),
            "{}",
            name(&case)
        );
        assert_eq!(secret.public().to_bytes(), array(&case["public_key"]));
        assert_eq!(
            EthereumAddress::of(&secret.public()).0,
            array(&case["address"])
        );
    }
}

#[test]
fn recorded_key_file_failures_give_same_reason() {
    for case in cases("keystore_v3", "failure_cases") {
        let expected = match name(&case) {
            // The MAC spans the ciphertext, so these three are one case to every program.
            "wrong password" | "mac changed" | "ciphertext changed" => KeystoreError::WrongPassword,
            "unknown cipher" => KeystoreError::UnknownCipher,
            "unknown kdf" => KeystoreError::UnknownKdf,
            "version 2" => KeystoreError::UnknownVersion,
            other => panic!("an unknown case: {other}"),
        };
        assert_eq!(open(&case).map(|_| ()), Err(expected), "{}", name(&case));
    }
}

/// The members that go-ethereum requires of a file, with their types and lengths.
#[test]
fn encrypted_key_file_has_geth_members() {
    let recorded = &cases("keystore_v3", "cases")[0];
    let Ok(identity) = open(recorded) else {
        panic!("{} does not open", name(recorded))
    };
    let desk: IdentityName = "desk".parse().unwrap();
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let sealed = SealedIdentity::seal(
        &desk,
        &identity,
        &password(recorded),
        Cost::DangerLight,
        &mut rng,
    );
    let ours: Value = serde_json::from_str(&sealed.unwrap().to_json()).unwrap();
    let theirs = &recorded["keystore"];
    assert_eq!(ours["address"], theirs["address"]);
    assert_eq!(ours["version"], theirs["version"]);
    assert_eq!(shape(&ours["crypto"]), shape(&theirs["crypto"]));
    assert_eq!(shape(&ours["id"]), shape(&theirs["id"]));
    let fresh = |part: &str| assert_ne!(ours.pointer(part), theirs.pointer(part), "{part}");
    fresh("/id");
    fresh("/crypto/cipherparams/iv");
    fresh("/crypto/kdfparams/salt");
}

/// A value without its digits: names, types, numbers and lengths remain.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
        Value::String(text) if text.chars().all(|c| c.is_ascii_hexdigit() || c == '-') => {
            text.replace(|c: char| c.is_ascii_hexdigit(), "0").into()
        }
        other => other.clone(),
    }
}
