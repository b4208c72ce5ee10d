//! All conversations of this node, and which envelopes they await.

use std::collections::{BTreeMap, BTreeSet};

use circuits::time::UnixSecs;

use super::book::ContactKey;
use super::record::{ConversationFacts, ConversationRecord};
use super::watch::{AwaitedStep, StepIndex};
use crate::contact::codec::BadState;
use crate::contact::conversation::{Conversation, ConversationId, ConversationState, preferred};
use crate::contact::first_contact::Tau;
use crate::contact::scan::{ScanCandidate, ScanTag};
use crate::envelope::Topic;
use crate::state::{StateChange, StateRow};

/// Conversations by id.
#[derive(Default)]
pub(super) struct Conversations {
    records: BTreeMap<ConversationId, ConversationRecord>,
    by_tau: BTreeMap<Tau, ConversationId>,
    index: StepIndex,
    /// When keys of each conversation expire next.
    ticks: BTreeMap<ConversationId, UnixSecs>,
    /// Conversations of the last run whose topics are still to be computed.
    restored: BTreeSet<ConversationId>,
}

impl Conversations {
    /// Reads a row of the last run.
    ///
    /// # Errors
    ///
    /// [`BadState`] if this version did not write it.
    pub(super) fn restore(&mut self, row: &StateRow) -> Result<(), BadState> {
        let record = ConversationRecord::from_bytes(&row.value)?;
        let id = self.insert(record);
        self.restored.insert(id);
        Ok(())
    }

    /// Adds a conversation. Returns its id and the change that stores it.
    pub(super) fn add(
        &mut self,
        conversation: Conversation,
        facts: ConversationFacts,
    ) -> (ConversationId, StateChange) {
        let record = ConversationRecord {
            conversation,
            facts,
        };
        let change = record.put();
        (self.insert(record), change)
    }

    fn insert(&mut self, record: ConversationRecord) -> ConversationId {
        let id = record.conversation.id();
        self.by_tau.insert(*record.conversation.tau(), id);
        self.records.insert(id, record);
        id
    }

    /// Erases a conversation.
    pub(super) fn remove(&mut self, id: ConversationId) -> StateChange {
        if let Some(record) = self.records.remove(&id) {
            self.by_tau.remove(record.conversation.tau());
        }
        self.index.forget(id);
        self.restored.remove(&id);
        self.ticks.remove(&id);
        ConversationRecord::delete(id)
    }

    /// A conversation.
    pub(super) fn get(&self, id: ConversationId) -> Option<&ConversationRecord> {
        self.records.get(&id)
    }

    /// Changes a conversation. Returns the result, the change that stores it, and whether it awaits
    /// envelopes that the mempool may have already.
    pub(super) fn update<R>(
        &mut self,
        id: ConversationId,
        unix: UnixSecs,
        change: impl FnOnce(&mut ConversationRecord) -> R,
    ) -> Option<ConversationUpdate<R>> {
        let record = self.records.get_mut(&id)?;
        let result = change(record);
        let change = record.put();
        let awaits_more = self.follow(id, unix);
        Some(ConversationUpdate {
            result,
            change,
            awaits_more,
        })
    }

    /// Follows what a conversation awaits. Returns whether it awaits more than before.
    pub(super) fn follow(&mut self, id: ConversationId, unix: UnixSecs) -> bool {
        let Some(record) = self.records.get_mut(&id) else {
            return false;
        };
        self.ticks.insert(id, record.conversation.next_tick(unix));
        self.index.follow(id, record.conversation.watch_changes())
    }

    /// Follows what conversations of the last run await, a bounded number of them: each has hundreds of
    /// topics. Returns whether there were any, and whether there are more.
    pub(super) fn follow_restored(&mut self, unix: UnixSecs) -> (bool, bool) {
        let mut followed = 0_usize;
        while followed < MAX_FOLLOWED
            && let Some(id) = self.restored.pop_first()
        {
            followed = followed.saturating_add(1);
            self.follow(id, unix);
        }
        (followed > 0, !self.restored.is_empty())
    }

    /// Marks every conversation as restored from an old copy.
    pub(super) fn set_all_stale(&mut self) -> Vec<StateChange> {
        let records = self.records.values_mut();
        records
            .map(|record| {
                record.conversation.set_stale();
                record.put()
            })
            .collect()
    }

