//! A rate with a burst, kept as one instant (the generic cell rate algorithm of ATM).

use core::time::Duration;

use crate::time::Instant;

/// How often something may happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Time that one event uses up.
    pub(super) interval: Duration,
    /// How far ahead of the steady rate events may run.
    pub(super) slack: Duration,
}

impl Pace {
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
        let pace = Self::per_second(rate, Duration::ZERO);
        let slack = pace.interval.saturating_mul(burst.saturating_sub(1));
        Self { slack, ..pace }
    }
}

/// How far a pace is used up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    /// When the steady rate would have used up what has happened so far.
    spent_until: Instant,
}

impl Meter {
    /// A meter with nothing used up.
    pub(super) const fn rested() -> Self {
        Self {
            spent_until: Instant::ZERO,
        }
    }

    /// Since when the next event is allowed.
    pub(super) fn next_allowed(self, pace: Pace) -> Instant {
        let slack = u64::try_from(pace.slack.as_micros()).unwrap_or(u64::MAX);
        Instant::from_micros(self.spent_until.as_micros().saturating_sub(slack))
    }

    /// Counts an event, if it is allowed.
    pub(super) fn take(&mut self, pace: Pace, now: Instant) -> bool {
        let allowed = self.next_allowed(pace) <= now;
        if allowed {
            self.spent_until = self.spent_until.max(now).after(pace.interval);
        }
        allowed
    }

    /// Whether the meter is as good as new, so that it need not be kept.
    pub(super) fn is_rested(self, now: Instant) -> bool {
        self.spent_until <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `attempts` per second over `secs` seconds are allowed.
    fn allowed(pace: Pace, attempts: u64, secs: u64) -> usize {
        let mut meter = Meter::default();
        let times = (0..attempts * secs).map(|n| Instant::from_micros(n * 1_000_000 / attempts));
        times.filter(|now| meter.take(pace, *now)).count()
    }

    #[test]
    fn a_burst_passes_at_once_and_the_rate_after_it() {
        let pace = Pace::with_burst(20, 100);
        let mut meter = Meter::default();
        let at_once = (0..1_000)
            .filter(|_| meter.take(pace, Instant::ZERO))
            .count();
        assert_eq!(at_once, 100);
        assert_eq!(allowed(pace, 1_000, 60), 100 + 20 * 60 - 1);
    }

    #[test]
    fn what_stays_below_the_rate_is_never_refused() {
        assert_eq!(allowed(Pace::with_burst(20, 1), 20, 60), 1_200);
    }

    #[test]
    fn a_rate_of_zero_allows_one_event_and_then_none() {
        assert_eq!(allowed(Pace::with_burst(0, 1), 10, 60), 1);
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_gives_nothing_away() {
        let pace = Pace::with_burst(20, 2);
        let mut meter = Meter::default();
        let later = Instant::from_micros(5_000_000);
        assert!(meter.take(pace, later) && meter.take(pace, later));
        assert!(!meter.take(pace, later));
        assert!(!meter.take(pace, Instant::ZERO));
    }
}
