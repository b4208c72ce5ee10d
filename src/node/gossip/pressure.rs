//! Raises the announced minimum proof of work while new envelopes use up the bandwidth or the mempool.
//!
//! Only nodes with a limit of bandwidth do so. The pressure is judged on the minute, from what peers brought
//! and this node accepted: repeated and rejected envelopes do not count, so that a peer that floods without work
//! changes nothing for the others. Each step doubles the minimum. It rises after one full minute and falls after ten
//! quiet ones, so that it does not swing. Messages with less work are not received meanwhile.

use circuits::time::Now;

use super::EnvelopeGossip;
use crate::bandwidth::BandwidthLimits;
use crate::gossip::packet::MinPow;
use crate::node::effects::Effects;

/// The pressure of one node.
#[derive(Debug)]
pub(super) struct PowPressure {
    /// Bytes that may be received in a minute.
    per_minute: u64,
    /// The minute of the last judgement; `None` before the first.
    minute: Option<u32>,
    /// Bytes of accepted envelopes until then.
    bytes: u64,
    /// Number of doublings.
    steps: u32,
    /// Number of quiet minutes in a row.
    quiet: u32,
}

impl PowPressure {
    /// No pressure yet; `None` without a limit of bandwidth.
    pub(super) fn new(limits: &BandwidthLimits) -> Option<Self> {
        Some(Self {
            per_minute: limits.received_per_minute()?.max(1),
            minute: None,
            bytes: 0,
            steps: 0,
            quiet: 0,
        })
    }

    /// Goes on under other limits. The number of doublings stays: whether it fits is judged on the next minutes.
    fn renew(earlier: Option<Self>, limits: &BandwidthLimits) -> Option<Self> {
        let new = Self::new(limits)?;
        let per_minute = new.per_minute;
        Some(earlier.map_or(new, |earlier| Self {
            per_minute,
            ..earlier
        }))
    }

    /// Judges the time since the last minute. `bytes` counts accepted envelopes since the start, `fill` is the used
    /// share of the mempool in percent. Returns the number of doublings if it changed.
    fn review(&mut self, minute: u32, bytes: u64, fill: u64) -> Option<u32> {
        let last = self.minute.replace(minute);
        let before = core::mem::replace(&mut self.bytes, bytes);
        let minutes = match last {
            Some(last) if last < minute => u64::from(minute.saturating_sub(last)),
            Some(last) if last == minute => {
                self.bytes = before;
                return None;
            }
            // The first minute, or a clock that was set back.
            _ => return None,
        };
        let allowed = self.per_minute.saturating_mul(minutes);
        let used = bytes.saturating_sub(before).saturating_mul(100) / allowed.max(1);
        let old = self.steps;
        match used.max(fill) {
            FULL.. => {
                self.quiet = 0;
                self.steps = self.steps.saturating_add(1).min(MAX_STEPS);
            }
            0..QUIET => {
                self.quiet = self.quiet.saturating_add(1);
                if self.quiet >= QUIET_MINUTES {
                    self.quiet = 0;
                    self.steps = self.steps.saturating_sub(1);
                }
            }
            _ => self.quiet = 0,
        }
        (self.steps != old).then_some(self.steps)
    }
}

impl EnvelopeGossip {
    /// Goes on under other limits of bandwidth. Without any, no pressure is left, and the minimum that pressure
    /// has raised falls at once.
    pub(in crate::node) fn set_bandwidth(
        &mut self,
        fx: &mut Effects,
        now: Now,
        limits: &BandwidthLimits,
    ) {
        let was_raised = self.is_raised();
        self.pressure = PowPressure::renew(self.pressure.take(), limits);
        if was_raised && !self.is_raised() {
            self.announce_min_pow(fx, now);
        }
    }

