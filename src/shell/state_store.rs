//! The user's state in the data directory: `state.db`, `state.key` and `state.guard`.
//!
//! The state is locked until its key is unwrapped: with the empty password at the start, with the password
//! of the identities, or later by `whisht unlock`. The data directory holds the open store, because the
//! storage thread writes to it and the identity service unlocks it. What the values mean is not known
//! here; they are sealed before they reach the database.

mod database;
mod key_file;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use circuits::erasing_rng::ErasingRng;

use self::database::StateDatabase;
use super::data_dir::{DataDir, DirError, STATE_DB, STATE_GUARD, at, files};
use super::{NoRandomness, seeded_rng};
use crate::node::OpenedState;
use crate::state::guard::{
    COMMITS_PER_ADVANCE, GuardPair, GuardStep, GuardValue, GuardVerdict, advance, judge,
};
use crate::state::master_key::{MasterKey, UnwrapError};
use crate::state::{STALE, StateChange, StateRow, StateRows, StateTable};

pub use self::key_file::{
    follow_password, is_protected, needs_password, open_unprotected, protect, unlock,
};

/// The place of a data directory for its open state.
#[derive(Debug, Default)]
pub(super) struct StateSlot(Mutex<SlotState>);

#[derive(Debug, Default)]
struct SlotState {
    store: Option<StateStore>,
    /// What a node has not taken yet.
    opened: Option<OpenedState>,
}

impl StateSlot {
    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the key of the state is there.
    pub(super) fn is_open(&self) -> bool {
        self.lock().store.is_some()
    }

    /// Whether the state has rows that no node has taken yet.
    fn has_rows(&self) -> bool {
        let slot = self.lock();
        let opened = slot.opened.as_ref();
        opened.is_some_and(|opened| !opened.rows.is_empty())
    }

    /// Opens the state with its key.
    fn open(&self, dir: &DataDir, key: MasterKey) -> Result<(), StateError> {
        let (store, opened) = StateStore::open(dir, key)?;
        *self.lock() = SlotState {
            store: Some(store),
            opened: Some(opened),
        };
        Ok(())
    }

    /// Erases the key of the state from memory. The node has to be locked: nothing is stored afterwards.
    pub(super) fn close(&self) {
        *self.lock() = SlotState::default();
    }

    /// The rows for a node that starts or is unlocked; `None` while the state is locked.
    ///
    /// # Errors
    ///
    /// [`StateError`] if an earlier node took them and they cannot be read again.
    pub(super) fn take_opened(&self) -> Result<Option<OpenedState>, StateError> {
        let mut slot = self.lock();
        if let Some(opened) = slot.opened.take() {
            return Ok(Some(opened));
        }
        slot.store.as_mut().map(StateStore::load).transpose()
    }

    /// Makes changes durable, all or none.
    ///
    /// # Errors
    ///
    /// [`StateError`]; the same changes may be tried again.
    pub(super) fn commit<'a>(
        &self,
        changes: impl Iterator<Item = &'a StateChange>,
    ) -> Result<(), StateError> {
        match &mut self.lock().store {
            Some(store) => store.commit(changes),
            None => Err(StateError::Locked),
        }
    }

    /// Removes what earlier values left in the write-ahead log.
    ///
    /// # Errors
    ///
    /// [`StateError`] if the database cannot be written.
    pub(super) fn erase_log(&self) -> Result<(), StateError> {
        match &self.lock().store {
            Some(store) => store.database.truncate_log(),
            None => Ok(()),
        }
    }
}

/// An open state.
struct StateStore {
    database: StateDatabase,
    key: MasterKey,
    rng: ErasingRng,
    guard_path: PathBuf,
    /// The value in the guard's file.
    guard: Option<GuardValue>,
    /// Commits since the guard advanced.
    commits: u32,
}

