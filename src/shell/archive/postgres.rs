//! The archive in PostgreSQL, which several servers may share.
//!
//! An envelope is identified by the start of its lifetime and its hash, and is inserted unless it
//! exists: of several servers that received the same envelope the first one writes it, and none of
//! them keeps state of its own. Commits wait for the database's log, so a reported envelope
//! survives a crash of the database. A lost connection is made again, at growing intervals;
//! meanwhile callers get an error and try again.
//!
//! The password is used for SCRAM only, and a database on another machine is reached by TLS only:
//! [`connector`] has the rules. Texts of the server are made fit for a terminal before they are shown.

mod channel_binding;
mod connector;
mod scram_only;
mod sql;
mod tls;
mod url;

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use circuits::backoff::Backoff;
use circuits::time::UnixSecs;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::Client;
use tokio_postgres::error::DbError;

use self::connector::PostgresConnector;
use super::passfile::PassfileError;
use super::{ArchiveBackend, ArchiveError, IndexRow, decode, select_rows};
use crate::envelope::{Envelope, EnvelopeHash, Topic};
use crate::mail::archive::{Contents, Page, PageQuery};
use crate::mail::cursor::Position;
use crate::printable;

pub(super) use scram_only::AuthRefusal;
pub(super) use tls::TlsError;
pub use url::{InvalidPostgresUrl, PostgresUrl};

/// A connection, established or pending.
pub(super) struct Postgres {
    connector: PostgresConnector,
    /// Runs the connection until dropped.
    runtime: Option<Runtime>,
    client: Option<Client>,
    /// The earliest time of the next attempt.
    not_before: Instant,
    /// Attempts in succession that failed or have not succeeded yet.
    attempts: u32,
    /// The time and result of the last sum over all sizes.
    summed: Option<Instant>,
    /// Bytes above the limit that are still to be deleted.
    excess: u64,
}

impl Postgres {
    /// Connects, and creates the tables if there are none.
    pub(super) fn open(url: PostgresUrl) -> Result<Self, ArchiveError> {
        let connector = url.connector()?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ArchiveError::Thread)?;
        let mut postgres = Self {
            connector,
            runtime: Some(runtime),
            client: None,
            not_before: Instant::now(),
            attempts: 0,
            summed: None,
            excess: 0,
        };
        postgres.connect()?;
        Ok(postgres)
    }

    fn connect(&mut self) -> Result<(), ArchiveError> {
        if Instant::now() < self.not_before {
            return Err(PostgresError::Waiting.into());
        }
        self.not_before = Instant::now() + RECONNECT.wait(self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        let connector = &self.connector;
        let connecting = async {
            let client = connector.connect().await?;
            client.batch_execute(sql::SCHEMA).await?;
            let row = client
                .query_one("SELECT version FROM whisht_archive", &[])
                .await?;
            Ok::<_, PostgresError>((client, row.try_get::<_, i32>(0)?))
        };
        let connected = block_on(self.runtime.as_ref(), async {
            tokio::time::timeout(LOGIN_TIMEOUT, connecting).await
        });
        let connected = connected.ok_or(PostgresError::Waiting)?;
        let (client, version) = connected.map_err(|_| PostgresError::Slow)??;
        if version != VERSION {
            return Err(ArchiveError::Later);
        }
        self.client = Some(client);
        self.attempts = 0;
        self.not_before = Instant::now();
        Ok(())
    }

    /// Runs an operation on the database. A lost connection is made again at the next call.
    fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, ArchiveError> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.client = None;
            self.connect()?;
        }
        let Some(client) = &mut self.client else {
            return Err(PostgresError::Waiting.into());
        };
        let done = block_on(self.runtime.as_ref(), async {
            tokio::time::timeout(STATEMENT_TIMEOUT, work(client)).await
        });
        match done {
            Some(Ok(Ok(done))) => Ok(done),
            Some(Ok(Err(error))) => {
                if client.is_closed() {
                    self.client = None;
                }
                Err(PostgresError::from(error).into())
            }
            Some(Err(_)) | None => {
                // A statement in progress must not interleave with the next one.
                self.client = None;
                Err(PostgresError::Slow.into())
            }
        }
    }

    /// The number of bytes above the limit. The sum reads the whole index, so it is computed at
    /// intervals.
    fn measure(&mut self, max_bytes: u64) -> Result<(), ArchiveError> {
        if self.summed.is_some_and(|at| at.elapsed() < SUM_INTERVAL) {
            return Ok(());
        }
        self.summed = Some(Instant::now());
        let bytes: i64 = self.with(async |client| {
            let row = client.query_one(sql::SUM, &[&BOOK_KEEPING]).await?;
            row.try_get(0)
        })?;
        self.excess = u64::try_from(bytes).unwrap_or(0).saturating_sub(max_bytes);
        Ok(())
    }
}

