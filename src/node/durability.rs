//! The durability barrier: continuations that wait for the disk.
//!
//! A cell may leave, and a shard may count, only after the tag that forbids its replay would
//! survive a crash (spec M9). A peeled cell therefore waits here until the shell reports that its
//! record is durable. Records are numbered in the order of storing, and the shell reports them in
//! that order.

use std::collections::VecDeque;

use super::command::{Refusal, Reply};
use super::contacts::ContactContinuation;
use super::event::{Event, MessageId};
use super::input::{CommandId, StoreId};
use super::output::{Output, Record};
use super::relay::PeeledCell;
use super::transfers::TransferContinuation;

/// What continues when a record is durable.
pub(super) enum Continuation {
    /// Forward a peeled cell, which cannot be replayed any more.
    ForwardCell(PeeledCell),
    /// Publish our descriptor: after a crash we know that we signed it, and sign no other.
    PublishDescriptor(Vec<u8>),
    /// Continue with a change of the user's state.
    State(StateContinuation),
}

/// What continues when a change of the user's state is durable. Components add their own.
pub(super) enum StateContinuation {
    /// Tell users of an event, which a crash can no longer undo.
    Notify(Event),
    /// Take the first step of a message.
    BeginMessage(MessageId),
    /// Continue with contacts.
    Contact(ContactContinuation),
    /// Continue with a file.
    Transfer(TransferContinuation),
    /// Answer a command, whose effect a crash can no longer undo.
    Reply(CommandId, Result<Reply, Refusal>),
}

/// Numbers records and keeps the continuations that wait for them.
pub(super) struct DurabilityBarrier<T> {
    last: StoreId,
    waiting: VecDeque<(StoreId, T)>,
}

impl<T> Default for DurabilityBarrier<T> {
    fn default() -> Self {
        Self {
            last: StoreId(0),
            waiting: VecDeque::new(),
        }
    }
}

impl<T> DurabilityBarrier<T> {
    /// The output that makes a record durable; nothing waits for it yet.
    pub(super) fn store(&mut self, record: Record) -> Output {
        self.last = StoreId(self.last.0.saturating_add(1));
        Output::Store(self.last, record)
    }

    /// Defers `then` until every record stored so far is durable.
    pub(super) fn defer(&mut self, then: T) {
        self.waiting.push_back((self.last, then));
    }

    /// Continuations that need not wait any longer, now that every record up to `id` is durable.
    pub(super) fn stored(&mut self, id: StoreId) -> Vec<T> {
        let ready = self.waiting.partition_point(|(waiting, _)| *waiting <= id);
        self.waiting.drain(..ready).map(|(_, then)| then).collect()
    }

    /// The number of the last record.
    pub(super) const fn last(&self) -> StoreId {
        self.last
    }

    /// Number of waiting continuations.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// The changes of the user's state that are not durable yet, and whether the state is open at all.
#[derive(Default)]
pub(super) struct StateBacklog {
    is_open: bool,
    waiting: VecDeque<(StoreId, usize)>,
    bytes: usize,
}

impl StateBacklog {
    /// The rows of the last run are there, and changes can be stored.
    pub(super) const fn open(&mut self) {
        self.is_open = true;
    }

    /// Nothing is stored any more. Records that wait for the disk still become durable.
    pub(super) const fn lock(&mut self) {
        self.is_open = false;
    }

    /// Whether changes can be stored.
    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// A record of so many bytes is being stored.
    pub(super) fn add(&mut self, id: StoreId, bytes: usize) {
        self.waiting.push_back((id, bytes));
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Every record up to `id` is durable.
    pub(super) fn stored(&mut self, id: StoreId) {
        let durable = self.waiting.partition_point(|(waiting, _)| *waiting <= id);
        for (_, bytes) in self.waiting.drain(..durable) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Whether every change is durable.
    pub(super) fn is_durable(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether so much waits for the disk that nothing new is begun.
    pub(super) fn is_congested(&self) -> bool {
        self.bytes >= MAX_STATE_BACKLOG_BYTES || self.waiting.len() >= MAX_STATE_BACKLOG_RECORDS
    }
}

/// Bytes of changes that may wait for a slow disk before components begin nothing that adds to them.
const MAX_STATE_BACKLOG_BYTES: usize = 16 * 1024 * 1024;
/// Number of records that may wait likewise.
const MAX_STATE_BACKLOG_RECORDS: usize = 4096;

#[cfg(test)]
mod tests {
    use circuits::ids::Epoch;

    use super::*;

    #[test]
    fn nothing_is_released_before_its_record_is_durable() {
        let mut barrier = DurabilityBarrier::default();
        let record = || Record::EraseOnionKey(Epoch(1));
        assert!(matches!(
            barrier.store(record()),
            Output::Store(StoreId(1), _)
        ));
        assert!(matches!(
            barrier.store(record()),
            Output::Store(StoreId(2), _)
        ));
        barrier.defer('a');
        assert!(matches!(
            barrier.store(record()),
            Output::Store(StoreId(3), _)
        ));
        barrier.defer('b');
        assert!(barrier.stored(StoreId(1)).is_empty());
        assert_eq!(barrier.stored(StoreId(2)), ['a']);
        assert_eq!(barrier.stored(StoreId(9)), ['b']);
        assert_eq!(barrier.waiting(), 0);
    }
}
