//! Talk lines: two users of a conversation exchange lines of text within seconds, for up to ten minutes.
//!
//! An offer and its answer are parts of messages (`parts`); the line itself is a pair of circuits that meet
//! at a relay (`line`), with a session of `crate::transfer::talk` at each end. A line is offered and accepted
//! by users only (`commands`), and only at level `normal`: a circuit gives up what the slower levels protect.
//!
//! Nothing of a line is stored. After a restart this node knows no offer and no line, and a stored message
//! names the offer without its secret.

mod command;
mod commands;
mod line;
mod parts;
pub(super) mod routing;

use std::collections::BTreeMap;

use circuits::ids::RelayId;
use circuits::time::{Instant, Now, UnixSecs};

pub use command::{TalkCommand, TalkEvent, TalkReply, TalkStage, TalkView};

pub(super) use self::parts::TalkMessage;

use self::line::LiveLine;
use super::circuits::{CircuitHandle, Circuits};
use super::contacts::{Contacts, MessageDirection};
use super::effects::Effects;
use super::event::Event;
use super::hex;
use super::meetings::LeavingCircuits;
use super::send::{SendContext, Sender};
use crate::contact::conversation::ConversationId;
use crate::transfer::schedule::{AttemptId, AttemptSchedule};
use crate::transfer::secret::FileSecret;
use crate::transfer::talk_part::TalkId;

/// The talk lines of the user: at most one per conversation.
#[derive(Default)]
pub(super) struct Talks {
    talks: BTreeMap<ConversationId, Talk>,
    by_circuit: BTreeMap<CircuitHandle, ConversationId>,
    leaving: LeavingCircuits,
    last_circuit: u64,
    /// When attempts that could not begin are looked at again.
    retry: Option<Instant>,
}

/// A line that is offered, agreed upon, or open.
struct Talk {
    id: TalkId,
    /// [`MessageDirection::Out`] if this node offered it.
    direction: MessageDirection,
    secret: FileSecret,
    relays: Vec<RelayId>,
    /// When the offer is forgotten.
    until: UnixSecs,
    step: TalkProgress,
}

/// How far a line is.
enum TalkProgress {
    /// It is offered.
    Offered,
    /// It is accepted, and both ends try to meet.
    Agreed {
        schedule: AttemptSchedule,
        last: Option<AttemptId>,
        live: Option<Box<LiveLine>>,
    },
}

/// What talk lines need to know about the other components.
#[derive(Clone, Copy)]
pub(super) struct TalkContext<'a> {
    /// The conversations.
    pub(super) contacts: &'a Contacts,
    /// The circuits.
    pub(super) circuits: &'a Circuits,
    /// The messages in flight.
    pub(super) send: &'a Sender,
    /// What sending knows about the others.
    pub(super) others: SendContext<'a>,
}

impl Talk {
    /// Whether both ends have met.
    fn is_open(&self) -> bool {
        let live = match &self.step {
            TalkProgress::Agreed { live, .. } => live.as_ref(),
            TalkProgress::Offered => None,
        };
        live.is_some_and(|live| live.session.is_open())
    }

    /// Whether it is one that the user of this node wants: all but offers of others.
    fn is_wanted(&self) -> bool {
        self.direction == MessageDirection::Out || matches!(self.step, TalkProgress::Agreed { .. })
    }

    fn stage(&self) -> TalkStage {
        match &self.step {
            TalkProgress::Offered => TalkStage::Offered,
            TalkProgress::Agreed { .. } if self.is_open() => TalkStage::Open,
            TalkProgress::Agreed { last, .. } => TalkStage::Meeting {
                attempt: last.map_or(1, |last| u32::from(last.number()).saturating_add(1)),
            },
        }
    }
}

impl Talks {
    /// Whether no other line fits, offered here or by a contact.
    fn is_full(&self) -> bool {
        self.talks.len() >= MAX_TALKS
    }

    /// The view of a line.
    fn view(
        &self,
        id: ConversationId,
        talk: &Talk,
        stage: TalkStage,
        context: TalkContext<'_>,
    ) -> TalkView {
        TalkView {
            contact: context.contacts.name_of(id).unwrap_or_default(),
            conversation: hex(&id.0),
            direction: talk.direction,
            stage,
            bytes_per_minute: TALK_BYTES_PER_MINUTE,
            seconds: MAX_SECONDS,
        }
    }

    /// Reports the stage of a line, once what was changed before is durable.
    fn notify(&self, fx: &mut Effects, id: ConversationId, context: TalkContext<'_>) {
        if let Some(talk) = self.talks.get(&id) {
            let view = self.view(id, talk, talk.stage(), context);
            fx.notify_durable(Event::Talk(Box::new(TalkEvent::Stage(view))));
        }
    }

    /// Forgets a line, and reports why.
    fn finish(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: ConversationId,
        reason: &str,
        context: TalkContext<'_>,
    ) {
        self.leave_circuit(fx, now.mono, id, context);
        if let Some(talk) = self.talks.remove(&id) {
            let reason = reason.to_owned();
            let view = self.view(id, &talk, TalkStage::Ended { reason }, context);
            fx.notify_durable(Event::Talk(Box::new(TalkEvent::Stage(view))));
        }
        self.schedule(fx, now);
    }

    /// Ends all lines: the conversations are locked.
    pub(super) fn lock(&mut self, fx: &mut Effects, now: Now, context: TalkContext<'_>) {
        let ids: Vec<ConversationId> = self.talks.keys().copied().collect();
        for id in ids {
            self.finish(fx, now, id, "this node was locked", context);
        }
    }

    /// A conversation is erased, and its line with it.
    pub(super) fn on_conversation_erased(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: ConversationId,
        context: TalkContext<'_>,
    ) {
        self.finish(fx, now, id, "the conversation is erased", context);
    }
}

/// Bytes that each end of an open line sends in a minute, whether its user types or not: 60 cells of 976
/// bytes in their frames on a link (docs/wire.md, "Frames").
pub const TALK_BYTES_PER_MINUTE: u64 = 60 * 976;
/// The longest time of a line in seconds, with the time in which both ends meet.
const MAX_SECONDS: u64 = 590;
/// Maximum number of lines that the user of this node has offered or accepted.
const MAX_WANTED: usize = 2;
/// Maximum number of lines, with the offers of others.
const MAX_TALKS: usize = 64;
/// Time that an offer waits for its answer: an hour, in seconds.
const OFFER_SECS: u32 = 3_600;

const _: () = assert!(crate::transfer::talk::LINE_TIME.as_secs() == MAX_SECONDS);

#[cfg(test)]
mod tests;
