//! The content of a message as its envelopes carry it: a Whisper message, a body of a conversation, or
//! data that are encrypted already.
//!
//! Each kind knows which envelopes hold it. A rehearsal computes the same envelope without encrypting
//! under the key of a conversation: that key is for one envelope, and an estimate sends none.

use circuits::time::UnixSecs;
use rand_core::CryptoRng;

use crate::envelope::Topic;
use crate::envelope_builder::{
    self, EnvelopeBuildError, EnvelopeDraft, Life, OutgoingMessage, SealedMessage, SealedShape,
    ShapedMessage,
};
use crate::message::{CopyTag, max_payload_len};
use crate::scatter::{ScatterClass, ScatterProfile, ScatterShard};

/// What the envelopes of one message are made of.
#[derive(Clone, Copy)]
pub(super) enum MessageContent<'a> {
    /// A message to an identity of Whisper.
    Whisper(OutgoingMessage<'a>),
    /// A body of a conversation.
    Sealed(SealedMessage<'a>),
    /// A body of which only the length is known: for estimates.
    Shaped(ShapedMessage),
    /// Data that are encrypted already.
    Prepared {
        /// The topic of the envelope.
        topic: Topic,
        /// Its data.
        data: &'a [u8],
        /// The path to the place of insertion.
        life: Life,
        /// The minimum proof of work of the network.
        pow_minimum: f64,
    },
}

impl MessageContent<'_> {
    /// The same for a rehearsal: its envelopes have the same visible fields but topic and data, and no
    /// key of a conversation encrypts anything.
    pub(super) fn without_key(&self) -> Self {
        match self {
            Self::Sealed(message) => Self::Shaped(message.shaped()),
            other => *other,
        }
    }

    /// Drafts the envelope that holds the whole content.
    pub(super) fn draft(
        &self,
        rng: &mut impl CryptoRng,
        now: UnixSecs,
    ) -> Result<EnvelopeDraft, EnvelopeBuildError> {
        match self {
            Self::Whisper(message) => envelope_builder::draft(rng, now, message),
            Self::Sealed(message) => envelope_builder::draft_sealed(rng, now, message),
            Self::Shaped(message) => envelope_builder::draft_shaped(rng, now, message),
            Self::Prepared {
                topic,
                data,
                life,
                pow_minimum,
            } => envelope_builder::draft_prepared(rng, now, (*topic, data), *life, *pow_minimum),
        }
    }

    /// Drafts the envelope of one shard.
    pub(super) fn draft_shard(
        &self,
        rng: &mut impl CryptoRng,
        now: UnixSecs,
        shard: &ScatterShard,
    ) -> Result<EnvelopeDraft, EnvelopeBuildError> {
        match self {
            Self::Whisper(message) => envelope_builder::draft_shard(rng, now, message, shard),
            Self::Sealed(message) => envelope_builder::draft_sealed_shard(rng, now, message, shard),
            Self::Shaped(message) => {
                // A shard fills the smallest class, as an empty body does.
                let shape = SealedShape {
                    body_len: 0,
                    ..message.shape
                };
                let message = ShapedMessage { shape, ..*message };
                envelope_builder::draft_shaped(rng, now, &message)
            }
            Self::Prepared { .. } => self.draft(rng, now),
        }
    }

    /// Scatters the content; `None` if content of this kind travels whole.
    pub(super) fn scatter(
        &self,
        rng: &mut impl CryptoRng,
    ) -> Option<Result<Vec<ScatterShard>, EnvelopeBuildError>> {
        match self {
            Self::Whisper(message) => Some(envelope_builder::scatter_message(rng, message)),
            Self::Sealed(message) => Some(envelope_builder::scatter_sealed(rng, message)),
            Self::Shaped(_) | Self::Prepared { .. } => None,
        }
    }

    /// Whether content of this kind can be scattered.
    pub(super) const fn can_scatter(&self) -> bool {
        !matches!(self, Self::Prepared { .. })
    }

    /// Whether an envelope of the smallest class holds the content.
    pub(super) fn fits_smallest(&self) -> bool {
        match self {
            Self::Whisper(message) => envelope_builder::fits_smallest(
                message.recipient.kind(),
                message.payload.len(),
                message.signer.is_some(),
            ),
            Self::Sealed(message) => message.shaped().shape.fits_smallest(),
            Self::Shaped(message) => message.shape.fits_smallest(),
            Self::Prepared { data, .. } => {
                data.len() <= envelope_builder::prepared_len(crate::envelope::SizeClass::SMALLEST)
            }
        }
    }

    /// The class of shards that [`scatter`](Self::scatter) chooses; `None` if no class holds the
    /// content.
    pub(super) fn scatter_class(&self) -> Option<ScatterClass> {
        match self {
            Self::Whisper(message) => {
                let (len, signed) = (message.payload.len(), message.signer.is_some());
                let profile = message.recipient.kind().profile();
                let holds = |class: &ScatterClass| {
                    let room = class.capacity(profile).saturating_sub(CopyTag::LEN);
                    max_payload_len(room, signed).is_some_and(|longest| longest >= len)
                };
                ScatterClass::ALL.into_iter().find(holds)
            }
            Self::Sealed(message) => class_of(message.shaped().shape),
            Self::Shaped(message) => class_of(message.shape),
            Self::Prepared { .. } => None,
        }
    }

    /// Length of the content, in bytes.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Whisper(message) => message.payload.len(),
            Self::Sealed(message) => message.body.body.len(),
            Self::Shaped(message) => message.shape.body_len,
            Self::Prepared { data, .. } => data.len(),
        }
    }
}

fn class_of(shape: SealedShape) -> Option<ScatterClass> {
    ScatterClass::of_message(ScatterProfile::Conversation, shape.content_len())
}
