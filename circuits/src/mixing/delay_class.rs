//! The delay class of an epoch: how long mixing cells wait at each relay.
//!
//! All mixing levels and all cover of one epoch share the class, because two delays in one network
//! would tell the cells of one level from those of another.

use core::fmt;
use core::time::Duration;

use crate::directory::ArrivalRate;

/// Mean of the exponential delay at each relay of a mixing path.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DelayClass(u64);

impl DelayClass {
    /// The classes, shortest delay first.
    pub const ALL: [Self; 7] = [
        Self(1),
        Self(2),
        Self(3),
        Self(5),
        Self(8),
        Self(12),
        Self(20),
    ];

    /// The longest delay: that of a network with too few cells, or without a measurement.
    pub const LONGEST: Self = Self(20);

    /// The class of the profile `local`, where a demonstration should not last for minutes.
    pub const LOCAL: Self = Self(1);

    /// The shortest delay at which `WANTED_POOL` cells wait at a relay at which `rate` cells arrive;
    /// [`LONGEST`](Self::LONGEST) if none is long enough.
    #[must_use]
    pub fn for_rate(rate: ArrivalRate) -> Self {
        let mut classes = Self::ALL.into_iter();
        let suffices = |class: &Self| class.pool(rate) >= WANTED_POOL;
        classes.find(suffices).unwrap_or(Self::LONGEST)
    }

    /// The mean delay.
    #[must_use]
    pub const fn mean(self) -> Duration {
        Duration::from_secs(self.secs())
    }

    /// The mean delay in seconds.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0
    }

    /// Mean number of cells that wait at a relay at which `rate` cells arrive, rounded down.
    #[must_use]
    pub const fn pool(self, rate: ArrivalRate) -> u64 {
        rate.per_million_secs().saturating_mul(self.secs()) / 1_000_000
    }
}

impl Default for DelayClass {
    /// [`LONGEST`](Self::LONGEST).
    fn default() -> Self {
        Self::LONGEST
    }
}

/// The mean delay in seconds, with its unit.
impl fmt::Display for DelayClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

/// Number of waiting cells at which a longer delay protects little more (docs/spec.md M22).
const WANTED_POOL: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_is_the_shortest_at_which_enough_cells_wait() {
        for (rate, secs) in [
            (0, 20),
            (2_900_000, 20),
            (3_400_000, 20),
            (5_700_000, 12),
            (8_100_000, 8),
            (13_500_000, 5),
            (22_700_000, 3),
            (32_100_000, 2),
            (65_000_000, 1),
            (u64::MAX, 1),
        ] {
            let rate = ArrivalRate::at_most(rate);
            let class = DelayClass::for_rate(rate);
            assert_eq!(class.secs(), secs, "{rate}");
            let shorter = DelayClass::ALL.into_iter().filter(|other| *other < class);
            assert!(
                shorter
                    .into_iter()
                    .all(|other| other.pool(rate) < WANTED_POOL)
            );
        }
        assert_eq!(
            DelayClass::default(),
            DelayClass::for_rate(ArrivalRate::NONE)
        );
    }
}
