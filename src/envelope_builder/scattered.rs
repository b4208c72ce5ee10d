//! Envelopes of a scattered message: each carries one shard.
//!
//! A message that fits into an envelope of the smallest class is not scattered. Any other becomes a
//! plaintext without random padding, signed and tagged like any message, which is scattered; each
//! shard then gets an envelope of the smallest class with its own encryption, lifetime class and lag.
//! The tag is inside the shards, so a reader that gets two sets of one message keeps one.

use circuits::time::UnixSecs;
use rand_core::CryptoRng;

use super::{
    EncryptionKey, EncryptionKind, EnvelopeBuildError, EnvelopeDraft, OutgoingMessage,
    payload_capacity, plaintext_len, seal,
};
use crate::envelope::{SizeClass, TtlClass};
use crate::message::{self, CopyTag, Padding, Plaintext, ShardMark};
use crate::scatter::{MessageTooLong, ScatterClass, ScatterProfile, ScatterShard, scatter};

impl EncryptionKind {
    /// The profile of shards in messages of this kind.
    #[must_use]
    pub const fn profile(self) -> ScatterProfile {
        match self {
            Self::Asymmetric => ScatterProfile::Asymmetric,
            Self::Symmetric => ScatterProfile::Symmetric,
        }
    }
}

/// Whether a message fits into an envelope of the smallest class, whatever its lifetime: the answer
/// must not depend on the lifetime that is drawn.
#[must_use]
pub fn fits_smallest(kind: EncryptionKind, payload_len: usize, signed: bool) -> bool {
    let mut lives = TtlClass::ALL.into_iter();
    lives.all(|life| payload_capacity(kind, SizeClass::SMALLEST, life, signed) >= payload_len)
}

/// Scatters a message: its shards, in the order of their indices.
///
/// # Errors
///
/// [`EnvelopeBuildError::ScatterTooLong`] if no class of shards holds the message.
pub fn scatter_message(
    rng: &mut impl CryptoRng,
    message: &OutgoingMessage<'_>,
) -> Result<Vec<ScatterShard>, EnvelopeBuildError> {
    let tag = Padding::Given(message.tag.as_bytes());
    let plaintext = Plaintext::build(rng, message.payload, tag, message.signer).map_err(
        |message::PayloadTooLong { max }| EnvelopeBuildError::PayloadTooLong {
            len: message.payload.len(),
            max,
        },
    )?;
    let bytes = plaintext.as_bytes();
    let around = bytes.len().saturating_sub(message.payload.len());
    scatter(rng, message.recipient.kind().profile(), bytes).map_err(
        |MessageTooLong { max, .. }| EnvelopeBuildError::ScatterTooLong {
            len: message.payload.len(),
            max: max.saturating_sub(around),
        },
    )
}

/// Drafts the envelope of one shard of a message.
///
/// # Errors
///
/// [`EnvelopeBuildError::LifeTooLong`] if no lifetime class leaves the wanted lifetime, and
/// [`EnvelopeBuildError::PayloadTooLong`] if the shard has the profile of another kind of encryption.
pub fn draft_shard(
    rng: &mut impl CryptoRng,
    now: UnixSecs,
    message: &OutgoingMessage<'_>,
    shard: &ScatterShard,
) -> Result<EnvelopeDraft, EnvelopeBuildError> {
    let times = message.life.draw(rng, now)?;
    let (size, kind) = (SizeClass::SMALLEST, message.recipient.kind());
    let mark = ShardMark::of_set(shard.set);
    let padding = Padding::Marked(mark, plaintext_len(kind, size, times.1));
    let body = shard.encode();
    let plaintext = Plaintext::build(rng, &body, padding, None).map_err(
        |message::PayloadTooLong { max }| EnvelopeBuildError::PayloadTooLong {
            len: body.len(),
            max,
        },
    )?;
    let data = seal(rng, message.recipient, &plaintext);
    let (topic, minimum) = (message.topic, message.pow_minimum);
    Ok(EnvelopeDraft::new(times, size, topic, data, minimum))
}

/// The longest payload of a scattered message, in bytes.
#[must_use]
pub fn longest_scattered(key: EncryptionKey<'_>, signed: bool) -> usize {
    let room = ScatterClass::LARGEST.capacity(key.kind().profile());
    let room = room.saturating_sub(CopyTag::LEN);
    message::max_payload_len(room, signed).unwrap_or(0)
}

