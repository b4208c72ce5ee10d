//! Which messages of the inbox are wanted, and how a message is named.
//!
//! The id of a message is the hash of its envelope, so it stays the same after a restart, when the
//! network returns the messages in another order.

use core::fmt;
use core::str::FromStr;

use circuits::time::UnixSecs;

use super::hex;
use crate::envelope::EnvelopeHash;

/// A selection of received messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InboxQuery {
    /// All.
    All,
    /// Those that this node received after the message with this id.
    After(MessageIdPrefix),
    /// Those that this node received at this time or later.
    Since(UnixSecs),
    /// The message with this id.
    One(MessageIdPrefix),
}

/// The id of a message, or its first digits: 8 to 64 hexadecimal digits.
#[derive(Clone, Eq, PartialEq)]
pub struct MessageIdPrefix(String);

impl MessageIdPrefix {
    /// Whether the id of this envelope's message begins with these digits.
    #[must_use]
    pub fn matches(&self, envelope: &EnvelopeHash) -> bool {
        hex(&envelope.0).starts_with(&self.0)
    }
}

impl FromStr for MessageIdPrefix {
    type Err = MessageIdError;

    /// Takes digits of either case, with or without `0x`.
    fn from_str(text: &str) -> Result<Self, MessageIdError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(MessageIdError::NotHexadecimal);
        }
        if !(MIN_DIGITS..=MAX_DIGITS).contains(&digits.len()) {
            return Err(MessageIdError::Length(digits.len()));
        }
        Ok(Self(digits.to_ascii_lowercase()))
    }
}

impl fmt::Display for MessageIdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageIdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageIdPrefix(..)")
    }
}

/// Why a text is not the id of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MessageIdError {
    /// A character is not a hexadecimal digit.
    #[error("an id consists of hexadecimal digits")]
    NotHexadecimal,
    /// There are so many digits.
    #[error(
        "an id has 64 digits, of which the first {MIN_DIGITS} or more are needed; this has {0}"
    )]
    Length(usize),
}

/// Minimum number of digits.
const MIN_DIGITS: usize = 8;
/// The digits of a whole id.
const MAX_DIGITS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_prefix_matches_its_envelope_only() {
        let hash = EnvelopeHash([0xab; 32]);
        for text in ["abababab", "0xABABABABA", &"ab".repeat(32)] {
            let prefix: MessageIdPrefix = text.parse().unwrap();
            assert!(prefix.matches(&hash), "{text}");
        }
        let other: MessageIdPrefix = "abababac".parse().unwrap();
        assert!(!other.matches(&hash));
    }

    #[test]
    fn text_that_is_not_an_id_is_refused_with_the_rule() {
        for (text, error) in [
            ("14", MessageIdError::Length(2)),
            ("abababa", MessageIdError::Length(7)),
            (&"a".repeat(65), MessageIdError::Length(65)),
            ("yesterday", MessageIdError::NotHexadecimal),
        ] {
            assert_eq!(text.parse::<MessageIdPrefix>(), Err(error));
        }
    }
}
