//! Counts, exact or made coarse for screenshots.

/// A number, exact or made coarse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Precision {
    /// As it is.
    Exact,
    /// The largest power of two that is not above it: two screenshots of one node do not tell how much
    /// happened between them.
    Coarse,
}

impl Precision {
    /// A count under this precision.
    pub(super) const fn of(self, count: u64) -> u64 {
        match (self, count.checked_ilog2()) {
            (Self::Coarse, Some(bits)) => 1 << bits,
            _ => count,
        }
    }

    /// The same for a count of things in memory.
    pub(super) fn of_len(self, count: usize) -> usize {
        let coarse = self.of(u64::try_from(count).unwrap_or(u64::MAX));
        usize::try_from(coarse).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_counts_are_powers_of_two() {
        let coarse = [0, 1, 3, 4, 1_000, u64::MAX].map(|count| Precision::Coarse.of(count));
        assert_eq!(coarse, [0, 1, 2, 4, 512, 1 << 63]);
        assert_eq!(Precision::Exact.of(1_000), 1_000);
        assert_eq!(Precision::Coarse.of_len(5), 4);
    }
}
