//! Arrivals: from an envelope that a key opened to a message that the user sees.
//!
//! Shards are collected, a complete body goes through the conversation, and everything that follows from it
//! becomes durable in one record: the keys that moved on, the message, the answers. Only then is the user
//! told. A body that comes again changes nothing that is seen.

use circuits::time::Now;

use super::book::{ContactEntry, IntroducedBy};
use super::command::HowKnown;
use super::event::{ContactEvent, ContactStage};
use super::file_parts::stored_parts;
use super::first_messages::seen_changes;
use super::history::HistoryMessage;
use super::scan::Rescan;
use super::views::MessageDirection;
use super::{Contacts, MAX_INTRODUCED};
use crate::contact::conversation::{
    ArrivalOutcome, Arrived, ConversationId, Part, StepRef, StepSlot,
};
use crate::contact::parts::{Continuity, Introduction};
use crate::contact::plaintext::{OuterPlaintext, SealedBody};
use crate::contact::scan::{ScanForm, ScanHit, ScanTag};
use crate::node::action::Action;
use crate::node::effects::{Counter, Effects};
use crate::node::event::MessageId;
use crate::scatter::{Reassembled, Reassembly, ReassemblyLimits, ScatterShard};
use crate::state::StateChange;

/// What shards are collected for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum ShardOwner {
    /// The keys of a generation.
    First(u64),
    /// A step of a conversation.
    Step(ConversationId, u16, StepSlot),
}

/// Shards of bodies that are not complete.
pub(super) struct ConversationShards(Reassembly<ShardOwner>);

impl Default for ConversationShards {
    fn default() -> Self {
        Self(Reassembly::new(ReassemblyLimits::default()))
    }
}

/// The body of a message that arrived in a conversation.
pub(super) struct ArrivedBody {
    /// The conversation.
    pub(super) conversation: ConversationId,
    /// What came of it.
    pub(super) arrived: Arrived,
    /// Whether the conversation began with it.
    pub(super) is_new_request: bool,
}

impl Contacts {
    /// A key opened an envelope.
    pub(super) fn on_hit(&mut self, fx: &mut Effects, now: Now, hit: ScanHit) {
        let Ok(plaintext) = hit.plaintext else {
            return fx.count(Counter::Malformed);
        };
        match hit.form {
            ScanForm::First(key) => self.on_first_hit(fx, now, hit.tag, key, plaintext),
            ScanForm::Step(_) => self.on_step_hit(fx, now, hit.tag, plaintext),
        }
    }

    fn on_first_hit(
        &mut self,
        fx: &mut Effects,
        now: Now,
        tag: ScanTag,
        key: [u8; 32],
        plaintext: OuterPlaintext,
    ) {
        let Some(keys) = self.first.of_tag(tag) else {
            return;
        };
        if !self.first.note(keys.of, &key) {
            return;
        }
        match plaintext {
            OuterPlaintext::Dummy => {}
            OuterPlaintext::Body(body) => self.on_first_body(fx, now, keys, vec![key], &body),
            OuterPlaintext::Shard(shard) => {
                let (of, set) = (keys.of, shard.set);
                self.first.note_shard(of, set, key);
                match self
                    .shards
                    .0
                    .accept(now.mono, &ShardOwner::First(tag.0), shard)
                {
                    Reassembled::Collected => {}
                    Reassembled::Complete(bytes) => {
                        let seen = self.first.take_set(of, set);
                        match SealedBody::decode_exact(&bytes) {
                            Ok(body) => self.on_first_body(fx, now, keys, seen, &body),
                            Err(_) => fx.count(Counter::Malformed),
                        }
                    }
                    // A late shard must not open a new set after a restart.
                    Reassembled::Ignored => {
                        let seen = self.first.take_set(of, set);
                        fx.store_state(seen_changes(of, &seen));
                    }
                    Reassembled::Poisoned => fx.count(Counter::Malformed),
                }
            }
        }
    }

    fn on_step_hit(&mut self, fx: &mut Effects, now: Now, tag: ScanTag, plaintext: OuterPlaintext) {
        let Some(step) = self.conversations.awaited(tag) else {
            return;
        };
        let (id, at) = (step.conversation, step.at);
        match plaintext {
            OuterPlaintext::Dummy => {}
            OuterPlaintext::Body(body) => self.on_step_body(fx, now, id, at, &body),
            OuterPlaintext::Shard(shard) => self.on_step_shard(fx, now, id, at, shard),
        }
    }

