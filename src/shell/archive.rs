//! Stores a mail server's envelopes: in a file of the data directory, or in PostgreSQL.
//!
//! Both stores implement one blocking trait (`ArchiveBackend`) and run on a thread of their own, so
//! that a slow disk or database delays nothing else. Envelopes that arrive during a write share the
//! next batch. A failing store is tried again until it succeeds; meanwhile no envelope is reported
//! as kept, and queries get a temporary error.
//!
//! The store is bounded in days and in bytes; the oldest envelopes are deleted first. Nothing here
//! logs their content.

#![expect(
    clippy::disallowed_methods,
    reason = "the archive's thread paces itself"
)]

mod passfile;
mod postgres;
mod sqlite;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use circuits::time::UnixSecs;
use tokio::sync::oneshot;

use self::postgres::Postgres;
use self::sqlite::Sqlite;
use super::clock;
use super::data_dir::DataDir;
use super::panic_alarm::PanicAlarm;
use crate::envelope::{Envelope, Topic};
use crate::mail::archive::{
    ArchiveRequest, ArchiveResponse, BatchId, Contents, Page, PageQuery, QueryId, Unavailable,
};
use crate::mail::cursor::Position;

pub use postgres::{InvalidPostgresUrl, PostgresUrl};

/// Where envelopes are stored.
#[derive(Clone, Debug)]
pub enum ArchiveLocation {
    /// In a file of a data directory.
    Directory(Arc<DataDir>),
    /// In memory: lost when the process ends.
    Memory,
    /// In a database, which other servers may share.
    Postgres(Box<PostgresUrl>),
}

/// The retention limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ArchiveQuota {
    /// Maximum size in bytes.
    pub bytes: u64,
    /// Maximum age in seconds, from the start of an envelope's lifetime.
    pub age: u32,
}

/// A store of envelopes. Every call may block.
trait ArchiveBackend: Send {
    /// Makes new envelopes durable: all of them or none.
    fn keep(&mut self, envelopes: &[Envelope]) -> Result<(), ArchiveError>;

    /// Finds a page.
    fn find(&mut self, query: &PageQuery) -> Result<Page, ArchiveError>;

    /// Deletes some envelopes above the limits, oldest first. Returns whether more remain.
    fn trim(&mut self, before: UnixSecs, max_bytes: u64) -> Result<bool, ArchiveError>;

    /// The approximate size, without a full scan.
    fn contents(&mut self) -> Result<Contents, ArchiveError>;
}

/// An opened archive whose thread is not running yet.
pub struct OpenArchive {
    backend: Box<dyn ArchiveBackend>,
    quota: ArchiveQuota,
}

impl OpenArchive {
    /// Opens an archive; it exists, at this version, when this returns. Blocks as long as a
    /// database takes to answer.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] names the cause.
    pub fn at(location: &ArchiveLocation, quota: ArchiveQuota) -> Result<Self, ArchiveError> {
        let backend: Box<dyn ArchiveBackend> = match location {
            ArchiveLocation::Directory(dir) => Box::new(Sqlite::open(dir)?),
            ArchiveLocation::Memory => Box::new(Sqlite::in_memory()?),
            ArchiveLocation::Postgres(url) => Box::new(Postgres::open(PostgresUrl::clone(url))?),
        };
        Ok(Self { backend, quota })
    }
}

impl core::fmt::Debug for OpenArchive {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OpenArchive").finish_non_exhaustive()
    }
}

/// The driver's handle of an archive: accepts requests, reports responses.
#[derive(Debug)]
pub(super) struct ArchiveHandle {
    tasks: Sender<ArchiveRequest>,
    finished: oneshot::Receiver<()>,
}

