//! The onion keys of a relay.
//!
//! At most three validity periods overlap, and their hints differ. The hint in the version byte of
//! a cell therefore selects one key or none; a relay never tries keys in turn.

use std::collections::BTreeMap;

use core::fmt;
use core::ops::Range;

use super::OnionSecret;
use crate::ids::Epoch;
use crate::time::UnixSecs;

/// Period in which the key of `epoch` decrypts cells: from one hour before the epoch until twelve
/// hours after it.
#[must_use]
pub const fn acceptance(epoch: Epoch) -> Range<UnixSecs> {
    let end = epoch.next().start().after(ACCEPT_AFTER);
    epoch.start().before(ACCEPT_BEFORE)..end
}

/// Onion keys by epoch, each with a companion of the same lifetime.
#[derive(Debug)]
pub struct OnionKeyring<T> {
    held: BTreeMap<Epoch, HeldKey<T>>,
}

/// One key and its companion; dropping it wipes the key.
#[derive(Debug)]
pub struct HeldKey<T> {
    /// The key itself.
    pub secret: OnionSecret,
    /// Data that must not outlive the key: at a relay, the replay tags of the cells that it
    /// decrypted.
    pub companion: T,
}

impl<T> OnionKeyring<T> {
    /// A keyring without keys.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            held: BTreeMap::new(),
        }
    }

    /// Adds the key of `epoch`.
    ///
    /// # Errors
    ///
    /// [`DuplicateKey`] if the epoch has a key: replacing it would lose its companion.
    pub fn insert(
        &mut self,
        epoch: Epoch,
        secret: OnionSecret,
        companion: T,
    ) -> Result<(), DuplicateKey> {
        if self.held.contains_key(&epoch) {
            return Err(DuplicateKey);
        }
        self.held.insert(epoch, HeldKey { secret, companion });
        Ok(())
    }

    /// The key for a cell with `hint` at `now`, if the keyring has it and it is valid.
    pub fn find(&mut self, hint: u8, now: UnixSecs) -> Option<(Epoch, &mut HeldKey<T>)> {
        let epoch = epoch_of(hint, now)?;
        self.held.get_mut(&epoch).map(|held| (epoch, held))
    }

    /// The key of `epoch`, at any time.
    #[must_use]
    pub fn get(&self, epoch: Epoch) -> Option<&HeldKey<T>> {
        self.held.get(&epoch)
    }

    /// Wipes every expired key and returns their epochs.
    pub fn expire(&mut self, now: UnixSecs) -> Vec<Epoch> {
        self.held
            .extract_if(.., |epoch, _| acceptance(*epoch).end <= now)
            .map(|(epoch, _)| epoch)
            .collect()
    }
}

impl<T> Default for OnionKeyring<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The keyring already has a key for this epoch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DuplicateKey;

impl fmt::Display for DuplicateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the keyring already has a key for this epoch")
    }
}

impl core::error::Error for DuplicateKey {}

/// The epoch with this hint whose key is valid at `now`.
fn epoch_of(hint: u8, now: UnixSecs) -> Option<Epoch> {
    let current = Epoch::at(now);
    [current, current.previous(), current.next()]
        .into_iter()
        .find(|epoch| epoch.hint() == hint && acceptance(*epoch).contains(&now))
}

/// Seconds before its epoch from which a key is valid, for clocks that are ahead.
const ACCEPT_BEFORE: u32 = 3_600;
/// Seconds after its epoch for which a key is valid, for cells in transit.
const ACCEPT_AFTER: u32 = Epoch::SECS;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn key(seed: u8) -> OnionSecret {
        OnionSecret::from_secret(Secret::init_with(|bytes| bytes.fill(seed)))
    }

    fn ring(epochs: impl IntoIterator<Item = u32>) -> OnionKeyring<()> {
        let mut ring = OnionKeyring::new();
        for epoch in epochs {
            ring.insert(Epoch(epoch), key(1), ()).unwrap();
        }
        ring
    }

    #[test]
    fn key_is_valid_from_one_hour_before_until_twelve_hours_after_epoch() {
        let mut ring = ring([7]);
        let start = Epoch(7).start();
        let end = Epoch(9).start();
        for (now, found) in [
            (start.before(3_601), false),
            (start.before(3_600), true),
            (end.before(1), true),
            (end, false),
        ] {
            assert_eq!(ring.find(7, now).is_some(), found, "{now:?}");
        }
    }

    #[test]
    fn hint_without_valid_epoch_finds_no_key() {
        let mut ring = ring([6, 7, 8]);
        let now = Epoch(7).start();
        for hint in 0..16 {
            let found = ring.find(hint, now).map(|(epoch, _)| epoch);
            let expected = match hint {
                6 => Some(Epoch(6)),
                7 => Some(Epoch(7)),
                _ => None,
            };
            assert_eq!(found, expected, "hint {hint}");
        }
    }

    #[test]
    fn hint_of_sixteen_epochs_ago_does_not_find_newer_key() {
        let mut ring = ring([23]);
        assert!(ring.find(7, Epoch(7).start()).is_none());
        assert!(ring.find(7, Epoch(23).start()).is_some());
    }

    #[test]
    fn expire_removes_exactly_the_expired_keys() {
        let mut ring = ring([5, 6, 7]);
        assert_eq!(ring.expire(Epoch(8).start().before(1)), [Epoch(5)]);
        assert_eq!(ring.expire(Epoch(8).start()), [Epoch(6)]);
        assert!(ring.get(Epoch(7)).is_some());
    }

    #[test]
    fn second_key_for_epoch_is_refused() {
        let mut ring = ring([7]);
        assert_eq!(ring.insert(Epoch(7), key(2), ()), Err(DuplicateKey));
        let held = ring.get(Epoch(7)).unwrap();
        assert_eq!(held.secret.public(), key(1).public());
    }
}
