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
