//! Quota of requests per peer of a mail server.
//!
//! Requests over quota get an error. A peer that keeps sending requests after that is disconnected,
//! because an honest client waits after the error.

use core::time::Duration;

use circuits::rate_limit::{Quota, TokenBucket};
use circuits::time::Instant;

/// The remaining quota of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestQuota {
    bucket: TokenBucket,
    /// Requests over quota since the last one within it.
    excess: u32,
}

/// The decision on a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum QuotaResult {
    /// The server may process it.
    Allowed,
    /// The peer must wait.
    Exceeded,
    /// The peer ignored the error too often.
    Flooding,
}

impl RequestQuota {
    /// Consumes one request.
    pub fn spend(&mut self, now: Instant) -> QuotaResult {
        if self.bucket.take(REQUEST_QUOTA, now) {
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

    /// When the quota is full again, so that it need not be stored.
    #[must_use]
    pub const fn full_at(self) -> Instant {
        self.bucket.full_at()
    }
}

/// Requests at once: as many pages of an answer as a client may fetch without a pause.
pub const MAX_REQUESTS: u32 = 20;
/// Time until one more request is permitted.
const REFILL_INTERVAL: Duration = Duration::from_secs(1);
const REQUEST_QUOTA: Quota = Quota::new(MAX_REQUESTS, REFILL_INTERVAL);
/// Requests over quota before the link is closed.
pub const MAX_EXCESS: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_quota_is_spent_at_once_and_refills_with_time() {
        let mut quota = RequestQuota::default();
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
        let mut quota = RequestQuota::default();
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
    fn request_quota_tells_when_it_is_full_again() {
        let mut quota = RequestQuota::default();
        assert_eq!(quota.spend(Instant::ZERO), QuotaResult::Allowed);
        assert_eq!(quota.full_at(), Instant::ZERO.after(REFILL_INTERVAL));
    }
}
