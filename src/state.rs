//! The state of a user that survives restarts: contacts, conversations, messages, keys.
//!
//! Components describe what changes as [`StateChange`]s; a shell makes the changes of one record durable
//! together or not at all, and gives every row back at the next start. Rows are sealed under a key that a
//! password protects (`MasterKey`), and an old copy of the state is recognised
//! (`RollbackGuard`). The formats are in docs/wire/contact.md, "State".
//!
//! Nothing here opens a file, and nothing here knows what the values mean.

pub mod guard;
pub mod master_key;
pub mod sealed_row;

use core::fmt;

use zeroize::Zeroizing;

/// What a row of the state belongs to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum StateTable {
    /// Contacts.
    Contact,
    /// Generations of card keys.
    Generation,
    /// Ephemeral keys of first messages that were opened, so that a replay is not opened again.
    SeenKey,
    /// Conversations: chains, ratchet, epochs.
    Conversation,
    /// Messages of conversations.
    Message,
    /// Outgoing messages that have not ended.
    Outbox,
    /// Drawn times of card publication.
    Schedule,
    /// Identities with an address.
    Identity,
    /// Files.
    File,
    /// Facts about the state itself.
    Meta,
    /// Whisper messages for identities: the inbox.
    Inbox,
    /// Messages of conversations that the other side has not answered.
    Unanswered,
}

impl StateTable {
    /// All tables.
    pub const ALL: [Self; 12] = [
        Self::Contact,
        Self::Generation,
        Self::SeenKey,
        Self::Conversation,
        Self::Message,
        Self::Outbox,
        Self::Schedule,
        Self::Identity,
        Self::File,
        Self::Meta,
        Self::Inbox,
        Self::Unanswered,
    ];

    /// The number that separates the keys of tables. It is part of every sealed row and never changes.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Contact => 1,
            Self::Generation => 2,
            Self::SeenKey => 3,
            Self::Conversation => 4,
            Self::Message => 5,
            Self::Outbox => 6,
            Self::Schedule => 7,
            Self::Identity => 8,
            Self::File => 9,
            Self::Meta => 10,
            Self::Inbox => 11,
            Self::Unanswered => 12,
        }
    }
}

/// What a component calls a row; unique within its table. At most [`StateId::MAX_LEN`] bytes.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub struct StateId(Vec<u8>);

impl StateId {
    /// Longest id in bytes.
    pub const MAX_LEN: usize = 255;

    /// An id; bytes beyond [`StateId::MAX_LEN`] are refused when the row is sealed.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for StateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateId(..)")
    }
}

/// One change of the state.
pub enum StateChange {
    /// Writes a row, in place of the row with this id if there is one.
    Put {
        /// The table.
        table: StateTable,
        /// The id within the table.
        id: StateId,
        /// The content, in the format of its component.
        value: Zeroizing<Vec<u8>>,
    },
    /// Erases a row, if there is one.
    Delete {
        /// The table.
        table: StateTable,
        /// The id within the table.
        id: StateId,
    },
}

impl StateChange {
    /// Writes a row.
    #[must_use]
    pub fn put(table: StateTable, id: impl Into<Vec<u8>>, value: Zeroizing<Vec<u8>>) -> Self {
        let id = StateId::new(id);
        Self::Put { table, id, value }
    }

    /// Erases a row.
    #[must_use]
    pub fn delete(table: StateTable, id: impl Into<Vec<u8>>) -> Self {
        let id = StateId::new(id);
        Self::Delete { table, id }
    }

    /// Says that every conversation of an old copy is marked stale. It belongs into the same record as
    /// these marks: until then, the state is reported as stale at every start.
    #[must_use]
    pub fn stale_is_handled() -> Self {
        Self::delete(StateTable::Meta, STALE)
    }

    /// The number of bytes that it occupies while it waits for the disk.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Put { id, value, .. } => id.0.len().saturating_add(value.len()),
            Self::Delete { id, .. } => id.0.len(),
        }
    }

    /// Whether it occupies no bytes beyond itself.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for StateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { table, .. } => write!(f, "Put({table:?}, ..)"),
            Self::Delete { table, .. } => write!(f, "Delete({table:?}, ..)"),
        }
    }
}

/// A row as the last run left it.
pub struct StateRow {
    /// The table.
    pub table: StateTable,
    /// The id within the table.
    pub id: StateId,
    /// The content, in the format of its component.
    pub value: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for StateRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateRow({:?}, ..)", self.table)
    }
}

/// All rows of a state, ordered by table and id.
#[derive(Debug, Default)]
pub struct StateRows(Vec<StateRow>);

impl StateRows {
    /// Orders rows.
    #[must_use]
    pub fn new(mut rows: Vec<StateRow>) -> Self {
        rows.sort_by(|a, b| (a.table, &a.id).cmp(&(b.table, &b.id)));
        Self(rows)
    }

    /// Removes the rows of a table and gives them to its component, ordered by id.
    #[must_use]
    pub fn take(&mut self, table: StateTable) -> Vec<StateRow> {
        let (taken, left) = core::mem::take(&mut self.0)
            .into_iter()
            .partition(|row| row.table == table);
        self.0 = left;
        taken
    }

    /// Number of rows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The row of [`StateTable::Meta`] that is there while an old copy of the state has not been handled.
pub const STALE: &[u8] = b"stale";
