//! Composing: from a request to an envelope that lacks only its nonce.

use circuits::level::Level;
use circuits::time::Now;
use rand_core::CryptoRng;

use super::SendContext;
use crate::envelope_builder::{self, EncryptionKey, EnvelopeDraft, Life, OutgoingMessage};
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
    let message = OutgoingMessage {
        topic,
        recipient,
        signer: signer.as_deref(),
        payload: &request.payload,
        life: Life::at_least(request.life).over(level.rules(), delays),
        tag,
        pow_minimum: context.gossip.configured_min_pow(),
    };
    let draft = envelope_builder::draft(rng, now.unix, &message)
        .map_err(|error| Refusal::usage(error.to_string(), error.remedy()))?;
    let generations = context.gossip.generations(level, draft.bits);
    let job = draft.pow_job(generations).map_err(|error| {
        Refusal::usage(
            error.to_string(),
            "choose a shorter life, or send less at a time",
        )
    })?;
    Ok((draft, job))
}
