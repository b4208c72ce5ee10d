//! Limits of bandwidth: how many bytes may cross all links together in a second and in a day.
//!
//! An [`Allowance`] is the state of one direction: a bucket of bytes for the second, and one for the day.
//! A bucket fills at less than the limit, and what it can hold is the rest of the limit, so that no second and
//! no day, wherever it begins, exceeds the limit. The bucket of the day starts nearly empty, so that a node
//! that is restarted gains nothing. This module reads no clock, and does not know what the bytes are.

use core::time::Duration;

use circuits::time::Instant;

/// The limits of one node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BandwidthLimits {
    /// Bytes per second, for each direction; `None` for no limit.
    pub per_second: Option<u64>,
    /// Bytes per day that may be received; `None` for no limit.
    pub received_per_day: Option<u64>,
    /// Bytes per day that may be sent; `None` for no limit.
    pub sent_per_day: Option<u64>,
}

impl BandwidthLimits {
    /// Whether anything is limited.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.per_second.is_some() || self.received_per_day.is_some()
    }

    /// Mean number of bytes that may be received in a minute, if that is limited.
    #[must_use]
    pub fn received_per_minute(&self) -> Option<u64> {
        let of_second = self.per_second.map(|bytes| bytes.saturating_mul(60));
        let of_day = self.received_per_day.map(|bytes| bytes / MINUTES_PER_DAY);
        of_second.into_iter().chain(of_day).min()
    }
}

/// The bytes that may cross all links in one direction.
#[derive(Clone, Debug)]
pub struct Allowance {
    second: Option<ByteBucket>,
    day: Option<ByteBucket>,
}

impl Allowance {
    /// An allowance for these limits in bytes; `None` if there is none.
    #[must_use]
    pub fn new(per_second: Option<u64>, per_day: Option<u64>, now: Instant) -> Option<Self> {
        let second = per_second.map(|limit| ByteBucket::of_second(limit, now));
        let day = per_day.map(|limit| ByteBucket::of_day(limit, now));
        (second.is_some() || day.is_some()).then_some(Self { second, day })
    }

    /// Goes on from an earlier allowance with other limits. Under a limit that was there before, no more may
    /// cross at once than before, so that changing the limits back and forth gains nothing.
    #[must_use]
    pub fn renew(
        earlier: Option<Self>,
        per_second: Option<u64>,
        per_day: Option<u64>,
        now: Instant,
    ) -> Option<Self> {
        let mut new = Self::new(per_second, per_day, now)?;
        let Some(earlier) = earlier else {
            return Some(new);
        };
        let buckets = [
            (&mut new.second, earlier.second),
            (&mut new.day, earlier.day),
        ];
        for (bucket, earlier) in buckets {
            if let (Some(bucket), Some(earlier)) = (bucket, earlier) {
                bucket.go_on_from(earlier, now);
            }
        }
        Some(new)
    }

    /// Number of bytes that may cross now.
    pub fn available(&mut self, now: Instant) -> u64 {
        let buckets = [&mut self.second, &mut self.day];
        let levels = buckets
            .into_iter()
            .flatten()
            .map(|bucket| bucket.available(now));
        levels.min().unwrap_or(u64::MAX)
    }

    /// The number of bytes that may cross at once if nothing has crossed for long.
    #[must_use]
    pub fn burst(&self) -> u64 {
        let buckets = [&self.second, &self.day];
        let bursts = buckets.into_iter().flatten().map(|bucket| bucket.capacity);
        bursts.min().unwrap_or(u64::MAX)
    }

    /// Charges bytes that cross. More than is available becomes a debt.
    pub fn charge(&mut self, now: Instant, bytes: u64) {
        for bucket in [&mut self.second, &mut self.day].into_iter().flatten() {
            bucket.charge(now, bytes);
        }
    }

    /// When so many bytes may cross, as far as the buckets can hold them.
    pub fn due(&mut self, now: Instant, bytes: u64) -> Instant {
        let buckets = [&mut self.second, &mut self.day];
        let due = buckets
            .into_iter()
            .flatten()
            .map(|bucket| bucket.due(now, bytes));
        due.max().unwrap_or(now)
    }
}

/// Bytes that fill up again by the clock, in millionths of a byte, so that no fraction is lost.
#[derive(Clone, Debug)]
struct ByteBucket {
    /// Bytes per second, times [`RATE_SCALE`].
    rate: u64,
    /// Bytes.
    capacity: u64,
    /// Millionths of a byte; negative while in debt.
    level: i128,
    at: Instant,
}

impl ByteBucket {
    /// Thirteen sixteenths of the limit as the rate, and one sixteenth as the burst. The rest is for what is read
    /// ahead by the tasks of the links.
    fn of_second(limit: u64, now: Instant) -> Self {
        let capacity = (limit / 16).max(1);
        let rate = limit.saturating_mul(13).saturating_mul(RATE_SCALE) / 16;
        Self {
            rate,
            capacity,
            level: micro(capacity),
            at: now,
        }
    }

    /// Seven eighths of the limit over the day, and one eighth as the burst.
    fn of_day(limit: u64, now: Instant) -> Self {
        let capacity = (limit / 8).max(1);
        let rate = limit.saturating_mul(7).saturating_mul(RATE_SCALE) / (8 * SECONDS_PER_DAY);
        Self {
            rate,
            capacity,
            level: micro(capacity / 64),
            at: now,
        }
    }

    fn go_on_from(&mut self, mut earlier: Self, now: Instant) {
        earlier.refill(now);
        self.level = earlier.level.min(micro(self.capacity));
    }

    fn refill(&mut self, now: Instant) {
        let micros = now.since(self.at).as_micros();
        let micros = i128::try_from(micros).unwrap_or(i128::MAX);
        let gained = i128::from(self.rate).saturating_mul(micros) / i128::from(RATE_SCALE);
        self.level = self.level.saturating_add(gained).min(micro(self.capacity));
        self.at = self.at.max(now);
    }

    fn available(&mut self, now: Instant) -> u64 {
        self.refill(now);
        u64::try_from(self.level.max(0) / MICRO).unwrap_or(u64::MAX)
    }

    fn charge(&mut self, now: Instant, bytes: u64) {
        self.refill(now);
        self.level = self.level.saturating_sub(micro(bytes));
    }

    fn due(&mut self, now: Instant, bytes: u64) -> Instant {
        self.refill(now);
        let lacking = micro(bytes.min(self.capacity)).saturating_sub(self.level);
        if lacking <= 0 {
            return now;
        }
        let rate = i128::from(self.rate.max(1));
        let micros = lacking.saturating_mul(i128::from(RATE_SCALE)) / rate;
        let micros = u64::try_from(micros).unwrap_or(u64::MAX).saturating_add(1);
        now.after(Duration::from_micros(micros))
    }
}

fn micro(bytes: u64) -> i128 {
    i128::from(bytes).saturating_mul(MICRO)
}

const MICRO: i128 = 1_000_000;
/// Rates are kept in thousandths, because that of a small day is a few bytes per second.
const RATE_SCALE: u64 = 1_000;
const SECONDS_PER_DAY: u64 = 86_400;
const MINUTES_PER_DAY: u64 = 1_440;

#[cfg(test)]
mod tests;