    /// Judges the pressure once a minute, and announces another minimum proof of work if it changed.
    pub(in crate::node) fn review_pressure(&mut self, fx: &mut Effects, now: Now) {
        let pool = u64::try_from(self.pool.bytes()).unwrap_or(u64::MAX);
        let fill = pool.saturating_mul(100) / self.max_pool_bytes.max(1);
        let bytes = self.machine.stats().first_bytes;
        let Some(pressure) = &mut self.pressure else {
            return;
        };
        if pressure.review(now.unix.0 / 60, bytes, fill).is_some() {
            let raised = self.announce_min_pow(fx, now);
            tracing::info!(
                min_pow = raised.value(),
                "the announced minimum proof of work follows the use of bandwidth and mempool"
            );
        }
    }

    /// Whether the announced minimum is above that of the settings.
    pub(super) fn is_raised(&self) -> bool {
        self.pressure
            .as_ref()
            .is_some_and(|pressure| pressure.steps > 0)
    }

    /// Announces the minimum proof of work that follows from the settings and the pressure.
    pub(super) fn announce_min_pow(&mut self, fx: &mut Effects, now: Now) -> MinPow {
        let floor = self.machine.min_pow_floor();
        let steps = self.pressure.as_ref().map_or(0, |pressure| pressure.steps);
        let factor = 1_u32.checked_shl(steps).unwrap_or(1);
        let raised = MinPow::new(floor.value() * f64::from(factor)).unwrap_or(floor);
        let packets = self.machine.set_pressure(now, raised);
        self.send(fx, packets);
        raised
    }
}

/// Share in percent from which a minute is full.
const FULL: u64 = 90;
/// Share in percent below which a minute is quiet.
const QUIET: u64 = 50;
const QUIET_MINUTES: u32 = 10;
/// 64 times the minimum: six bits of work.
const MAX_STEPS: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn pressure() -> PowPressure {
        let limits = BandwidthLimits {
            per_second: Some(1_000),
            ..BandwidthLimits::default()
        };
        PowPressure::new(&limits).unwrap()
    }

    #[test]
    fn full_minutes_raise_at_once_and_quiet_ones_lower_slowly() {
        let mut pressure = pressure();
        assert_eq!(pressure.review(100, 0, 0), None);
        assert_eq!(pressure.review(100, 60_000, 0), None);
        assert_eq!(pressure.review(101, 60_000, 0), Some(1));
        assert_eq!(pressure.review(102, 120_000, 0), Some(2));
        // Between the two bounds nothing changes.
        assert_eq!(pressure.review(103, 120_000 + 40_000, 0), None);
        for minute in 104..113 {
            assert_eq!(pressure.review(minute, 160_000, 0), None, "{minute}");
        }
        assert_eq!(pressure.review(113, 160_000, 0), Some(1));
    }

    #[test]
    fn full_mempool_raises_up_to_six_doublings() {
        let mut pressure = pressure();
        pressure.review(0, 0, 0);
        let steps: Vec<_> = (1..10)
            .filter_map(|minute| pressure.review(minute, 0, 95))
            .collect();
        assert_eq!(steps, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn bytes_of_a_pause_are_judged_over_the_whole_pause() {
        let mut pressure = pressure();
        pressure.review(0, 0, 0);
        assert_eq!(pressure.review(10, 60_000, 0), None);
        assert_eq!(pressure.steps, 0);
    }

    #[test]
    fn node_without_a_limit_has_no_pressure() {
        assert!(PowPressure::new(&BandwidthLimits::default()).is_none());
    }
    #[test]
    fn other_limits_keep_the_doublings_until_the_next_minutes_are_judged() {
        let mut raised = pressure();
        raised.review(0, 0, 0);
        assert_eq!(raised.review(1, 60_000, 0), Some(1));
        let limits = |per_second| BandwidthLimits {
            per_second,
            ..BandwidthLimits::default()
        };
        let mut wider = PowPressure::renew(Some(raised), &limits(Some(2_000))).unwrap();
        assert_eq!(wider.steps, 1);
        // Half of what the wider limit admits.
        assert_eq!(wider.review(2, 120_000, 0), None);
        assert!(PowPressure::renew(Some(wider), &limits(None)).is_none());
    }
}
