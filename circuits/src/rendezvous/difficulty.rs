//! Ticket difficulty per epoch.
//!
//! The difficulty follows the load. A load that leaves the table three quarters empty has the
//! minimum difficulty; every doubling of the bytes accepted in one epoch above that adds one bit in
//! the next epoch. The difficulty is published in the descriptor. It is therefore constant within
//! an epoch, and a ticket is checked against the values that its sender can have read.

use std::collections::BTreeMap;

use super::ticket::TicketBits;
use crate::ids::Epoch;
use crate::time::UnixSecs;

/// Difficulties of the last epochs, and the load that determines the next one.
pub(super) struct TicketDifficulty {
    /// Maximum number of bytes per epoch at the minimum difficulty.
    free_bytes: u64,
    epoch: Epoch,
    accepted_bytes: u64,
    by_epoch: BTreeMap<Epoch, TicketBits>,
}

impl TicketDifficulty {
    pub(super) const fn new(free_bytes: u64) -> Self {
        Self {
            free_bytes,
            epoch: Epoch(0),
            accepted_bytes: 0,
            by_epoch: BTreeMap::new(),
        }
    }

    /// Counts accepted bytes.
    pub(super) fn count(&mut self, bytes: usize) {
        self.accepted_bytes = self
            .accepted_bytes
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Restores the difficulty of an epoch.
    pub(super) fn restore(&mut self, epoch: Epoch, bits: TicketBits) {
        self.by_epoch.insert(epoch, bits);
        while self.by_epoch.len() > MAX_EPOCHS {
            self.by_epoch.pop_first();
        }
    }

    /// Sets the difficulty of a new epoch, if one has begun.
    pub(super) fn advance_epoch(&mut self, now: UnixSecs) {
        let epoch = Epoch::at(now);
        if epoch == self.epoch {
            return;
        }
        let bits = self.next_difficulty();
        // A restored difficulty is in a public descriptor already.
        self.by_epoch.entry(epoch).or_insert(bits);
        while self.by_epoch.len() > MAX_EPOCHS {
            self.by_epoch.pop_first();
        }
        self.epoch = epoch;
        self.accepted_bytes = 0;
    }

    /// The difficulty of the current epoch.
    pub(super) fn current(&self) -> TicketBits {
        self.by_epoch
            .get(&self.epoch)
            .copied()
            .unwrap_or(TicketBits::MIN)
    }

    /// The difficulty that a ticket for `epoch` must meet.
    ///
    /// The sender used a descriptor of that epoch or of the previous one, and both are allowed: the
    /// lower difficulty counts.
    pub(super) fn for_epoch(&self, epoch: Epoch) -> TicketBits {
        [epoch, epoch.previous()]
            .into_iter()
            .filter_map(|epoch| self.by_epoch.get(&epoch).copied())
            .min()
            .unwrap_or(TicketBits::MIN)
    }

    fn next_difficulty(&self) -> TicketBits {
        let mut bits = TicketBits::MIN;
        let mut threshold = self.free_bytes.max(1);
        while self.accepted_bytes > threshold && bits < TicketBits::MAX {
            bits = bits.harder();
            threshold = threshold.saturating_mul(2);
        }
        bits
    }
}

/// Number of epochs whose tickets can arrive: the previous, the current and the next one, and one
/// in reserve.
const MAX_EPOCHS: usize = 4;
