//! Times in options: numbers with units, such as `90s`, `1h30m` or `2d`.
//!
//! A number without a unit is refused, because other programs mean seconds or minutes by it.

use std::time::Duration;

use crate::envelope_builder::MAX_LIFE;

/// Reads a time of up to 30 days.
///
/// # Errors
///
/// The rule, and what to write instead.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    read(text, MAX_TIME, "the maximum is 30d")
}

/// Reads the lifetime of an envelope.
///
/// # Errors
///
/// The rule, and what to write instead.
pub(super) fn lifetime(text: &str) -> Result<Duration, String> {
    let hours = MAX_LIFE.as_secs() / 3_600;
    let rule = format!("no envelope lives that long; the maximum is {hours}h");
    read(text, MAX_LIFE, &rule)
}

fn read(text: &str, max: Duration, rule: &str) -> Result<Duration, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("a time needs a unit; for seconds write {text}s"));
    }
    let secs = seconds(text).ok_or(
        "expected numbers and units, the largest unit first (w, d, h, m, s), such as 90s, 1h30m or 2d",
    )?;
    match secs {
        0 => Err("expected at least 1s".to_owned()),
        _ if secs > max.as_secs() => Err(rule.to_owned()),
        _ => Ok(Duration::from_secs(secs)),
    }
}

/// The sum of the parts of a time; huge values saturate. `None` if it has another form.
fn seconds(mut text: &str) -> Option<u64> {
    let mut units = UNITS.iter();
    let mut sum = 0_u64;
    loop {
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        let (digits, rest) = text.split_at_checked(end)?;
        let unit = rest.chars().next()?;
        // The iterator goes on behind the unit that it finds, so units descend.
        let (_, secs) = units.find(|(name, _)| *name == unit)?;
        if digits.is_empty() {
            return None;
        }
        let count = digits.parse::<u64>().unwrap_or(u64::MAX);
        sum = sum.saturating_add(count.saturating_mul(*secs));
        text = rest.strip_prefix(unit)?;
        if text.is_empty() {
            return Some(sum);
        }
    }
}

/// Units, the largest first, in seconds.
const UNITS: [(char, u64); 5] = [
    ('w', 604_800),
    ('d', 86_400),
    ('h', 3_600),
    ('m', 60),
    ('s', 1),
];
/// The longest time that an option accepts.
const MAX_TIME: Duration = Duration::from_secs(30 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_descending_units_are_added() {
        for (text, secs) in [
            ("90s", 90),
            ("30m", 1_800),
            ("24h", 86_400),
            ("3d", 259_200),
            ("1w", 604_800),
            ("1h30m", 5_400),
            ("2d11h", 212_400),
            ("30d", 2_592_000),
        ] {
            assert_eq!(time(text).map(|time| time.as_secs()), Ok(secs), "{text}");
        }
    }

    #[test]
    fn bad_time_is_refused_with_the_form_or_the_maximum() {
        for bad in [
            "", "h", "-1h", "1.5h", "3 d", "30m1h", "1h1h", "1hm", "1H", "1y",
        ] {
            let refused = time(bad).unwrap_err();
            assert!(refused.contains("1h30m"), "{bad}: {refused}");
        }
        assert!(time("60").unwrap_err().contains("write 60s"));
        assert!(time("0s").unwrap_err().contains("at least 1s"));
        for long in ["31d", "5w", "99999999999999999999d"] {
            assert!(time(long).unwrap_err().contains("30d"), "{long}");
        }
    }

    #[test]
    fn lifetime_is_bounded_by_what_an_envelope_can_live() {
        assert_eq!(lifetime("59h"), Ok(MAX_LIFE));
        for long in ["3d", "60h", "59h1s"] {
            let refused = lifetime(long).unwrap_err();
            assert!(refused.contains("59h"), "{long}: {refused}");
        }
    }
}
