//! Makes the node's records durable, in memory only or in a data directory.
//!
//! Disk writes happen on a thread of their own. Records are committed in groups: the first record
//! is written at once, records that arrive meanwhile share the next commit, and commits begin at
//! least `COMMIT_INTERVAL` apart. A relay holds a cell back until its replay tag is durable (spec
//! M9), so this interval bounds the latency that durability adds per hop.
//!
//! If the disk fails, the node receives no completion and therefore sends nothing; the write is
//! tried again until it succeeds.

#![expect(clippy::disallowed_methods, reason = "the storage thread paces itself")]

mod disk;
mod load;
mod record_queue;

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::sync::oneshot;

use self::disk::RecordDisk;
use self::record_queue::{RecordReceiver, RecordSender, record_queue};
use super::data_dir::DataDir;
use super::panic_alarm::PanicAlarm;
use crate::node::{Record, StoreId};

pub use load::{damaged_guards, is_directory_damaged, load};

/// Where a node stores its records.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In memory: keys and replay tags are lost together when the process ends.
    Memory,
    /// In a data directory.
    Disk(Arc<DataDir>),
}

/// Accepts records and reports when they are durable.
pub(super) struct Store(StoreKind);

enum StoreKind {
    Memory(Box<dyn Fn(StoreId) + Send>),
    Disk {
        records: RecordSender,
        finished: oneshot::Receiver<()>,
    },
}

impl Store {
    /// Opens a store. `report` is called with the number of the last durable record, `on_panic` if
    /// the storage thread dies.
    pub(super) fn open(
        storage: Storage,
        report: impl Fn(StoreId) + Send + 'static,
        on_panic: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let Storage::Disk(dir) = storage else {
            return Ok(Self(StoreKind::Memory(Box::new(report))));
        };
        let (records, queue) = record_queue();
        let (running, finished) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("whisht-store".into())
            .spawn(move || {
                let _alarm = PanicAlarm::new(on_panic);
                commit_all(&mut RecordDisk::new(dir), &queue, report);
                drop(running);
            })?;
        Ok(Self(StoreKind::Disk { records, finished }))
    }

    /// Queues a record; never waits.
    pub(super) fn put(&self, id: StoreId, record: Record) {
        match &self.0 {
            StoreKind::Memory(report) => report(id),
            StoreKind::Disk { records, .. } => records.put(id, record),
        }
    }

    /// Waits until every queued record is durable, or the disk has failed.
    pub(super) async fn finish(self) {
        if let StoreKind::Disk { records, finished } = self.0 {
            drop(records);
            // The thread sends nothing: the end of the channel is the signal.
            let _ = finished.await;
        }
    }
}

/// The main loop of the storage thread.
fn commit_all(disk: &mut RecordDisk, queue: &RecordReceiver, report: impl Fn(StoreId)) {
    let mut pending = Vec::new();
    let mut failure_logged = false;
    let mut erased = Instant::now();
    loop {
        let wait = disk.has_old_state().then_some(ERASURE_INTERVAL);
        let connected = queue.gather(&mut pending, wait);
        let is_due = erased.elapsed() >= ERASURE_INTERVAL || !connected;
        if disk.has_old_state() && is_due {
            // What fails now is tried again in a minute.
            if let Err(error) = disk.erase_old_state() {
                tracing::warn!(%error, "old contents of state.db are not erased yet");
            }
            erased = Instant::now();
        }
        let Some((last, _)) = pending.last() else {
            if connected {
                continue;
            }
            return;
        };
        let began = Instant::now();
        match disk.commit(&pending) {
            Ok(()) => {
                report(*last);
                pending.clear();
                failure_logged = false;
                thread::sleep(COMMIT_INTERVAL.saturating_sub(began.elapsed()));
            }
            Err(_) if !connected => return,
            Err(error) => {
                if !failure_logged {
                    tracing::error!(%error, "cannot write to the data directory; cells wait");
                    failure_logged = true;
                }
                thread::sleep(RETRY_INTERVAL);
            }
        }
    }
}

type NumberedRecord = (StoreId, Record);

/// The minimum interval between the starts of two commits (spec M9).
const COMMIT_INTERVAL: Duration = Duration::from_millis(20);
/// How often what was replaced or erased in the user's state is removed from the log of its database.
const ERASURE_INTERVAL: Duration = Duration::from_secs(60);
/// The interval between two attempts on a failing disk.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
