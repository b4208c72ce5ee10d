//! The archive in one file, `mail.db`, by SQLite.
//!
//! The write-ahead log is synchronised at every commit: a reported envelope survives a crash of the
//! process or of the machine, and an interrupted commit leaves no trace. Space is returned to the
//! file system in steps, as old envelopes are deleted.

use std::path::Path;

use circuits::time::UnixSecs;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::{ArchiveBackend, ArchiveError, IndexRow, decode, select_rows};
use crate::envelope::{Envelope, EnvelopeHash, Topic};
use crate::mail::archive::{Contents, Page, PageQuery};
use crate::mail::cursor::Position;
use crate::shell::data_dir::{DataDir, files};

/// An open file.
pub(super) struct Sqlite {
    db: Connection,
}

impl Sqlite {
    /// Opens the archive of a data directory, and creates it if it does not exist.
    pub(super) fn open(dir: &DataDir) -> Result<Self, ArchiveError> {
        let path = dir.mail_path();
        // SQLite gives its side files the permissions of the main file.
        files::create(&path).map_err(|error| ArchiveError::System {
            path: path.clone(),
            error,
        })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&path, flags)?;
        Self::prepare(db).map_err(|error| named(&path, error))
    }

    /// An archive that is deleted on drop.
    pub(super) fn in_memory() -> Result<Self, ArchiveError> {
        Self::prepare(Connection::open_in_memory()?)
    }

    fn prepare(db: Connection) -> Result<Self, ArchiveError> {
        db.execute_batch(SETTINGS)?;
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            VERSION => {}
            0 => db.execute_batch(SCHEMA)?,
            _ => return Err(ArchiveError::Later),
        }
        Ok(Self { db })
    }

    /// Bytes in use, and bytes that a vacuum step could return.
    fn bytes(&self) -> Result<(u64, u64), ArchiveError> {
        let pragma = |name: &str| -> Result<u64, rusqlite::Error> {
            self.db
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
                .map(|value| u64::try_from(value).unwrap_or(0))
        };
        let page = pragma("page_size")?;
        let (pages, free) = (pragma("page_count")?, pragma("freelist_count")?);
        let used = pages.saturating_sub(free);
        Ok((used.saturating_mul(page), free.saturating_mul(page)))
    }

    /// The oldest envelopes that exceed the maximum age or the size by `excess` bytes. An envelope
    /// takes more room than its bytes, so each step deletes half of the excess.
    fn going(&self, before: UnixSecs, excess: u64) -> Result<Vec<i64>, ArchiveError> {
        let mut oldest = self.db.prepare_cached(
            "SELECT rowid, sent, size FROM envelope ORDER BY sent, hash LIMIT ?1",
        )?;
        let mut rows = oldest.query([STEP])?;
        let (mut going, mut wanted) = (Vec::new(), excess.div_ceil(2));
        while let Some(row) = rows.next()? {
            let too_old = row.get::<_, u32>(1)? < before.0;
            if !too_old && wanted == 0 {
                break;
            }
            let size = u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
            wanted = wanted.saturating_sub(size);
            going.push(row.get(0)?);
        }
        Ok(going)
    }

    /// Returns a part of the free space to the file system: one page for each row.
    fn vacuum(&self) -> Result<(), ArchiveError> {
        let mut vacuum = self.db.prepare_cached(VACUUM)?;
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        Ok(())
    }

    /// Checkpoints the write-ahead log into the main file.
    #[cfg(test)]
    pub(super) fn db_checkpoint(&self) {
        let done = self
            .db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        assert!(done.is_ok());
    }

    /// The index from the query's start on, one row beyond its effort.
    fn rows(&self, query: &PageQuery) -> Result<(Vec<IndexRow>, Vec<i64>), ArchiveError> {
        let after = query.start();
        let (sent, hash) = match &after {
            Some(place) => (place.sent, place.hash.0.as_slice()),
            None => (query.lower, [].as_slice()),
        };
        let most = i64::try_from(query.effort.saturating_add(1)).unwrap_or(i64::MAX);
        let mut statement = self.db.prepare_cached(
            "SELECT sent, hash, topic, size, rowid FROM envelope
             WHERE (sent, hash) > (?1, ?2) AND sent <= ?3 ORDER BY sent, hash LIMIT ?4",
        )?;
        let mut found = statement.query(params![sent.0, hash, query.upper.0, most])?;
        let (mut rows, mut numbers) = (Vec::new(), Vec::new());
        while let Some(row) = found.next()? {
            rows.push(IndexRow {
                place: Position {
                    sent: UnixSecs(row.get(0)?),
                    hash: EnvelopeHash(row.get(1)?),
                },
                topic: Topic(row.get(2)?),
                size: usize::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
            });
            numbers.push(row.get(4)?);
        }
        Ok((rows, numbers))
    }
}

