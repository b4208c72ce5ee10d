//! The disk of one node: what it has made durable.
//!
//! A disk takes time, can hang and can be damaged. A world that never restarts a node does not need
//! the records; a disk that discards acknowledges them and keeps none. A disk can hang after a chosen
//! number of records, so that a test kills a node at each of its commit points.

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::ids::Epoch;
use circuits::secret::Secret;

use zeroize::Zeroizing;

use crate::node::{Record, Restored, StoreId};
use crate::state::{STALE, StateChange, StateId, StateRow, StateRows, StateTable};

/// The disks of a world.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskModel {
    /// Time until a record is durable.
    pub delay: Duration,
    /// Whether records are discarded once they are acknowledged. Nodes then cannot be restarted
    /// with what they stored.
    pub discards: bool,
}

impl DiskModel {
    /// A solid-state disk, which takes 2 ms for a durable write. Records are discarded.
    pub const SOLID_STATE: Self = Self {
        delay: Duration::from_millis(2),
        discards: true,
    };
}

/// What one node has made durable.
#[derive(Default)]
pub struct SimDisk {
    discards: bool,
    keys: BTreeMap<Epoch, Secret<32>>,
    logs: BTreeMap<Epoch, Vec<u8>>,
    own: BTreeMap<Epoch, Vec<u8>>,
    directory: Vec<Vec<u8>>,
    guards: Vec<u8>,
    relay_lists: Vec<u8>,
    state: BTreeMap<(StateTable, StateId), Zeroizing<Vec<u8>>>,
    /// Whether the state was replaced by an old copy of it, which its guard reports.
    is_old_copy: bool,
    /// Records that are not durable yet, if the disk hangs.
    pending: Option<Vec<(StoreId, Record)>>,
    /// Records of the user's state that still become durable before the disk hangs.
    until_hang: Option<u64>,
    /// Records of the user's state that have become durable.
    state_commits: u64,
}

/// The user's state of one node at one moment, as a backup has it.
pub struct StateBackup(BTreeMap<(StateTable, StateId), Zeroizing<Vec<u8>>>);

impl SimDisk {
    pub(super) fn new(model: DiskModel) -> Self {
        Self {
            discards: model.discards,
            ..Self::default()
        }
    }

    /// From now on nothing becomes durable.
    pub fn hang(&mut self) {
        self.pending = Some(Vec::new());
    }

    /// After so many further records of the user's state, nothing becomes durable: the record that
    /// follows them, and everything after it, is lost when the node is killed.
    pub fn hang_after(&mut self, commits: u64) {
        self.until_hang = Some(commits);
    }

    /// Whether records wait that are lost if the power fails now.
    #[must_use]
    pub fn has_lost_records(&self) -> bool {
        self.pending
            .as_ref()
            .is_some_and(|pending| !pending.is_empty())
    }

    /// Number of records of the user's state that have become durable.
    #[must_use]
    pub const fn state_commits(&self) -> u64 {
        self.state_commits
    }

    /// A copy of the user's state.
    #[must_use]
    pub fn back_up_state(&self) -> StateBackup {
        StateBackup(self.state.clone())
    }

    /// Puts a copy in the place of the user's state. If `is_noticed`, its guard was not copied with it.
    pub fn put_back_state(&mut self, backup: StateBackup, is_noticed: bool) {
        self.state = backup.0;
        self.is_old_copy |= is_noticed;
    }

    /// The machine lost its power: what waited is lost, and the disk works again.
    pub(super) fn lose_power(&mut self) {
        self.pending = None;
        self.until_hang = None;
    }

    /// Takes a record; whether it is durable.
    pub(super) fn store(&mut self, id: StoreId, record: Record) -> bool {
        if matches!(record, Record::State(_)) {
            match &mut self.until_hang {
                Some(0) => {
                    self.pending.get_or_insert_default();
                }
                Some(left) => *left -= 1,
                None => {}
            }
        }
        match &mut self.pending {
            Some(pending) => pending.push((id, record)),
            None => self.write(record),
        }
        self.pending.is_none()
    }

    /// Writes the records that waited; gives the last of them.
    pub(super) fn release(&mut self) -> Option<StoreId> {
        let mut last = None;
        for (id, record) in self.pending.take().unwrap_or_default() {
            self.write(record);
            last = Some(id);
        }
        last
    }

    fn write(&mut self, record: Record) {
        // The own descriptor stays: the world reads a relay's onion keys from it.
        if self.discards && !matches!(record, Record::OwnDescriptor(..)) {
            return;
        }
        match record {
            Record::OnionKey(epoch, secret) => {
                self.keys.insert(epoch, secret);
                self.logs.insert(epoch, Vec::new());
            }
            Record::ReplayTags(epoch, block) => {
                self.logs.entry(epoch).or_default().extend(block);
            }
            Record::EraseOnionKey(epoch) => {
                self.keys.remove(&epoch);
                self.logs.remove(&epoch);
            }
            Record::OwnDescriptor(epoch, raw) => {
                self.own.insert(epoch, raw);
            }
            Record::Directory(directory) => self.directory = directory,
            Record::Guards(guards) => self.guards = guards,
            Record::RelayLists(lists) => self.relay_lists = lists,
            Record::State(changes) => {
                self.state_commits += 1;
                changes.into_iter().for_each(|change| self.change(change));
            }
        }
    }

    /// The state of a node that starts again.
    pub(super) fn restored(&self) -> Restored {
        let copy = |secret: &Secret<32>| Secret::init_with(|copy| *copy = *secret.expose());
        let log = |epoch| self.logs.get(epoch).cloned().unwrap_or_default();
        Restored {
            onion_keys: self
                .keys
                .iter()
                .map(|(epoch, secret)| (*epoch, copy(secret), log(epoch)))
                .collect(),
            own_descriptors: self
                .own
                .iter()
                .map(|(epoch, raw)| (*epoch, raw.clone()))
                .collect(),
            directory: self.directory.clone(),
            guards: self.guards.clone(),
            relay_lists: self.relay_lists.clone(),
            relay_list_file: None,
            state: Some(self.state()),
            state_is_stale: self.is_old_copy,
        }
    }

    /// The rows of the user's state.
    #[must_use]
    pub fn state(&self) -> StateRows {
        let rows = self.state.iter();
        StateRows::new(
            rows.map(|((table, id), value)| StateRow {
                table: *table,
                id: id.clone(),
                value: value.clone(),
            })
            .collect(),
        )
    }

    fn change(&mut self, change: StateChange) {
        match change {
            StateChange::Put { table, id, value } => {
                self.state.insert((table, id), value);
            }
            StateChange::Delete { table, id } => {
                if (table, id.as_bytes()) == (StateTable::Meta, STALE) {
                    self.is_old_copy = false;
                }
                self.state.remove(&(table, id));
            }
        }
    }

    /// The node's own descriptor for an epoch, once it is durable.
    pub(super) fn own_descriptor(&self, epoch: Epoch) -> Option<&[u8]> {
        self.own.get(&epoch).map(Vec::as_slice)
    }

    /// Epochs whose onion key is here.
    #[must_use]
    pub fn key_epochs(&self) -> Vec<Epoch> {
        self.keys.keys().copied().collect()
    }

    /// Flips one bit at the end of the tag log of a key; whether there is such a log.
    pub fn corrupt_log(&mut self, epoch: Epoch) -> bool {
        let last = self.logs.get_mut(&epoch).and_then(|log| log.last_mut());
        last.map(|byte| *byte ^= 1).is_some()
    }
}
