//! A rate with a burst, kept as one instant (the generic cell rate algorithm of ATM).

use core::time::Duration;

use crate::time::Instant;

/// How often something may happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct GcraQuota {
    /// Time that one event uses up.
    pub(super) interval: Duration,
    /// How far ahead of the steady rate events may run.
    pub(super) slack: Duration,
}

impl GcraQuota {
    /// `rate` events per second; never, if the rate is zero.
    pub(super) const fn per_second(rate: u32, slack: Duration) -> Self {
        let interval = match Duration::from_secs(1).checked_div(rate) {
            Some(interval) => interval,
            None => Duration::MAX,
        };
        Self { interval, slack }
    }

    /// `rate` events per second, of which `burst` may come at once.
    pub(super) const fn with_burst(rate: u32, burst: u32) -> Self {
        let quota = Self::per_second(rate, Duration::ZERO);
        let slack = quota.interval.saturating_mul(burst.saturating_sub(1));
        Self { slack, ..quota }
    }
}

/// How far a quota is used up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GcraLimiter {
    /// When the steady rate would have used up what has happened so far.
    spent_until: Instant,
}

impl GcraLimiter {
    /// A limiter with nothing used up.
    pub(super) const fn idle() -> Self {
        Self {
            spent_until: Instant::ZERO,
        }
    }

    /// Since when the next event is allowed.
    pub(super) fn next_allowed(self, quota: GcraQuota) -> Instant {
        let slack = u64::try_from(quota.slack.as_micros()).unwrap_or(u64::MAX);
        Instant::from_micros(self.spent_until.as_micros().saturating_sub(slack))
    }

    /// Counts an event, if it is allowed.
    pub(super) fn take(&mut self, quota: GcraQuota, now: Instant) -> bool {
        let allowed = self.next_allowed(quota) <= now;
        if allowed {
            self.spent_until = self.spent_until.max(now).after(quota.interval);
        }
        allowed
    }

    /// Whether the limiter is as good as new, so that it need not be kept.
    pub(super) fn is_idle(self, now: Instant) -> bool {
        self.spent_until <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `attempts` per second over `secs` seconds are allowed.
    fn allowed(quota: GcraQuota, attempts: u64, secs: u64) -> usize {
        let mut limiter = GcraLimiter::default();
        let times = (0..attempts * secs).map(|n| Instant::from_micros(n * 1_000_000 / attempts));
        times.filter(|now| limiter.take(quota, *now)).count()
    }

    #[test]
    fn a_burst_passes_at_once_and_the_rate_after_it() {
        let quota = GcraQuota::with_burst(20, 100);
        let mut limiter = GcraLimiter::default();
        let at_once = (0..1_000)
            .filter(|_| limiter.take(quota, Instant::ZERO))
            .count();
        assert_eq!(at_once, 100);
        assert_eq!(allowed(quota, 1_000, 60), 100 + 20 * 60 - 1);
    }

    #[test]
    fn what_stays_below_the_rate_is_never_refused() {
        assert_eq!(allowed(GcraQuota::with_burst(20, 1), 20, 60), 1_200);
    }

    #[test]
    fn a_rate_of_zero_allows_one_event_and_then_none() {
        assert_eq!(allowed(GcraQuota::with_burst(0, 1), 10, 60), 1);
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_gives_nothing_away() {
        let quota = GcraQuota::with_burst(20, 2);
        let mut limiter = GcraLimiter::default();
        let later = Instant::from_micros(5_000_000);
        assert!(limiter.take(quota, later) && limiter.take(quota, later));
        assert!(!limiter.take(quota, later));
        assert!(!limiter.take(quota, Instant::ZERO));
    }
}