impl StateStore {
    fn open(dir: &DataDir, key: MasterKey) -> Result<(Self, OpenedState), StateError> {
        let guard_path = dir.path().join(STATE_GUARD);
        let mut store = Self {
            database: StateDatabase::open(&dir.path().join(STATE_DB))?,
            key,
            rng: seeded_rng()?,
            guard: key_file::read_guard(&guard_path)?,
            guard_path,
            commits: 0,
        };
        let opened = store.load()?;
        if opened.is_stale {
            tracing::warn!(
                "the contacts and messages are an older copy, such as a backup: conversations stop \
                 until they are renewed"
            );
        }
        Ok((store, opened))
    }

    /// Reads all rows, judges whether they are an old copy, and advances the guard.
    fn load(&mut self) -> Result<OpenedState, StateError> {
        let mut rows = self.database.load(&self.key)?;
        let mut pair = None;
        let mut is_stale = false;
        rows.retain(|row| match (row.table, row.id.as_bytes()) {
            (StateTable::Meta, GUARD) => {
                pair = read_pair(row);
                false
            }
            (StateTable::Meta, STALE) => {
                is_stale = true;
                false
            }
            _ => true,
        });
        // A state without rows can be continued, wherever it comes from.
        let is_old = judge(pair, self.guard) == GuardVerdict::OldCopy && !rows.is_empty();
        if is_old && !is_stale {
            is_stale = true;
            let mark = StateChange::put(StateTable::Meta, STALE, Vec::new().into());
            self.write([mark].iter())?;
        }
        self.advance_guard()?;
        Ok(OpenedState {
            rows: StateRows::new(rows),
            is_stale,
        })
    }

    fn commit<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a StateChange>,
    ) -> Result<(), StateError> {
        self.write(changes)?;
        self.commits = self.commits.saturating_add(1);
        if self.commits >= COMMITS_PER_ADVANCE {
            self.advance_guard()?;
        }
        Ok(())
    }

    fn write<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a StateChange>,
    ) -> Result<(), StateError> {
        self.database.write(&self.key, changes, &mut self.rng)
    }

    fn advance_guard(&mut self) -> Result<(), StateError> {
        for step in advance(self.guard, &mut self.rng) {
            match step {
                GuardStep::Database(pair) => {
                    let value = [pair.current, pair.next].concat().into();
                    let put = StateChange::put(StateTable::Meta, GUARD, value);
                    self.write([put].iter())?;
                }
                GuardStep::File(value) => {
                    files::replace(&self.guard_path, &value)
                        .map_err(|error| at(&self.guard_path, error))?;
                    self.guard = Some(value);
                }
            }
        }
        self.commits = 0;
        Ok(())
    }
}

impl std::fmt::Debug for StateStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateStore(..)")
    }
}

fn read_pair(row: &StateRow) -> Option<GuardPair> {
    let (current, next) = row.value.split_first_chunk()?;
    Some(GuardPair {
        current: *current,
        next: next.try_into().ok()?,
    })
}

/// The row with the guard's values.
const GUARD: &[u8] = b"guard";

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The data directory.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The database is damaged, or is not the one of this key.
    #[error(
        "{}: {cause}; restore state.db and state.key of one backup, or move both away to begin \
         without contacts and messages",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The cause.
        cause: String,
    },
    /// The key does not unwrap.
    #[error("{}: {error}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: UnwrapError,
    },
    /// A later version created the database.
    #[error("state.db was written by a later version of whisht; use that version")]
    Later,
    /// The state is written while it is locked.
    #[error("the contacts and messages are locked; unlock them with `whisht unlock`")]
    Locked,
    /// The system gave no random numbers.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The database cannot be used.
    #[error("state.db: {0}; check that its disk has room and works")]
    Sqlite(#[from] rusqlite::Error),
}

impl StateError {
    /// Whether the password is another one.
    #[must_use]
    pub const fn is_wrong_password(&self) -> bool {
        matches!(
            self,
            Self::Key {
                error: UnwrapError::WrongPassword,
                ..
            }
        )
    }
}

#[cfg(test)]
mod tests;