// A shard, its mark, the flags and the size field fill the smallest class for the longest lifetime.
const _: () = {
    let data = 563 - 29;
    let fixed = 1 + 2 + ShardMark::LEN;
    let sizes = [
        (message::ASYMMETRIC_OVERHEAD, ScatterProfile::Asymmetric),
        (message::SYMMETRIC_OVERHEAD, ScatterProfile::Symmetric),
    ];
    let mut sizes: &[(usize, ScatterProfile)] = &sizes;
    while let [(encryption, profile), rest @ ..] = sizes {
        assert!(ScatterShard::encoded_len(*profile) + fixed + *encryption == data);
        sizes = rest;
    }
};

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::super::{Life, LifeChoice};
    use super::*;
    use crate::envelope::{Envelope, Topic};
    use crate::message::{
        ClientSecret, DecryptedMessage, SymKey, decrypt_asymmetric, decrypt_symmetric, parse,
    };
    use crate::scatter::{Reassembled, Reassembly, ReassemblyLimits};

    fn rng(seed: u64) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(seed)
    }

    fn outgoing<'a>(key: EncryptionKey<'a>, payload: &'a [u8]) -> OutgoingMessage<'a> {
        OutgoingMessage {
            topic: Topic([1; 4]),
            recipient: key,
            signer: None,
            payload,
            life: Life {
                choice: LifeChoice::Any,
                ..Life::at_least(Duration::from_secs(600))
            },
            tag: CopyTag::draw(&mut rng(5)),
            pow_minimum: 0.002,
        }
    }

    /// Reassembles what a reader decrypts from the envelopes of these shards.
    fn receive(
        message: &OutgoingMessage<'_>,
        shards: &[ScatterShard],
        open: impl Fn(&Envelope) -> DecryptedMessage,
    ) -> DecryptedMessage {
        let mut sets = Reassembly::new(ReassemblyLimits::default());
        let now = UnixSecs(1_700_000_000);
        for (seed, shard) in (10..).zip(shards) {
            let draft = draft_shard(&mut rng(seed), now, message, shard).unwrap();
            let envelope = draft.unmined.with_nonce(1 << 60);
            assert_eq!(envelope.as_rlp().len(), SizeClass::SMALLEST.len());
            let shard = open(&envelope).shard().unwrap();
            let outcome = sets.accept(circuits::time::Instant::ZERO, &(), shard);
            if let Reassembled::Complete(bytes) = outcome {
                return parse(&bytes).unwrap();
            }
        }
        panic!("not complete")
    }

    #[test]
    fn scattered_message_reaches_a_public_key_with_its_signature_and_tag() {
        let (reader, signer) = (
            ClientSecret::generate(&mut rng(1)),
            ClientSecret::generate(&mut rng(2)),
        );
        let (public, payload) = (reader.public(), vec![7; 4_000]);
        let message = OutgoingMessage {
            signer: Some(&signer),
            ..outgoing(EncryptionKey::Asymmetric(&public), &payload)
        };
        let shards = scatter_message(&mut rng(3), &message).unwrap();
        assert_eq!(shards.len(), 18);
        let got = receive(&message, &shards[6..], |envelope| {
            let opened = decrypt_asymmetric(&reader, envelope.data()).unwrap();
            assert_eq!(opened.signer, None, "no shard is signed");
            opened
        });
        assert_eq!(*got.payload, payload);
        assert_eq!(got.signer, Some(signer.public()));
        assert_eq!(CopyTag::of_padding(&got.padding), Some(message.tag));
    }

    #[test]
    fn scattered_message_reaches_the_holders_of_a_shared_key() {
        let (key, payload) = (SymKey::generate(&mut rng(1)), vec![7; 800]);
        let message = outgoing(EncryptionKey::Symmetric(&key), &payload);
        let shards = scatter_message(&mut rng(3), &message).unwrap();
        assert_eq!(shards.len(), 3);
        let got = receive(&message, &shards[1..], |envelope| {
            decrypt_symmetric(&key, envelope.data()).unwrap()
        });
        assert_eq!(*got.payload, payload);
    }

    #[test]
    fn every_shard_draws_its_own_lifetime_class() {
        let (key, payload) = (SymKey::generate(&mut rng(1)), vec![7; 4_000]);
        let message = outgoing(EncryptionKey::Symmetric(&key), &payload);
        let shards = scatter_message(&mut rng(3), &message).unwrap();
        let mut rng = rng(4);
        let drafts = shards
            .iter()
            .map(|shard| draft_shard(&mut rng, UnixSecs(1_700_000_000), &message, shard).unwrap());
        let lives: std::collections::BTreeSet<_> = drafts.map(|draft| draft.life).collect();
        assert!(lives.len() > 2, "{lives:?}");
    }

    #[test]
    fn longest_message_fits_and_one_byte_more_is_refused_with_the_maximum() {
        let key = SymKey::generate(&mut rng(1));
        let key = EncryptionKey::Symmetric(&key);
        let max = longest_scattered(key, false);
        let payload = vec![0; max + 1];
        let longest = outgoing(key, &payload[1..]);
        assert_eq!(scatter_message(&mut rng(2), &longest).unwrap().len(), 96);
        let refused = scatter_message(&mut rng(2), &outgoing(key, &payload));
        let expected = EnvelopeBuildError::ScatterTooLong { len: max + 1, max };
        assert_eq!(refused.unwrap_err(), expected);
    }

    #[test]
    fn message_is_scattered_only_if_it_exceeds_the_smallest_class() {
        // Spec M5: 535 and 534 bytes of data, less encryption, tag, flags and size field.
        assert!(fits_smallest(EncryptionKind::Asymmetric, 402, false));
        assert!(!fits_smallest(EncryptionKind::Asymmetric, 403, false));
        assert!(fits_smallest(EncryptionKind::Symmetric, 487, false));
        assert!(!fits_smallest(EncryptionKind::Symmetric, 488, false));
        assert!(fits_smallest(EncryptionKind::Asymmetric, 337, true));
        assert!(!fits_smallest(EncryptionKind::Asymmetric, 338, true));
    }
}
