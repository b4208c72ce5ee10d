//! How often a peer may ask.
//!
//! A purse that fills up again by the clock. Who finds it empty is told so; who goes on asking all
//! the same is hung up on, since an honest client waits when it is told to.

use core::time::Duration;

use circuits::time::Instant;

/// What one peer has left.
#[derive(Clone, Copy, Debug)]
pub struct RequestQuota {
    tokens: u32,
    /// From when the time towards the next request counts.
    refilled_at: Instant,
    /// Requests beyond the budget, since it was last full enough for one.
    excess: u32,
}

/// What a request comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum QuotaResult {
    /// It may be looked at.
    Allowed,
    /// The peer has to wait.
    Exceeded,
    /// The peer was told to wait, again and again.
    Flooding,
}

impl RequestQuota {
    /// A full purse.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            tokens: MAX_REQUESTS,
            refilled_at: now,
            excess: 0,
        }
    }

    /// Takes one request off.
    pub fn spend(&mut self, now: Instant) -> QuotaResult {
        self.refill(now);
        if let Some(left) = self.tokens.checked_sub(1) {
            self.tokens = left;
            self.excess = 0;
            return QuotaResult::Allowed;
        }
        self.excess = self.excess.saturating_add(1);
        if self.excess > MAX_EXCESS {
            QuotaResult::Flooding
        } else {
            QuotaResult::Exceeded
        }
    }

    /// Whether forgetting it would change nothing.
    #[must_use]
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens == MAX_REQUESTS
    }

    fn refill(&mut self, now: Instant) {
        let step = REFILL_INTERVAL.as_micros();
        let grown = now.since(self.refilled_at).as_micros() / step;
        let grown = u32::try_from(grown)
            .unwrap_or(MAX_REQUESTS)
            .min(MAX_REQUESTS);
        if grown == 0 {
            return;
        }
        self.tokens = self.tokens.saturating_add(grown).min(MAX_REQUESTS);
        // What is over counts towards the next one, unless the purse is full.
        self.refilled_at = match self.tokens {
            MAX_REQUESTS => now,
            _ => self
                .refilled_at
                .after(REFILL_INTERVAL.saturating_mul(grown)),
        };
    }
}

/// Requests at once: as many pages of an answer as a client may fetch without a pause.
pub const MAX_REQUESTS: u32 = 20;
/// How long one more takes to come.
pub const REFILL_INTERVAL: Duration = Duration::from_secs(1);
/// Requests beyond the budget before the link is closed.
pub const MAX_EXCESS: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purse_is_emptied_at_once_and_fills_up_by_the_clock() {
        let mut quota = RequestQuota::new(Instant::ZERO);
        for _ in 0..MAX_REQUESTS {
            assert_eq!(quota.spend(Instant::ZERO), QuotaResult::Allowed);
        }
        assert_eq!(quota.spend(Instant::ZERO), QuotaResult::Exceeded);
        let later = Instant::ZERO.after(REFILL_INTERVAL * 5 / 2);
        assert_eq!(quota.spend(later), QuotaResult::Allowed);
        assert_eq!(quota.spend(later), QuotaResult::Allowed);
        assert_eq!(quota.spend(later), QuotaResult::Exceeded);
        let half = later.after(REFILL_INTERVAL / 2);
        assert_eq!(
            quota.spend(half),
            QuotaResult::Allowed,
            "half a step was saved"
        );
    }

    #[test]
    fn requests_far_beyond_the_quota_are_a_flood() {
        let mut quota = RequestQuota::new(Instant::ZERO);
        let results: Vec<QuotaResult> = (0..MAX_REQUESTS + MAX_EXCESS + 1)
            .map(|_| quota.spend(Instant::ZERO))
            .collect();
        assert_eq!(results.last(), Some(&QuotaResult::Flooding));
        let floods = results
            .iter()
            .filter(|result| **result == QuotaResult::Flooding)
            .count();
        assert_eq!(floods, 1);
    }

    #[test]
    fn a_purse_that_is_full_again_can_be_forgotten() {
        let mut quota = RequestQuota::new(Instant::ZERO);
        assert_eq!(quota.spend(Instant::ZERO), QuotaResult::Allowed);
        assert!(!quota.is_full(Instant::ZERO));
        assert!(quota.is_full(Instant::ZERO.after(REFILL_INTERVAL)));
    }
}