    fn on_step_shard(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: ConversationId,
        at: StepRef,
        shard: ScatterShard,
    ) {
        let count = shard.class.n();
        // Which shards are awaited follows from those that come again after a restart: nothing is stored.
        let awaits_more = self.conversations.update(id, now.unix, |record| {
            record.conversation.await_shards(at, count);
        });
        if awaits_more.is_some_and(|update| update.awaits_more) {
            self.rescan(fx, now.mono, Rescan::Topics);
        }
        let owner = ShardOwner::Step(id, at.epoch, at.slot);
        match self.shards.0.accept(now.mono, &owner, shard) {
            Reassembled::Collected | Reassembled::Ignored => {}
            Reassembled::Complete(bytes) => match SealedBody::decode_exact(&bytes) {
                Ok(body) => self.on_step_body(fx, now, id, at, &body),
                Err(_) => fx.count(Counter::Malformed),
            },
            Reassembled::Poisoned => fx.count(Counter::Malformed),
        }
    }

    fn on_step_body(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: ConversationId,
        at: StepRef,
        body: &SealedBody,
    ) {
        let rng = fx.key_rng();
        let update = self.conversations.update(id, now.unix, |record| {
            let conversation = &mut record.conversation;
            conversation.arrived(rng, now.unix, at, body.resync, &body.body)
        });
        let Some(update) = update else {
            return;
        };
        let Ok(arrived) = update.result else {
            return;
        };
        let owner = ShardOwner::Step(id, at.epoch, at.slot);
        self.shards.0.forget(&owner);
        if update.awaits_more {
            self.rescan(fx, now.mono, Rescan::Topics);
        }
        let arrived = ArrivedBody {
            conversation: id,
            arrived,
            is_new_request: false,
        };
        self.on_arrived(fx, now, arrived, vec![update.change]);
    }

    /// Stores what a message led to, and tells the user of it afterwards.
    pub(super) fn on_arrived(
        &mut self,
        fx: &mut Effects,
        now: Now,
        message: ArrivedBody,
        mut changes: Vec<StateChange>,
    ) {
        let id = message.conversation;
        let mut events = Vec::new();
        self.note_answers(fx, id, &message.arrived.answered, &mut changes, &mut events);
        let mut has_changed = message.arrived.has_opened || message.is_new_request;
        match message.arrived.outcome {
            ArrivalOutcome::Message { number, parts } => {
                has_changed |= self.take_parts(now, id, &parts, &mut changes);
                changes.extend(self.pass_file_parts(fx, id, number, &parts));
                let place = self.add_incoming(now, id, number, &parts, &mut changes);
                events.extend(self.message_view(id, place).map(ContactEvent::Message));
            }
            ArrivalOutcome::RenewalAsked => {
                has_changed = true;
                changes.extend(self.mark_restored(now, id));
            }
            ArrivalOutcome::Refused(_) | ArrivalOutcome::Unreadable(_) => {
                fx.count(Counter::Malformed)
            }
            ArrivalOutcome::Duplicate => {}
        }
        if has_changed {
            let view = self.conversation_view(id);
            events.extend(view.map(ContactEvent::Conversation));
        }
        let is_silent = self
            .conversations
            .get(id)
            .is_none_or(|record| record.facts.marks.is_muted || record.facts.is_declined);
        if is_silent {
            events.clear();
        }
        if message.arrived.has_opened {
            changes.extend(self.settle_glare(now, id));
        }
        Self::store_and_notify(fx, changes, events);
        self.schedule(fx, now.mono);
    }

    /// Messages of ours that the other side has.
    pub(super) fn note_answers(
        &mut self,
        fx: &mut Effects,
        id: ConversationId,
        answered: &[u64],
        changes: &mut Vec<StateChange>,
        events: &mut Vec<ContactEvent>,
    ) {
        for number in answered.iter().copied() {
            let (change, running) = self.pending.remove((id, number));
            changes.push(change);
            cancel(fx, running);
            let stage = ContactStage::Answered;
            if let Some(change) = self.history.set_stage(id, number, stage.clone()) {
                changes.push(change);
                events.extend(self.stage_event((id, number), stage));
            }
        }
    }