impl ArchiveBackend for Sqlite {
    fn keep(&mut self, envelopes: &[Envelope]) -> Result<(), ArchiveError> {
        let transaction = self.db.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO envelope (sent, hash, topic, size, data) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING",
            )?;
            for envelope in envelopes {
                let rlp = envelope.as_rlp();
                insert.execute(params![
                    envelope.sent().0,
                    envelope.hash().0,
                    envelope.topic().0,
                    i64::try_from(rlp.len()).unwrap_or(i64::MAX),
                    rlp
                ])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn find(&mut self, query: &PageQuery) -> Result<Page, ArchiveError> {
        let (rows, numbers) = self.rows(query)?;
        let selection = select_rows(&rows, query);
        let mut data = self
            .db
            .prepare_cached("SELECT data FROM envelope WHERE rowid = ?1")?;
        let mut envelopes = Vec::with_capacity(selection.wanted.len());
        for wanted in selection.wanted {
            if let (Some(row), Some(number)) = (rows.get(wanted), numbers.get(wanted)) {
                let bytes: Vec<u8> = data.query_row([number], |row| row.get(0))?;
                envelopes.extend(decode(row.place, &bytes));
            }
        }
        Ok(Page {
            envelopes,
            more: selection.more,
            effort: selection.effort,
        })
    }

    fn trim(&mut self, before: UnixSecs, max_bytes: u64) -> Result<bool, ArchiveError> {
        let (used, free) = self.bytes()?;
        let excess = used.saturating_sub(max_bytes);
        let going = self.going(before, excess)?;
        let transaction = self.db.transaction()?;
        {
            let mut delete = transaction.prepare_cached("DELETE FROM envelope WHERE rowid = ?1")?;
            for number in &going {
                delete.execute([number])?;
            }
        }
        transaction.commit()?;
        if free > SPARE {
            self.vacuum()?;
        }
        Ok(!going.is_empty() || free > SPARE.saturating_mul(2))
    }

    fn contents(&mut self) -> Result<Contents, ArchiveError> {
        let mut oldest = self.db.prepare_cached("SELECT min(sent) FROM envelope")?;
        let oldest: Option<u32> = oldest.query_row([], |row| row.get(0))?;
        Ok(Contents {
            bytes: self.bytes()?.0,
            oldest: oldest.map(UnixSecs),
        })
    }
}

/// Adds the file's name to an error that concerns the file.
fn named(path: &Path, error: ArchiveError) -> ArchiveError {
    match error {
        ArchiveError::Sqlite(error)
            if matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            ) =>
        {
            ArchiveError::Damaged {
                path: path.to_owned(),
                cause: error.to_string(),
            }
        }
        error => error,
    }
}

/// Durable at every commit; space can be returned; side files stay small.
const SETTINGS: &str = "
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA journal_size_limit = 16777216;
    PRAGMA cache_size = -16384;
    PRAGMA trusted_schema = OFF;
";
/// The index answers everything except the content.
const SCHEMA: &str = "
    BEGIN;
    CREATE TABLE envelope (
        sent  INTEGER NOT NULL,
        hash  BLOB NOT NULL,
        topic BLOB NOT NULL,
        size  INTEGER NOT NULL,
        data  BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX place ON envelope (sent, hash, topic, size);
    PRAGMA user_version = 1;
    COMMIT;
";
const VERSION: i64 = 1;
const VACUUM: &str = "PRAGMA incremental_vacuum(1024)";
/// Envelopes per deletion step.
const STEP: u32 = 500;
/// Free bytes that the file may keep for new envelopes.
const SPARE: u64 = 4 << 20;
