//! Keeps a mail server's envelopes: in a file of the data directory, or in a PostgreSQL.
//!
//! Both stores are asked in the same blocking words (`Shelf`), on a thread of their own, so that
//! a slow disk or database holds up nobody. Envelopes that arrive while one batch is being written
//! share the next. A store that fails is tried again until it succeeds; meanwhile nothing is
//! reported kept, and whoever asks is told to come back later.
//!
//! The store is bounded in days and in bytes; what is oldest goes first. Nothing here logs what is
//! in it.

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
use crate::envelope::{Envelope, Topic};
use crate::mail::archive::{
    ArchiveRequest, ArchiveResponse, BatchId, Contents, Page, PageQuery, QueryId, Unavailable,
};
use crate::mail::cursor::Position;

pub use postgres::{BadUrl, PostgresUrl};

/// Where envelopes are kept.
#[derive(Clone, Debug)]
pub enum Site {
    /// In a file of a data directory.
    Directory(Arc<DataDir>),
    /// In memory: everything is gone when the process ends.
    Memory,
    /// In a database, which other servers may use too.
    Postgres(Box<PostgresUrl>),
}

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Bytes at the most.
    pub bytes: u64,
    /// Seconds since the beginning of an envelope's life at the most.
    pub age: u32,
}

/// A store of envelopes. Every call may block.
trait Shelf: Send {
    /// Makes envelopes durable, those that are here already excepted: all of them or none.
    fn keep(&mut self, envelopes: &[Envelope]) -> Result<(), ArchiveError>;

    /// Finds a page.
    fn find(&mut self, query: &PageQuery) -> Result<Page, ArchiveError>;

    /// Takes away some of what is too old or too much, the oldest first. Whether there is more of
    /// it.
    fn trim(&mut self, before: UnixSecs, most_bytes: u64) -> Result<bool, ArchiveError>;

    /// How much there is, as far as that is quickly told.
    fn contents(&mut self) -> Result<Contents, ArchiveError>;
}

/// An archive that was opened and does nothing yet.
pub struct Opened {
    shelf: Box<dyn Shelf>,
    bounds: Bounds,
}

impl Opened {
    /// Opens an archive; it is there, and of this version, when this returns. Blocks, for a
    /// database as long as it takes to answer.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] names what is in the way.
    pub fn at(site: &Site, bounds: Bounds) -> Result<Self, ArchiveError> {
        let shelf: Box<dyn Shelf> = match site {
            Site::Directory(dir) => Box::new(Sqlite::open(dir)?),
            Site::Memory => Box::new(Sqlite::in_memory()?),
            Site::Postgres(url) => Box::new(Postgres::open(PostgresUrl::clone(url))?),
        };
        Ok(Self { shelf, bounds })
    }
}

impl core::fmt::Debug for Opened {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

/// The archive's side of a driver: takes tasks, reports words.
#[derive(Debug)]
pub(super) struct Archive {
    tasks: Sender<ArchiveRequest>,
    finished: oneshot::Receiver<()>,
}

impl Archive {
    /// Gives an archive a thread of its own, on which `report` is called.
    pub(super) fn start(
        opened: Opened,
        report: impl Fn(ArchiveResponse) + Send + 'static,
    ) -> io::Result<Self> {
        let (tasks, queue) = channel();
        let (running, finished) = oneshot::channel::<()>();
        let mut keeper = Keeper {
            shelf: opened.shelf,
            bounds: opened.bounds,
            report,
            batches: Vec::new(),
            questions: VecDeque::new(),
            complained: false,
            trim_at: Instant::now(),
        };
        thread::Builder::new()
            .name("whisht-archive".into())
            .spawn(move || {
                keeper.run(&queue);
                drop(running);
            })?;
        Ok(Self { tasks, finished })
    }

    /// Queues a task; never waits.
    pub(super) fn put(&self, task: ArchiveRequest) {
        if self.tasks.send(task).is_err() {
            tracing::error!("the archive's thread is gone; this is a bug, please report it");
        }
    }

