//! The relay role: receives cells from peers and peels one layer off each.
//!
//! Cells wait in a bounded, fair [ingress queue](RelayLimits) and are peeled one at a time, at a
//! limited rate: call [`OnionRelay::accept`] for each received cell, and [`OnionRelay::next_peel`]
//! at the time of [`OnionRelay::next_due`]. The result contains a [`ReplayMark`], which must be on
//! disk before the cell leaves or its content is used (spec M9); [`ReplayLog`] is its format on
//! disk.
//!
//! A cell that fails a check is dropped without an answer, and the reason is only counted locally.
//! The origin of a cell can make it fail at any hop. A failure is therefore no evidence against the
//! peer that sent the cell, and no peer is penalised for a single cell.

mod ingress;
mod peel;
mod replay_log;
mod replay_set;
#[cfg(feature = "sim")]
mod stand_in;

use core::fmt;
use core::time::Duration;

use self::ingress::IngressQueue;
pub use self::ingress::RelayLimits;
pub use self::replay_log::{ReplayLog, ReplayLogError};
pub use self::replay_set::{ReplaySet, ReplaySetError, ReplayTag};
use crate::arithmetic::Arithmetic;
use crate::cell::{BadSlot, Cell};
use crate::circuit::{CircuitIds, HopKeys, MeetCookie};
use crate::geometry::DELTA_LEN;
use crate::ids::{Epoch, LinkClass, LinkId, RelayId, ShortId};
use crate::keys::{DuplicateKey, HeldKey, OnionKeyring, OnionSecret};
use crate::time::{Instant, Now};

/// The relay role of a node: onion keys, the cells waiting to be peeled, and the replay tags.
#[derive(Debug)]
pub struct OnionRelay {
    id: RelayId,
    keys: OnionKeyring<ReplaySet>,
    ingress: IngressQueue,
    arithmetic: Arithmetic,
}

impl OnionRelay {
    /// Creates a relay without keys; it drops every cell until [`Self::install_key`].
    #[must_use]
    pub fn new(id: RelayId, limits: RelayLimits) -> Self {
        Self {
            id,
            keys: OnionKeyring::new(),
            ingress: IngressQueue::new(limits),
            arithmetic: Arithmetic::REAL,
        }
    }

    /// The same relay, peeling with this arithmetic.
    #[must_use]
    pub fn with_arithmetic(self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self }
    }

    /// The id of this relay.
    #[must_use]
    pub const fn id(&self) -> RelayId {
        self.id
    }

    /// Adds the key of `epoch` with the tags of the cells that it has decrypted: none for a new
    /// key, the tags of its log for a key in use before a restart.
    ///
    /// # Errors
    ///
    /// [`DuplicateKey`] if the epoch has a key: replacing it would lose replay tags.
    pub fn install_key(
        &mut self,
        epoch: Epoch,
        secret: OnionSecret,
        seen: ReplaySet,
    ) -> Result<(), DuplicateKey> {
        self.keys.insert(epoch, secret, seen)
    }

    /// The key of `epoch` and its replay tags.
    #[must_use]
    pub fn key(&self, epoch: Epoch) -> Option<&HeldKey<ReplaySet>> {
        self.keys.get(epoch)
    }

    /// Wipes the expired keys with their tags and returns their epochs, so that the caller can
    /// delete the stored copies.
    pub fn expire(&mut self, now: Now) -> Vec<Epoch> {
        self.keys.expire(now.unix)
    }

    /// Queues a cell received from a peer that is not in the directory.
    ///
    /// # Errors
    ///
    /// As [`Self::accept_from`].
    pub fn accept(&mut self, now: Now, from: LinkId, cell: Cell) -> Result<(), DropReason> {
        self.accept_from(now, from, LinkClass::Unlisted, cell)
    }

    /// Queues a cell received from a peer of this class.
    ///
    /// # Errors
    ///
    /// The reason why the cell was dropped instead: the peer exceeds its rate, the queue is full,
    /// or no key matches the hint of the cell.
    pub fn accept_from(
        &mut self,
        now: Now,
        from: LinkId,
        class: LinkClass,
        cell: Cell,
    ) -> Result<(), DropReason> {
        self.ingress.admit(now.mono, from, class)?;
        if self.keys.find(cell.view().hint(), now.unix).is_none() {
            return Err(DropReason::UnknownEpoch);
        }
        self.ingress.push(from, class, cell)
    }

    /// A link is closed; a peer that connects again gains no further share of peeling.
    pub fn on_link_closed(&mut self, link: LinkId) {
        self.ingress.on_link_closed(link);
    }

    /// Peels the next cell, in round-robin order over the peers; `None` if no cell waits or the
    /// peel rate does not permit one yet.
    pub fn next_peel(&mut self, now: Now) -> Option<PeelResult> {
        let (from, cell) = self.ingress.pop(now.mono)?;
        let outcome = match self.keys.find(cell.view().hint(), now.unix) {
            Some((epoch, held)) => peel_with(self.arithmetic, &self.id, epoch, held, cell),
            None => Err(DropReason::UnknownEpoch),
        };
        Some(PeelResult {
            from,
            outcome: outcome.unwrap_or_else(Peeled::Dropped),
        })
    }

    /// Time at which [`Self::next_peel`] can peel a cell, possibly in the past; `None` if no cell
    /// waits.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.ingress.next_due()
    }

    /// Number of queued cells that were evicted for cells of other peers.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.ingress.evicted()
    }

    /// Number of cells waiting to be peeled.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.ingress.len()
    }
}

