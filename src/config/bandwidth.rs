//! The table `[bandwidth]`: hard limits of what crosses all links.
//!
//! Cover traffic and the cells of other nodes come first: they must not depend on what gossip leaves over. So a
//! limit below what they need is refused at the start, and gossip gets the rest.

use core::fmt;
use core::str::FromStr;

use super::error::ConfigError;
use super::setting::{Count, One, settings};
use super::value::{self, BadValue, parsed};
use crate::bandwidth::BandwidthLimits;
use crate::node::{Cover, own_bytes_per_day};

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct BandwidthSettings, "bandwidth", "Bandwidth", |all| &mut all.bandwidth;

    /// Maximum rate in each direction, over all links, such as 200KB/s
    max: ByteRate;
        "bandwidth.max" "bandwidth-max" "WHISHT_BANDWIDTH_MAX";
        One(parsed), "RATE" "no limit";
        "KB/s (1000 bytes) or MB/s. While gossip takes nearly all of it, the node announces a higher minimum \
         proof of work";

    /// Maximum megabytes in a day, both directions together
    max_mb_day: usize;
        "bandwidth.max-mb-day" "bandwidth-max-mb-day" "WHISHT_BANDWIDTH_MAX_MB_DAY";
        Count(value::DAY_MB), "MB" "no limit";
        "A megabyte has 1,000,000 bytes. It holds for every 24 hours, across restarts";
}

impl BandwidthSettings {
    /// The limits, for a node with this cover traffic that relays or not.
    ///
    /// # Errors
    ///
    /// [`ConfigError::BandwidthTooLow`] or [`ConfigError::DailyVolumeTooLow`] if cover traffic and cells need
    /// more.
    pub(super) fn build(&self, cover: Cover, relay: bool) -> Result<BandwidthLimits, ConfigError> {
        let per_second = self.max.map(|ByteRate(rate)| rate);
        let needed = needed_per_second(cover, relay);
        if let Some(rate) = per_second.filter(|rate| *rate < needed) {
            return Err(ConfigError::BandwidthTooLow {
                limit: ByteRate(rate),
                needed: ByteRate(needed),
            });
        }
        let Some(megabytes) = self.max_mb_day else {
            return Ok(BandwidthLimits {
                per_second,
                ..BandwidthLimits::default()
            });
        };
        let megabytes = u64::try_from(megabytes).unwrap_or(u64::MAX);
        let (received, sent) = own_bytes_per_day(cover, relay);
        // A quarter more than cells take on average, for control messages and chance.
        let reserved = received.saturating_add(sent);
        let needed = (reserved.saturating_mul(5) / 4).div_ceil(MEGABYTE);
        if megabytes < needed {
            return Err(ConfigError::DailyVolumeTooLow { megabytes, needed });
        }
        // Gossip shares what cells leave over between both directions.
        let rest = megabytes.saturating_mul(MEGABYTE).saturating_sub(reserved) / 2;
        Ok(BandwidthLimits {
            per_second,
            received_per_day: Some(received.saturating_add(rest)),
            sent_per_day: Some(sent.saturating_add(rest)),
        })
    }
}

/// The rate that cells need at peaks: a node sends at most 15 cells of its own per second, and cover comes in
/// bursts. A relay forwards as much again for others.
const fn needed_per_second(cover: Cover, relay: bool) -> u64 {
    match (relay, cover) {
        (true, _) => 64_000,
        (false, Cover::Full | Cover::Reduced) => 32_000,
        (false, Cover::Off) => 16_000,
    }
}

/// A rate in bytes per second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ByteRate(pub u64);

impl FromStr for ByteRate {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let units = [("KB/s", 1_000), ("MB/s", MEGABYTE)];
        let read = units.into_iter().find_map(|(unit, bytes)| {
            let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
            number.checked_mul(bytes)
        });
        read.filter(|rate| (1..=MAX_RATE).contains(rate))
            .map(Self)
            .ok_or_else(|| {
                BadValue::new(
                    "expected a whole number and KB/s or MB/s, such as 200KB/s, up to 10000MB/s",
                )
            })
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            rate if rate.is_multiple_of(MEGABYTE) => write!(f, "{}MB/s", rate / MEGABYTE),
            rate => write!(f, "{}KB/s", rate.div_ceil(1_000)),
        }
    }
}

const MEGABYTE: u64 = 1_000_000;
const MAX_RATE: u64 = 10_000 * MEGABYTE;

#[cfg(test)]
mod tests {
    use super::*;

    fn build(
        max: Option<&str>,
        day: Option<usize>,
        relay: bool,
    ) -> Result<BandwidthLimits, String> {
        let settings = BandwidthSettings {
            max: max.map(|max| max.parse().unwrap()),
            max_mb_day: day,
        };
        let built = settings.build(Cover::Full, relay);
        built.map_err(|error| error.to_string())
    }

    #[test]
    fn rate_is_a_whole_number_with_a_unit() {
        for (text, rate) in [("200KB/s", 200_000), ("3 MB/s", 3_000_000)] {
            assert_eq!(text.parse(), Ok(ByteRate(rate)), "{text}");
        }
        for text in [
            "200",
            "200KB",
            "1.5MB/s",
            "0KB/s",
            "-1KB/s",
            "200kbit/s",
            "99999999MB/s",
        ] {
            assert!(text.parse::<ByteRate>().is_err(), "{text}");
        }
    }

    #[test]
    fn limit_below_the_need_of_cover_names_the_need() {
        let refused = build(Some("10KB/s"), None, false).unwrap_err();
        assert!(
            refused.contains("10KB/s") && refused.contains("32KB/s"),
            "{refused}"
        );
        let refused = build(None, Some(40), false).unwrap_err();
        assert!(
            refused.contains("40") && refused.contains("58"),
            "{refused}"
        );
        assert!(
            build(Some("63KB/s"), None, true)
                .unwrap_err()
                .contains("64KB/s")
        );
        assert!(build(Some("64KB/s"), Some(1_000), true).is_ok());
    }

    #[test]
    fn both_directions_together_have_the_volume_of_the_day() {
        let limits = build(None, Some(400), false).unwrap();
        let sum = limits.received_per_day.unwrap() + limits.sent_per_day.unwrap();
        assert!((399_999_990..=400_000_000).contains(&sum), "{sum}");
        assert!(limits.sent_per_day > limits.received_per_day);
        assert!(!build(None, None, true).unwrap().is_on());
    }
}