impl ArchiveBackend for Postgres {
    fn keep(&mut self, envelopes: &[Envelope]) -> Result<(), ArchiveError> {
        let (mut sent, mut hashes, mut topics) = (Vec::new(), Vec::new(), Vec::new());
        let (mut sizes, mut data) = (Vec::new(), Vec::new());
        let found: Vec<([u8; 32], [u8; 4])> = envelopes
            .iter()
            .map(|envelope| (envelope.hash().0, envelope.topic().0))
            .collect();
        for (envelope, (hash, topic)) in envelopes.iter().zip(&found) {
            sent.push(i64::from(envelope.sent().0));
            hashes.push(hash.as_slice());
            topics.push(topic.as_slice());
            sizes.push(i32::try_from(envelope.as_rlp().len()).unwrap_or(i32::MAX));
            data.push(envelope.as_rlp());
        }
        self.with(async |client| {
            let insert = client.prepare(sql::INSERT).await?;
            client
                .execute(&insert, &[&sent, &hashes, &topics, &sizes, &data])
                .await
                .map(|_| ())
        })
    }

    fn find(&mut self, query: &PageQuery) -> Result<Page, ArchiveError> {
        let after = query.start();
        let (sent, hash) = match &after {
            Some(place) => (place.sent, place.hash.0.as_slice()),
            None => (query.lower, [].as_slice()),
        };
        let (sent, upper) = (i64::from(sent.0), i64::from(query.upper.0));
        let most = i64::try_from(query.effort.saturating_add(1)).unwrap_or(i64::MAX);
        let rows = self.with(async |client| {
            let rows = client
                .query(sql::INDEX, &[&sent, &hash, &upper, &most])
                .await?;
            rows.iter().map(row).collect::<Result<Vec<IndexRow>, _>>()
        })?;
        let selection = select_rows(&rows, query);
        let places: Vec<Position> = selection
            .wanted
            .iter()
            .filter_map(|wanted| rows.get(*wanted))
            .map(|row| row.place)
            .collect();
        Ok(Page {
            envelopes: self.fetch(&places)?,
            more: selection.more,
            effort: selection.effort,
        })
    }

    fn trim(&mut self, before: UnixSecs, max_bytes: u64) -> Result<bool, ArchiveError> {
        self.measure(max_bytes)?;
        let (before, excess) = (
            i64::from(before.0),
            i64::try_from(self.excess).unwrap_or(i64::MAX),
        );
        let sizes: Vec<i64> = self.with(async |client| {
            let transaction = client.transaction().await?;
            // One server at a time deletes.
            let row = transaction
                .query_one("SELECT pg_try_advisory_xact_lock($1)", &[&LOCK_TRIM])
                .await?;
            if !row.try_get::<_, bool>(0)? {
                return Ok(Vec::new());
            }
            let gone = transaction
                .query(sql::DELETE, &[&STEP, &BOOK_KEEPING, &before, &excess])
                .await?;
            transaction.commit().await?;
            gone.iter()
                .map(|row| row.try_get::<_, i32>(0).map(i64::from))
                .collect()
        })?;
        for size in &sizes {
            let freed = u64::try_from(size.saturating_add(BOOK_KEEPING)).unwrap_or(0);
            self.excess = self.excess.saturating_sub(freed);
        }
        Ok(!sizes.is_empty())
    }

    fn contents(&mut self) -> Result<Contents, ArchiveError> {
        let (bytes, oldest) = self.with(async |client| {
            let row = client.query_one(sql::CONTENTS, &[]).await?;
            Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, Option<i64>>(1)?))
        })?;
        Ok(Contents {
            bytes: u64::try_from(bytes).unwrap_or(0),
            oldest: oldest.and_then(|oldest| u32::try_from(oldest).ok().map(UnixSecs)),
        })
    }
}

