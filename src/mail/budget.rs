//! How often a peer may ask.
//!
//! A purse that fills up again by the clock. Who finds it empty is told so; who goes on asking all
//! the same is hung up on, since an honest client waits when it is told to.

use core::time::Duration;

use circuits::time::Instant;

/// What one peer has left.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    left: u32,
    /// From when the time towards the next request counts.
    since: Instant,
    /// Requests beyond the budget, since it was last full enough for one.
    excess: u32,
}

/// What a request comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Toll {
    /// It may be looked at.
    Paid,
    /// The peer has to wait.
    Empty,
    /// The peer was told to wait, again and again.
    Flood,
}

impl Budget {
    /// A full purse.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            left: WHOLE,
            since: now,
            excess: 0,
        }
    }

    /// Takes one request off.
    pub fn spend(&mut self, now: Instant) -> Toll {
        self.grow(now);
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            self.excess = 0;
            return Toll::Paid;
        }
        self.excess = self.excess.saturating_add(1);
        if self.excess > PATIENCE {
            Toll::Flood
        } else {
            Toll::Empty
        }
    }

    /// Whether forgetting it would change nothing.
    #[must_use]
    pub fn is_whole(&mut self, now: Instant) -> bool {
        self.grow(now);
        self.left == WHOLE
    }

    fn grow(&mut self, now: Instant) {
        let step = REFILL.as_micros();
        let grown = now.since(self.since).as_micros() / step;
        let grown = u32::try_from(grown).unwrap_or(WHOLE).min(WHOLE);
        if grown == 0 {
            return;
        }
        self.left = self.left.saturating_add(grown).min(WHOLE);
        // What is over counts towards the next one, unless the purse is full.
        self.since = match self.left {
            WHOLE => now,
            _ => self.since.after(REFILL.saturating_mul(grown)),
        };
    }
}

/// Requests at once: as many pages of an answer as a client may fetch without a pause.
pub const WHOLE: u32 = 20;
/// How long one more takes to come.
pub const REFILL: Duration = Duration::from_secs(1);
/// Requests beyond the budget before the link is closed.
pub const PATIENCE: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purse_is_emptied_at_once_and_fills_up_by_the_clock() {
        let mut budget = Budget::new(Instant::ZERO);
        for _ in 0..WHOLE {
            assert_eq!(budget.spend(Instant::ZERO), Toll::Paid);
        }
        assert_eq!(budget.spend(Instant::ZERO), Toll::Empty);
        let later = Instant::ZERO.after(REFILL * 5 / 2);
        assert_eq!(budget.spend(later), Toll::Paid);
        assert_eq!(budget.spend(later), Toll::Paid);
        assert_eq!(budget.spend(later), Toll::Empty);
        let half = later.after(REFILL / 2);
        assert_eq!(budget.spend(half), Toll::Paid, "half a step was saved");
    }

    #[test]
    fn who_goes_on_asking_is_a_flood() {
        let mut budget = Budget::new(Instant::ZERO);
        let tolls: Vec<Toll> = (0..WHOLE + PATIENCE + 1)
            .map(|_| budget.spend(Instant::ZERO))
            .collect();
        assert_eq!(tolls.last(), Some(&Toll::Flood));
        let floods = tolls.iter().filter(|toll| **toll == Toll::Flood).count();
        assert_eq!(floods, 1);
    }

    #[test]
    fn a_purse_that_is_full_again_can_be_forgotten() {
        let mut budget = Budget::new(Instant::ZERO);
        assert_eq!(budget.spend(Instant::ZERO), Toll::Paid);
        assert!(!budget.is_whole(Instant::ZERO));
        assert!(budget.is_whole(Instant::ZERO.after(REFILL)));
    }
}
