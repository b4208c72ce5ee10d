//! Times, sizes and texts, as pages show them.
//!
//! Times are in UTC and end at the minute: a page that is photographed tells no time zone, and no finer
//! time than the network. Texts of other machines lose their control characters and marks of direction
//! here; the templates escape them.

use crate::contact::id::ContactId;
use crate::contact::voice::VoiceWords;
use crate::keystore::date;
use crate::printable;

/// A text of another machine, with its line ends.
pub(super) fn text(text: &str) -> String {
    printable::safe(text)
}

/// A text of another machine, on one line.
pub(super) fn line(text: &str) -> String {
    printable::one_line(text)
}

/// A time in seconds since 1970: `2026-11-29 11:39`.
pub(super) fn minute(secs: u64) -> String {
    let minutes = u32::try_from(secs / 60).unwrap_or(u32::MAX);
    let (days, minutes) = (minutes / (24 * 60), minutes % (24 * 60));
    let (year, month, day) = date(days);
    let (hour, minute) = (minutes / 60, minutes % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// The day of a time: `2026-11-29`.
pub(super) fn day(secs: u64) -> String {
    let minute = minute(secs);
    let day = minute.split(' ').next();
    day.unwrap_or_default().to_owned()
}

/// The time of day: `11:39`.
pub(super) fn clock(secs: u64) -> String {
    let minute = minute(secs);
    let clock = minute.split(' ').next_back();
    clock.unwrap_or_default().to_owned()
}

/// Two words for a conversation without a contact, from its id. They tell requests from each other, and
/// prove nothing.
pub(super) fn codename(id: &str) -> String {
    let Some(id) = ContactId::from_hex(id) else {
        return "unknown".to_owned();
    };
    let words = VoiceWords::of(&id);
    let [first, second, ..] = words.words();
    format!("{first} {second}")
}

/// A duration in milliseconds, in whole units.
pub(super) fn duration(millis: u64) -> String {
    match millis {
        0..1_000 => "less than 1 s".to_owned(),
        1_000..120_000 => format!("{} s", millis.div_ceil(1_000)),
        120_000..7_200_000 => format!("{} min", millis.div_ceil(60_000)),
        _ => format!("{} h", millis.div_ceil(3_600_000)),
    }
}

/// A number of bytes.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{} KB", count.div_ceil(1_000)),
        _ => format!("{} MB", count.div_ceil(1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_ends_at_the_minute() {
        assert_eq!(minute(1_795_952_399), minute(1_795_952_340));
        assert_eq!(minute(0), "1970-01-01 00:00");
        assert_eq!((&*day(60), &*clock(60)), ("1970-01-01", "00:01"));
    }

    #[test]
    fn amounts_have_whole_units_and_are_not_rounded_down() {
        assert_eq!(duration(1_001), "2 s");
        assert_eq!(duration(120_001), "3 min");
        assert_eq!(duration(7_200_001), "3 h");
        assert_eq!(bytes(9_999), "9999 B");
        assert_eq!(bytes(10_001), "11 KB");
        assert_eq!(bytes(20_000_001), "21 MB");
    }

    #[test]
    fn codename_belongs_to_one_conversation() {
        let (one, two) = (codename(&"ab".repeat(32)), codename(&"cd".repeat(32)));
        assert_eq!(one, codename(&"ab".repeat(32)));
        assert_ne!(one, two);
        assert_eq!(one.split(' ').count(), 2);
        assert_eq!(codename("no id"), "unknown");
    }

    #[test]
    fn text_of_another_machine_has_no_marks_of_direction() {
        assert_eq!(text("a\u{202e}b\nc"), "a?b\nc");
        assert_eq!(line("a\nb"), "a?b");
    }
}
