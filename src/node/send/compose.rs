//! Composing: from a request to an envelope that lacks only its nonce.

use circuits::level::Level;
use circuits::time::Now;
use rand_core::CryptoRng;

use super::SendContext;
use crate::envelope_builder::{
    self, EncryptionKey, EnvelopeBuildError, EnvelopeDraft, Life, LifeChoice, OutgoingMessage,
};
use crate::message::CopyTag;
use crate::node::command::{Recipient, Refusal, SendRequest};
use crate::pow::PowJob;

/// Composes the envelope of a request; `tag` is that of its message. Nothing is sent.
///
/// # Errors
///
/// [`Refusal`] if a key is missing or locked, or if no envelope can hold the message.
pub(super) fn compose(
    rng: &mut impl CryptoRng,
    now: Now,
    request: &SendRequest,
    level: Level,
    tag: CopyTag,
    context: SendContext<'_>,
) -> Result<(EnvelopeDraft, PowJob), Refusal> {
    with_message(request, now, level, tag, context, |message| {
        let draft = envelope_builder::draft(rng, now.unix, message);
        let draft = draft.map_err(|error| refused(&error))?;
        let job = pow_job(level, &draft, context)?;
        Ok((draft, job))
    })
}

/// Passes the message of a request to `compose`.
///
/// # Errors
///
/// [`Refusal`] if a key is missing or locked, and that of `compose`.
pub(super) fn with_message<T>(
    request: &SendRequest,
    now: Now,
    level: Level,
    tag: CopyTag,
    context: SendContext<'_>,
    compose: impl FnOnce(&OutgoingMessage<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let receiver = context.receive;
    let signer = match &request.sign_as {
        Some(name) => Some(receiver.signing_key(name)?),
        None => None,
    };
    let delays = context.directory.mix_network(now).class();
    let shared;
    let (topic, recipient) = match &request.to {
        Recipient::Public(key, topic) => (*topic, EncryptionKey::Asymmetric(key)),
        Recipient::Shared(name) => {
            shared = receiver.shared_key(name)?;
            (shared.1, EncryptionKey::Symmetric(&shared.0))
        }
    };
    compose(&OutgoingMessage {
        topic,
        recipient,
        signer: signer.as_deref(),
        payload: &request.payload,
        life: Life {
            choice: if level.is_mixing() {
                LifeChoice::Any
            } else {
                LifeChoice::Shortest
            },
            ..Life::at_least(request.life).over(level.rules(), delays)
        },
        tag,
        pow_minimum: context.gossip.configured_min_pow(),
    })
}

/// The search for the nonce of a draft.
///
/// # Errors
///
/// [`Refusal`] if no computer could finish it.
pub(super) fn pow_job(
    level: Level,
    draft: &EnvelopeDraft,
    context: SendContext<'_>,
) -> Result<PowJob, Refusal> {
    let generations = context.gossip.generations(level, draft.bits);
    draft.pow_job(generations).map_err(|error| {
        Refusal::usage(
            error.to_string(),
            "choose a shorter life, or send less at a time",
        )
    })
}

/// The refusal of a message that no envelope can hold.
pub(super) fn refused(error: &EnvelopeBuildError) -> Refusal {
    Refusal::usage(error.to_string(), error.remedy())
}
