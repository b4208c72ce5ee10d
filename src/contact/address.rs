//! The address of a person: 63 characters that a person reads out, types, scans and compares.
//!
//! An address is Bech32m over a version and the id (docs/wire/contact.md, section "Address"). The parser
//! accepts what people and programs do to texts: groups, line ends, invisible characters, upper case. The
//! first check that fails is reported with the place where the user finds it; a mistake is located, but
//! never corrected, because a corrected address may be the address of another person.
//!
//! The id in an address finds the cards of its owner. `Debug` does not print it, and an error names single
//! characters only.

mod locate;
mod lookalike;
mod typed;

use core::fmt;
use core::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};

use super::id::ContactId;
use typed::Typed;

/// An address: the id of a person, in the form that people exchange.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct ContactAddress(ContactId);

impl ContactAddress {
    /// Length in characters.
    pub const LEN: usize = 63;

    /// The address of an id.
    #[must_use]
    pub const fn new(id: ContactId) -> Self {
        Self(id)
    }

    /// The id.
    #[must_use]
    pub const fn id(&self) -> ContactId {
        self.0
    }

    /// The address in groups of four characters, for reading and typing.
    #[must_use]
    pub fn grouped(&self) -> String {
        let mut grouped = String::new();
        for (index, symbol) in self.to_string().chars().enumerate() {
            if index > 0 && index.is_multiple_of(GROUP_LEN) {
                grouped.push(' ');
            }
            grouped.push(symbol);
        }
        grouped
    }

    /// The text of a QR code: upper case, because such a code is smaller, under the scheme `SHH:`.
    #[must_use]
    pub fn qr_text(&self) -> String {
        format!("SHH:{}", self.to_string().to_ascii_uppercase())
    }
}

impl fmt::Debug for ContactAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContactAddress(..)")
    }
}

impl fmt::Display for ContactAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = [&[VERSION][..], &self.0.0].concat();
        bech32::encode_lower_to_fmt::<Bech32m, _>(f, HRP, &payload).map_err(|_| fmt::Error)
    }
}

impl FromStr for ContactAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let typed = Typed::read(text)?;
        typed.check_kind()?;
        typed.check_ascii()?;
        typed.check_case()?;
        typed.check_prefix()?;
        typed.check_alphabet()?;
        typed.check_length()?;
        decode(&typed)
    }
}

/// Decodes 63 characters of the alphabet that begin with `shh1`.
fn decode(typed: &Typed) -> Result<ContactAddress, AddressError> {
    let text = typed.lower_case();
    let Ok(checked) = CheckedHrpstring::new::<Bech32m>(&text) else {
        return Err(wrong_checksum(typed, &text));
    };
    let padding = checked.fe32_iter().last();
    if padding.is_none_or(|symbol| symbol.to_u8() & 1 != 0) {
        return Err(AddressError::Padding);
    }
    let payload: Vec<u8> = checked.byte_iter().collect();
    let (version, id) = payload.split_first().ok_or(AddressError::Padding)?;
    if *version != VERSION {
        return Err(AddressError::Version(*version));
    }
    let id = <[u8; 32]>::try_from(id).map_err(|_| AddressError::Padding)?;
    Ok(ContactAddress(ContactId(id)))
}

/// The wrong characters, if they are one or two.
fn wrong_checksum(typed: &Typed, text: &str) -> AddressError {
    let symbols = text.get(PREFIX.len()..).unwrap_or_default();
    match locate::wrong_symbols(HRP, symbols) {
        locate::Located::OldChecksum => AddressError::OldChecksum,
        locate::Located::Many => AddressError::ManyWrong,
        locate::Located::One(index) => AddressError::OneWrong(typed.place(PREFIX.len() + index)),
        locate::Located::Two(first, second) => AddressError::TwoWrong(
            typed.place(PREFIX.len() + first),
            typed.place(PREFIX.len() + second),
        ),
    }
}

/// Where a character is, counted from 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CharPlace {
    /// The place in the text as it was typed, separators included.
    pub position: usize,
    /// The group of four characters, as `--groups` prints the address.
    pub group: usize,
}

impl fmt::Display for CharPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {} (group {})", self.position, self.group)
    }
}