    /// Waits until everything queued is durable, or the store has failed to make it so.
    pub(super) async fn finish(self) {
        drop(self.tasks);
        // The thread sends nothing: the end of the channel is the message.
        let _ = self.finished.await;
    }
}

/// The archive's thread.
struct Keeper<R> {
    shelf: Box<dyn Shelf>,
    bounds: Bounds,
    report: R,
    batches: Vec<(BatchId, Vec<Envelope>)>,
    questions: VecDeque<(QueryId, PageQuery)>,
    /// Whether the log knows that the store fails.
    complained: bool,
    /// When to look again for what has to go.
    trim_at: Instant,
}

impl<R: Fn(ArchiveResponse)> Keeper<R> {
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
                // Questions wait as well: a store that fails has no answers.
                thread::sleep(RETRY);
            }
        }
    }

    /// Takes what is queued, and waits for something if there is nothing to do. False once nobody
    /// can queue any more.
    fn gather(&mut self, queue: &Receiver<ArchiveRequest>) -> bool {
        if self.batches.is_empty() && self.questions.is_empty() {
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
            ArchiveRequest::Find(id, query) => self.questions.push_back((id, query)),
        }
    }

    /// Writes all batches at once. False if the store fails.
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
        // Several servers that write to one database in the same order never block each other.
        envelopes.sort_unstable_by_key(Position::of);
        envelopes.dedup();
        match self.shelf.keep(&envelopes) {
            Ok(()) => {
                self.batches.clear();
                if core::mem::take(&mut self.complained) {
                    tracing::info!("the mail archive works again");
                }
                let contents = self.shelf.contents().ok();
                if contents.is_some_and(|contents| contents.bytes > self.bounds.bytes) {
                    self.trim_at = Instant::now();
                }
                (self.report)(ArchiveResponse::Kept(last, contents));
                true
            }
            Err(error) => {
                self.complain(&error);
                false
            }
        }
    }

    fn answer(&mut self) {
        while let Some((id, query)) = self.questions.pop_front() {
            let found = self.shelf.find(&query).map_err(|error| {
                self.complain(&error);
                Unavailable
            });
            (self.report)(ArchiveResponse::Found(id, found));
        }
    }

    /// Takes a step towards the bounds. Steps follow one another until there is nothing to do.
    fn trim(&mut self) {
        if self.trim_at > Instant::now() {
            return;
        }
        let before = clock::unix().before(self.bounds.age);
        let pause = match self.shelf.trim(before, self.bounds.bytes) {
            Ok(true) => Duration::ZERO,
            Ok(false) => TRIM,
            Err(error) => {
                self.complain(&error);
                TRIM
            }
        };
        self.trim_at = Instant::now() + pause;
    }

    fn complain(&mut self, error: &ArchiveError) {
        if !core::mem::replace(&mut self.complained, true) {
            tracing::error!(%error, "the mail archive fails; envelopes wait, and will be tried again");
        }
    }
}

/// What an index tells of an envelope.
struct Row {
    place: Position,
    topic: Topic,
    size: usize,
}

/// Which rows of an index a query wants.
struct Choice {
    /// Their numbers, counted from 0.
    wanted: Vec<usize>,
    more: Option<Position>,
    effort: usize,
}

/// Goes through rows in order, of which there is one more than the query's effort if there are so
/// many, and chooses as many as the query has room for.
fn choose(rows: &[Row], query: &PageQuery) -> Choice {
    let mut choice = Choice {
        wanted: Vec::new(),
        more: None,
        effort: 0,
    };
    let mut bytes = 0_usize;
    let mut last = None;
    for (number, row) in rows.iter().enumerate() {
        let wanted = query.bloom.wants(row.topic);
        let grown = bytes.saturating_add(row.size);
        let full = choice.wanted.len() >= query.limit
            || (!choice.wanted.is_empty() && grown > query.bytes);
        if choice.effort >= query.effort || (wanted && full) {
            choice.more = last;
            return choice;
        }
        if wanted {
            choice.wanted.push(number);
            bytes = grown;
        }
        last = Some(row.place);
        choice.effort = choice.effort.saturating_add(1);
    }
    choice
}

/// Reads what a store gave back; what is not what it was stored as is left out.
fn decode(place: Position, bytes: &[u8]) -> Option<Envelope> {
    let envelope = Envelope::decode(bytes).ok();
    let envelope = envelope.filter(|envelope| Position::of(envelope) == place);
    if envelope.is_none() {
        tracing::warn!("the mail archive holds an envelope that is damaged; it is left out");
    }
    envelope
}

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file is no archive of this version, or not whole.
    #[error("{}: {cause}; move it away to begin a new archive", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The database was made by a later version.
    #[error("the mail archive was made by a later version of whisht; use that one")]
    Later,
    /// The database is not to be had.
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
        /// What the system says.
        error: io::Error,
    },
    /// The operating system starts no thread.
    #[error("the operating system refuses a thread: {0}; check its limits (ulimit -a)")]
    Thread(io::Error),
}

/// Between two attempts on a store that fails.
const RETRY: Duration = Duration::from_secs(1);
/// Between two looks for what has to go, once nothing had to.
const TRIM: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
