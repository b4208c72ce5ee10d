//! The load of the mix: the mean number of waiting cells over an epoch (spec F10).
//!
//! The descriptor of an epoch states the mean of the epoch before. The number at one instant would
//! depend on chance, and would show what the relay does at the moment of publication.

use circuits::ids::Epoch;
use circuits::time::{Instant, Now};

/// Measures the mean number of waiting cells per epoch.
#[derive(Default)]
pub(super) struct LoadMeter {
    epoch: Option<Epoch>,
    /// When the measurement of this epoch began.
    began: Instant,
    /// When the number last changed, and to which number.
    changed: (Instant, usize),
    /// The sum of (number x microseconds) until then.
    area: u128,
    /// The mean of the epoch before.
    mean: u64,
}

impl LoadMeter {
    /// Records the number of waiting cells from now on.
    pub(super) fn observe(&mut self, now: Now, waiting: usize) {
        let epoch = Epoch::at(now.unix);
        if self.epoch != Some(epoch) {
            self.begin(now, epoch);
        }
        self.advance(now.mono);
        self.changed.1 = waiting;
    }

    /// The base-2 logarithm of the mean number of waiting cells in the epoch before; 0 if this relay
    /// was not up then.
    pub(super) fn log2_of_mean(&self) -> u8 {
        let log = self.mean.checked_ilog2().unwrap_or(0);
        u8::try_from(log).unwrap_or(u8::MAX)
    }

    fn begin(&mut self, now: Now, epoch: Epoch) {
        self.advance(now.mono);
        let micros = now.mono.since(self.began).as_micros();
        let is_next = self.epoch.is_some_and(|last| last.next() == epoch);
        let mean = self.area.checked_div(micros).filter(|_| is_next);
        self.mean = mean.map_or(0, |mean| u64::try_from(mean).unwrap_or(u64::MAX));
        self.epoch = Some(epoch);
        self.began = now.mono;
        self.area = 0;
    }

    fn advance(&mut self, now: Instant) {
        let (since, waiting) = self.changed;
        let micros = now.since(since).as_micros();
        let waiting = u128::try_from(waiting).unwrap_or(u128::MAX);
        self.area = self.area.saturating_add(waiting.saturating_mul(micros));
        self.changed.0 = now;
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::node::fixture::START;

    fn at(secs: u32) -> Now {
        Now {
            mono: START.mono.after(Duration::from_secs(secs.into())),
            unix: Epoch::at(START.unix).start().after(secs),
        }
    }

    #[test]
    fn load_is_the_mean_of_the_epoch_before_and_not_the_moment() {
        let mut load = LoadMeter::default();
        load.observe(at(0), 1_024);
        // For half of the epoch 1,024 cells wait, then none, and at the turn there are 60,000.
        load.observe(at(Epoch::SECS / 2), 0);
        assert_eq!(load.log2_of_mean(), 0, "there is no epoch before");
        load.observe(at(Epoch::SECS), 60_000);
        assert_eq!(load.log2_of_mean(), 9);
        load.observe(at(Epoch::SECS + 1), 0);
        assert_eq!(load.log2_of_mean(), 9);
        // An epoch in which the machine slept gives no mean.
        load.observe(at(3 * Epoch::SECS), 0);
        assert_eq!(load.log2_of_mean(), 0);
    }
}
