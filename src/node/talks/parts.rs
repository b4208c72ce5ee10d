//! Offers and answers of talk lines: messages that the user asks for, and parts that arrive.
//!
//! A line changes in the record that stores its message; a message that is refused changes nothing. A part
//! that arrives is authentic, and its author may be hostile: an offer is listed and starts nothing, and what
//! belongs to no line of its conversation is dropped.

use circuits::level::Level;
use circuits::time::Now;
use zeroize::Zeroizing;

use super::command::TalkReply;
use super::{OFFER_SECS, Talk, TalkContext, TalkProgress, Talks};
use crate::contact::conversation::{ConversationId, Part};
use crate::node::command::{Refusal, Reply};
use crate::node::contacts::{ContactSend, MessageDirection, WrittenMessage};
use crate::node::durability::StateContinuation;
use crate::node::effects::{Counter, Effects};
use crate::node::hex;
use crate::node::input::CommandId;
use crate::node::timers::TimerId;
use crate::transfer::schedule::AttemptSchedule;
use crate::transfer::secret::FileSecret;
use crate::transfer::talk_part::{TalkAnswer, TalkId, TalkOffer};

/// A message about a talk line that is to be written.
pub(in crate::node) struct TalkMessage {
    command: CommandId,
    conversation: ConversationId,
    kind: TalkMessageKind,
    send: ContactSend,
    part: Part,
}

/// What a message says about a line.
pub(super) enum TalkMessageKind {
    /// It is offered.
    Offer(Box<Talk>),
    /// It is accepted.
    Accept(AttemptSchedule),
    /// It is declined, or its offer is withdrawn.
    Decline,
}

impl TalkMessage {
    /// The offer of a line.
    pub(super) fn offer(command: CommandId, conversation: ConversationId, talk: Talk) -> Self {
        let mut secret = *talk.secret.expose();
        let offer = TalkOffer {
            id: talk.id,
            secret: FileSecret::take(&mut secret),
            relays: talk.relays.clone(),
        };
        Self {
            command,
            conversation,
            send: message_to(conversation),
            part: Part::TalkOffer(offer.encode().to_vec()),
            kind: TalkMessageKind::Offer(Box::new(talk)),
        }
    }

    /// The answer to an offer.
    pub(super) fn answer(
        command: CommandId,
        conversation: ConversationId,
        id: TalkId,
        kind: TalkMessageKind,
    ) -> Self {
        let schedule = match &kind {
            TalkMessageKind::Accept(schedule) => Some(*schedule),
            TalkMessageKind::Offer(_) | TalkMessageKind::Decline => None,
        };
        Self {
            command,
            conversation,
            send: message_to(conversation),
            part: Part::TalkAnswer(TalkAnswer { id, schedule }.encode()),
            kind,
        }
    }

    /// The same message at another level than `normal`.
    pub(super) const fn at(mut self, level: Level) -> Self {
        self.send.level = Some(level);
        self
    }

    /// What is written, and to whom.
    pub(in crate::node) fn content(&self) -> (&ContactSend, Part) {
        (&self.send, self.part.clone())
    }
}

fn message_to(conversation: ConversationId) -> ContactSend {
    ContactSend {
        to: hex(&conversation.0),
        text: Zeroizing::default(),
        attachment: None,
        level: Some(Level::Normal),
        life: None,
    }
}

