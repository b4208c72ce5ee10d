//! How many packets are looked at: so many from one prefix, and so many in all.
//!
//! A signature costs a curve operation, and a ping may bear a false address: whoever writes in
//! somebody else's name must not have us write to that somebody without end.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

use circuits::time::Instant;

use super::contact::{Prefix, Reach};

/// What strangers may still spend.
#[derive(Debug)]
pub(super) struct Budget {
    all: Bucket,
    prefixes: BTreeMap<Prefix, Bucket>,
    /// Shared by all prefixes that have no bucket of their own because there are too many.
    rest: Bucket,
}

impl Budget {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            all: Bucket::new(ALL, now),
            prefixes: BTreeMap::new(),
            rest: Bucket::new(PREFIX, now),
        }
    }

    /// Takes one packet off; whether it may be looked at. What comes from this machine counts only
    /// among all.
    pub(super) fn spend(&mut self, from: IpAddr, now: Instant) -> bool {
        if Reach::of(from) != Reach::Loopback {
            let prefix = Prefix::of(from);
            if !self.prefixes.contains_key(&prefix) && self.prefixes.len() >= MOST_PREFIXES {
                self.prefixes
                    .retain(|_, bucket| !bucket.is_full(PREFIX, now));
            }
            let bucket = if self.prefixes.len() < MOST_PREFIXES {
                let new = || Bucket::new(PREFIX, now);
                self.prefixes.entry(prefix).or_insert_with(new)
            } else {
                self.prefixes.get_mut(&prefix).unwrap_or(&mut self.rest)
            };
            if !bucket.spend(PREFIX, now) {
                return false;
            }
        }
        self.all.spend(ALL, now)
    }
}

/// How much there is at once, and how long one more takes.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    regrowth: Duration,
}

#[derive(Debug)]
struct Bucket {
    left: u32,
    since: Instant,
}

impl Bucket {
    const fn new(rate: Rate, now: Instant) -> Self {
        Self {
            left: rate.burst,
            since: now,
        }
    }

    fn grow(&mut self, rate: Rate, now: Instant) {
        let grown = now.since(self.since).as_micros() / rate.regrowth.as_micros();
        let grown = u32::try_from(grown).unwrap_or(rate.burst);
        if grown > 0 {
            self.left = self.left.saturating_add(grown).min(rate.burst);
            self.since = now;
        }
    }

    fn spend(&mut self, rate: Rate, now: Instant) -> bool {
        self.grow(rate, now);
        let spent = self.left.checked_sub(1);
        self.left = spent.unwrap_or(0);
        spent.is_some()
    }

    fn is_full(&mut self, rate: Rate, now: Instant) -> bool {
        self.grow(rate, now);
        self.left == rate.burst
    }
}

/// 200 curve operations a second are a hundredth of one core.
const ALL: Rate = Rate {
    burst: 400,
    regrowth: Duration::from_millis(5),
};
/// A node that looks up and is looked up sends a few packets a second to us at the most.
const PREFIX: Rate = Rate {
    burst: 40,
    regrowth: Duration::from_millis(100),
};
/// Prefixes that are counted each on its own.
const MOST_PREFIXES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(a: u8, b: u8) -> IpAddr {
        [11, a, b, 1].into()
    }

    #[test]
    fn one_prefix_spends_its_own_and_not_that_of_others() {
        let now = Instant::from_micros(7);
        let mut budget = Budget::new(now);
        let spent = (0..100).filter(|_| budget.spend(ip(1, 1), now)).count();
        assert_eq!(spent, 40);
        assert!(budget.spend(ip(2, 1), now));
        let later = now.after(Duration::from_secs(1));
        let spent = (0..100).filter(|_| budget.spend(ip(1, 1), later)).count();
        assert_eq!(spent, 10);
    }

    #[test]
    fn all_together_are_bounded_and_so_is_what_is_remembered() {
        let now = Instant::from_micros(7);
        let mut budget = Budget::new(now);
        let mut spent = 0;
        for a in 0..=255 {
            for b in 0..20 {
                spent += u32::from(budget.spend(ip(a, b), now));
            }
        }
        assert_eq!(spent, 400);
        assert!(budget.prefixes.len() <= MOST_PREFIXES);
        // Those that were quiet since make room.
        let later = now.after(Duration::from_secs(60));
        assert!(budget.spend([99, 1, 1, 1].into(), later));
        assert_eq!(budget.prefixes.len(), 1);
    }
}
