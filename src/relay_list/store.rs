//! The lists that a node holds, and which of them is in force.
//!
//! The rules (docs/wire/relay-list.md, section "Which list is in force"):
//!
//! * The list in force in an epoch is the valid one with the latest beginning. A list that arrived after
//!   the freeze of the epoch waits for the next one, unless the node was offline at the freeze or has no
//!   other, so that nodes change their list at the same moment.
//! * A list that begins before the one in force is refused: a peer cannot bring an older list back.
//! * Two lists that begin in one epoch are both refused, and both passed on: a peer that shows one list to
//!   one node and another list to the others is noticed.
//! * A list must carry every rotation before it that this node knows. Signers that were replaced cannot
//!   sign a second succession.

use std::collections::BTreeMap;

use circuits::ids::Epoch;
use circuits::time::UnixSecs;

use super::{ListId, SignerSet, VerifiedList};

/// Maximum number of epochs by which a list may begin in the future: two days. It bounds the number of
/// held lists.
pub const MAX_AHEAD: u32 = 4;

/// A list that the node holds.
#[derive(Clone, Debug)]
pub struct HeldList {
    /// The list.
    pub list: VerifiedList,
    /// When it arrived.
    pub received: UnixSecs,
}

/// The lists that begin in one epoch.
#[derive(Debug)]
struct EpochLists {
    first: HeldList,
    /// A second list of the same epoch. Neither is in force then.
    rival: Option<HeldList>,
}

/// The lists of one network, by the epoch in which they begin.
#[derive(Debug, Default)]
pub struct ListStore {
    held: BTreeMap<Epoch, EpochLists>,
}

/// What became of a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ListInsertion {
    /// It is held now.
    New,
    /// It was held already.
    Known,
    /// Another list begins in the same epoch, with this id. Both are held, and neither is in force.
    Conflict(ListId),
}

/// The reason why a verified list is not held.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ListRefusal {
    /// Two lists of its epoch are held already.
    #[error("two other lists begin in the same epoch")]
    ManyOfOneEpoch,
    /// It begins before the list in force.
    #[error("the relay list begins in epoch {from}, before the newest list that was in force, of epoch {newest}", from = .from.0, newest = .newest.0)]
    Older {
        /// Its beginning.
        from: Epoch,
        /// The beginning of the newest list that is or was in force.
        newest: Epoch,
    },
    /// Its signers were replaced, or it leads to other signers than those that replaced them.
    #[error("the relay list does not carry the rotation of signers that this node knows")]
    Replaced,
    /// It begins too far in the future.
    #[error("the relay list begins in epoch {from}, more than {MAX_AHEAD} epochs from now", from = .from.0)]
    TooEarly {
        /// Its beginning.
        from: Epoch,
    },
    /// It has expired, and a newer one is held.
    #[error("the relay list expired at the start of epoch {until}", until = .until.0)]
    Expired {
        /// The first epoch in which it is not valid.
        until: Epoch,
    },
}

impl ListRefusal {
    /// What the user can do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Expired { .. } | Self::Older { .. } => "get the newest list from the signers",
            Self::ManyOfOneEpoch => "ask the signers for a list that begins in a later epoch",
            Self::Replaced => "ask the signers for a list that carries this rotation",
            Self::TooEarly { .. } => "publish it in the last two days before it begins",
        }
    }
}

impl ListStore {
    /// Takes a verified list. The caller passes on every list that is held.
    ///
    /// # Errors
    ///
    /// [`ListRefusal`]; the store is then unchanged.
    pub fn insert(
        &mut self,
        now: UnixSecs,
        list: VerifiedList,
    ) -> Result<ListInsertion, ListRefusal> {
        let epoch = Epoch::at(now);
        let (from, until) = (list.header().from, list.header().until);
        if from.0 > epoch.0.saturating_add(MAX_AHEAD) {
            return Err(ListRefusal::TooEarly { from });
        }
        if until <= epoch {
            return Err(ListRefusal::Expired { until });
        }
        let newest = self.newest_begun(epoch);
        if let Some(newest) = newest.filter(|newest| from < *newest) {
            return Err(ListRefusal::Older { from, newest });
        }
        if !self.carries_known_rotations(&list) {
            return Err(ListRefusal::Replaced);
        }
        let held = HeldList {
            list,
            received: now,
        };
        self.add(from, held)
    }

    fn add(&mut self, from: Epoch, held: HeldList) -> Result<ListInsertion, ListRefusal> {
        let Some(lists) = self.held.get_mut(&from) else {
            let lists = EpochLists {
                first: held,
                rival: None,
            };
            self.held.insert(from, lists);
            return Ok(ListInsertion::New);
        };
        let (id, first) = (held.list.id(), lists.first.list.id());
        match &lists.rival {
            _ if id == first => Ok(ListInsertion::Known),
            Some(rival) if id == rival.list.id() => Ok(ListInsertion::Known),
            Some(_) => Err(ListRefusal::ManyOfOneEpoch),
            None => {
                lists.rival = Some(held);
                Ok(ListInsertion::Conflict(first))
            }
        }
    }