impl Talks {
    /// A message was composed, or refused. Returns the message that now begins to travel.
    pub(in crate::node) fn on_message_written(
        &mut self,
        fx: &mut Effects,
        now: Now,
        message: TalkMessage,
        written: Result<WrittenMessage, Refusal>,
        context: TalkContext<'_>,
    ) -> Option<(ConversationId, u64)> {
        let (command, id) = (message.command, message.conversation);
        let is_decline = matches!(message.kind, TalkMessageKind::Decline);
        let written = match written {
            Ok(written) => written,
            Err(refusal) => {
                fx.reply(command, Err(refusal));
                if is_decline {
                    // The other end is not told: its attempts end without an answer.
                    self.finish(fx, now, id, ENDED, context);
                }
                return None;
            }
        };
        let sent = (written.conversation, written.number);
        match message.kind {
            TalkMessageKind::Offer(talk) => {
                self.talks.insert(id, *talk);
            }
            TalkMessageKind::Accept(schedule) => {
                if let Some(talk) = self.talks.get_mut(&id) {
                    talk.step = agreed(schedule);
                }
            }
            TalkMessageKind::Decline => {}
        }
        let reply = match self.talks.get(&id) {
            Some(talk) if !is_decline => {
                TalkReply::Talk(self.view(id, talk, talk.stage(), context))
            }
            _ => TalkReply::Done,
        };
        let reply = Ok(Reply::Talk(Box::new(reply)));
        fx.store_state_then(written.changes, StateContinuation::Reply(command, reply));
        if is_decline {
            self.finish(fx, now, id, ENDED, context);
        } else {
            self.notify(fx, id, context);
        }
        fx.expedite(TimerId::Talks, now.mono);
        Some(sent)
    }

    /// A part arrived.
    pub(in crate::node) fn on_part(
        &mut self,
        fx: &mut Effects,
        now: Now,
        (id, part): (ConversationId, &Part),
        context: TalkContext<'_>,
    ) {
        match part {
            Part::TalkOffer(bytes) => match TalkOffer::decode(bytes) {
                Ok(offer) => self.on_offer(fx, now, (id, offer), context),
                Err(_) => fx.count(Counter::Malformed),
            },
            Part::TalkAnswer(bytes) => match TalkAnswer::decode(bytes) {
                Ok(answer) => self.on_answer(fx, now, (id, answer), context),
                Err(_) => fx.count(Counter::Malformed),
            },
            _ => {}
        }
        fx.expedite(TimerId::Talks, now.mono);
    }

    fn on_offer(
        &mut self,
        fx: &mut Effects,
        now: Now,
        (id, offer): (ConversationId, TalkOffer),
        context: TalkContext<'_>,
    ) {
        let is_admitted = match self.talks.get(&id) {
            // A request of an unknown person offers no line.
            None => !self.is_full() && context.contacts.name_of(id).is_some(),
            Some(talk) if talk.is_open() => false,
            // Both have offered: both nodes keep the offer with the smaller id.
            Some(talk) if is_offered_here(talk) => offer.id < talk.id,
            // The other end offers again: it has given up what was before.
            Some(_) => true,
        };
        if !is_admitted {
            return fx.count(Counter::OffersDropped);
        }
        self.finish(fx, now, id, REPLACED, context);
        let talk = Talk {
            id: offer.id,
            direction: MessageDirection::In,
            secret: offer.secret,
            relays: offer.relays,
            until: now.unix.after(OFFER_SECS),
            step: TalkProgress::Offered,
        };
        self.talks.insert(id, talk);
        self.notify(fx, id, context);
    }

    fn on_answer(
        &mut self,
        fx: &mut Effects,
        now: Now,
        (id, answer): (ConversationId, TalkAnswer),
        context: TalkContext<'_>,
    ) {
        let talk = self.talks.get_mut(&id).filter(|talk| talk.id == answer.id);
        let Some(talk) = talk else {
            return;
        };
        match answer.schedule {
            None if !talk.is_open() => {
                let reason = match talk.direction {
                    MessageDirection::Out => "the other side declines it",
                    MessageDirection::In => "the other side withdraws it",
                };
                self.finish(fx, now, id, reason, context);
            }
            Some(schedule) if is_offered_here(talk) => {
                if schedule.is_too_far_ahead(now.unix) || !schedule.fits(talk.relays.len()) {
                    return fx.count(Counter::Malformed);
                }
                talk.step = agreed(schedule);
                self.notify(fx, id, context);
            }
            // A line that is open ends by itself, and a second answer changes nothing.
            _ => {}
        }
    }
}

/// Whether this node has offered the line and awaits the answer.
fn is_offered_here(talk: &Talk) -> bool {
    talk.direction == MessageDirection::Out && matches!(talk.step, TalkProgress::Offered)
}

const fn agreed(schedule: AttemptSchedule) -> TalkProgress {
    TalkProgress::Agreed {
        schedule,
        last: None,
        live: None,
    }
}

const ENDED: &str = "ended by the user";
const REPLACED: &str = "the other side offers another line";
