//! Numbers as the pages show them: sizes, durations, and counts that are made coarse for screenshots.

/// A size in bytes, with three digits and a unit of 1,000.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if tenths < 10_000 {
            break;
        }
        tenths /= 1_000;
        unit = next;
    }
    if tenths < 1_000 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", tenths / 10)
    }
}

/// A duration. Pages show no times finer than a minute.
pub(super) fn span(secs: u64) -> String {
    let minutes = secs.div_ceil(60);
    match minutes {
        0 | 1 => "a minute".to_owned(),
        2..120 => format!("{minutes} minutes"),
        120..2_880 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1_440),
    }
}

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
    fn sizes_have_a_unit_of_a_thousand() {
        let shown = [
            0,
            999,
            1_000,
            20_971_520,
            999_999,
            1_000_000,
            1_073_741_824,
            u64::MAX,
        ]
        .map(size);
        assert_eq!(
            shown,
            [
                "0 B",
                "999 B",
                "1.0 KB",
                "20.9 MB",
                "999 KB",
                "1.0 MB",
                "1.0 GB",
                "18446744 TB"
            ]
        );
    }

    #[test]
    fn durations_are_whole_minutes() {
        let shown = [0, 59, 61, 7_199, 7_200, 172_800].map(span);
        assert_eq!(
            shown,
            [
                "a minute",
                "a minute",
                "2 minutes",
                "2 hours",
                "2 hours",
                "2 days"
            ]
        );
    }

    #[test]
    fn coarse_counts_are_powers_of_two() {
        let coarse = [0, 1, 3, 4, 1_000, u64::MAX].map(|count| Precision::Coarse.of(count));
        assert_eq!(coarse, [0, 1, 2, 4, 512, 1 << 63]);
        assert_eq!(Precision::Exact.of(1_000), 1_000);
        assert_eq!(Precision::Coarse.of_len(5), 4);
    }
}