    /// Restores a list that an earlier run held. An expired one is held too: it is the bound that no older
    /// list passes.
    pub fn restore(&mut self, now: UnixSecs, held: HeldList) {
        let from = held.list.header().from;
        let is_ahead = from.0 > Epoch::at(now).0.saturating_add(MAX_AHEAD);
        if !is_ahead && self.carries_known_rotations(&held.list) {
            // More than two of one epoch are never stored.
            let _refused = self.add(from, held);
        }
    }

    /// Drops the lists that a newer one has replaced. The newest is kept after it has expired.
    pub fn expire(&mut self, now: UnixSecs) {
        let epoch = Epoch::at(now);
        // A newer list that arrived after the freeze waits, and the one before it is in force.
        let in_force = self.in_force(now, false);
        let keep = in_force.map(|held| held.list.header().from);
        let newest = self.newest_begun(epoch);
        self.held.retain(|from, lists| {
            let is_old = keep.is_some_and(|keep| *from < keep);
            let is_expired = lists.first.list.header().until <= epoch;
            !is_old && (!is_expired || Some(*from) == newest)
        });
    }

    /// The list in force in the epoch of `now`. `missed_freeze` is whether the node was offline when the
    /// relays of the epoch were frozen.
    #[must_use]
    pub fn in_force(&self, now: UnixSecs, missed_freeze: bool) -> Option<&HeldList> {
        let epoch = Epoch::at(now);
        let frozen = epoch.freeze();
        let mut usable =
            self.held.values().rev().filter(|lists| {
                lists.rival.is_none() && lists.first.list.header().is_valid_in(epoch)
            });
        let in_time = |lists: &&EpochLists| missed_freeze || lists.first.received <= frozen;
        let first = usable.clone().find(in_time);
        let lists = first.or_else(|| usable.next())?;
        Some(&lists.first)
    }

    /// The list that begins last, whether or not it has begun or expired. Lists in a conflict are left aside.
    #[must_use]
    pub fn newest(&self) -> Option<&HeldList> {
        let mut lists = self.held.values().rev();
        let newest = lists.find(|lists| lists.rival.is_none())?;
        Some(&newest.first)
    }

    /// All held lists, the newest last; two of one epoch follow each other.
    pub fn iter(&self) -> impl Iterator<Item = &HeldList> {
        self.held
            .values()
            .flat_map(|lists| core::iter::once(&lists.first).chain(&lists.rival))
    }

    /// The held list with this id.
    #[must_use]
    pub fn get(&self, id: ListId) -> Option<&HeldList> {
        self.iter().find(|held| held.list.id() == id)
    }

    /// The epochs in which two lists begin.
    pub fn conflicts(&self) -> impl Iterator<Item = Epoch> {
        let lists = self.held.iter();
        lists.filter_map(|(from, lists)| lists.rival.as_ref().map(|_| *from))
    }

    /// Whether a list that begins in this epoch can be held, as far as that is known without the list.
    #[must_use]
    pub fn is_wanted(&self, now: UnixSecs, from: Epoch, id: ListId) -> bool {
        let epoch = Epoch::at(now);
        let is_full = |lists: &EpochLists| lists.rival.is_some();
        from.0 <= epoch.0.saturating_add(MAX_AHEAD)
            && self.newest_begun(epoch).is_none_or(|newest| from >= newest)
            && !self.held.get(&from).is_some_and(is_full)
            && self.get(id).is_none()
    }

    /// The beginning of the newest list that has begun and is not in a conflict.
    fn newest_begun(&self, epoch: Epoch) -> Option<Epoch> {
        let begun = self.held.range(..=epoch).rev();
        let mut usable = begun.filter(|(_, lists)| lists.rival.is_none());
        usable.next().map(|(from, _)| *from)
    }

    /// Whether a list carries every rotation before it that this node knows.
    fn carries_known_rotations(&self, list: &VerifiedList) -> bool {
        let from = list.header().from;
        let mut known: BTreeMap<Epoch, &SignerSet> = BTreeMap::new();
        let settled = self.held.values().filter(|lists| lists.rival.is_none());
        for (epoch, next) in settled.flat_map(|lists| lists.first.list.rotations()) {
            if *epoch < from {
                known.insert(*epoch, next);
            }
        }
        let carried = list.rotations().iter().map(|(epoch, next)| (*epoch, next));
        let mut carried = carried.take(known.len());
        known.into_iter().all(|known| carried.next() == Some(known))
    }
}

#[cfg(test)]
mod tests;