    /// Erases keys whose time is over. Returns the changes, and the conversations that await more: those of
    /// another day.
    pub(super) fn tick(&mut self, unix: UnixSecs) -> (Vec<StateChange>, bool) {
        let due: Vec<_> = self
            .ticks
            .iter()
            .filter(|(_, at)| **at <= unix)
            .map(|(id, _)| *id)
            .take(MAX_TICKS)
            .collect();
        let mut changes = Vec::new();
        let mut awaits_more = false;
        for id in due {
            if let Some(record) = self.records.get_mut(&id)
                && record.conversation.tick(unix)
            {
                changes.push(record.put());
            }
            awaits_more |= self.follow(id, unix);
        }
        (changes, awaits_more)
    }

    /// The keys whose topic this is.
    pub(super) fn candidates(&self, topic: Topic) -> Vec<ScanCandidate> {
        let steps = self.index.of_topic(topic);
        steps
            .filter_map(|(tag, step)| {
                let record = self.records.get(&step.conversation)?;
                Some(ScanCandidate {
                    tag,
                    key: record.conversation.step_key(step.at)?,
                    shard: step.at.shard,
                })
            })
            .collect()
    }

    /// The step of a tag, if it is still awaited.
    pub(super) fn awaited(&self, tag: ScanTag) -> Option<AwaitedStep> {
        self.index.of_tag(tag)
    }

    /// The conversation of a first message.
    pub(super) fn of_tau(&self, tau: &Tau) -> Option<ConversationId> {
        self.by_tau.get(tau).copied()
    }

    /// All conversations.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConversationId, &ConversationRecord)> {
        self.records.iter().map(|(id, record)| (*id, record))
    }

    /// The conversations of a contact, the one to write in first.
    pub(super) fn of_contact(&self, contact: ContactKey) -> Vec<ConversationId> {
        let own = self
            .iter()
            .filter(|(_, record)| record.facts.contact == Some(contact));
        let mut ids: Vec<_> = own.map(|(id, record)| (rank(record), id)).collect();
        ids.sort_by_key(|(rank, id)| (*rank, id.0));
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// The conversation to write to a contact in; `None` if a new one has to begin.
    pub(super) fn writable_of(&self, contact: ContactKey) -> Option<ConversationId> {
        let first = *self.of_contact(contact).first()?;
        let state = self.get(first)?.conversation.state();
        (state != ConversationState::Closed).then_some(first)
    }

    /// Closes all but one of a contact's open conversations after a while. If one end was restored from an older
    /// state, the latest stays: the keys of the earlier ones are lost at that end. Otherwise both ends wrote
    /// first at the same time, and the one that both prefer stays.
    pub(super) fn settle_glare(
        &mut self,
        contact: ContactKey,
        closes: UnixSecs,
    ) -> Vec<StateChange> {
        let open = self.iter().filter(|(_, record)| {
            record.facts.contact == Some(contact)
                && record.conversation.state() == ConversationState::Open
        });
        let open: Vec<_> = open
            .map(|(id, record)| (id, record.facts.begun, record.facts.restored_day))
            .collect();
        let kept = if open.iter().any(|(.., restored)| restored.is_some()) {
            let latest = open.iter().max_by_key(|(_, begun, _)| *begun);
            latest.map(|(id, ..)| *id)
        } else {
            open.iter().map(|(id, ..)| *id).reduce(preferred)
        };
        let Some(kept) = kept else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        let others = open.into_iter().map(|(id, ..)| id);
        for id in others.filter(|id| *id != kept) {
            if let Some(record) = self.records.get_mut(&id)
                && record.facts.closes.is_none()
            {
                record.facts.closes = Some(closes);
                changes.push(record.put());
            }
        }
        changes
    }

    /// Number of conversations.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// What changing a conversation led to.
pub(super) struct ConversationUpdate<R> {
    /// The result of the change.
    pub(super) result: R,
    /// What stores it.
    pub(super) change: StateChange,
    /// Whether the conversation awaits envelopes that the mempool may have already.
    pub(super) awaits_more: bool,
}

/// The order in which a contact's conversations are written in: those that are to be closed come late.
fn rank(record: &ConversationRecord) -> u8 {
    match record.conversation.state() {
        ConversationState::Open if record.facts.closes.is_none() => 0,
        ConversationState::Open => 1,
        ConversationState::Opening => 2,
        ConversationState::Asked => 3,
        ConversationState::Stale => 4,
        ConversationState::Closed => 5,
    }
}

/// Maximum number of conversations of the last run whose topics one turn computes: about 530 each.
const MAX_FOLLOWED: usize = 4;
/// Maximum number of conversations whose keys one turn checks.
const MAX_TICKS: usize = 64;