    /// Adds a message that arrived to the history; returns its place, and 0 in a declined conversation,
    /// which keeps none.
    pub(super) fn add_incoming(
        &mut self,
        now: Now,
        id: ConversationId,
        number: u64,
        parts: &[Part],
        changes: &mut Vec<StateChange>,
    ) -> u64 {
        let is_declined = self
            .conversations
            .get(id)
            .is_some_and(|record| record.facts.is_declined);
        if is_declined {
            return 0;
        }
        let parts = stored_parts(parts);
        let (place, stored) = self.history.add(
            id,
            HistoryMessage {
                direction: MessageDirection::In,
                number,
                time: now.unix,
                parts,
                is_read: false,
                sending: None,
            },
        );
        changes.extend(stored);
        place
    }

    /// Acts on parts that say something about contacts. Returns whether the conversation is shown otherwise
    /// now.
    fn take_parts(
        &mut self,
        now: Now,
        id: ConversationId,
        parts: &[Part],
        changes: &mut Vec<StateChange>,
    ) -> bool {
        let mut has_changed = false;
        for part in parts {
            match part {
                Part::Introduction(introduction) => {
                    changes.extend(self.on_introduced(id, introduction));
                }
                Part::Continuity(continuity) if self.is_proven(id, continuity) => {
                    has_changed = true;
                    changes.extend(self.mark_restored(now, id));
                    changes.extend(self.take_over(now, id, continuity.old));
                }
                Part::Goodbye => has_changed = true,
                // Those of files go to their component.
                _ => {}
            }
        }
        has_changed
    }

    fn is_proven(&self, new: ConversationId, continuity: &Continuity) -> bool {
        self.conversations
            .get(continuity.old)
            .is_some_and(|old| old.conversation.is_continued_by(&new, continuity))
    }

    /// The new conversation belongs to the contact of the old one. It stays a request: whether to go on is
    /// the user's decision.
    fn take_over(
        &mut self,
        now: Now,
        new: ConversationId,
        old: ConversationId,
    ) -> Option<StateChange> {
        let contact = self.conversations.get(old)?.facts.contact;
        let update = self.conversations.update(new, now.unix, |record| {
            record.facts.contact = contact;
        })?;
        Some(update.change)
    }

    /// Notes that the other side was restored from an older state.
    fn mark_restored(&mut self, now: Now, id: ConversationId) -> Option<StateChange> {
        let update = self.conversations.update(id, now.unix, |record| {
            record.facts.restored_day = Some(day_of(now));
        })?;
        Some(update.change)
    }

    /// A contact introduces a person: the person is listed, and nothing is sent or trusted.
    fn on_introduced(
        &mut self,
        id: ConversationId,
        introduction: &Introduction,
    ) -> Option<StateChange> {
        let contact = self.conversations.get(id)?.facts.contact?;
        let by = self.book.get(contact)?.name.clone();
        let is_known = self.book.by_id(&introduction.id).is_some();
        if is_known || self.book.pending_of(&by) >= MAX_INTRODUCED {
            return None;
        }
        let entry = ContactEntry {
            name: self.book.free_name(&plain_name(&introduction.name)),
            id: Some(introduction.id),
            is_verified: false,
            introduced: Some(IntroducedBy {
                by,
                how: HowKnown::of_code(introduction.how),
                day: introduction.day,
                note: introduction.note.clone(),
            }),
            is_pending: true,
        };
        let (_, change) = self.book.add(entry).ok()?;
        Some(change)
    }
}

/// A name that the user can type, made of what another person calls the contact.
fn plain_name(name: &str) -> String {
    let plain = name.chars().map(|c| {
        let is_plain = c.is_alphanumeric() || c == '_';
        if is_plain { c } else { '-' }
    });
    let plain: String = plain.take(MAX_PLAIN_CHARS).collect();
    let plain = plain.trim_matches('-');
    match super::book::check_name(plain) {
        Ok(()) => plain.to_owned(),
        Err(_) => "introduced".to_owned(),
    }
}

/// Ends an attempt whose end does not matter any more.
pub(super) fn cancel(fx: &mut Effects, running: Option<MessageId>) {
    if let Some(attempt) = running {
        fx.request(Action::CancelAttempt(attempt));
    }
}

/// The day of the wall clock, in days since 1970.
pub(super) const fn day_of(now: Now) -> u32 {
    now.unix.0 / 86_400
}

/// Longest name that is taken over from an introduction, in characters.
const MAX_PLAIN_CHARS: usize = 12;
