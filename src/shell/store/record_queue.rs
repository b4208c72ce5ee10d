//! The records that wait for the disk.
//!
//! A disk may fail for hours or hang, and the node goes on: its driver must neither wait nor gather
//! records without bound. Whole states (the directory, the guards) replace an older state of the same
//! kind that still waits, and erasing a key drops what waits for that key. The rest is bounded by
//! the node: it peels no further cell while the tags of `MAX_AWAITING_DISK` cells wait, and makes one key
//! and one descriptor an epoch.
//!
//! Numbers are reported up to the last record of a commit, so a replaced record counts as durable
//! once its successor is. The node waits for no replaced state.

use core::time::Duration;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::NumberedRecord;
use crate::node::{Record, StoreId};

/// The driver's end: records go in.
pub(super) struct RecordSender(Arc<RecordQueue>);

/// The storage thread's end: records come out.
pub(super) struct RecordReceiver(Arc<RecordQueue>);

struct RecordQueue {
    state: Mutex<QueueState>,
    arrived: Condvar,
}

#[derive(Default)]
struct QueueState {
    records: Vec<NumberedRecord>,
    is_closed: bool,
}

/// A queue, and both of its ends.
pub(super) fn record_queue() -> (RecordSender, RecordReceiver) {
    let queue = Arc::new(RecordQueue {
        state: Mutex::default(),
        arrived: Condvar::new(),
    });
    (RecordSender(Arc::clone(&queue)), RecordReceiver(queue))
}

impl RecordQueue {
    /// No update is left half-done under this lock, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecordSender {
    /// Queues a record. The lock is held for no disk operation, so this does not wait for the disk.
    pub(super) fn put(&self, id: StoreId, record: Record) {
        add(&mut self.0.lock().records, (id, record));
        self.0.arrived.notify_one();
    }

    /// Number of records that the storage thread has not taken.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().records.len()
    }
}

impl Drop for RecordSender {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.arrived.notify_one();
    }
}

impl RecordReceiver {
    /// Moves the queued records into `pending`, and waits for one if none is pending, at most for `wait`
    /// if it is set. Returns false once the sender is gone.
    pub(super) fn gather(&self, pending: &mut Vec<NumberedRecord>, wait: Option<Duration>) -> bool {
        let mut state = self.0.lock();
        while pending.is_empty() && state.records.is_empty() && !state.is_closed {
            let Some(wait) = wait else {
                let woken = self.0.arrived.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let woken = self.0.arrived.wait_timeout(state, wait);
            let (woken, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if timeout.timed_out() {
                break;
            }
        }
        for record in state.records.drain(..) {
            add(pending, record);
        }
        !state.is_closed
    }
}

/// Adds a record, and removes those that it makes worthless.
fn add(records: &mut Vec<NumberedRecord>, new: NumberedRecord) {
    match &new.1 {
        Record::Directory(_) => records.retain(|(_, old)| !matches!(old, Record::Directory(_))),
        Record::Guards(_) => records.retain(|(_, old)| !matches!(old, Record::Guards(_))),
        Record::RelayLists(_) => records.retain(|(_, old)| !matches!(old, Record::RelayLists(_))),
        Record::EraseOnionKey(erased) => records.retain(|(_, old)| match old {
            Record::OnionKey(epoch, _) | Record::ReplayTags(epoch, _) => epoch != erased,
            _ => true,
        }),
        Record::OnionKey(..)
        | Record::ReplayTags(..)
        | Record::OwnDescriptor(..)
        | Record::State(_) => {}
    }
    records.push(new);
}

#[cfg(test)]
mod tests {
    use circuits::ids::Epoch;
    use circuits::secret::Secret;

    use super::*;

    #[test]
    fn states_that_follow_one_another_while_the_disk_hangs_take_no_memory() {
        let (sender, receiver) = record_queue();
        for id in 0..10_000 {
            sender.put(StoreId(2 * id), Record::Directory(vec![vec![0; 100]]));
            sender.put(StoreId(2 * id + 1), Record::Guards(vec![1; 5]));
        }
        assert_eq!(sender.len(), 2);
        // Also those that the thread has taken and could not write.
        let mut pending = Vec::new();
        assert!(receiver.gather(&mut pending, None));
        sender.put(StoreId(20_000), Record::Directory(vec![b"last".to_vec()]));
        assert!(receiver.gather(&mut pending, None));
        let ids: Vec<u64> = pending.iter().map(|(id, _)| id.0).collect();
        assert_eq!(ids, [19_999, 20_000]);
    }

    #[test]
    fn erased_key_leaves_nothing_of_its_own_in_the_queue() {
        let (sender, receiver) = record_queue();
        for epoch in [7, 8] {
            let key = Secret::init_with(|key| key.fill(1));
            sender.put(StoreId(1), Record::OnionKey(Epoch(epoch), key));
            sender.put(StoreId(2), Record::ReplayTags(Epoch(epoch), vec![0; 40]));
        }
        sender.put(StoreId(3), Record::EraseOnionKey(Epoch(7)));
        let mut pending = Vec::new();
        assert!(receiver.gather(&mut pending, None));
        assert!(matches!(
            pending[..],
            [
                (_, Record::OnionKey(Epoch(8), _)),
                (_, Record::ReplayTags(Epoch(8), _)),
                (_, Record::EraseOnionKey(Epoch(7))),
            ]
        ));
    }

    #[test]
    fn closed_queue_gives_its_last_records() {
        let (sender, receiver) = record_queue();
        sender.put(StoreId(1), Record::EraseOnionKey(Epoch(1)));
        drop(sender);
        let mut pending = Vec::new();
        assert!(!receiver.gather(&mut pending, None));
        assert_eq!(pending.len(), 1);
        assert!(!receiver.gather(&mut Vec::new(), None));
    }
}