impl ArchiveHandle {
    /// Starts the archive's thread, on which `report` is called; `on_panic` if the thread dies.
    pub(super) fn start(
        opened: OpenArchive,
        report: impl Fn(ArchiveResponse) + Send + 'static,
        on_panic: impl FnMut() + Send + 'static,
    ) -> io::Result<Self> {
        let (tasks, queue) = channel();
        let (running, finished) = oneshot::channel::<()>();
        let mut worker = ArchiveWorker {
            backend: opened.backend,
            quota: opened.quota,
            report,
            batches: Vec::new(),
            queries: VecDeque::new(),
            failure_logged: false,
            trim_at: Instant::now(),
        };
        thread::Builder::new()
            .name("whisht-archive".into())
            .spawn(move || {
                let _alarm = PanicAlarm::new(on_panic);
                worker.run(&queue);
                drop(running);
            })?;
        Ok(Self { tasks, finished })
    }

    /// Queues a request; never waits. The node bounds what is queued, also while the store fails: two
    /// batches, and `MAX_QUERIES` queries with as many withdrawals.
    pub(super) fn put(&self, task: ArchiveRequest) {
        // This fails only if the thread has died, of which the driver hears.
        let _ = self.tasks.send(task);
    }

    /// Waits until every queued envelope is durable, or the store has failed.
    pub(super) async fn finish(self) {
        drop(self.tasks);
        // The thread sends nothing: the end of the channel is the signal.
        let _ = self.finished.await;
    }
}

/// The archive's thread.
struct ArchiveWorker<R> {
    backend: Box<dyn ArchiveBackend>,
    quota: ArchiveQuota,
    report: R,
    batches: Vec<(BatchId, Vec<Envelope>)>,
    queries: VecDeque<(QueryId, PageQuery)>,
    /// Whether the failure of the store was logged.
    failure_logged: bool,
    /// When to check the limits next.
    trim_at: Instant,
}

impl<R: Fn(ArchiveResponse)> ArchiveWorker<R> {
    fn run(&mut self, queue: &Receiver<ArchiveRequest>) {
        loop {
            let connected = self.gather(queue);
            let kept = self.keep();
            self.answer();
            self.trim();
            if !connected && (self.batches.is_empty() || !kept) {
                return;
            }
            if !kept {
                // Queries wait as well: a failing store cannot answer.
                thread::sleep(RETRY_INTERVAL);
            }
        }
    }

