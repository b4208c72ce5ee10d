//! Parts of conversations that belong to the hand-over of files: they are passed on as they arrive, and
//! written as the component of transfers asks.
//!
//! A part that arrived is a row of its own in the record of its message, so that a crash loses neither. The
//! component of transfers erases the row once it has acted on the part. Nothing here reads a part.

use circuits::time::Now;
use zeroize::Zeroizing;

use super::command::ContactSend;
use super::writing::{Target, WrittenMessage};
use super::{ContactContext, Contacts};
use crate::contact::conversation::{ConversationId, ConversationState, Part};
use crate::node::action::{Action, TalkAction, TransferAction};
use crate::node::command::Refusal;
use crate::node::effects::Effects;
use crate::node::transfers::ArrivedPart;
use crate::state::StateChange;

impl Contacts {
    /// Passes the parts of a message that belong to files to their component. Returns what keeps them until
    /// then.
    pub(super) fn pass_file_parts(
        &self,
        fx: &mut Effects,
        id: ConversationId,
        number: u64,
        parts: &[Part],
    ) -> Vec<StateChange> {
        let record = self.conversations.get(id);
        if record.is_none_or(|record| record.facts.is_declined) {
            return Vec::new();
        }
        let is_muted = record.is_some_and(|record| record.facts.marks.is_muted);
        let mut changes = Vec::new();
        for (index, part) in (0_u8..).zip(parts) {
            if matches!(part, Part::FileOffer(_) | Part::FileAnswer(_)) {
                let arrived = ArrivedPart::new(id, number, index, part.clone());
                changes.push(arrived.put());
                fx.request(Action::Transfer(TransferAction::PartArrived(Box::new(
                    arrived,
                ))));
            }
            // Nothing of a talk line survives a crash, and a muted contact offers none.
            let is_talk = matches!(part, Part::TalkAnswer(_))
                || (matches!(part, Part::TalkOffer(_)) && !is_muted);
            if is_talk {
                let part = Box::new(part.clone());
                fx.request(Action::Talk(TalkAction::PartArrived(id, part)));
            }
        }
        changes
    }

    /// Composes a message with a part of the hand-over. The caller stores its changes together with its own,
    /// and then [begins](Self::begin_message) to send it.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the cause; nothing has changed.
    pub(in crate::node) fn compose_file_part(
        &mut self,
        fx: &mut Effects,
        now: Now,
        send: &ContactSend,
        part: Part,
        context: ContactContext<'_>,
    ) -> Result<WrittenMessage, Refusal> {
        if !fx.state_is_open() {
            return Err(Refusal::locked("contacts and conversations are locked"));
        }
        if self.letters_with(&send.to).is_some() {
            return Err(letters_refused(&send.to));
        }
        let target = self.target(now, &send.to)?;
        let draft = self.draft(target, send, vec![part], context)?;
        self.compose_draft(fx, now, draft, context)
    }

    /// Checks that a file can be offered to this name.
    ///
    /// # Errors
    ///
    /// [`Refusal`] for which the offer would be refused.
    pub(in crate::node) fn check_file_recipient(&self, now: Now, to: &str) -> Result<(), Refusal> {
        if self.letters_with(to).is_some() {
            return Err(letters_refused(to));
        }
        self.target(now, to).map(drop)
    }

    /// The conversation with a contact, for a talk line.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is none in which both sides have written.
    pub(in crate::node) fn talk_partner(
        &self,
        now: Now,
        to: &str,
    ) -> Result<ConversationId, Refusal> {
        if self.letters_with(to).is_some() {
            return Err(letters_refused(to));
        }
        let id = match self.target(now, to)? {
            Target::Conversation(id) => Some(id),
            Target::Card(..) => None,
        };
        let id = id.filter(|id| {
            let record = self.conversations.get(*id);
            let is_open = |state| state == ConversationState::Open;
            record.is_some_and(|record| is_open(record.conversation.state()))
        });
        id.filter(|id| self.name_of(*id).is_some()).ok_or_else(|| {
            Refusal::usage(
                format!("there is no open conversation with a contact {to}"),
                "exchange messages first (`whisht send --to`, `whisht contact accept`)",
            )
        })
    }

    /// The contact of a conversation.
    pub(in crate::node) fn name_of(&self, id: ConversationId) -> Option<String> {
        let contact = self.conversations.get(id)?.facts.contact?;
        Some(self.book.get(contact)?.name.clone())
    }
}

/// The parts of a message as they are stored: an offer of a talk line without its secret.
pub(super) fn stored_parts(parts: &[Part]) -> Zeroizing<Vec<u8>> {
    let without_secret = Part::TalkOffer(Vec::new());
    let encoded = parts.iter().map(|part| {
        let stored = match part {
            Part::TalkOffer(_) => &without_secret,
            other => other,
        };
        Part::encode_all(core::slice::from_ref(stored))
    });
    // What was decoded or composed is within the limits of the encoding.
    let encoded: Result<Vec<_>, _> = encoded.collect();
    let encoded = encoded.unwrap_or_default();
    let len = encoded
        .iter()
        .fold(0, |len: usize, part| len.saturating_add(part.len()));
    let mut stored = Zeroizing::new(Vec::with_capacity(len));
    encoded
        .iter()
        .for_each(|part| stored.extend_from_slice(part));
    stored
}

fn letters_refused(to: &str) -> Refusal {
    Refusal::policy(
        format!("{to} is written to by letters, which carry text only"),
        "hand files over from a node with a data directory",
    )
}