/// Peels with the arithmetic of the relay.
fn peel_with(
    arithmetic: Arithmetic,
    id: &RelayId,
    epoch: Epoch,
    held: &mut HeldKey<ReplaySet>,
    cell: Cell,
) -> Result<Peeled, DropReason> {
    #[cfg(feature = "sim")]
    if !arithmetic.is_real() {
        return stand_in::peel(id, epoch, held, cell);
    }
    debug_assert!(
        arithmetic.is_real(),
        "there is no other without the feature"
    );
    peel::peel(id, epoch, held, cell)
}

/// Result of peeling one cell.
#[derive(Debug)]
#[must_use]
pub struct PeelResult {
    /// The peer that sent the cell.
    pub from: LinkId,
    /// The decrypted layer, or the reason of the drop.
    pub outcome: Peeled,
}

/// The content of a peeled layer.
#[derive(Debug)]
pub enum Peeled {
    /// A cell for the next hop.
    Forward {
        /// The next relay, or the handle of a link.
        next: ShortId,
        /// Delay of the cell at this relay.
        delay: Duration,
        /// The cell as the next hop receives it.
        cell: Cell,
        /// Must be durable before the cell leaves.
        mark: ReplayMark,
    },
    /// The body: this was the last layer.
    Terminal {
        /// Hold of the envelope that is rebuilt from the body.
        hold: Duration,
        /// Whether the set has the longer timeout of `bulletin`.
        bulletin: bool,
        /// The body.
        delta: Box<[u8; DELTA_LEN]>,
        /// Must be durable before the body is used.
        mark: ReplayMark,
    },
    /// A cell that sets up a circuit, for the next hop.
    Extend {
        /// The next relay.
        next: ShortId,
        /// The cell as the next hop receives it. It leaves at once.
        cell: Cell,
        /// The ids of the circuit on the link on which the cell came.
        ids: CircuitIds,
        /// The keys of the circuit at this relay.
        keys: HopKeys,
        /// Must be durable before the cell leaves.
        mark: ReplayMark,
    },
    /// The last hop of a circuit.
    Meet {
        /// The circuit is joined with the one that has the same cookie.
        cookie: MeetCookie,
        /// The ids of the circuit on the link on which the cell came.
        ids: CircuitIds,
        /// The keys of the circuit at this relay.
        keys: HopKeys,
        /// Must be durable before the circuit exists.
        mark: ReplayMark,
    },
    /// The cell was dropped because it violates a rule.
    Dropped(DropReason),
}

/// The record of a decrypted cell, which the relay keeps as long as the key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReplayMark {
    /// The epoch of the key that decrypted the cell.
    pub epoch: Epoch,
    /// The tag of the cell under that key.
    pub tag: ReplayTag,
}

/// Reason why a cell was dropped. For local counters only: never sent, and no evidence against the
/// peer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum DropReason {
    /// Too many cells are waiting.
    Crowded,
    /// The peer exceeds its rate.
    Flooding,
    /// The tag does not match: the cell was altered, or encrypted for another relay or key.
    Forged,
    /// The element has low order.
    LowOrder,
    /// The slot names this relay as the next hop.
    NextIsSelf,
    /// The last hop of a circuit has a body without a cookie.
    NoCookie,
    /// The key has decrypted this cell before.
    Replayed,
    /// The replay set of the key is full.
    ReplaySetFull,
    /// The slot breaks a rule.
    Slot(BadSlot),
    /// No key matches the hint.
    UnknownEpoch,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crowded => "too many cells are waiting",
            Self::Flooding => "peer exceeds its rate limit",
            Self::Forged => "cell does not match its tag",
            Self::LowOrder => "cell has an element of low order",
            Self::NextIsSelf => "cell names this relay as its next hop",
            Self::NoCookie => "last hop of a circuit has no cookie",
            Self::Replayed => "cell is a replay",
            Self::ReplaySetFull => "replay set of the key is full",
            Self::Slot(bad) => return bad.fmt(f),
            Self::UnknownEpoch => "no key matches the hint of the cell",
        })
    }
}

impl core::error::Error for DropReason {}
