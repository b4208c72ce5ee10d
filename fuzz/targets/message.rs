//! Arbitrary bytes as a plaintext of either form, as data under a known shared key, and as data to
//! a known public key.
//!
//! A fuzzer forges no tags, so the bytes are also encrypted with the known keys first, like the
//! messages of an attacker who knows a key.

use std::sync::OnceLock;

use circuits::secret::Secret;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::envelope::EncryptionHint;
use whisht::message::{
    self, ClientSecret, DecryptedMessage, Padding, Plaintext, SymKey, decrypt_asymmetric,
    decrypt_symmetric, v5,
};

/// Parses and decrypts. Panics if a rule is broken.
pub fn message(data: &[u8]) {
    let parsed = message::parse(data);
    if let Ok(opened) = &parsed {
        check(data, opened);
    }
    if let Ok(opened) = v5::parse(data) {
        check_v5(data, &opened);
    }
    let keys = keys();
    if let Ok(opened) = decrypt_symmetric(&keys.shared, data) {
        assert!(opened.payload.len() < data.len());
    }
    if let Ok(opened) = decrypt_asymmetric(&keys.person, data) {
        assert_eq!(opened.recipient, Some(keys.person.public()));
    }
    say(keys, data);
    say_v5(keys, data);
}

/// The parts of a plaintext follow one another.
fn check(plaintext: &[u8], opened: &DecryptedMessage) {
    let flags = plaintext[0];
    let start = 1 + usize::from(flags & 0b011);
    let end = plaintext.len() - if flags & 0b100 == 0 { 0 } else { 65 };
    let (payload, padding) = plaintext[start..end].split_at(opened.payload.len());
    assert_eq!(opened.payload.as_slice(), payload);
    assert_eq!(opened.padding, padding);
    assert_eq!(opened.signer.is_some(), flags & 0b100 != 0);
}

/// The same in `shh/5`, with the padding first; its size includes the size field.
fn check_v5(plaintext: &[u8], opened: &DecryptedMessage) {
    let flags = plaintext[0];
    let width = usize::from(flags & 0b011);
    let end = plaintext.len() - if flags & 0b100 == 0 { 0 } else { 65 };
    let block = plaintext[1..1 + width]
        .iter()
        .rev()
        .fold(0, |size, &byte| size << 8 | usize::from(byte));
    let (padding, payload) = plaintext[1..end].split_at(block);
    assert_eq!(opened.padding, padding[width..]);
    assert_eq!(opened.payload.as_slice(), payload);
    assert_eq!(opened.signer.is_some(), flags & 0b100 != 0);
}

/// Every payload is returned unchanged.
fn say(keys: &FuzzKeys, payload: &[u8]) {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let plaintext = Plaintext::build(&mut rng, payload, Padding::Align, None).unwrap();
    let data = message::seal_symmetric(&mut rng, &keys.shared, &plaintext);
    let opened = decrypt_symmetric(&keys.shared, &data).unwrap();
    assert_eq!(opened.payload.as_slice(), payload);
    let data = message::seal_asymmetric(&mut rng, &keys.person.public(), &plaintext);
    let opened = decrypt_asymmetric(&keys.person, &data).unwrap();
    assert_eq!(opened.payload.as_slice(), payload);
}

/// The same in `shh/5`.
fn say_v5(keys: &FuzzKeys, payload: &[u8]) {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let plaintext = v5::PlaintextV5::build(&mut rng, payload, Padding::Align, None).unwrap();
    assert_eq!(plaintext.as_bytes().len() % 256, 0);
    let (hint, data) = v5::seal_symmetric(&mut rng, &keys.shared, &plaintext);
    let EncryptionHint::Symmetric(nonce) = hint else {
        panic!("not marked as under a shared key");
    };
    let opened = v5::decrypt_symmetric(&keys.shared, nonce, &data).unwrap();
    assert_eq!(opened.payload.as_slice(), payload);
    let (_, data) = v5::seal_asymmetric(&mut rng, &keys.person.public(), &plaintext);
    let opened = v5::decrypt_asymmetric(&keys.person, &data).unwrap();
    assert_eq!(opened.payload.as_slice(), payload);
}

struct FuzzKeys {
    shared: SymKey,
    person: ClientSecret,
}

/// The published keys of the corpus.
fn keys() -> &'static FuzzKeys {
    static KEYS: OnceLock<FuzzKeys> = OnceLock::new();
    KEYS.get_or_init(|| FuzzKeys {
        shared: SymKey::new(secret(&SHARED)).unwrap(),
        person: ClientSecret::from_bytes(&secret(&PERSON)).unwrap(),
    })
}

fn secret(bytes: &[u8; 32]) -> Secret<32> {
    Secret::init_with(|to| to.copy_from_slice(bytes))
}

/// The SHA-256 of "key".
const SHARED: [u8; 32] = [
    0x2c, 0x70, 0xe1, 0x2b, 0x7a, 0x06, 0x46, 0xf9, 0x22, 0x79, 0xf4, 0x27, 0xc7, 0xb3, 0x8e, 0x73,
    0x34, 0xd8, 0xe5, 0x38, 0x9c, 0xff, 0x16, 0x7a, 0x1d, 0xc3, 0x0e, 0x73, 0xf8, 0x26, 0xb6, 0x83,
];
/// The recipient's static key of EIP-8.
const PERSON: [u8; 32] = [
    0xb7, 0x1c, 0x71, 0xa6, 0x7e, 0x11, 0x77, 0xad, 0x4e, 0x90, 0x16, 0x95, 0xe1, 0xb4, 0xb9, 0xee,
    0x17, 0xae, 0x16, 0xc6, 0x66, 0x8d, 0x31, 0x3e, 0xac, 0x2f, 0x96, 0xdb, 0xcd, 0xa3, 0xf2, 0x91,
];
