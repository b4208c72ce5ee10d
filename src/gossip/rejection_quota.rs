//! Quota of rejected envelopes per peer; a peer that exceeds it is disconnected.
//!
//! go-ethereum disconnects at the first. That lets an attacker cut links between two honest nodes
//! whose clocks differ by a second, with one envelope dated so that the first accepts it and the
//! other rejects it. A small quota that refills prevents this attack and still ends a flood
//! (docs/decisions/0003-forgive-a-few-bad-envelopes.md).

use core::time::Duration;

use circuits::rate_limit::Quota;

/// 16 rejected envelopes at once, and one more each ten seconds.
pub(super) const REJECTION_QUOTA: Quota = Quota::new(16, Duration::from_secs(10));

#[cfg(test)]
mod tests {
    use circuits::rate_limit::TokenBucket;
    use circuits::time::Instant;

    use super::*;

    #[test]
    fn seventeenth_at_once_exceeds_quota() {
        let now = Instant::from_micros(5);
        let mut bucket = TokenBucket::full(Instant::ZERO);
        assert!((0..16).all(|_| bucket.take(REJECTION_QUOTA, now)));
        assert!(!bucket.take(REJECTION_QUOTA, now));
    }

    #[test]
    fn one_every_ten_seconds_stays_within_quota() {
        let mut now = Instant::ZERO;
        let mut bucket = TokenBucket::full(Instant::ZERO);
        for _ in 0..100 {
            now = now.after(Duration::from_secs(10));
            assert!(bucket.take(REJECTION_QUOTA, now));
        }
    }

    #[test]
    fn refill_does_not_exceed_full_quota() {
        let mut bucket = TokenBucket::full(Instant::ZERO);
        let now = Instant::from_micros(u64::MAX / 2);
        assert!((0..16).all(|_| bucket.take(REJECTION_QUOTA, now)));
        assert!(!bucket.take(REJECTION_QUOTA, now));
    }
}
