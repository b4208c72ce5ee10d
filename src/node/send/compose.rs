//! Composing: from a request to an envelope that lacks only its nonce.

use core::time::Duration;

use circuits::level::Level;
use circuits::time::Now;
use rand_core::CryptoRng;

use super::SendContext;
use super::content::MessageContent;
use crate::contact::plaintext::SealedBody;
use crate::envelope_builder::{
    EncryptionKey, EnvelopeBuildError, EnvelopeDraft, Life, LifeChoice, OutgoingMessage,
    SealedMessage,
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
    with_content(request, now, level, tag, context, |content| {
        draft_whole(rng, now, level, content, context)
    })
}

/// Checks that a request can be composed. Nothing is sent, and no key of a conversation is used.
///
/// # Errors
///
/// Those of [`compose`].
pub(super) fn check_composable(
    rng: &mut impl CryptoRng,
    now: Now,
    request: &SendRequest,
    level: Level,
    tag: CopyTag,
    context: SendContext<'_>,
) -> Result<(), Refusal> {
    with_content(request, now, level, tag, context, |content| {
        draft_whole(rng, now, level, &content.without_key(), context).map(|_| ())
    })
}

/// Drafts the envelope that holds a whole message.
///
/// # Errors
///
/// [`Refusal`] if no envelope holds it, or no computer could finish its proof of work.
pub(super) fn draft_whole(
    rng: &mut impl CryptoRng,
    now: Now,
    level: Level,
    content: &MessageContent<'_>,
    context: SendContext<'_>,
) -> Result<(EnvelopeDraft, PowJob), Refusal> {
    let draft = content.draft(rng, now.unix);
    let draft = draft.map_err(|error| refused(&error))?;
    let job = pow_job(level, &draft, context)?;
    Ok((draft, job))
}

/// Passes the content of a request to `compose`.
///
/// # Errors
///
/// [`Refusal`] if a key is missing or locked, and that of `compose`.
pub(super) fn with_content<T>(
    request: &SendRequest,
    now: Now,
    level: Level,
    tag: CopyTag,
    context: SendContext<'_>,
    compose: impl FnOnce(&MessageContent<'_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let receiver = context.receive;
    let signer = match &request.sign_as {
        Some(name) => Some(receiver.signing_key(name)?),
        None => None,
    };
    let life = life_of(now, level, request.life, context);
    let pow_minimum = context.gossip.configured_min_pow();
    let shared;
    let (topic, recipient) = match &request.to {
        Recipient::Public(key, topic) => (*topic, EncryptionKey::Asymmetric(key)),
        Recipient::Shared(name) => {
            shared = receiver.shared_key(name)?;
            (shared.1, EncryptionKey::Symmetric(&shared.0))
        }
        Recipient::Sealed(to) => {
            let body = SealedBody {
                resync: to.resync,
                body: request.payload.clone(),
            };
            return compose(&MessageContent::Sealed(SealedMessage {
                sealer: &to.sealer,
                body: &body,
                life,
                pow_minimum,
            }));
        }
        Recipient::Prepared(prepared) => {
            return compose(&MessageContent::Prepared {
                topic: prepared.topic,
                data: &prepared.data,
                life,
                pow_minimum,
            });
        }
    };
    compose(&MessageContent::Whisper(OutgoingMessage {
        topic,
        recipient,
        signer: signer.as_deref(),
        payload: &request.payload,
        life,
        tag,
        pow_minimum,
    }))
}

/// The lifetime of the envelopes of a message at a level.
pub(super) fn life_of(now: Now, level: Level, wanted: Duration, context: SendContext<'_>) -> Life {
    let delays = context.directory.mix_network(now).class();
    Life {
        choice: if level.is_mixing() {
            LifeChoice::Any
        } else {
            LifeChoice::Shortest
        },
        ..Life::at_least(wanted).over(level.rules(), delays)
    }
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
