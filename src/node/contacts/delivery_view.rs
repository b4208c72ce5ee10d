//! How far the sending of a message is, for views.
//!
//! A stage is what happened; this is what is awaited, and for how long at most. The stage of a running attempt
//! is that of sending, which no other part of this component knows.

use circuits::time::Now;

use super::command::{ContactReply, SentMessage};
use super::event::ContactEvent;
use super::pending::{PendingId, PendingMessage, PendingProgress};
use super::views::{ConversationMessageView, DeliveryView, MessageDirection};
use super::{ContactContext, Contacts};
use crate::contact::conversation::ConversationId;
use crate::node::command::Refusal;
use crate::node::effects::Effects;
use crate::node::event::{Event, MessageId, Stage};
use crate::node::hex;

impl Contacts {
    /// Adds to messages of a conversation how far their sending is.
    fn with_deliveries(
        &self,
        now: Now,
        id: ConversationId,
        mut messages: Vec<ConversationMessageView>,
        context: ContactContext<'_>,
    ) -> Vec<ConversationMessageView> {
        for message in &mut messages {
            if message.direction == MessageDirection::Out {
                message.delivery = self.delivery_view(now, (id, message.number), context);
            }
        }
        messages
    }

    /// A conversation, with the messages that `messages` selects and how far their sending is.
    pub(super) fn history_reply(
        &self,
        now: Now,
        of: &str,
        messages: impl FnOnce(&Self, ConversationId) -> Vec<ConversationMessageView>,
        context: ContactContext<'_>,
    ) -> Result<ContactReply, Refusal> {
        self.conversation_reply(of, |own, id| {
            own.with_deliveries(now, id, messages(own, id), context)
        })
    }

    /// The messages whose sending has not ended, of all conversations that are shown.
    pub(super) fn under_way(
        &self,
        now: Now,
        limit: usize,
        context: ContactContext<'_>,
    ) -> Vec<ConversationMessageView> {
        let places = self.history.under_way().map(|(place, _)| place).take(limit);
        let views = places.filter_map(|(id, place)| {
            let mut view = self.message_view(id, place)?;
            view.delivery = self.delivery_view(now, (id, view.number), context);
            Some(view)
        });
        views.collect()
    }

    fn delivery_view(
        &self,
        now: Now,
        id: PendingId,
        context: ContactContext<'_>,
    ) -> Option<DeliveryView> {
        let message = self.pending.get(id)?;
        let until = match message.progress {
            PendingProgress::Next(at) | PendingProgress::InNetwork(at) => Some(at),
            PendingProgress::User => Some(message.until),
            PendingProgress::Storing | PendingProgress::Running(_) => None,
        };
        let attempt = match message.progress {
            PendingProgress::Running(attempt) => context.send.stage_at(now.mono, attempt),
            _ => None,
        };
        Some(DeliveryView {
            waits_for: match attempt {
                Some(_) => None,
                None => Some(self.obstacle(now, id, message, context)),
            },
            wait_seconds: until.map(|until| until.0.saturating_sub(now.unix.0).into()),
            attempt,
            price: message.price,
        })
    }

    /// What a message waits for that has no running attempt.
    fn obstacle(
        &self,
        now: Now,
        id: PendingId,
        message: &PendingMessage,
        context: ContactContext<'_>,
    ) -> String {
        match message.progress {
            PendingProgress::Storing | PendingProgress::Running(_) => {
                "the disk: the keys of the attempt are being stored".to_owned()
            }
            PendingProgress::InNetwork(_) => {
                "an answer; the network keeps the message until then".to_owned()
            }
            PendingProgress::User => "you: `whisht outbox renew` sends it again".to_owned(),
            PendingProgress::Next(_) if self.first.is_searching(id.0) => {
                "the proof of work that the card asks of first messages".to_owned()
            }
            PendingProgress::Next(at) => {
                let send = context.send.connectivity();
                if let Some(reason) = send.down_reason() {
                    reason.to_owned()
                } else if let Err(refusal) = context.others.check_level(now, message.level) {
                    refusal.to_string()
                } else if at.0.saturating_sub(now.unix.0) > LONGEST_PAUSE_SECS {
                    "an answer: too many messages are without one, and their keys are used up for today"
                        .to_owned()
                } else if message.attempts > 0 {
                    "the next attempt; the last one did not come back".to_owned()
                } else {
                    "its turn".to_owned()
                }
            }
        }
    }

    /// The running attempt of a message went on.
    pub(in crate::node) fn on_attempt_progress(
        &mut self,
        fx: &mut Effects,
        attempt: MessageId,
        stage: Stage,
    ) {
        let Some(id) = self.pending.of_attempt(attempt) else {
            return;
        };
        if self.is_muted(id.0) {
            return;
        }
        let sent = SentMessage {
            conversation: hex(&id.0.0),
            number: id.1,
        };
        fx.notify(Event::Contact(Box::new(ContactEvent::Progress(
            sent, stage,
        ))));
    }
}

/// A message waits for longer only if the keys of a day are used up.
const LONGEST_PAUSE_SECS: u32 = 120;
