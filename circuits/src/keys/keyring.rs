//! The onion keys that a relay holds at one time.
//!
//! At most three windows overlap, and their hints differ, so the hint in a cell's version byte
//! names one key or none; a relay never tries keys in turn.

use std::collections::BTreeMap;

use core::fmt;
use core::ops::Range;

use super::OnionSecret;
use crate::ids::Epoch;
use crate::time::UnixSecs;

/// When the key of `epoch` opens cells: from one hour before the epoch until twelve hours after.
#[must_use]
pub const fn acceptance(epoch: Epoch) -> Range<UnixSecs> {
    let end = epoch.next().start().after(ACCEPT_AFTER);
    epoch.start().before(ACCEPT_BEFORE)..end
}

/// Onion keys by epoch, each with a companion that lives and dies with it.
#[derive(Debug)]
pub struct OnionKeyring<T> {
    held: BTreeMap<Epoch, HeldKey<T>>,
}

/// One key and its companion; dropping it wipes the key.
#[derive(Debug)]
pub struct HeldKey<T> {
    /// The key itself.
    pub secret: OnionSecret,
    /// What must not outlive the key: at a relay, the tags of the cells it opened.
    pub companion: T,
}

impl<T> OnionKeyring<T> {
    /// A ring without keys.
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
    /// [`DuplicateKey`] if there is one already: replacing it would forget its companion.
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

    /// The key that a cell with `hint` asks for at `now`, if it is held and accepted.
    pub fn find(&mut self, hint: u8, now: UnixSecs) -> Option<(Epoch, &mut HeldKey<T>)> {
        let epoch = epoch_of(hint, now)?;
        self.held.get_mut(&epoch).map(|held| (epoch, held))
    }

    /// The key of `epoch`, whatever the time.
    #[must_use]
    pub fn get(&self, epoch: Epoch) -> Option<&HeldKey<T>> {
        self.held.get(&epoch)
    }

    /// Wipes every key whose time is over and returns their epochs.
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

/// The ring has a key for this epoch already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DuplicateKey;

impl fmt::Display for DuplicateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key for this epoch is held already")
    }
}

impl core::error::Error for DuplicateKey {}

/// The epoch with this hint whose key is accepted at `now`.
fn epoch_of(hint: u8, now: UnixSecs) -> Option<Epoch> {
    let current = Epoch::at(now);
    [current, current.previous(), current.next()]
        .into_iter()
        .find(|epoch| epoch.hint() == hint && acceptance(*epoch).contains(&now))
}

/// Seconds before its epoch from which a key is accepted, for clocks that run early.
const ACCEPT_BEFORE: u32 = 3_600;
/// Seconds after its epoch for which a key is accepted, for cells on their way.
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
    fn a_key_is_accepted_from_an_hour_before_its_epoch_until_twelve_hours_after() {
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
    fn a_hint_that_names_no_live_epoch_finds_nothing() {
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
    fn a_hint_sixteen_epochs_old_does_not_reach_a_newer_key() {
        let mut ring = ring([23]);
        assert!(ring.find(7, Epoch(7).start()).is_none());
        assert!(ring.find(7, Epoch(23).start()).is_some());
    }

    #[test]
    fn expiry_takes_exactly_the_keys_whose_time_is_over() {
        let mut ring = ring([5, 6, 7]);
        assert_eq!(ring.expire(Epoch(8).start().before(1)), [Epoch(5)]);
        assert_eq!(ring.expire(Epoch(8).start()), [Epoch(6)]);
        assert!(ring.get(Epoch(7)).is_some());
    }

    #[test]
    fn a_second_key_for_an_epoch_is_refused() {
        let mut ring = ring([7]);
        assert_eq!(ring.insert(Epoch(7), key(2), ()), Err(DuplicateKey));
        let held = ring.get(Epoch(7)).unwrap();
        assert_eq!(held.secret.public(), key(1).public());
    }
}
