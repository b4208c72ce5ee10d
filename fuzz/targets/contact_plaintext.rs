//! Plaintexts of first messages and steps: whole bodies, shards, dummies, resync bodies.

use whisht::contact::plaintext::{OuterPlaintext, SealedBody};

/// Decodes the input as the plaintext of an envelope, and as the message of a set of shards. Panics if what was
/// decoded is encoded differently.
pub fn contact_plaintext(data: &[u8]) {
    if let Ok(OuterPlaintext::Body(body)) = OuterPlaintext::decode(data) {
        let encoded = body.encode();
        assert!(data.starts_with(&encoded));
        assert!(data[encoded.len()..].iter().all(|byte| *byte == 0));
    }
    if let Ok(body) = SealedBody::decode_exact(data) {
        assert_eq!(body.encode().as_slice(), data);
    }
}
