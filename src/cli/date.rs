//! Dates in UTC, as the command line shows and reads them.
//!
//! UTC and not the time zone of this machine, so that output which is passed on does not reveal where
//! its owner lives.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use super::durations::time;
use crate::keystore::date;
use crate::shell::clock::Clock;

/// A date and a time in UTC, between 1970 and 2106.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct UtcTime(pub(super) u32);

impl UtcTime {
    /// The date alone: `2026-11-29`.
    pub(super) fn day(self) -> String {
        let (year, month, day) = date(self.0 / 86_400);
        format!("{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Display for UtcTime {
    /// `2026-11-29 11:39`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0 / 60;
        let (days, minutes) = (minutes / (24 * 60), minutes % (24 * 60));
        let (year, month, day) = date(days);
        let (hour, minute) = (minutes / 60, minutes % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
    }
}

impl FromStr for UtcTime {
    type Err = NotATime;

    /// Takes `2026-11-29`, `2026-11-29 11:39`, with seconds if wanted, with `T` for the space and `Z`
    /// at the end if wanted.
    fn from_str(text: &str) -> Result<Self, NotATime> {
        parse(text).map(Self).ok_or(NotATime)
    }
}

/// A time in the past, absolute or as an age.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PastTime {
    /// So long ago.
    Age(Duration),
    /// At this time.
    At(UtcTime),
}

impl PastTime {
    /// Seconds since 1970, by the clock of this machine.
    pub(super) fn unix(self) -> u32 {
        match self {
            Self::Age(age) => {
                let secs = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
                Clock::start().now().unix.before(secs).0
            }
            Self::At(UtcTime(secs)) => secs,
        }
    }
}

impl FromStr for PastTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(age) = time(text) {
            return Ok(Self::Age(age));
        }
        text.parse().map(Self::At).map_err(|_| {
            "expected an age such as 90s, 2h or 3d, or a date and time in UTC such as 2026-11-29T11:39"
                .to_owned()
        })
    }
}

/// The text is not a date.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a date such as 2026-11-29, or a date and a time in UTC such as 2026-11-29T11:39")]
pub(super) struct NotATime;

fn parse(text: &str) -> Option<u32> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (calendar, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let [year, month, day] = numbers(calendar, '-', [4, 2, 2])?;
    let time = match time.len() {
        5 => format!("{time}:00"),
        _ => time.to_owned(),
    };
    let [hour, minute, second] = numbers(&time, ':', [2, 2, 2])?;
    if !(1970..=2106).contains(&year) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Between 1970 and 2106 there are at most 34 leap days before a year. A date that does not exist
    // is not found.
    let first = year.checked_sub(1970)?.checked_mul(365)?;
    let mut days = first..first.checked_add(34 + 366)?;
    let days = days.find(|days| date(*days) == (year, month, day))?;
    let secs = u64::from(days) * 86_400 + u64::from(hour * 3_600 + minute * 60 + second);
    u32::try_from(secs).ok()
}

/// Three decimal numbers of these lengths.
fn numbers(text: &str, separator: char, lengths: [usize; 3]) -> Option<[u32; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, len) in numbers.iter_mut().zip(lengths) {
        let part = parts.next()?;
        if part.len() != len || !part.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (secs, text) in [
            (0, "1970-01-01 00:00"),
            (951_782_400, "2000-02-29 00:00"),
            (1_750_000_000, "2025-06-15 15:06"),
            (1_795_952_348, "2026-11-29 11:39"),
            (u32::MAX, "2106-02-07 06:28"),
        ] {
            assert_eq!(UtcTime(secs).to_string(), text);
            let read: UtcTime = text.parse().unwrap();
            assert_eq!(read.0, secs - secs % 60);
        }
    }

    #[test]
    fn every_form_of_a_time_is_read() {
        let noon = 1_795_953_600;
        for text in [
            "2026-11-29T12:00",
            "2026-11-29 12:00:00",
            "2026-11-29T12:00:00Z",
        ] {
            assert_eq!(text.parse(), Ok(UtcTime(noon)), "{text}");
        }
        assert_eq!("2026-11-29".parse(), Ok(UtcTime(noon - 43_200)));
        assert_eq!(
            "2105-12-31".parse::<UtcTime>().unwrap().to_string(),
            "2105-12-31 00:00"
        );
    }

    #[test]
    fn what_is_not_a_date_is_refused() {
        for text in [
            "",
            "14",
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "1969-12-31",
            "2107-01-01",
            "2106-12-31",
            "2026-11-29T24:00",
            "2026-11-29T12:60",
            "2026-11-29T12",
            "26-11-2029",
            "+026-11-29",
        ] {
            assert_eq!(text.parse::<UtcTime>(), Err(NotATime), "{text}");
        }
    }

    #[test]
    fn past_time_is_an_age_or_a_date() {
        assert_eq!("2h".parse(), Ok(PastTime::Age(Duration::from_secs(7_200))));
        let date: PastTime = "2026-11-29T11:39".parse().unwrap();
        assert_eq!(date.unix(), 1_795_952_340);
        assert!("yesterday".parse::<PastTime>().is_err());
    }
}
