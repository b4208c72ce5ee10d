//! Counts of the envelopes that peers brought, for the operator of a node.
//!
//! Only envelopes of peers are counted, never those that enter the network at this node: the counts are
//! exported as metrics, which must not show whether the user of this node sends messages
//! (docs/threat-model.md). An envelope of level `open`, which hides nothing, is missing among those that
//! peers brought first.

use crate::envelope::ExpiryError;
use crate::envelope_validation::EnvelopeRejected;

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GossipStats {
    /// Number of envelopes in packets of peers, repeated ones included.
    pub received: u64,
    /// The sum of their sizes in bytes.
    pub received_bytes: u64,
    /// How many of them have at most each size of [`SIZE_BOUNDS`].
    pub sizes: [u64; SIZE_BOUNDS.len()],
    /// Number of envelopes that were accepted and that the pool lacked.
    pub first: u64,
    /// The sum of their sizes in bytes.
    pub first_bytes: u64,
    /// Number of envelopes that were accepted and that the pool had.
    pub repeated: u64,
    /// Number of rejected envelopes, for each of [`REJECT_REASONS`].
    pub rejected: [u64; REJECT_REASONS.len()],
    /// Number of envelopes sent to peers, of those that other peers had brought.
    pub forwarded: u64,
}

impl GossipStats {
    /// Counts an envelope in a packet of a peer. `size` is in bytes.
    pub(super) fn on_received(&mut self, size: usize) {
        self.received = self.received.saturating_add(1);
        let bytes = u64::try_from(size).unwrap_or(u64::MAX);
        self.received_bytes = self.received_bytes.saturating_add(bytes);
        for (count, bound) in self.sizes.iter_mut().zip(SIZE_BOUNDS) {
            *count = count.saturating_add(u64::from(bytes <= bound));
        }
    }

    /// Counts an accepted envelope. `size` is in bytes.
    pub(super) fn on_accepted(&mut self, is_new: bool, size: usize) {
        if is_new {
            let bytes = u64::try_from(size).unwrap_or(u64::MAX);
            self.first = self.first.saturating_add(1);
            self.first_bytes = self.first_bytes.saturating_add(bytes);
        } else {
            self.repeated = self.repeated.saturating_add(1);
        }
    }

    /// Counts a rejected envelope.
    pub(super) fn on_rejected(&mut self, rejected: EnvelopeRejected) {
        let reason = reason(rejected);
        let counts = self.rejected.iter_mut().zip(REJECT_REASONS);
        for (count, _) in counts.filter(|(_, own)| *own == reason) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts an envelope of a peer that was sent to another peer.
    pub(super) const fn on_forwarded(&mut self) {
        self.forwarded = self.forwarded.saturating_add(1);
    }
}

/// The word of [`REJECT_REASONS`] for a rejection.
const fn reason(rejected: EnvelopeRejected) -> &'static str {
    match rejected {
        EnvelopeRejected::LowPow => "low_pow",
        EnvelopeRejected::Shed => "shed",
        EnvelopeRejected::TooLarge => "oversized",
        EnvelopeRejected::TopicNotWanted => "unwanted_topic",
        EnvelopeRejected::Expiry(ExpiryError::Expired) => "expired",
        EnvelopeRejected::Expiry(ExpiryError::SentInFuture) => "in_future",
        EnvelopeRejected::Expiry(ExpiryError::VeryOld) => "very_old",
        EnvelopeRejected::Expiry(_) => "invalid_ttl",
    }
}

/// The reasons for which envelopes are rejected.
pub const REJECT_REASONS: [&str; 8] = [
    "expired",
    "in_future",
    "invalid_ttl",
    "low_pow",
    "oversized",
    "shed",
    "unwanted_topic",
    "very_old",
];

/// Upper bounds of sizes in bytes: those of the histogram of status-im's nodes, as far as envelopes reach.
pub const SIZE_BOUNDS: [u64; 7] = [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelope_counts_in_every_bound_that_it_does_not_exceed() {
        let mut stats = GossipStats::default();
        for size in [256, 257, 2_000_000] {
            stats.on_received(size);
        }
        assert_eq!((stats.received, stats.received_bytes), (3, 2_000_513));
        assert_eq!(stats.sizes, [1, 2, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn each_rejection_counts_under_one_reason() {
        let all = [
            EnvelopeRejected::LowPow,
            EnvelopeRejected::Shed,
            EnvelopeRejected::TooLarge,
            EnvelopeRejected::TopicNotWanted,
            EnvelopeRejected::Expiry(ExpiryError::Expired),
            EnvelopeRejected::Expiry(ExpiryError::SentBeforeEpoch),
            EnvelopeRejected::Expiry(ExpiryError::SentInFuture),
            EnvelopeRejected::Expiry(ExpiryError::TtlZero),
            EnvelopeRejected::Expiry(ExpiryError::VeryOld),
        ];
        let mut stats = GossipStats::default();
        for rejected in all {
            stats.on_rejected(rejected);
        }
        assert_eq!(stats.rejected, [1, 1, 2, 1, 1, 1, 1, 1]);
    }
}
