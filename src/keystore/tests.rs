use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;
use crate::envelope::Topic;
use crate::identity::NewIdentity;

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn password(text: &str) -> Password {
    Password::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn desk() -> IdentityName {
    "desk".parse().unwrap()
}

/// Seals with a key derivation that takes no time, so that property tests can seal many identities.
fn sealed(identity: &Identity, under: &str, seed: u8) -> SealedIdentity {
    let mut rng = rng(seed);
    let kdf = Kdf::pbkdf2(1, &mut rng).unwrap();
    SealedIdentity::seal_with(&desk(), identity, &password(under), kdf, &mut rng).unwrap()
}

fn secret(identity: &Identity) -> [u8; 32] {
    match identity {
        Identity::KeyPair(secret) => *secret.expose(),
        Identity::Shared(key, _) => *key.expose(),
    }
}

fn key_pair() -> Identity {
    NewIdentity::KeyPair.make(&mut rng(7))
}

fn shared() -> Identity {
    NewIdentity::Shared(Topic([1, 2, 3, 4])).make(&mut rng(7))
}

/// The error of unsealing a file after one member was changed.
fn after(file: &SealedIdentity, path: &str, value: impl Into<Value>) -> KeystoreError {
    let mut json: Value = serde_json::from_str(&file.to_json()).unwrap();
    *json.pointer_mut(path).unwrap() = value.into();
    SealedIdentity::parse(&json.to_string())
        .and_then(|file| file.open(&password("x")))
        .map(|_| ())
        .unwrap_err()
}

#[test]
fn sealed_identity_unseals_for_both_kdfs_and_kinds() {
    for identity in [key_pair(), shared()] {
        for cost in [
            Kdf::scrypt(Cost::DangerLight, &mut rng(1)),
            Kdf::pbkdf2(9, &mut rng(1)).unwrap(),
        ] {
            let under = password("hedge");
            let file =
                SealedIdentity::seal_with(&desk(), &identity, &under, cost, &mut rng(2)).unwrap();
            let read = SealedIdentity::parse(&file.to_json()).unwrap();
            assert_eq!(read.to_json(), file.to_json());
            assert_eq!(read.name(), Some(&desk()));
            assert_eq!(read.public_identity(), Some(identity.public_identity()));
            assert!(read.is_protected());
            assert_eq!(secret(&read.open(&under).unwrap()), secret(&identity));
        }
    }
}

#[test]
fn standard_cost_equals_geth_default() {
    let kdf = Kdf::scrypt(Cost::default(), &mut rng(1));
    let function = kdf::scrypt(1 << 18, 8, 1).unwrap();
    assert_eq!(kdf.function, function);
}

#[test]
fn empty_password_is_marked_and_uses_light_cost() {
    let file = SealedIdentity::seal(
        &desk(),
        &key_pair(),
        &Password::none(),
        Cost::Standard,
        &mut rng(1),
    );
    let file = file.unwrap();
    assert!(!file.is_protected());
    assert!(file.to_json().contains("\"n\":4096"));
    assert!(file.open(&Password::none()).is_ok());
}

#[test]
fn shared_key_file_has_no_address() {
    assert!(sealed(&shared(), "x", 1).address().is_none());
    assert!(!sealed(&shared(), "x", 1).to_json().contains("address"));
    let Identity::KeyPair(secret) = key_pair() else {
        panic!("a key pair")
    };
    let address = sealed(&key_pair(), "x", 1).address();
    assert_eq!(address, Some(EthereumAddress::of(&secret.public())));
}

#[test]
fn wrong_password_differs_from_damaged_file() {
    let file = sealed(&key_pair(), "x", 1);
    let wrong = file.open(&password("y")).map(|_| ()).unwrap_err();
    assert_eq!(wrong, KeystoreError::WrongPassword);
    // The MAC does not span these, but our own tag does.
    let iv = "00".repeat(16);
    assert_eq!(
        after(&file, "/crypto/cipherparams/iv", iv),
        KeystoreError::Damaged("label")
    );
    let address = "00".repeat(20);
    assert_eq!(
        after(&file, "/address", address),
        KeystoreError::Damaged("label")
    );
    assert_eq!(
        after(&file, "/whisht/name", "other"),
        KeystoreError::Damaged("label")
    );
    assert_eq!(
        after(&file, "/whisht/protected", false),
        KeystoreError::Damaged("label")
    );
    assert_eq!(
        after(&file, "/whisht/tag", "00"),
        KeystoreError::Damaged("label")
    );
}

#[test]
fn changed_topic_or_kind_is_refused() {
    let file = sealed(&shared(), "x", 1);
    assert_eq!(
        after(&file, "/whisht/topic", "04030201"),
        KeystoreError::Damaged("label")
    );
    assert_eq!(
        after(&file, "/whisht/kind", "key pair"),
        KeystoreError::Damaged("label")
    );
    let iv = "00".repeat(16);
    assert_eq!(
        after(&file, "/crypto/cipherparams/iv", iv),
        KeystoreError::Damaged("label")
    );
}

#[test]
fn label_of_another_file_is_refused() {
    let (one, other) = (sealed(&key_pair(), "x", 1), sealed(&key_pair(), "x", 2));
    let mut json: Value = serde_json::from_str(&one.to_json()).unwrap();
    let label: Value = serde_json::from_str(&other.to_json()).unwrap();
    json["whisht"] = label["whisht"].clone();
    let mixed = SealedIdentity::parse(&json.to_string()).unwrap();
    let refusal = mixed.open(&password("x")).map(|_| ()).unwrap_err();
    assert_eq!(refusal, KeystoreError::Damaged("label"));
}

#[test]
fn foreign_file_with_wrong_address_is_damaged() {
    let file = sealed(&key_pair(), "x", 1);
    let mut json: Value = serde_json::from_str(&file.to_json()).unwrap();
    json.as_object_mut().unwrap().remove("whisht");
    let foreign = SealedIdentity::parse(&json.to_string()).unwrap();
    assert_eq!(
        (
            foreign.name(),
            foreign.public_identity(),
            foreign.is_protected()
        ),
        (None, None, true)
    );
    assert!(foreign.open(&password("x")).is_ok());
    assert_eq!(
        after(&foreign, "/address", "00".repeat(20)),
        KeystoreError::Damaged("address")
    );
}

#[test]
fn unknown_members_are_ignored() {
    let file = sealed(&key_pair(), "x", 1);
    let mut json: Value = serde_json::from_str(&file.to_json()).unwrap();
    json["name"] = json!("my wallet");
    json["meta"] = json!({"any": [1, null]});
    json["Crypto"] = json["crypto"].take();
    json.as_object_mut().unwrap().remove("crypto");
    json["address"] = format!("0x{}", json["address"].as_str().unwrap()).into();
    let read = SealedIdentity::parse(&json.to_string()).unwrap();
    assert!(read.open(&password("x")).is_ok());
}

#[test]
fn short_keys_are_padded_with_zeros() {
    let mut expected = [0x11; 32];
    expected[..2].fill(0);
    let file = sealed_bytes(vec![0x11; 30]);
    assert_eq!(secret(&file.open(&password("x")).unwrap()), expected);
}

#[test]
fn leading_zero_before_key_is_dropped() {
    let mut plain = vec![0x11; 33];
    plain[0] = 0;
    let file = sealed_bytes(plain.clone());
    assert_eq!(secret(&file.open(&password("x")).unwrap()), [0x11; 32]);
    plain[0] = 1;
    let refusal = sealed_bytes(plain).open(&password("x")).map(|_| ());
    assert_eq!(refusal, Err(KeystoreError::Damaged("ciphertext")));
}

/// A file of another program that seals these bytes.
fn sealed_bytes(mut plain: Vec<u8>) -> SealedIdentity {
    let mut rng = rng(1);
    let kdf = Kdf::pbkdf2(1, &mut rng).unwrap();
    let key = kdf.derive(&password("x")).unwrap();
    // Shortening the sealed key equals sealing a shortened key under a shifted keystream, so the
    // test builds the file from its parts.
    let (cipher, prefix) = key.halves();
    use ctr::cipher::{KeyIvInit, StreamCipher};
    ctr::Ctr128BE::<aes::Aes128>::new(cipher.into(), &[3; 16].into()).apply_keystream(&mut plain);
    let mac = Keccak256::new()
        .chain_update(prefix)
        .chain_update(&plain)
        .finalize();
    let json = json!({
        "version": 3,
        "crypto": {
            "cipher": "aes-128-ctr", "ciphertext": hex::encode(&plain),
            "cipherparams": {"iv": "03".repeat(16)}, "mac": hex::encode(mac),
            "kdf": "pbkdf2",
            "kdfparams": {"c": 1, "dklen": 32, "prf": "hmac-sha256", "salt": hex::encode(&kdf.salt)},
        },
    });
    SealedIdentity::parse(&json.to_string()).unwrap()
}

#[test]
fn unsupported_file_differs_from_damaged_file() {
    use KeystoreError::{Damaged, Kdf, UnknownCipher, UnknownKdf, UnknownVersion};
    let file = sealed(&key_pair(), "x", 1);
    for (path, value, expected) in [
        ("/version", json!(1), UnknownVersion),
        ("/version", json!("3"), UnknownVersion),
        ("/crypto", json!({}), Damaged("cipher")),
        ("/crypto/cipher", json!("aes-256-ctr"), UnknownCipher),
        ("/crypto/cipher", json!(7), Damaged("cipher")),
        ("/crypto/kdf", json!("argon2id"), UnknownKdf),
        ("/crypto/kdf", json!("scrypt"), Damaged("kdfparams")),
        ("/crypto/kdfparams/prf", json!("hmac-sha512"), UnknownKdf),
        ("/crypto/kdfparams/dklen", json!(16), Damaged("kdfparams")),
        ("/crypto/kdfparams/c", json!(1e3), Damaged("crypto")),
        ("/crypto/kdfparams/c", json!(-1), Damaged("crypto")),
        (
            "/crypto/kdfparams/c",
            json!(u64::MAX),
            Kdf(BadKdf::TooCostly),
        ),
        ("/crypto/kdfparams/salt", json!("0"), Damaged("salt")),
        ("/crypto/cipherparams/iv", json!("00"), Damaged("iv")),
        ("/crypto/mac", json!("00"), Damaged("mac")),
        ("/crypto/ciphertext", json!(""), Damaged("ciphertext")),
        (
            "/crypto/ciphertext",
            json!("00".repeat(34)),
            Damaged("ciphertext"),
        ),
        ("/address", json!("00"), Damaged("address")),
        (
            "/whisht",
            json!({"name": "desk"}),
            Damaged("address or label"),
        ),
        ("/whisht/name", json!("../x"), Damaged("label")),
    ] {
        assert_eq!(
            after(&file, path, value.clone()),
            expected,
            "{path} {value}"
        );
    }
    for text in ["", "[]", "{", "null", "{\"crypto\":{}}"] {
        let refusal = SealedIdentity::parse(text).map(|_| ()).unwrap_err();
        assert!(matches!(refusal, Damaged("JSON" | "version")), "{text}");
    }
    let padded = file.to_json() + &" ".repeat(v3::MAX_FILE_LEN);
    assert_eq!(
        SealedIdentity::parse(&padded).map(|_| ()),
        Err(Damaged("length"))
    );
}

#[test]
fn scrypt_memory_bomb_is_refused_before_allocation() {
    let mut rng = rng(1);
    let kdf = Kdf::scrypt(Cost::DangerLight, &mut rng);
    let file =
        SealedIdentity::seal_with(&desk(), &key_pair(), &password("x"), kdf, &mut rng).unwrap();
    let refusal = after(&file, "/crypto/kdfparams/n", 1 << 22);
    assert_eq!(refusal, KeystoreError::Kdf(BadKdf::TooCostly));
}

#[test]
fn key_appears_neither_in_file_nor_in_debug() {
    let identity = key_pair();
    let file = sealed(&identity, "hunter2", 1);
    let shown = format!("{} {file:?}", file.to_json());
    assert!(!shown.contains(&hex::encode(secret(&identity))));
    assert!(!shown.contains("hunter2"));
}

proptest! {
    #[test]
    fn sealed_identity_unseals_unchanged(key in any::<[u8; 32]>(), topic in any::<[u8; 4]>(), under in ".{0,40}", seed in any::<u8>()) {
        let bytes = || Secret::init_with(|secret| secret.copy_from_slice(&key));
        let pair = ClientSecret::from_bytes(&bytes()).map(Identity::KeyPair).ok();
        let group = SymKey::new(bytes()).map(|key| Identity::Shared(key, Topic(topic))).ok();
        for identity in pair.into_iter().chain(group) {
            let read = SealedIdentity::parse(&sealed(&identity, &under, seed).to_json()).unwrap();
            let opened = read.open(&password(&under)).unwrap();
            prop_assert_eq!(secret(&opened), key);
            prop_assert_eq!(opened.public_identity(), identity.public_identity());
            prop_assert_eq!(read.is_protected(), !under.is_empty());
        }
    }

    // HMAC fills a short key up with zeros (RFC 2104), so zeros at the end of a password count for
    // nothing, in this and in every other wallet.
    #[test]
    fn other_password_never_unseals(one in r"[^\x00]{0,20}", other in r"[^\x00]{0,20}") {
        prop_assume!(one != other);
        let refusal = sealed(&shared(), &one, 1).open(&password(&other)).map(|_| ());
        prop_assert_eq!(refusal, Err(KeystoreError::WrongPassword));
    }

    #[test]
    fn changed_byte_never_yields_another_key(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let file = sealed(&key_pair(), "x", 1);
        let mut bytes = file.to_json().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let opened = String::from_utf8(bytes)
            .ok()
            .and_then(|text| SealedIdentity::parse(&text).ok())
            .and_then(|file| file.open(&password("x")).ok());
        if let Some(opened) = opened {
            prop_assert_eq!(secret(&opened), secret(&key_pair()));
        }
    }
}
