//! Makes the node's records durable, in memory only or in a data directory.
//!
//! Disk writes happen on a thread of their own. Records are committed in groups: the first one
//! that arrives is written at once, those that arrive meanwhile share the next commit, and commits
//! begin at least `COMMIT_INTERVAL` apart. A relay holds a cell back until its replay tag is durable (spec
//! M9), so this interval bounds what durability adds to the latency of a hop.
//!
//! If the disk fails, the node is told nothing and therefore sends nothing; the write is tried
//! again until it succeeds.

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
use crate::node::{Record, StoreId};

pub use load::load;

/// Where a node keeps its records.
#[derive(Clone, Debug)]
pub enum Storage {
    /// Nowhere: keys and tags die with the process, together.
    Memory,
    /// In a data directory.
    Disk(Arc<DataDir>),
}

/// Takes records and reports when they are durable.
pub(super) struct Store(StoreKind);

enum StoreKind {
    Memory(Box<dyn Fn(StoreId) + Send>),
    Disk {
        records: Sender<NumberedRecord>,
        finished: oneshot::Receiver<()>,
    },
}

impl Store {
    /// Opens a store. `report` is called with the number of the last record that is durable.
    pub(super) fn open(
        storage: Storage,
        report: impl Fn(StoreId) + Send + 'static,
    ) -> io::Result<Self> {
        let Storage::Disk(dir) = storage else {
            return Ok(Self(StoreKind::Memory(Box::new(report))));
        };
        let (records, queue) = channel();
        let (running, finished) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("whisht-store".into())
            .spawn(move || {
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
                if records.send((id, record)).is_err() {
                    tracing::error!("the storage thread is gone; this is a bug, please report it");
                }
            }
        }
    }

    /// Waits until everything queued is durable, or the disk has failed to make it so.
    pub(super) async fn finish(self) {
        if let StoreKind::Disk { records, finished } = self.0 {
            drop(records);
            // The thread sends nothing: the end of the channel is the message.
            let _ = finished.await;
        }
    }
}

/// The life of the storage thread.
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

/// Takes what is queued, and waits for something if nothing is pending. False once nobody can
/// queue any more.
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

/// The least time between the beginnings of two commits (spec M9).
const COMMIT_INTERVAL: Duration = Duration::from_millis(20);
/// Between two attempts on a disk that fails.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
