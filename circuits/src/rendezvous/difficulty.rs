//! What a ticket must cost, epoch by epoch.
//!
//! The price follows the load: every doubling of what was taken in during one epoch, above a level
//! that leaves the table three quarters empty, costs senders one bit more in the next. The price is
//! announced in the descriptor, so it stays fixed within an epoch, and a ticket is judged by what
//! its sender can have read.

use std::collections::BTreeMap;

use super::ticket::TicketBits;
use crate::ids::Epoch;
use crate::time::UnixSecs;

/// Prices of the last epochs, and the load that makes the next one.
pub(super) struct TicketDifficulty {
    /// Bytes that may be taken in during one epoch before the price rises.
    free: u64,
    epoch: Epoch,
    taken: u64,
    by_epoch: BTreeMap<Epoch, TicketBits>,
}

impl TicketDifficulty {
    pub(super) const fn new(free: u64) -> Self {
        Self {
            free,
            epoch: Epoch(0),
            taken: 0,
            by_epoch: BTreeMap::new(),
        }
    }

    /// Counts bytes taken in now.
    pub(super) fn count(&mut self, bytes: usize) {
        self.taken = self
            .taken
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Fixes the price of a new epoch, if one has begun.
    pub(super) fn advance_epoch(&mut self, now: UnixSecs) {
        let epoch = Epoch::at(now);
        if epoch == self.epoch {
            return;
        }
        let bits = self.next_difficulty();
        self.by_epoch.insert(epoch, bits);
        while self.by_epoch.len() > MAX_EPOCHS {
            self.by_epoch.pop_first();
        }
        self.epoch = epoch;
        self.taken = 0;
    }

    /// The price of the epoch that runs now.
    pub(super) fn current(&self) -> TicketBits {
        self.by_epoch
            .get(&self.epoch)
            .copied()
            .unwrap_or(TicketBits::MIN)
    }

    /// What a ticket for `epoch` must show.
    ///
    /// Its sender chose by a descriptor of that epoch or of the one before, and cannot be blamed
    /// for either: the lower price counts.
    pub(super) fn for_epoch(&self, epoch: Epoch) -> TicketBits {
        [epoch, epoch.previous()]
            .into_iter()
            .filter_map(|epoch| self.by_epoch.get(&epoch).copied())
            .min()
            .unwrap_or(TicketBits::MIN)
    }

    fn next_difficulty(&self) -> TicketBits {
        let mut bits = TicketBits::MIN;
        let mut bearable = self.free.max(1);
        while self.taken > bearable && bits < TicketBits::MAX {
            bits = bits.harder();
            bearable = bearable.saturating_mul(2);
        }
        bits
    }
}

/// Epochs whose tickets can still arrive: the last, the running, the next, and one to spare.
const MAX_EPOCHS: usize = 4;