/// Something that is not an address, but that people put in its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OtherThing {
    /// `enode://` or `shhr1`.
    #[error("the address of a relay; connect to it with `whisht run --peer`")]
    Relay,
    /// A public key of Whisper in hexadecimal digits.
    #[error("a Whisper key, not an address; write to it with `whisht send --to`")]
    WhisperKey,
    /// `shhi1`.
    #[error("an invitation, which this version does not support; ask for the address")]
    Invitation,
    /// `bc1`.
    #[error("an address of Bitcoin; the address of a person begins with `shh1`")]
    Bitcoin,
    /// A name of an onion service.
    #[error("the name of an onion service; the address of a person begins with `shh1`")]
    Onion,
    /// `npub1`.
    #[error("a key of Nostr; the address of a person begins with `shh1`")]
    Nostr,
    /// `simplex:`.
    #[error("an address of SimpleX; the address of a person begins with `shh1`")]
    Simplex,
}

/// Why a text is not an address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    /// The text is longer than any form of an address.
    #[error("an address has 63 characters; this text has more than {MAX_TYPED_CHARS}")]
    TooLong,
    /// Nothing is left without separators.
    #[error("the address is empty; it has 63 characters and begins with `shh1`")]
    Empty,
    /// Something else that is recognised.
    #[error("this is {0}")]
    Other(OtherThing),
    /// A character outside of ASCII.
    #[error("{place} is U+{:04X}{}; type it again in English letters", u32::from(*symbol), like(*looks_like))]
    NotAscii {
        /// Where it is.
        place: CharPlace,
        /// The character.
        symbol: char,
        /// The character of ASCII that it looks like.
        looks_like: Option<char>,
    },
    /// Lower and upper case in one address.
    #[error("{0} is in another case than the letters before it; use either lower or upper case")]
    MixedCase(CharPlace),
    /// The text does not begin with `shh1`.
    #[error("an address begins with `shh1`; this begins with `{begin}`")]
    NoPrefix {
        /// The first characters, fit for a terminal.
        begin: String,
    },
    /// A character that no address contains.
    #[error("{place} is `{}`, which never occurs in an address{}", symbol.escape_default(), mean(*symbol))]
    NotInAlphabet {
        /// Where it is.
        place: CharPlace,
        /// The character.
        symbol: char,
    },
    /// Too few or too many characters.
    #[error("an address has 63 characters; this has {chars}: {}", missing(*chars))]
    Length {
        /// The number of characters without separators.
        chars: usize,
    },
    /// The checksum is wrong, as one wrong character would make it.
    #[error("{0} looks wrong; compare it with the address that you were given")]
    OneWrong(CharPlace),
    /// The checksum is wrong, as two wrong characters would make it.
    #[error("{0} and {1} look wrong; compare them with the address that you were given")]
    TwoWrong(CharPlace, CharPlace),
    /// The checksum is wrong, and more than two characters are.
    #[error(
        "at least three characters are wrong; compare all with the address that you were given"
    )]
    ManyWrong,
    /// The checksum is that of Bech32.
    #[error(
        "the checksum is that of Bech32; an address has a checksum of Bech32m; ask for it again"
    )]
    OldChecksum,
    /// The checksum is right, but the last bit is set: another text of the same address.
    #[error("the checksum is right, but an unused bit is set; no version of whisht writes this")]
    Padding,
    /// A later version.
    #[error("an address of version {0}; this program reads version 1; use a newer whisht")]
    Version(u8),
}

fn like(looks_like: Option<char>) -> String {
    looks_like.map_or_else(String::new, |symbol| {
        format!(", which looks like `{symbol}`")
    })
}

fn mean(symbol: char) -> String {
    let near = lookalike::in_alphabet(symbol);
    if near.is_empty() {
        return String::new();
    }
    format!("; did you mean {near}?")
}

fn missing(chars: usize) -> String {
    match ContactAddress::LEN.checked_sub(chars) {
        Some(missing) => format!("{missing} missing"),
        None => format!("{} too many", chars.saturating_sub(ContactAddress::LEN)),
    }
}

/// The human-readable part.
const HRP: Hrp = Hrp::parse_unchecked("shh");
/// The human-readable part and the separator.
const PREFIX: &str = "shh1";
/// The version of the payload.
const VERSION: u8 = 1;
/// Characters in a group.
const GROUP_LEN: usize = 4;
/// Maximum length of a text that the parser reads. An address in groups on several lines has about 100.
const MAX_TYPED_CHARS: usize = 512;

#[cfg(test)]
mod tests;
