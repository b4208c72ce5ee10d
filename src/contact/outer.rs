//! The outer encryption of envelopes of contact: what every node sees of a first message and of a step.
//!
//! Both forms are `32 bytes | AEAD`: the bytes of a first message are an ephemeral key, those of a step are
//! random. Each envelope has a key and a topic of its own, so the AEAD takes a nonce of zeros. The topic is
//! the additional data. A reader derives the topic of an envelope before it opens anything, and compares.
//! What stands inside is [`plaintext`](super::plaintext)'s.

use core::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::chain::StepKey;
use super::elligator::{EphemeralKey, EphemeralPoint, OuterSecret};
use super::id::ContactId;
use super::kdf::{Key32, Label, expand, extract};
use super::key_block::KeyBlock;
use crate::envelope::Topic;

/// Bytes of the data of an envelope beside its plaintext.
pub const SEAL_OVERHEAD: usize = PREFIX_LEN + TAG_LEN;

/// Encrypts the plaintexts of one attempt. Erased on drop.
pub enum EnvelopeSealer {
    /// To the key block of a card.
    First(FirstSealer),
    /// A step of a chain, or a resync slot.
    Step(StepKey),
}

impl EnvelopeSealer {
    /// A sealer of first messages to a key block.
    #[must_use]
    pub const fn first(id: &ContactId, block: &KeyBlock) -> Self {
        Self::First(FirstSealer {
            id: *id,
            outer: *block.outer(),
        })
    }

    /// Encrypts the plaintext of one envelope. `shard` is the index of the shard, 0 for a whole body. The data
    /// is [`SEAL_OVERHEAD`] bytes longer than the plaintext. No two calls give the same key.
    #[must_use]
    pub fn seal(&self, rng: &mut impl CryptoRng, shard: u8, plaintext: &[u8]) -> SealedData {
        match self {
            Self::First(sealer) => sealer.seal(rng, plaintext),
            Self::Step(key) => seal_step(key, rng, shard, plaintext),
        }
    }
}

impl fmt::Debug for EnvelopeSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvelopeSealer(..)")
    }
}

/// Topic and data of an envelope.
pub struct SealedData {
    /// The topic.
    pub topic: Topic,
    /// The data.
    pub data: Vec<u8>,
}

impl fmt::Debug for SealedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedData(..)")
    }
}

/// Seals first messages: each envelope to an ephemeral key of its own.
pub struct FirstSealer {
    id: ContactId,
    outer: [u8; 32],
}

impl FirstSealer {
    fn seal(&self, rng: &mut impl CryptoRng, plaintext: &[u8]) -> SealedData {
        loop {
            let key = EphemeralKey::draw(rng);
            // Only a key of low order gives no secret; a key block has none.
            if let Some(shared) = key.agree(&self.outer) {
                let keys = FirstKeys::derive(&shared, key.wire(), &self.outer, &self.id);
                return encrypt(&keys.key, keys.topic, key.wire(), plaintext);
            }
        }
    }
}

/// Topic and key of one first message.
struct FirstKeys {
    topic: Topic,
    key: Key32,
}

impl FirstKeys {
    fn derive(shared: &Key32, wire: &[u8; 32], outer: &[u8; 32], id: &ContactId) -> Self {
        let secret = extract(Label::FIRST_SALT, &[shared.as_slice()]);
        let info: [&[u8]; 3] = [wire, outer, &id.0];
        Self {
            topic: Topic(*expand::<4>(&secret, Label::FIRST_TOPIC, &info)),
            key: expand::<32>(&secret, Label::FIRST_KEY, &info),
        }
    }
}

/// The secret key to which first messages of one generation are sealed, with the id that they name.
pub struct FirstOpener {
    id: ContactId,
    secret: OuterSecret,
}

impl FirstOpener {
    /// The opener of an id and an outer key.
    #[must_use]
    pub const fn new(id: ContactId, secret: OuterSecret) -> Self {
        Self { id, secret }
    }

    /// Opens an envelope if it is a first message to this key; `None` if it is not. The point is that of the
    /// first bytes of the data, which several openers share.
    ///
    /// The topic is derived for every envelope, and the data is decrypted only if it is equal.
    #[must_use]
    pub fn open(
        &self,
        point: &EphemeralPoint,
        topic: Topic,
        data: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let (wire, _) = data.split_first_chunk::<PREFIX_LEN>()?;
        let shared = self.secret.agree(point)?;
        let keys = FirstKeys::derive(&shared, wire, self.secret.public(), &self.id);
        if !bool::from(keys.topic.0.ct_eq(&topic.0)) {
            return None;
        }
        decrypt(&keys.key, topic, data)
    }
}

impl fmt::Debug for FirstOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstOpener(..)")
    }
}

/// Opens the envelope of a shard with the key of its step; `None` if it is of another step.
#[must_use]
pub fn open_step(
    key: &StepKey,
    shard: u8,
    topic: Topic,
    data: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (salt, _) = data.split_first_chunk::<PREFIX_LEN>()?;
    decrypt(&key.key(shard, salt), topic, data)
}

fn seal_step(key: &StepKey, rng: &mut impl CryptoRng, shard: u8, plaintext: &[u8]) -> SealedData {
    let mut salt = [0; PREFIX_LEN];
    rng.fill_bytes(&mut salt);
    encrypt(&key.key(shard, &salt), key.topic(shard), &salt, plaintext)
}

fn encrypt(key: &Key32, topic: Topic, prefix: &[u8; PREFIX_LEN], plaintext: &[u8]) -> SealedData {
    let payload = Payload {
        msg: plaintext,
        aad: &topic.0,
    };
    #[expect(
        clippy::expect_used,
        reason = "fails beyond 256 GB; an envelope has 64 KB"
    )]
    let sealed = ChaCha20Poly1305::new((&**key).into())
        .encrypt(&NONCE.into(), payload)
        .expect("a plaintext is short enough");
    let mut data = prefix.to_vec();
    data.extend(sealed);
    SealedData { topic, data }
}

fn decrypt(key: &Key32, topic: Topic, data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (_, sealed) = data.split_first_chunk::<PREFIX_LEN>()?;
    let payload = Payload {
        msg: sealed,
        aad: &topic.0,
    };
    let opened = ChaCha20Poly1305::new((&**key).into()).decrypt(&NONCE.into(), payload);
    opened.ok().map(Zeroizing::new)
}

/// The ephemeral key, or the random bytes, before the ciphertext.
pub(super) const PREFIX_LEN: usize = 32;
const TAG_LEN: usize = 16;
/// No key is used twice.
const NONCE: [u8; 12] = [0; 12];

#[cfg(test)]
mod tests;
