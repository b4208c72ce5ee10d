//! The durability barrier: continuations that wait for the disk.
//!
//! A cell may leave, and a shard may count, only after the tag that forbids its replay would
//! survive a crash (spec M9). A peeled cell therefore waits here until the shell reports that its
//! record is durable. Records are numbered in the order of storing, and the shell reports them in
//! that order.

use std::collections::VecDeque;

use super::input::StoreId;
use super::output::{Output, Record};
use super::relay::PeeledCell;

/// What continues when a record is durable.
pub(super) enum Continuation {
    /// Forward a peeled cell, which cannot be replayed any more.
    ForwardCell(PeeledCell),
    /// Publish our descriptor: after a crash we know that we signed it, and sign no other.
    PublishDescriptor(Vec<u8>),
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

    /// Number of waiting continuations.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

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
