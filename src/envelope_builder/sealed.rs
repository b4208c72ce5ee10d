//! Envelopes of conversations and first messages: a body under a key of its own.
//!
//! The body is encrypted already, by the ratchet or to a card. The sealer adds the outer layer, whose
//! topic and key serve one envelope, or one shard each. The plaintext fills the class, so the length of
//! the body shows in the class alone; the class follows from the length, whatever lifetime is drawn.
//! There is no tag: the reader of a body recognises a copy by the number of its message.

use circuits::time::UnixSecs;
use rand_core::CryptoRng;

use super::{EnvelopeBuildError, EnvelopeDraft, Life};
use crate::contact::outer::{EnvelopeSealer, SealedData};
use crate::contact::plaintext::{
    SealedBody, fill, plaintext_len, scatter_encoded, shard_plaintext,
};
use crate::envelope::{SizeClass, Topic, TtlClass};
use crate::scatter::{MessageTooLong, ScatterClass, ScatterProfile, ScatterShard};

/// A body to send.
#[derive(Clone, Copy)]
pub struct SealedMessage<'a> {
    /// What encrypts the envelopes of this attempt.
    pub sealer: &'a EnvelopeSealer,
    /// The body.
    pub body: &'a SealedBody,
    /// The lifetime.
    pub life: Life,
    /// The minimum proof of work of the network.
    pub pow_minimum: f64,
}

impl SealedMessage<'_> {
    /// The same without the body and the key.
    #[must_use]
    pub fn shaped(&self) -> ShapedMessage {
        ShapedMessage {
            shape: SealedShape {
                body_len: self.body.body.len(),
                is_resync: self.body.resync.is_some(),
            },
            life: self.life,
            pow_minimum: self.pow_minimum,
        }
    }

    /// Encrypts a plaintext, which fills its envelope, for the shard of this index.
    fn seal(
        &self,
        rng: &mut impl CryptoRng,
        times: (UnixSecs, TtlClass),
        (size, index): (SizeClass, u8),
        plaintext: &[u8],
    ) -> EnvelopeDraft {
        let SealedData { topic, data } = self.sealer.seal(rng, index, plaintext);
        EnvelopeDraft::new(times, size, topic, data, self.pow_minimum)
    }

    fn too_long(&self) -> EnvelopeBuildError {
        self.shaped().shape.too_long()
    }
}

/// A body of which only the length is known: for estimates, and for checks before anything is
/// encrypted.
#[derive(Clone, Copy, Debug)]
pub struct ShapedMessage {
    /// Its length and form.
    pub shape: SealedShape,
    /// The lifetime.
    pub life: Life,
    /// The minimum proof of work of the network.
    pub pow_minimum: f64,
}

/// The length and the form of a body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SealedShape {
    /// Length of the body, in bytes.
    pub body_len: usize,
    /// Whether it travels by a resync slot, whose plaintext has one field more.
    pub is_resync: bool,
}

impl SealedShape {
    /// Length of the plaintext before it is filled: what is scattered, in bytes.
    #[must_use]
    pub const fn content_len(self) -> usize {
        SealedBody::encoded_len(self.body_len, self.is_resync)
    }

    /// The smallest class that holds the body, whatever its lifetime; `None` if there is none.
    #[must_use]
    pub fn size_class(self) -> Option<SizeClass> {
        let holds = |size: &SizeClass| {
            let mut lives = TtlClass::ALL.into_iter();
            lives.all(|life| plaintext_len(*size, life) >= self.content_len())
        };
        SizeClass::ALL.into_iter().find(holds)
    }

    /// Whether an envelope of the smallest class holds the body.
    #[must_use]
    pub fn fits_smallest(self) -> bool {
        self.size_class() == Some(SizeClass::SMALLEST)
    }

    fn around(self) -> usize {
        self.content_len().saturating_sub(self.body_len)
    }

    fn too_long(self) -> EnvelopeBuildError {
        let lives = TtlClass::ALL.into_iter();
        let room = lives.map(|life| plaintext_len(SizeClass::LARGEST, life));
        let room = room.min().unwrap_or(0);
        EnvelopeBuildError::PayloadTooLong {
            len: self.body_len,
            max: room.saturating_sub(self.around()),
        }
    }
}

