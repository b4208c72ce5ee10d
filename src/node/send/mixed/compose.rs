//! Composing at levels with cover traffic: the form of a message, and the envelope of each part.

use circuits::level::{Dispersal, Level};
use circuits::time::Now;
use rand_core::CryptoRng;

use super::{MixedForm, MixedMessage, MixedPart};
use crate::envelope_builder::{EnvelopeBuildError, EnvelopeDraft};
use crate::message::CopyTag;
use crate::node::command::{ReaderKind, Refusal, SendRequest};
use crate::node::send::SendContext;
use crate::node::send::compose::{pow_job, refused, with_content};
use crate::node::send::content::MessageContent;
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
        with_content(request, now, level, tag, context, |content| {
            let form = form_of(level, request.reader, content)?;
            let shards = (form == MixedForm::Scatter).then(|| content.scatter(rng));
            let mixed = match shards.flatten() {
                Some(shards) => {
                    let shards = shards.map_err(|error| refused(&error))?;
                    let needed = shards.first().map_or(1, |shard| shard.class.k().into());
                    let parts = shards.into_iter().map(|shard| MixedPart::new(Some(shard)));
                    Self::new(form, parts.collect(), needed)
                }
                None => Self::new(form, vec![MixedPart::new(None)], 1),
            };
            // For its errors, which must come before anything is accepted.
            let rehearsal = content.without_key();
            let drafted = mixed.draft(rng, now, level, &rehearsal, 0, context);
            drafted.map(|_| mixed)
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
        with_content(request, now, level, tag, context, |content| {
            self.draft(rng, now, level, content, part, context)
        })
    }

    fn draft(
        &self,
        rng: &mut impl CryptoRng,
        now: Now,
        level: Level,
        content: &MessageContent<'_>,
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
            Some(shard) => content.draft_shard(rng, made, shard),
            None => content.draft(rng, made),
        };
        let draft = draft.map_err(|error| refused(&error))?;
        let job = pow_job(level, &draft, context)?;
        Ok((draft, job))
    }
}

/// The form of a message.
///
/// # Errors
///
/// [`Refusal`] if the level has no form for it.
pub(in crate::node::send) fn form_of(
    level: Level,
    reader: ReaderKind,
    content: &MessageContent<'_>,
) -> Result<MixedForm, Refusal> {
    if content.fits_smallest() {
        return Ok(MixedForm::Whole);
    }
    if !content.can_scatter() {
        return match level.rules().dispersal {
            Dispersal::Scatter => Err(Refusal::policy(
                format!("level `{level}` takes no envelope of a card"),
                "set `contact.card-level` to `bulletin` or `normal`",
            )),
            _ => Ok(MixedForm::Converge),
        };
    }
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
