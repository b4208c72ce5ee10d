//! Quota of rejected envelopes per peer; a peer that exceeds it is disconnected.
//!
//! go-ethereum disconnects at the first. That lets an attacker cut links between two honest nodes
//! whose clocks differ by a second, with one envelope dated so that the first accepts it and the
//! other rejects it. A small quota that refills prevents this attack and still ends a flood
//! (docs/decisions/0003-forgive-a-few-bad-envelopes.md).

use core::time::Duration;

use circuits::time::Instant;

/// The remaining quota of a peer.
#[derive(Debug)]
pub(super) struct RejectionQuota {
    tokens: u32,
    /// Start of the current refill interval.
    refilled_at: Instant,
}

impl RejectionQuota {
    /// A full quota.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            tokens: MAX_TOKENS,
            refilled_at: now,
        }
    }

    /// Consumes one token; `false` if none was left.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        let grown = now.since(self.refilled_at).as_micros() / REFILL_INTERVAL.as_micros();
        let grown = u32::try_from(grown).unwrap_or(MAX_TOKENS).min(MAX_TOKENS);
        if grown > 0 {
            self.tokens = self.tokens.saturating_add(grown).min(MAX_TOKENS);
            self.refilled_at = now;
        }
        let spent = self.tokens.checked_sub(1);
        self.tokens = spent.unwrap_or(0);
        spent.is_some()
    }
}

/// Rejected envelopes per burst.
const MAX_TOKENS: u32 = 16;
/// Time until one more is permitted.
const REFILL_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seventeenth_at_once_exceeds_quota() {
        let now = Instant::from_micros(5);
        let mut rejection_quota = RejectionQuota::new(now);
        assert!((0..16).all(|_| rejection_quota.spend(now)));
        assert!(!rejection_quota.spend(now));
    }

    #[test]
    fn one_every_ten_seconds_stays_within_quota() {
        let mut now = Instant::ZERO;
        let mut rejection_quota = RejectionQuota::new(now);
        for _ in 0..100 {
            now = now.after(REFILL_INTERVAL);
            assert!(rejection_quota.spend(now));
        }
    }

    #[test]
    fn refill_does_not_exceed_full_quota() {
        let mut rejection_quota = RejectionQuota::new(Instant::ZERO);
        let now = Instant::from_micros(u64::MAX);
        assert!((0..16).all(|_| rejection_quota.spend(now)));
        assert!(!rejection_quota.spend(now));
    }
}