/// Drafts the envelope of a whole body, in the smallest class that holds it.
///
/// # Errors
///
/// [`EnvelopeBuildError::PayloadTooLong`] if no class holds the body, and
/// [`EnvelopeBuildError::LifeTooLong`] if no lifetime class leaves the wanted lifetime.
pub fn draft_sealed(
    rng: &mut impl CryptoRng,
    now: UnixSecs,
    message: &SealedMessage<'_>,
) -> Result<EnvelopeDraft, EnvelopeBuildError> {
    let times = message.life.draw(rng, now)?;
    let size = message.shaped().shape.size_class();
    let size = size.ok_or_else(|| message.too_long())?;
    let filled = fill(&message.body.encode(), size, times.1);
    let filled = filled.map_err(|_| message.too_long())?;
    Ok(message.seal(rng, times, (size, 0), &filled))
}

/// Drafts an envelope like that of [`draft_sealed`], with zeros for topic and data. It is not to be
/// sent.
///
/// # Errors
///
/// Those of [`draft_sealed`].
pub fn draft_shaped(
    rng: &mut impl CryptoRng,
    now: UnixSecs,
    message: &ShapedMessage,
) -> Result<EnvelopeDraft, EnvelopeBuildError> {
    let times = message.life.draw(rng, now)?;
    let shape = message.shape;
    let size = shape.size_class().ok_or_else(|| shape.too_long())?;
    let data = vec![0; size.data_len(times.1)];
    let topic = Topic([0; 4]);
    Ok(EnvelopeDraft::new(
        times,
        size,
        topic,
        data,
        message.pow_minimum,
    ))
}

/// Scatters a body: its shards, in the order of their indices.
///
/// # Errors
///
/// [`EnvelopeBuildError::ScatterTooLong`] if no class of shards holds the body.
pub fn scatter_sealed(
    rng: &mut impl CryptoRng,
    message: &SealedMessage<'_>,
) -> Result<Vec<ScatterShard>, EnvelopeBuildError> {
    let shape = message.shaped().shape;
    let shards = scatter_encoded(rng, &message.body.encode());
    shards.map_err(
        |MessageTooLong { max, .. }| EnvelopeBuildError::ScatterTooLong {
            len: shape.body_len,
            max: max.saturating_sub(shape.around()),
        },
    )
}

/// Drafts the envelope of one shard of a body, under the topic and the key of its index.
///
/// # Errors
///
/// [`EnvelopeBuildError::LifeTooLong`] if no lifetime class leaves the wanted lifetime.
pub fn draft_sealed_shard(
    rng: &mut impl CryptoRng,
    now: UnixSecs,
    message: &SealedMessage<'_>,
    shard: &ScatterShard,
) -> Result<EnvelopeDraft, EnvelopeBuildError> {
    let times = message.life.draw(rng, now)?;
    let place = (SizeClass::SMALLEST, shard.index);
    let plaintext = shard_plaintext(shard, times.1);
    Ok(message.seal(rng, times, place, &plaintext))
}

