//! The ephemeral keys of first messages that were opened, so that a replay is not opened again.
//!
//! Nonce and expiry of an envelope are not authenticated: a peer can send the same data in a new envelope.
//! Its ephemeral key is the same. A set belongs to one generation and is erased with it.

use std::collections::{BTreeSet, VecDeque};

/// The keys of one generation that were seen.
#[derive(Default)]
pub struct SeenKeys {
    keys: BTreeSet<[u8; 32]>,
    by_age: VecDeque<[u8; 32]>,
}

/// Whether a key was seen before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum SeenOutcome {
    /// The key is new. To make room, this other one was forgotten.
    New {
        /// The oldest key, if the set was full.
        forgotten: Option<[u8; 32]>,
    },
    /// The key was seen.
    Replayed,
}

impl SeenKeys {
    /// Maximum number of keys. Each costs its sender the work of an envelope. A replay of a forgotten key is
    /// still noticed by Olm if its conversation stands.
    pub const MAX: usize = 65_536;

    /// Notes the ephemeral key of an opened first message.
    pub fn note(&mut self, key: &[u8; 32]) -> SeenOutcome {
        if !self.keys.insert(*key) {
            return SeenOutcome::Replayed;
        }
        self.by_age.push_back(*key);
        let is_full = self.keys.len() > Self::MAX;
        let forgotten = is_full.then(|| self.by_age.pop_front()).flatten();
        if let Some(old) = &forgotten {
            self.keys.remove(old);
        }
        SeenOutcome::New { forgotten }
    }

    /// Whether a key was seen.
    #[must_use]
    pub fn contains(&self, key: &[u8; 32]) -> bool {
        self.keys.contains(key)
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &[u8; 32]> {
        self.by_age.iter()
    }
}

impl FromIterator<[u8; 32]> for SeenKeys {
    /// Restores a set from stored keys.
    fn from_iter<I: IntoIterator<Item = [u8; 32]>>(keys: I) -> Self {
        let mut seen = Self::default();
        for key in keys {
            let _restored = seen.note(&key);
        }
        seen
    }
}
