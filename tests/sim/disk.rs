//! A disk that can be slow, and that a test can damage.

use std::collections::BTreeMap;

use circuits::ids::Epoch;
use circuits::secret::Secret;
use whisht::node::{Record, Restored, StoreId};

/// What one node has made durable.
#[derive(Default)]
pub(crate) struct SimDisk {
    keys: BTreeMap<Epoch, Secret<32>>,
    logs: BTreeMap<Epoch, Vec<u8>>,
    own: BTreeMap<Epoch, Vec<u8>>,
    directory: Vec<Vec<u8>>,
    guards: Vec<u8>,
    /// Records that are not durable yet, if the disk hangs.
    pending: Option<Vec<(StoreId, Record)>>,
}

impl SimDisk {
    /// From now on nothing becomes durable.
    pub(crate) fn hang(&mut self) {
        self.pending = Some(Vec::new());
    }

    /// Takes a record; whether it is durable.
    pub(super) fn store(&mut self, id: StoreId, record: Record) -> bool {
        match &mut self.pending {
            Some(pending) => pending.push((id, record)),
            None => self.write(record),
        }
        self.pending.is_none()
    }

    /// Writes what was held back; gives the last of it.
    pub(super) fn release(&mut self) -> Option<StoreId> {
        let mut last = None;
        for (id, record) in self.pending.take().unwrap_or_default() {
            self.write(record);
            last = Some(id);
        }
        last
    }

    fn write(&mut self, record: Record) {
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
        }
    }

    /// What a node that starts anew is given.
    pub(super) fn restored(&self) -> Restored {
        let copy = |secret: &Secret<32>| Secret::init_with(|copy| *copy = *secret.expose());
        Restored {
            onion_keys: self
                .keys
                .iter()
                .map(|(epoch, secret)| (*epoch, copy(secret), self.logs[epoch].clone()))
                .collect(),
            own_descriptors: self
                .own
                .iter()
                .map(|(epoch, raw)| (*epoch, raw.clone()))
                .collect(),
            directory: self.directory.clone(),
            guards: self.guards.clone(),
        }
    }

    /// Epochs whose onion key is here.
    pub(crate) fn key_epochs(&self) -> Vec<Epoch> {
        self.keys.keys().copied().collect()
    }

    /// One bit of the tag log of a key changes.
    pub(crate) fn corrupt_log(&mut self, epoch: Epoch) {
        let log = self.logs.get_mut(&epoch).expect("the key has a log");
        *log.last_mut().expect("a log has a header") ^= 1;
    }
}
