//! How many bad envelopes a peer may bring before it has to go.
//!
//! go-ethereum hangs up at the first. That lets anybody cut links between two honest nodes whose
//! clocks differ by a second, with one envelope dated so that the first accepts it and the other
//! does not. A small allowance that grows back takes the weapon away and still ends a flood
//! (docs/decisions/0003-forgive-a-few-bad-envelopes.md).

use core::time::Duration;

use circuits::time::Instant;

/// What is left of a peer's allowance.
#[derive(Debug)]
pub(super) struct RejectionQuota {
    tokens: u32,
    /// From when the time towards the next one counts.
    refilled_at: Instant,
}

impl RejectionQuota {
    /// The whole allowance.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            tokens: MAX_TOKENS,
            refilled_at: now,
        }
    }

    /// Takes one off; `false` if there was none left.
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

/// Bad envelopes that may come at once.
const MAX_TOKENS: u32 = 16;
/// How long one more takes to be forgiven.
const REFILL_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seventeenth_at_once_is_one_too_many() {
        let now = Instant::from_micros(5);
        let mut rejection_quota = RejectionQuota::new(now);
        assert!((0..16).all(|_| rejection_quota.spend(now)));
        assert!(!rejection_quota.spend(now));
    }

    #[test]
    fn one_every_ten_seconds_is_always_forgiven() {
        let mut now = Instant::ZERO;
        let mut rejection_quota = RejectionQuota::new(now);
        for _ in 0..100 {
            now = now.after(REFILL_INTERVAL);
            assert!(rejection_quota.spend(now));
        }
    }

    #[test]
    fn a_long_silence_saves_up_no_more_than_the_whole() {
        let mut rejection_quota = RejectionQuota::new(Instant::ZERO);
        let now = Instant::from_micros(u64::MAX);
        assert!((0..16).all(|_| rejection_quota.spend(now)));
        assert!(!rejection_quota.spend(now));
    }
}
