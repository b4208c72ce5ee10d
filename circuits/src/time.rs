//! Time as an argument: a monotonic clock and a wall clock.
//!
//! Timers use the monotonic clock ([`Instant`]); envelopes and keys expire by the wall clock
//! ([`UnixSecs`]). [`Now`] carries both. Nothing in the core reads a clock.

use core::time::Duration;

/// A point on the monotonic clock: microseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Instant(u64);

impl Instant {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);

    /// The instant `micros` microseconds after the start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This instant plus `wait`; saturates at the end of the clock.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)),
        )
    }

    /// This instant minus `time`; saturates at the start of the clock.
    #[must_use]
    pub fn before(self, time: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
        )
    }

    /// Time since `earlier`; zero if `earlier` is later than this instant.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Seconds since 1970, as Whisper's 32-bit clock counts them.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct UnixSecs(pub u32);

impl UnixSecs {
    /// This time plus `secs`; saturates at the end of the clock.
    #[must_use]
    pub const fn after(self, secs: u32) -> Self {
        Self(self.0.saturating_add(secs))
    }

    /// This time minus `secs`; saturates at 1970.
    #[must_use]
    pub const fn before(self, secs: u32) -> Self {
        Self(self.0.saturating_sub(secs))
    }
}

/// The current time by both clocks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Now {
    /// Monotonic clock, for timers.
    pub mono: Instant,
    /// Wall clock, for expiry and epochs.
    pub unix: UnixSecs,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instant_saturates_at_both_ends() {
        assert_eq!(
            Instant::from_micros(u64::MAX)
                .after(Duration::MAX)
                .as_micros(),
            u64::MAX
        );
        assert_eq!(Instant::ZERO.since(Instant::from_micros(5)), Duration::ZERO);
        assert_eq!(Instant::from_micros(5).before(Duration::MAX), Instant::ZERO);
    }

    #[test]
    fn unix_secs_saturate_at_both_ends() {
        assert_eq!(UnixSecs(u32::MAX).after(1), UnixSecs(u32::MAX));
        assert_eq!(UnixSecs(0).before(1), UnixSecs(0));
    }
}
