//! How long the driver's turns take.
//!
//! A turn feeds the node one input and applies its outputs. While it lasts, the node answers no peer
//! and no client. The time is that of the driver's processor, so it does not contain what other
//! processes or threads took from it.

use std::collections::VecDeque;
use std::time::Duration;

use circuits::time::Instant;

use crate::node::TurnTimes;

/// Counts turns, and remembers the longest.
#[derive(Debug, Default)]
pub(super) struct TurnMeter {
    count: u64,
    longest: Duration,
    /// The longest turn of each minute of the last hour that had one, oldest first.
    minutes: VecDeque<(u64, Duration)>,
}

impl TurnMeter {
    /// Records a turn that ended at `now`.
    pub(super) fn record(&mut self, now: Instant, took: Duration) {
        self.count = self.count.saturating_add(1);
        self.longest = self.longest.max(took);
        let minute = minute(now);
        match self.minutes.back_mut() {
            Some((last, longest)) if *last == minute => *longest = (*longest).max(took),
            _ => self.minutes.push_back((minute, took)),
        }
        self.forget(minute);
    }

    /// The figures at `now`.
    pub(super) fn times(&mut self, now: Instant) -> TurnTimes {
        self.forget(minute(now));
        let hour = self.minutes.iter().map(|(_, longest)| *longest).max();
        TurnTimes {
            count: self.count,
            longest_us: micros(self.longest),
            longest_last_hour_us: micros(hour.unwrap_or_default()),
        }
    }

    fn forget(&mut self, minute: u64) {
        let is_old = |(at, _): &&(u64, Duration)| at.saturating_add(MINUTES) <= minute;
        while self.minutes.front().filter(is_old).is_some() {
            self.minutes.pop_front();
        }
    }
}

fn minute(now: Instant) -> u64 {
    now.since(Instant::ZERO).as_secs() / 60
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Length of the memory of longest turns, in minutes.
const MINUTES: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(minutes * 60))
    }

    #[test]
    fn longest_turn_is_remembered_for_ever_and_for_an_hour() {
        let mut meter = TurnMeter::default();
        let ms = Duration::from_millis;
        for (minute, took) in [(0, 3), (1, 9), (1, 2), (30, 5)] {
            meter.record(at(minute), ms(took));
        }
        let hour = |meter: &mut TurnMeter, minute| meter.times(at(minute)).longest_last_hour_us;
        assert_eq!(hour(&mut meter, 60), 9_000);
        assert_eq!(hour(&mut meter, 61), 5_000);
        assert_eq!(hour(&mut meter, 90), 0);
        let times = meter.times(at(90));
        assert_eq!((times.count, times.longest_us), (4, 9_000));
    }

    #[test]
    fn memory_of_the_meter_is_bounded() {
        let mut meter = TurnMeter::default();
        for minute in 0..10_000 {
            meter.record(at(minute), Duration::from_millis(1));
        }
        assert!(meter.minutes.len() <= 60);
    }
}