impl Postgres {
    /// The envelopes at these positions, in order. One that another server has just deleted is
    /// missing.
    fn fetch(&mut self, places: &[Position]) -> Result<Vec<Envelope>, ArchiveError> {
        let sent: Vec<i64> = places.iter().map(|place| i64::from(place.sent.0)).collect();
        let hashes: Vec<&[u8]> = places.iter().map(|place| place.hash.0.as_slice()).collect();
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.with(async |client| {
            let rows = client.query(sql::FETCH, &[&sent, &hashes]).await?;
            rows.iter()
                .map(|found| Ok((place(found)?, found.try_get::<_, Vec<u8>>(2)?)))
                .collect::<Result<Vec<_>, tokio_postgres::Error>>()
        })?;
        Ok(found
            .into_iter()
            .filter_map(|(place, bytes)| decode(place, &bytes))
            .collect())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A runtime may be dropped in any context only if no caller waits for its tasks.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn block_on<T>(runtime: Option<&Runtime>, work: impl Future<Output = T>) -> Option<T> {
    runtime.map(|runtime| runtime.block_on(work))
}

fn place(row: &tokio_postgres::Row) -> Result<Position, tokio_postgres::Error> {
    let sent: i64 = row.try_get(0)?;
    let hash: &[u8] = row.try_get(1)?;
    Ok(Position {
        sent: UnixSecs(u32::try_from(sent).unwrap_or(u32::MAX)),
        // A row of another length is damaged, and its bytes will not match.
        hash: EnvelopeHash(hash.try_into().unwrap_or_default()),
    })
}

fn row(row: &tokio_postgres::Row) -> Result<IndexRow, tokio_postgres::Error> {
    let topic: &[u8] = row.try_get(2)?;
    let size: i32 = row.try_get(3)?;
    Ok(IndexRow {
        place: place(row)?,
        topic: Topic(topic.try_into().unwrap_or_default()),
        size: usize::try_from(size).unwrap_or(0),
    })
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The database cannot be reached, or the connection was lost.
    #[error("{cause}; check that it runs, and mail.store")]
    Connection {
        /// The chain of causes.
        cause: String,
    },
    /// The database refuses.
    #[error("{cause} ({code}){}", remedy(code))]
    Database {
        /// Its message, fit for a terminal.
        cause: String,
        /// Its error code.
        code: String,
    },
    /// The database asks for another login than SCRAM.
    #[error(transparent)]
    Login(#[from] AuthRefusal),
    /// There is no TLS connection.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The password cannot be looked up.
    #[error(transparent)]
    Password(PassfileError),
    /// A standby, or a database that an administrator has closed.
    #[error("it accepts no writes; name the primary server in mail.store")]
    ReadOnly,
    /// The URL names no host, or a name without an address.
    #[error("mail.store names no host that has an address; write postgres://USER@HOST/DATABASE")]
    NoHost,
    /// The database does not answer in time.
    #[error("it does not answer")]
    Slow,
    /// The last attempt failed just now.
    #[error("it is not connected; trying again in a moment")]
    Waiting,
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(refusal) = login_refusal(&error) {
            return Self::Login(refusal);
        }
        match error.as_db_error().map(DbError::message) {
            Some(message) => Self::Database {
                cause: printable::excerpt(message, MAX_CAUSE_CHARS),
                code: error.code().map_or_else(String::new, |code| {
                    printable::excerpt(code.code(), MAX_CODE_CHARS)
                }),
            },
            None => Self::Connection {
                cause: printable::excerpt(&causes(&error), MAX_CAUSE_CHARS),
            },
        }
    }
}

/// The refusal of [`scram_only`], which tokio-postgres sees as a broken stream.
fn login_refusal(error: &tokio_postgres::Error) -> Option<AuthRefusal> {
    let broken = error.source()?.downcast_ref::<io::Error>()?;
    broken.get_ref()?.downcast_ref().copied()
}

/// An error and its causes: tokio-postgres says only what it was doing.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

/// Remedies for the most common refusals.
fn remedy(code: &str) -> &'static str {
    match code {
        "28000" | "28P01" => {
            "; put the password into the configuration file, PGPASSWORD or PGPASSFILE"
        }
        "3D000" => "; make the database with `createdb`",
        "42501" => "; let this user make tables in the schema",
        "53100" => "; make room on its disk",
        _ => "",
    }
}

const VERSION: i32 = 1;
/// The advisory lock of deletion.
const LOCK_TRIM: i64 = 2_003_334_516;
/// Bytes of an envelope beside its content, in table and index.
const BOOK_KEEPING: i64 = 200;
/// Envelopes per deletion step.
const STEP: i64 = 500;
/// The interval between two sums over all sizes.
const SUM_INTERVAL: Duration = Duration::from_secs(600);
/// Time limit for all hosts of the URL together, from the first connection to the last table.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum length of a server's message in an error, in characters.
const MAX_CAUSE_CHARS: usize = 300;
/// A code of PostgreSQL has five characters.
const MAX_CODE_CHARS: usize = 5;
/// Time limit for any statement.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
const RECONNECT: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
