//! A relay: takes cells from its neighbours and peels one layer off each.
//!
//! Cells wait in a bounded, fair [`ingress`](RelayLimits) and are peeled one at a time, no faster
//! than the limits allow: call [`OnionRelay::accept`] as they arrive and [`OnionRelay::next_peel`]
//! when [`OnionRelay::next_due`] says so. What comes out names a [`ReplayMark`] that must be on
//! disk before the cell leaves or its content counts (spec M9); [`ReplayLog`] is the form it has
//! there.
//!
//! A cell that fails any check is dropped without an answer. The reason is for local counting:
//! whoever made the cell can let it fail at any hop, so it says nothing about the neighbour that
//! brought it, and no neighbour is punished for a single cell.

mod ingress;
mod peel;
mod rate_limit;
mod replay_log;
mod replay_set;

use core::fmt;
use core::time::Duration;

use self::ingress::IngressQueue;
pub use self::ingress::RelayLimits;
pub use self::replay_log::{ReplayLog, ReplayLogError};
pub use self::replay_set::{ReplaySet, ReplaySetError, ReplayTag};
use crate::cell::{BadSlot, Cell};
use crate::geometry::DELTA_LEN;
use crate::ids::{Epoch, LinkId, RelayId, ShortId};
use crate::keys::{DuplicateKey, HeldKey, OnionKeyring, OnionSecret};
use crate::time::{Instant, Now};

/// The onion half of a node: keys, the cells waiting to be peeled, and the tags of those that were.
#[derive(Debug)]
pub struct OnionRelay {
    id: RelayId,
    keys: OnionKeyring<ReplaySet>,
    ingress: IngressQueue,
}

impl OnionRelay {
    /// A relay without keys; it drops every cell until [`Self::install_key`].
    #[must_use]
    pub const fn new(id: RelayId, limits: RelayLimits) -> Self {
        Self {
            id,
            keys: OnionKeyring::new(),
            ingress: IngressQueue::new(limits),
        }
    }

    /// Adds the key of `epoch` with the tags of the cells that it has opened already: none for a
    /// new key, those of its log for one that was in use before a restart.
    ///
    /// # Errors
    ///
    /// [`DuplicateKey`] if the epoch has a key: replacing it would forget tags.
    pub fn install_key(
        &mut self,
        epoch: Epoch,
        secret: OnionSecret,
        seen: ReplaySet,
    ) -> Result<(), DuplicateKey> {
        self.keys.insert(epoch, secret, seen)
    }

    /// The key of `epoch` and the tags seen under it.
    #[must_use]
    pub fn key(&self, epoch: Epoch) -> Option<&HeldKey<ReplaySet>> {
        self.keys.get(epoch)
    }

    /// Wipes the keys whose time is over, with their tags, and returns their epochs so that the
    /// caller can delete the stored copies.
    pub fn expire(&mut self, now: Now) -> Vec<Epoch> {
        self.keys.expire(now.unix)
    }

    /// Queues a cell that arrived from a neighbour.
    ///
    /// # Errors
    ///
    /// Why it was dropped instead: the neighbour sends too fast, too much is waiting, or no key
    /// answers to the cell's hint.
    pub fn accept(&mut self, now: Now, from: LinkId, cell: Cell) -> Result<(), DropReason> {
        self.ingress.admit(now.mono, from)?;
        if self.keys.find(cell.view().hint(), now.unix).is_none() {
            return Err(DropReason::UnknownEpoch);
        }
        self.ingress.push(from, cell)
    }

    /// Peels the next cell, taking neighbours in turn; `None` if nothing waits or it is too early.
    pub fn next_peel(&mut self, now: Now) -> Option<PeelResult> {
        let (from, cell) = self.ingress.pop(now.mono)?;
        let outcome = match self.keys.find(cell.view().hint(), now.unix) {
            Some((epoch, held)) => peel::peel(&self.id, epoch, held, cell),
            None => Err(DropReason::UnknownEpoch),
        };
        Some(PeelResult {
            from,
            outcome: outcome.unwrap_or_else(Peeled::Dropped),
        })
    }

    /// When [`Self::next_peel`] has work to do: possibly in the past, `None` if nothing waits.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.ingress.next_due()
    }

    /// Number of cells that were queued and then lost their place to another neighbour's.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.ingress.evicted()
    }

    /// Number of cells that wait to be peeled.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.ingress.len()
    }
}

/// One unit of work done.
#[derive(Debug)]
#[must_use]
pub struct PeelResult {
    /// The neighbour that brought the cell.
    pub from: LinkId,
    /// What became of it.
    pub outcome: Peeled,
}

/// What was under a cell's outer layer.
#[derive(Debug)]
pub enum Peeled {
    /// A cell for the next hop.
    Forward {
        /// The next relay, or the handle of a link.
        next: ShortId,
        /// How long the cell waits here.
        delay: Duration,
        /// The cell as the next hop receives it.
        cell: Cell,
        /// To be durable before the cell leaves.
        mark: ReplayMark,
    },
    /// The content: this was the last layer.
    Terminal {
        /// How long what is rebuilt from the content is held.
        hold: Duration,
        /// Whether the rest of a set may take longer to arrive.
        bulletin: bool,
        /// The content.
        delta: Box<[u8; DELTA_LEN]>,
        /// To be durable before the content counts.
        mark: ReplayMark,
    },
    /// Nothing: the cell broke a rule.
    Dropped(DropReason),
}

/// What a relay must remember of a cell for as long as it holds the key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReplayMark {
    /// The epoch of the key that opened the cell.
    pub epoch: Epoch,
    /// The cell's name under that key.
    pub tag: ReplayTag,
}

/// Why a cell was dropped: for counting, never for an answer or a verdict on the neighbour.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum DropReason {
    /// Too many cells are waiting.
    Crowded,
    /// The neighbour exceeds its rate.
    Flooding,
    /// The tag does not fit: the cell was altered, or sealed for another relay or key.
    Forged,
    /// The element has low order.
    LowOrder,
    /// The slot names this relay as the next hop.
    NextIsSelf,
    /// The key has opened this cell before.
    Replayed,
    /// The key has opened as many cells as can be remembered.
    ReplaySetFull,
    /// The slot breaks a rule.
    Slot(BadSlot),
    /// No key answers to the hint.
    UnknownEpoch,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crowded => "too many cells are waiting",
            Self::Flooding => "neighbour exceeds its rate",
            Self::Forged => "cell does not fit its tag",
            Self::LowOrder => "cell has an element of low order",
            Self::NextIsSelf => "cell names this relay as its next hop",
            Self::Replayed => "cell was seen before",
            Self::ReplaySetFull => "no more cells can be remembered under this key",
            Self::Slot(bad) => return bad.fmt(f),
            Self::UnknownEpoch => "no key answers to the cell's hint",
        })
    }
}

impl core::error::Error for DropReason {}
