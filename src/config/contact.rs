//! The table `[contact]`: how the cards of own addresses travel.

use circuits::level::Level;

use super::setting::{One, settings};
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
