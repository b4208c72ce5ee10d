//! The arrival rate of mixing cells at a relay, as a descriptor states it.
//!
//! One byte on a logarithmic scale: a finer figure would describe the relay rather than the network,
//! and whether the pool suffices does not depend on a fifth. All arithmetic is on integers, because
//! two nodes that round differently would choose different delays.

use core::fmt;

/// Mean number of mixing cells that arrive in a second, rounded down to a quarter of an octave.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ArrivalRate(u8);

impl ArrivalRate {
    /// Fewer than one cell in 256 s, or no measurement.
    pub const NONE: Self = Self(0);

    /// The highest rate that can be stated, `2^15.75` cells a second. Higher rates are stated as this one.
    pub const MAX: Self = Self(96);

    /// The rate that a byte states: 0 is [`NONE`](Self::NONE), `n` is `2^((n - 1)/4 - 8)` cells a
    /// second. `None` above [`MAX`](Self::MAX).
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        if byte > Self::MAX.0 {
            return None;
        }
        Some(Self(byte))
    }

    /// The byte that states the rate.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// The highest rate that is not above a measured one, in cells per million seconds.
    #[must_use]
    pub fn at_most(cells_per_million_secs: u64) -> Self {
        let rates = (0..=Self::MAX.0).rev().map(Self);
        let mut fitting = rates.filter(|rate| rate.per_million_secs() <= cells_per_million_secs);
        fitting.next().unwrap_or(Self::NONE)
    }

    /// The rate in cells per million seconds, which is exact enough to be an integer.
    #[must_use]
    pub const fn per_million_secs(self) -> u64 {
        let Some(quarters) = self.0.checked_sub(1) else {
            return 0;
        };
        let root = match quarters % 4 {
            0 => 1_000_000,
            1 => 1_189_207,
            2 => 1_414_214,
            _ => 1_681_793,
        };
        // At most 2^21 * 2^23.
        (root << (quarters / 4)) >> LOWEST_OCTAVE
    }
}

/// Cells a second, to two decimals.
impl fmt::Display for ArrivalRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.per_million_secs() / 10_000;
        write!(f, "{}.{:02}", hundredths / 100, hundredths % 100)
    }
}

/// The scale begins at `2^-8` cells a second.
const LOWEST_OCTAVE: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn rates() -> impl Iterator<Item = ArrivalRate> {
        (0..=u8::MAX).map_while(ArrivalRate::from_byte)
    }

    #[test]
    fn rate_is_the_power_of_two_that_its_byte_states() {
        assert_eq!(rates().count(), 97);
        for rate in rates().skip(1) {
            let exact = 2_f64.powf(f64::from(rate.byte() - 1) / 4.0 - 8.0) * 1e6;
            let stated = f64::from(u32::try_from(rate.per_million_secs() >> 8).unwrap()) * 256.0;
            assert!((stated - exact).abs() <= 257.0 + exact * 1e-6, "{rate:?}");
        }
        assert_eq!(ArrivalRate::from_byte(33).unwrap().to_string(), "1.00");
        assert_eq!(ArrivalRate::NONE.to_string(), "0.00");
    }

    #[test]
    fn measured_rate_is_never_stated_too_high() {
        for rate in rates() {
            let exact = rate.per_million_secs();
            assert_eq!(ArrivalRate::at_most(exact), rate);
            let below = ArrivalRate::at_most(exact.saturating_sub(1));
            assert!(below < rate || rate == ArrivalRate::NONE);
        }
        assert_eq!(ArrivalRate::at_most(u64::MAX), ArrivalRate::MAX);
    }
}
