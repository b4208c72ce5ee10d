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
pub(super) struct Allowance {
    left: u32,
    /// From when the time towards the next one counts.
    since: Instant,
}

impl Allowance {
    /// The whole allowance.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            left: WHOLE,
            since: now,
        }
    }

    /// Takes one off; `false` if there was none left.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        let grown = now.since(self.since).as_micros() / REGROWTH.as_micros();
        let grown = u32::try_from(grown).unwrap_or(WHOLE).min(WHOLE);
        if grown > 0 {
            self.left = self.left.saturating_add(grown).min(WHOLE);
            self.since = now;
        }
        let spent = self.left.checked_sub(1);
        self.left = spent.unwrap_or(0);
        spent.is_some()
    }
}

/// Bad envelopes that may come at once.
const WHOLE: u32 = 16;
/// How long one more takes to be forgiven.
const REGROWTH: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seventeenth_at_once_is_one_too_many() {
        let now = Instant::from_micros(5);
        let mut allowance = Allowance::new(now);
        assert!((0..16).all(|_| allowance.spend(now)));
        assert!(!allowance.spend(now));
    }

    #[test]
    fn one_every_ten_seconds_goes_on_for_ever() {
        let mut now = Instant::ZERO;
        let mut allowance = Allowance::new(now);
        for _ in 0..100 {
            now = now.after(REGROWTH);
            assert!(allowance.spend(now));
        }
    }

    #[test]
    fn a_long_silence_saves_up_no_more_than_the_whole() {
        let mut allowance = Allowance::new(Instant::ZERO);
        let now = Instant::from_micros(u64::MAX);
        assert!((0..16).all(|_| allowance.spend(now)));
        assert!(!allowance.spend(now));
    }
}
