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

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::sync::oneshot;

use self::disk::RecordDisk;
use super::data_dir::DataDir;
use super::panic_alarm::PanicAlarm;
use crate::node::{Record, StoreId};

pub use load::load;

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
        records: Sender<NumberedRecord>,
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
        let (records, queue) = channel();
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
            StoreKind::Disk { records, .. } => {
                // This fails only if the thread has died, of which the driver hears.
                let _ = records.send((id, record));
            }
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
fn commit_all(disk: &mut RecordDisk, queue: &Receiver<NumberedRecord>, report: impl Fn(StoreId)) {
    let mut pending = Vec::new();
    let mut failure_logged = false;
    loop {
        let connected = gather(queue, &mut pending);
        let Some((last, _)) = pending.last() else {
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

/// Takes the queued records, and waits for one if none is pending. Returns false once every sender
/// is gone.
fn gather(queue: &Receiver<NumberedRecord>, pending: &mut Vec<NumberedRecord>) -> bool {
    if pending.is_empty() {
        match queue.recv() {
            Ok(record) => pending.push(record),
            Err(_) => return false,
        }
    }
    loop {
        match queue.try_recv() {
            Ok(record) => pending.push(record),
            Err(TryRecvError::Empty) => return true,
            Err(TryRecvError::Disconnected) => return false,
        }
    }
}

type NumberedRecord = (StoreId, Record);

/// The minimum interval between the starts of two commits (spec M9).
const COMMIT_INTERVAL: Duration = Duration::from_millis(20);
/// The interval between two attempts on a failing disk.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