/// The longest body that can be scattered, in bytes.
#[must_use]
pub fn longest_scattered_body(is_resync: bool) -> usize {
    let room = ScatterClass::LARGEST.capacity(ScatterProfile::Conversation);
    room.saturating_sub(SealedBody::encoded_len(0, is_resync))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use circuits::level::Level;
    use circuits::mixing::DelayClass;
    use core::time::Duration;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use zeroize::Zeroizing;

    use super::super::LifeChoice;
    use super::*;
    use crate::contact::chain::StepKey;
    use crate::contact::outer::open_step;
    use crate::contact::plaintext::OuterPlaintext;
    use crate::scatter::{Reassembled, Reassembly, ReassemblyLimits};

    const NOW: UnixSecs = UnixSecs(1_700_000_000);

    fn rng(seed: u64) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(seed)
    }

    fn step() -> StepKey {
        StepKey::new(Zeroizing::new([7; 32]))
    }

    fn body(len: usize, resync: Option<u32>) -> SealedBody {
        SealedBody {
            resync,
            body: Zeroizing::new((0..=u8::MAX).cycle().take(len).collect()),
        }
    }

    fn message<'a>(sealer: &'a EnvelopeSealer, body: &'a SealedBody) -> SealedMessage<'a> {
        SealedMessage {
            sealer,
            body,
            life: Life {
                choice: LifeChoice::Any,
                ..Life::at_least(Duration::from_secs(60))
                    .over(Level::Dark.rules(), DelayClass::LONGEST)
            },
            pow_minimum: 0.0,
        }
    }

    fn open(draft: &EnvelopeDraft, shard: u8) -> OuterPlaintext {
        let opened = open_step(&step(), shard, draft.unmined.topic, &draft.unmined.data);
        OuterPlaintext::decode(&opened.unwrap()).unwrap()
    }

    #[test]
    fn whole_body_opens_in_the_smallest_class_that_holds_it_whatever_its_lifetime() {
        let sealer = EnvelopeSealer::Step(step());
        // Data of an envelope that lives three days, less 48 of the seal and 5 of the form of a body.
        let longest = [(563, 481), (1_178, 1_096), (2_408, 2_326), (65_536, 65_454)];
        for (class, len) in longest {
            let (fits, bursts) = (body(len, None), body(len + 1, None));
            let (fits, bursts) = (message(&sealer, &fits), message(&sealer, &bursts));
            let mut lives = BTreeSet::new();
            for seed in 0..40 {
                let draft = draft_sealed(&mut rng(seed), NOW, &fits).unwrap();
                assert_eq!(draft.size.len(), class, "{len}");
                assert_eq!(draft.unmined.with_nonce(1 << 60).as_rlp().len(), class);
                assert!(open(&draft, 0) == OuterPlaintext::Body(body(len, None)));
                lives.insert(draft.life);
                match draft_sealed(&mut rng(seed), NOW, &bursts) {
                    Ok(draft) => assert!(draft.size.len() > class),
                    Err(error) => assert!(error.to_string().contains("65454"), "{error}"),
                }
            }
            assert!(lives.len() > 2, "{lives:?}");
        }
    }

    #[test]
    fn resync_body_opens_with_its_index() {
        let sealer = EnvelopeSealer::Step(step());
        let resync = body(477, Some(70_000));
        let draft = draft_sealed(&mut rng(1), NOW, &message(&sealer, &resync)).unwrap();
        assert_eq!(draft.size, SizeClass::SMALLEST);
        assert!(open(&draft, 0) == OuterPlaintext::Body(resync));
        let shape = |body_len| SealedShape {
            body_len,
            is_resync: true,
        };
        assert!(shape(477).fits_smallest() && !shape(478).fits_smallest());
    }

    #[test]
    fn scattered_body_opens_from_any_shards_that_suffice() {
        let sealer = EnvelopeSealer::Step(step());
        for resync in [None, Some(9)] {
            let longest = longest_scattered_body(resync.is_some());
            for (len, needed, all) in [(482, 2, 3), (1_700, 4, 6), (longest, 64, 96)] {
                let sent = body(len, resync);
                let message = message(&sealer, &sent);
                let shards = scatter_sealed(&mut rng(1), &message).unwrap();
                assert_eq!(shards.len(), all);
                let mut sets = Reassembly::new(ReassemblyLimits::default());
                let mut topics = BTreeSet::new();
                let mut complete = None;
                for shard in shards.iter().skip(all - needed) {
                    let draft = draft_sealed_shard(&mut rng(7), NOW, &message, shard);
                    let draft = draft.unwrap();
                    assert_eq!(draft.size, SizeClass::SMALLEST);
                    topics.insert(draft.unmined.topic.0);
                    let OuterPlaintext::Shard(opened) = open(&draft, shard.index) else {
                        panic!("not a shard");
                    };
                    let now = circuits::time::Instant::ZERO;
                    if let Reassembled::Complete(bytes) = sets.accept(now, &(), opened) {
                        complete = Some(SealedBody::decode_exact(&bytes).unwrap());
                    }
                }
                assert!(complete == Some(sent));
                assert_eq!(topics.len(), needed, "each shard has a topic of its own");
            }
        }
    }

    #[test]
    fn longest_scattered_body_is_exact() {
        let sealer = EnvelopeSealer::Step(step());
        let max = longest_scattered_body(false);
        let too_long = body(max + 1, None);
        let refused = scatter_sealed(&mut rng(1), &message(&sealer, &too_long)).unwrap_err();
        let expected = EnvelopeBuildError::ScatterTooLong { len: max + 1, max };
        assert_eq!(refused, expected);
    }

    #[test]
    fn rehearsal_has_the_visible_fields_of_the_envelope_but_topic_and_data() {
        let sealer = EnvelopeSealer::Step(step());
        for len in [0, 481, 482, 5_000] {
            let sent = body(len, None);
            let message = message(&sealer, &sent);
            let real = draft_sealed(&mut rng(3), NOW, &message).unwrap();
            let rehearsed = draft_shaped(&mut rng(3), NOW, &message.shaped()).unwrap();
            assert_eq!(
                (real.size, real.life, real.bits),
                (rehearsed.size, rehearsed.life, rehearsed.bits)
            );
            assert_eq!(real.unmined.expiry, rehearsed.unmined.expiry);
            assert_eq!(real.unmined.data.len(), rehearsed.unmined.data.len());
            assert!(rehearsed.unmined.data.iter().all(|byte| *byte == 0));
        }
    }
}
