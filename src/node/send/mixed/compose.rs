//! Composing at levels with cover traffic: the form of a message, and the envelope of each part.

use circuits::level::{Dispersal, Level};
use circuits::time::Now;
use rand_core::CryptoRng;

use super::{MixedForm, MixedMessage, MixedPart};
use crate::envelope_builder::{self, EnvelopeBuildError, EnvelopeDraft, OutgoingMessage};
use crate::message::CopyTag;
use crate::node::command::{ReaderKind, Refusal, SendRequest};
use crate::node::send::SendContext;
use crate::node::send::compose::{pow_job, refused, with_message};
use crate::pow::PowJob;

impl MixedMessage {
    /// Composes a message; its envelopes are drafted later.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if a key is missing or locked, or if the message cannot be sent in any form of its
    /// level.
    pub(in crate::node::send) fn compose(
        rng: &mut impl CryptoRng,
        now: Now,
        request: &SendRequest,
        level: Level,
        tag: CopyTag,
        context: SendContext<'_>,
    ) -> Result<Self, Refusal> {
        with_message(request, now, level, tag, context, |message| {
            let kind = message.recipient.kind();
            let signed = message.signer.is_some();
            let form = if envelope_builder::fits_smallest(kind, message.payload.len(), signed) {
                MixedForm::Whole
            } else {
                form_of(level, request.reader)?
            };
            let mixed = if form == MixedForm::Scatter {
                let shards = envelope_builder::scatter_message(rng, message);
                let shards = shards.map_err(|error| refused(&error))?;
                let needed = shards.first().map_or(1, |shard| shard.class.k().into());
                let parts = shards.into_iter().map(|shard| MixedPart::new(Some(shard)));
                Self::new(form, parts.collect(), needed)
            } else {
                Self::new(form, vec![MixedPart::new(None)], 1)
            };
            // For its errors, which must come before anything is accepted.
            mixed
                .draft(rng, now, level, message, 0, context)
                .map(|_| mixed)
        })
    }

    /// Drafts the envelope of a part. It is expected to leave with the next free slot.
    pub(super) fn draft_part(
        &self,
        rng: &mut impl CryptoRng,
        now: Now,
        (request, level, tag): (&SendRequest, Level, CopyTag),
        part: usize,
        context: SendContext<'_>,
    ) -> Result<(EnvelopeDraft, PowJob), Refusal> {
        with_message(request, now, level, tag, context, |message| {
            self.draft(rng, now, level, message, part, context)
        })
    }

    fn draft(
        &self,
        rng: &mut impl CryptoRng,
        now: Now,
        level: Level,
        message: &OutgoingMessage<'_>,
        part: usize,
        context: SendContext<'_>,
    ) -> Result<(EnvelopeDraft, PowJob), Refusal> {
        // The lag completes the waits of the path, of which one slot is a part. Cells that are ahead in
        // the queue make the envelope wait longer: it is dated as if it were made after them.
        let ahead = context.emission.queue_time();
        let ahead = u32::try_from(ahead.as_secs()).unwrap_or(u32::MAX);
        let made = now.unix.after(ahead);
        let shard = self.parts.get(part).and_then(|part| part.shard.as_ref());
        let draft = match shard {
            Some(shard) => envelope_builder::draft_shard(rng, made, message, shard),
            None => envelope_builder::draft(rng, made, message),
        };
        let draft = draft.map_err(|error| refused(&error))?;
        let job = pow_job(level, &draft, context)?;
        Ok((draft, job))
    }
}

/// The form of a message that does not fit into one cell.
fn form_of(level: Level, reader: ReaderKind) -> Result<MixedForm, Refusal> {
    match (level.rules().dispersal, reader) {
        (Dispersal::Scatter | Dispersal::ByRecipient, ReaderKind::Whisht) => Ok(MixedForm::Scatter),
        (Dispersal::Scatter, ReaderKind::AnyClient) => Err(Refusal::policy(
            format!(
                "level `{level}` divides a message of this length into several envelopes, which only \
                 a reader with whisht puts together"
            ),
            "shorten it until it fits into one envelope, or choose another level yourself",
        )),
        _ => Ok(MixedForm::Converge),
    }
}

/// Whether a message that is already in an envelope of this length can be sent at a level.
///
/// # Errors
///
/// [`Refusal`] at a level at which no envelope converges.
pub(in crate::node::send) fn check_envelope(level: Level, len: usize) -> Result<(), Refusal> {
    let too_long = EnvelopeBuildError::PayloadTooLong {
        len,
        max: crate::envelope::SizeClass::SMALLEST.len(),
    };
    if level.rules().dispersal == Dispersal::Scatter
        && !circuits::dispersal::Class::whole().suits(len)
    {
        return Err(Refusal::policy(
            format!("level `{level}` takes no envelope above the smallest class: {too_long}"),
            "send less at a time, or use `whisht send`, which divides the message",
        ));
    }
    Ok(())
}
