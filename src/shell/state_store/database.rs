//! The database of the state, by SQLite.
//!
//! Every table has the same form: a hidden id and a sealed content. Deleted and replaced contents are
//! overwritten with zeros in the main file, and leave the write-ahead log when it is truncated.

use std::path::{Path, PathBuf};

use circuits::erasing_rng::ErasingRng;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};

use super::StateError;
use crate::shell::data_dir::{at, files};
use crate::state::master_key::MasterKey;
use crate::state::sealed_row::{SCHEMA, StoredId};
use crate::state::{StateChange, StateRow, StateTable};

/// An open database.
pub(super) struct StateDatabase {
    db: Connection,
    path: PathBuf,
}

impl StateDatabase {
    /// Opens a database, and creates it if it does not exist.
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        // SQLite gives its side files the permissions of the main file.
        files::create(path).map_err(|error| at(path, error))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Self {
            db: Connection::open_with_flags(path, flags)?,
            path: path.to_owned(),
        };
        database.prepare().map_err(|error| database.named(error))?;
        Ok(database)
    }

    fn prepare(&self) -> Result<(), StateError> {
        self.db.execute_batch(SETTINGS)?;
        let version: i64 = self
            .db
            .pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            0 => {
                let tables = StateTable::ALL.map(|table| {
                    format!(
                        "CREATE TABLE {} (id BLOB PRIMARY KEY, sealed BLOB NOT NULL) \
                         STRICT, WITHOUT ROWID;",
                        name(table)
                    )
                });
                let schema = tables.concat();
                Ok(self.db.execute_batch(&format!(
                    "BEGIN; {schema} PRAGMA user_version = {SCHEMA}; COMMIT;"
                ))?)
            }
            version if version == i64::from(SCHEMA) => Ok(()),
            _ => Err(StateError::Later),
        }
    }

    /// All rows of all tables.
    pub(super) fn load(&self, key: &MasterKey) -> Result<Vec<StateRow>, StateError> {
        let mut rows = Vec::new();
        for table in StateTable::ALL {
            self.load_table(key, table, &mut rows)
                .map_err(|error| self.named(error))?;
        }
        Ok(rows)
    }

    fn load_table(
        &self,
        key: &MasterKey,
        table: StateTable,
        rows: &mut Vec<StateRow>,
    ) -> Result<(), StateError> {
        let query = format!("SELECT id, sealed FROM {}", name(table));
        let mut statement = self.db.prepare(&query)?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let (id, sealed): (StoredId, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let row = key
                .open_row(table, &id, &sealed)
                .map_err(|error| StateError::Damaged {
                    path: self.path.clone(),
                    cause: error.to_string(),
                })?;
            rows.push(row);
        }
        Ok(())
    }

    /// Makes changes durable in one transaction.
    pub(super) fn write<'a>(
        &mut self,
        key: &MasterKey,
        changes: impl Iterator<Item = &'a StateChange>,
        rng: &mut ErasingRng,
    ) -> Result<(), StateError> {
        let transaction = self.db.transaction()?;
        for change in changes {
            match change {
                StateChange::Put { table, id, value } => {
                    let Ok(sealed) = key.seal_row(*table, id, value, rng) else {
                        // To try again would stop the node for good.
                        tracing::error!("a row that is too long; this is a bug in whisht");
                        continue;
                    };
                    let put = format!(
                        "INSERT INTO {} (id, sealed) VALUES (?1, ?2)
                         ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed",
                        name(*table)
                    );
                    let mut put = transaction.prepare_cached(&put)?;
                    put.execute(params![key.stored_id(*table, id), sealed])?;
                }
                StateChange::Delete { table, id } => {
                    let delete = format!("DELETE FROM {} WHERE id = ?1", name(*table));
                    let mut delete = transaction.prepare_cached(&delete)?;
                    delete.execute(params![key.stored_id(*table, id)])?;
                }
            }
        }
        Ok(transaction.commit()?)
    }

    /// Moves the write-ahead log into the main file, and truncates it.
    pub(super) fn truncate_log(&self) -> Result<(), StateError> {
        let mut vacuum = self.db.prepare_cached("PRAGMA incremental_vacuum")?;
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        drop(pages);
        let busy: i64 = self
            .db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy != 0 {
            tracing::debug!("another program reads state.db, and its log stays for a while");
        }
        Ok(())
    }

    /// Adds the file's name to an error that concerns the file.
    fn named(&self, error: StateError) -> StateError {
        match error {
            StateError::Sqlite(error)
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                ) =>
            {
                StateError::Damaged {
                    path: self.path.clone(),
                    cause: error.to_string(),
                }
            }
            error => error,
        }
    }
}

/// The name of a table in the database.
const fn name(table: StateTable) -> &'static str {
    match table {
        StateTable::Contact => "contact",
        StateTable::Generation => "generation",
        StateTable::SeenKey => "seen_key",
        StateTable::Conversation => "conversation",
        StateTable::Message => "message",
        StateTable::Outbox => "outbox",
        StateTable::Schedule => "schedule",
        StateTable::Identity => "identity",
        StateTable::File => "file",
        StateTable::Meta => "meta",
        StateTable::Inbox => "inbox",
        StateTable::Unanswered => "unanswered",
    }
}

/// Durable at every commit; what is deleted is overwritten; nothing is written beside the database.
const SETTINGS: &str = "
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA secure_delete = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA journal_size_limit = 0;
    PRAGMA trusted_schema = OFF;
";
