//! File names of the keystore, as in go-ethereum: `UTC--2026-10-01T12-34-56.000000000Z--<address>`.

use circuits::time::UnixSecs;

/// The name of a file made now. `owner` is an address in hexadecimal digits, or a name.
#[must_use]
pub fn geth_name(now: UnixSecs, owner: &str) -> String {
    let (days, secs) = (now.0 / DAY, now.0 % DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (secs / 3_600, secs / 60 % 60, secs % 60);
    format!(
        "UTC--{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.000000000Z--{owner}"
    )
}

/// Year, month and day of the Gregorian calendar, `days` after 1 January 1970.
///
/// Counts from 1 March of year 0 in eras of 400 years, so that the leap day is the last of its
/// year and month lengths follow one formula.
pub(crate) const fn date(days: u32) -> (u32, u32, u32) {
    let since = days + 719_468;
    let (era, of_era) = (since / 146_097, since % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Seconds per day.
const DAY: u32 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_match_calendar() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_727, (2026, 10, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
            (49_710, (2106, 2, 7)),
        ] {
            assert_eq!(date(days), expected, "{days}");
        }
    }

    #[test]
    fn calendar_days_are_consecutive() {
        let mut last = date(0);
        for days in 1..=49_710 {
            let (year, month, day) = date(days);
            let next_day = (last.0, last.1, last.2 + 1);
            let next_month = (last.0 + last.1 / 12, last.1 % 12 + 1, 1);
            assert!(
                [next_day, next_month].contains(&(year, month, day)),
                "{days}"
            );
            last = (year, month, day);
        }
    }

    #[test]
    fn file_name_equals_that_of_geth() {
        let name = geth_name(
            UnixSecs(1_790_858_096),
            "6facbb695369e6c7785a90b35bb20af251344600",
        );
        let expected =
            "UTC--2026-10-01T12-34-56.000000000Z--6facbb695369e6c7785a90b35bb20af251344600";
        assert_eq!(name, expected);
    }
}
