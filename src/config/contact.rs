//! The table `[contact]`: how the cards of own addresses travel.

use circuits::level::Level;

use super::setting::{Count, One, settings};
use super::value::{self, BadValue};

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct ContactSettings, "contact", "Contact by hash", |all| &mut all.contact;

    /// Privacy level of the cards of own addresses: bulletin, dark, hush or normal
    card_level: Level = Level::Bulletin;
        "contact.card-level" "contact-card-level" "WHISHT_CONTACT_CARD_LEVEL";
        One(card_level), "LEVEL" "\"bulletin\"";
        "Three cards a day. While the level is not available, they wait; another one is never used in its \
         place. `\"normal\"` is for networks without mixing relays: an observer of this machine's link may \
         learn that it publishes cards";

    /// Maximum size of a file that is handed over, in either direction, in megabytes
    max_file_mb: usize = 1_024;
        "contact.max-file-mb" "contact-max-file-mb" "WHISHT_CONTACT_MAX_FILE_MB";
        Count(value::FILE_MB), "MB" "1024";
        "A file waits in the data directory, sealed, for 14 days at most. A node without one keeps 64 MB of \
         files in memory";
}

impl ContactSettings {
    /// Maximum size in bytes of a file that is handed over.
    pub(super) fn max_file_bytes(&self) -> u64 {
        let megabytes = u64::try_from(self.max_file_mb()).unwrap_or(u64::MAX);
        megabytes.saturating_mul(1 << 20)
    }
}

/// Reads a level that cards can travel at.
fn card_level(word: &str) -> Result<Level, BadValue> {
    match value::level(word)? {
        level @ (Level::Open | Level::Swift) => Err(BadValue::new(format_args!(
            "cards cannot travel at {level}, which shows who publishes them; expected bulletin, dark, hush or \
             normal"
        ))),
        level => Ok(level),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_show_the_publisher_are_refused_for_cards() {
        for level in Level::ALL {
            let hides = !matches!(level, Level::Open | Level::Swift);
            assert_eq!(card_level(level.word()).is_ok(), hides, "{level}");
        }
        assert!(card_level("bulletins").is_err());
    }
}