    /// Takes the queued requests, and waits for one if there is no work. Returns false once every
    /// sender is gone.
    fn gather(&mut self, queue: &Receiver<ArchiveRequest>) -> bool {
        if self.batches.is_empty() && self.queries.is_empty() {
            let wait = self.trim_at.saturating_duration_since(Instant::now());
            match queue.recv_timeout(wait) {
                Ok(task) => self.take(task),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        loop {
            match queue.try_recv() {
                Ok(task) => self.take(task),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn take(&mut self, task: ArchiveRequest) {
        match task {
            ArchiveRequest::Keep(id, envelopes) => self.batches.push((id, envelopes)),
            ArchiveRequest::Find(id, query) => self.queries.push_back((id, query)),
            ArchiveRequest::Withdraw(id) => {
                // A query that is answered already is not answered twice.
                let waiting = self.queries.len();
                self.queries.retain(|(query, _)| *query != id);
                if self.queries.len() < waiting {
                    (self.report)(ArchiveResponse::Found(id, Err(Unavailable)));
                }
            }
        }
    }

    /// Writes all batches at once. Returns false if the store fails.
    fn keep(&mut self) -> bool {
        let Some((last, _)) = self.batches.last() else {
            return true;
        };
        let last = *last;
        let mut envelopes: Vec<Envelope> = self
            .batches
            .iter()
            .flat_map(|(_, envelopes)| envelopes.iter().cloned())
            .collect();
        // Servers that write to one database in the same order never deadlock.
        envelopes.sort_unstable_by_key(Position::of);
        envelopes.dedup();
        match self.backend.keep(&envelopes) {
            Ok(()) => {
                self.batches.clear();
                if core::mem::take(&mut self.failure_logged) {
                    tracing::info!("the mail archive works again");
                }
                let contents = self.backend.contents().ok();
                if contents.is_some_and(|contents| contents.bytes > self.quota.bytes) {
                    self.trim_at = Instant::now();
                }
                (self.report)(ArchiveResponse::Kept(last, contents));
                true
            }
            Err(error) => {
                self.log_failure(&error);
                false
            }
        }
    }

    fn answer(&mut self) {
        while let Some((id, query)) = self.queries.pop_front() {
            let found = self.backend.find(&query).map_err(|error| {
                self.log_failure(&error);
                Unavailable
            });
            (self.report)(ArchiveResponse::Found(id, found));
        }
    }

    /// Takes one deletion step. Steps follow one another until the limits are met.
    fn trim(&mut self) {
        if self.trim_at > Instant::now() {
            return;
        }
        let before = clock::unix().before(self.quota.age);
        let pause = match self.backend.trim(before, self.quota.bytes) {
            Ok(true) => Duration::ZERO,
            Ok(false) => TRIM_INTERVAL,
            Err(error) => {
                self.log_failure(&error);
                TRIM_INTERVAL
            }
        };
        self.trim_at = Instant::now() + pause;
    }

    fn log_failure(&mut self, error: &ArchiveError) {
        if !core::mem::replace(&mut self.failure_logged, true) {
            tracing::error!(%error, "the mail archive fails; envelopes are queued and written later");
        }
    }
}

/// An index row of an envelope.
struct IndexRow {
    place: Position,
    topic: Topic,
    size: usize,
}

/// The rows of an index that a query selects.
struct PageSelection {
    /// Their positions, counted from 0.
    wanted: Vec<usize>,
    more: Option<Position>,
    effort: usize,
}

/// Selects rows in order, as many as the query has room for. The input holds one row more than the
/// query's effort if there are so many.
fn select_rows(rows: &[IndexRow], query: &PageQuery) -> PageSelection {
    let mut selection = PageSelection {
        wanted: Vec::new(),
        more: None,
        effort: 0,
    };
    let mut bytes = 0_usize;
    let mut last = None;
    for (number, row) in rows.iter().enumerate() {
        let wanted = query.bloom.wants(row.topic);
        let grown = bytes.saturating_add(row.size);
        let full = selection.wanted.len() >= query.limit
            || (!selection.wanted.is_empty() && grown > query.bytes);
        if selection.effort >= query.effort || (wanted && full) {
            selection.more = last;
            return selection;
        }
        if wanted {
            selection.wanted.push(number);
            bytes = grown;
        }
        last = Some(row.place);
        selection.effort = selection.effort.saturating_add(1);
    }
    selection
}

/// Decodes stored envelopes; a damaged one is left out.
fn decode(place: Position, bytes: &[u8]) -> Option<Envelope> {
    let envelope = Envelope::decode(bytes).ok();
    let envelope = envelope.filter(|envelope| Position::of(envelope) == place);
    if envelope.is_none() {
        tracing::warn!("the mail archive contains a damaged envelope, which is omitted");
    }
    envelope
}

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file is not an archive of this version, or damaged.
    #[error("{}: {cause}; move it away to begin a new archive", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
    /// A later version created the database.
    #[error("the mail archive was written by a later version of whisht; use that version")]
    Later,
    /// The database cannot be used.
    #[error("the mail database: {0}")]
    Postgres(#[from] postgres::PostgresError),
    /// The file cannot be read or written.
    #[error("the mail archive: {0}; check that its disk has room and works")]
    Sqlite(#[from] rusqlite::Error),
    /// The operating system refuses.
    #[error("{}: {error}; check that the path exists, is yours, and has room", path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// The operating system starts no thread.
    #[error("the operating system refuses a thread: {0}; check its limits (ulimit -a)")]
    Thread(io::Error),
}

/// The interval between two attempts on a failing store.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The interval between two checks of the limits.
const TRIM_INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
