//! What waits for the disk.
//!
//! A cell may leave, and a piece may count, only after the tag that forbids its replay would
//! survive a crash (spec M9). So whatever an opened cell said is kept here until the shell reports
//! its record barrier. Records are numbered in the order they are handed out, and the shell
//! reports them in that order.

use std::collections::VecDeque;

use super::input::StoreId;
use super::output::{Output, Record};
use super::relay::PeeledCell;

/// What becomes possible when a record is barrier.
pub(super) enum Continuation {
    /// An opened cell may go on, now that it cannot be replayed.
    ForwardCell(PeeledCell),
    /// Our descriptor may be shown, now that we cannot forget it and write another.
    PublishDescriptor(Vec<u8>),
}

/// Numbers records and keeps what waits for them.
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
    /// Asks for a record to be made durable; nothing waits for it.
    pub(super) fn store(&mut self, record: Record) -> Output {
        self.last = StoreId(self.last.0.saturating_add(1));
        Output::Store(self.last, record)
    }

    /// Keeps `then` until everything that was to be stored so far is barrier.
    pub(super) fn defer(&mut self, then: T) {
        self.waiting.push_back((self.last, then));
    }

    /// What no longer has to wait, now that every record up to `id` is barrier.
    pub(super) fn stored(&mut self, id: StoreId) -> Vec<T> {
        let ready = self.waiting.partition_point(|(waiting, _)| *waiting <= id);
        self.waiting.drain(..ready).map(|(_, then)| then).collect()
    }

    /// How many wait.
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
