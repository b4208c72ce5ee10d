//! Sending again: messages without answer, and conversations whose keys must not be used any more.

use circuits::time::Now;

use super::command::{ContactReply, ContactSend, SentMessage};
use super::delivery::{AttemptOwner, request_of};
use super::event::ContactStage;
use super::pending::PendingProgress;
use super::writing::{DEFAULT_LIFE, Target, no_conversation};
use super::{ContactContext, ContactContinuation, Contacts};
use crate::contact::conversation::{ConversationId, ConversationState};
use crate::node::command::Refusal;
use crate::node::durability::StateContinuation;
use crate::node::effects::Effects;
use crate::node::hex;
use crate::node::input::CommandId;

impl Contacts {
    /// Starts a new session with a contact whose conversation is stale, or asks the other side to.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if no conversation is stale, or the message is refused.
    pub(super) fn renew(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        (of, send): (&str, &ContactSend),
        context: ContactContext<'_>,
    ) -> Result<(), Refusal> {
        let old = self.stale_of(of)?;
        let record = self.conversations.get(old);
        let Some(record) = record else {
            return Err(no_conversation(of));
        };
        let contact = record.facts.contact;
        let card = contact
            .and_then(|key| self.book.get(key))
            .and_then(|entry| entry.id)
            .and_then(|id| self.finder.card(&id, now.unix).cloned());
        match (contact, card) {
            (Some(key), Some(card)) => {
                let target = Target::Card(key, Box::new(card));
                let mut draft = self.draft(target, send, Vec::new(), context)?;
                draft.renews = Some(old);
                self.write_draft(fx, now, command, draft, context)
            }
            _ if record.conversation.is_initiator() => Err(Refusal::policy(
                format!("no card of {of} is known now, and a new session needs one"),
                "wait until one is found (`whisht contact show`)",
            )),
            _ => self.ask_renewal(fx, now, command, old, context),
        }
    }

    /// Asks the other side to renew, from a stale state: it has the card, and this node has not.
    fn ask_renewal(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        id: ConversationId,
        context: ContactContext<'_>,
    ) -> Result<(), Refusal> {
        let level = context.send.default_level();
        context.check_ready(fx, now, level)?;
        let update = self.conversations.update(id, now.unix, |record| {
            record.conversation.ask_renewal(now.unix)
        });
        let Some(update) = update else {
            return Err(no_conversation(&hex(&id.0)));
        };
        let attempt = update.result.ok_or_else(|| {
            Refusal::policy(
                "the other side was asked as often as is possible in a day",
                "try again tomorrow",
            )
        })?;
        let request = Box::new(request_of(attempt, level, DEFAULT_LIFE));
        let then = StateContinuation::Contact(ContactContinuation::BeginAttempt(
            AttemptOwner::Renewal(id),
            request,
        ));
        fx.store_state_then(vec![update.change], then);
        Self::store_and_reply(fx, Vec::new(), command, ContactReply::Done);
        Ok(())
    }

    /// Sends a message again that is not answered.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is none, or it is being sent.
    pub(super) fn send_again(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        message: &SentMessage,
        context: ContactContext<'_>,
    ) -> Result<(), Refusal> {
        let id = (
            self.conversation_named(&message.conversation)?,
            message.number,
        );
        let Some(pending) = self.pending.get(id) else {
            return Err(not_pending(message));
        };
        let is_idle = matches!(
            pending.progress,
            PendingProgress::User | PendingProgress::InNetwork(_)
        );
        if !is_idle {
            return Err(Refusal::usage(
                format!("message {} is being sent", message.number),
                "wait until it is unanswered (`whisht outbox`)",
            ));
        }
        context.check_ready(fx, now, pending.level)?;
        let change = self.pending.update(id, |pending| {
            pending.attempts = 0;
            pending.progress = PendingProgress::Next(now.unix);
        });
        let changes = change.into_iter().collect();
        Self::store_and_reply(fx, changes, command, ContactReply::Sent(message.clone()));
        self.advance(fx, now, id, context);
        Ok(())
    }

    /// Stops sending a message.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is none.
    pub(super) fn cancel(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        message: &SentMessage,
    ) -> Result<(), Refusal> {
        let id = (
            self.conversation_named(&message.conversation)?,
            message.number,
        );
        if self.pending.get(id).is_none() {
            return Err(not_pending(message));
        }
        self.stop(fx, now, id, ContactStage::Cancelled);
        Self::store_and_reply(fx, Vec::new(), command, ContactReply::Done);
        Ok(())
    }

    /// The stale conversation of a contact.
    fn stale_of(&self, of: &str) -> Result<ConversationId, Refusal> {
        let ids = match self.book.by_name(of) {
            Some((key, _)) => self.conversations.of_contact(key),
            None => vec![self.conversation_named(of)?],
        };
        let stale = ids.into_iter().find(|id| {
            let record = self.conversations.get(*id);
            record.is_some_and(|record| record.conversation.state() == ConversationState::Stale)
        });
        stale.ok_or_else(|| {
            Refusal::usage(
                format!("no conversation with {of} is stale"),
                "write to it as usual (`whisht send --to`)",
            )
        })
    }
}

fn not_pending(message: &SentMessage) -> Refusal {
    Refusal::usage(
        format!("message {} is not being sent", message.number),
        "`whisht outbox` lists those that are",
    )
}
