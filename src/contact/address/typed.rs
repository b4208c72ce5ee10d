//! A typed address without its separators, and the checks that come before the checksum.

use bech32::Fe32;

use super::lookalike;
use super::{
    AddressError, CharPlace, ContactAddress, GROUP_LEN, MAX_TYPED_CHARS, OtherThing, PREFIX,
};
use crate::printable::excerpt;

/// The characters that count, each with its place in the text.
pub(super) struct Typed(Vec<(usize, char)>);

impl Typed {
    /// Leaves out the scheme and all separators.
    pub(super) fn read(text: &str) -> Result<Self, AddressError> {
        if text.chars().nth(MAX_TYPED_CHARS).is_some() {
            return Err(AddressError::TooLong);
        }
        let places = 1..;
        let counted = places.zip(text.chars());
        let mut kept: Vec<_> = counted.filter(|(_, c)| !is_separator(*c)).collect();
        let scheme = kept.iter().zip(SCHEME.chars());
        let same = scheme.filter(|((_, c), of_scheme)| c.eq_ignore_ascii_case(of_scheme));
        if same.count() == SCHEME.len() {
            kept.drain(..SCHEME.len());
        }
        if kept.is_empty() {
            return Err(AddressError::Empty);
        }
        Ok(Self(kept))
    }

    /// Refuses what is recognised as something else.
    pub(super) fn check_kind(&self) -> Result<(), AddressError> {
        let text = self.lower_case();
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        let is_key = digits.len() == KEY_DIGITS
            && digits.starts_with("04")
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let begins = |begin: &str| text.starts_with(begin);
        let other = if begins("enode://") || begins("shhr1") {
            OtherThing::Relay
        } else if begins("shhi1") {
            OtherThing::Invitation
        } else if is_key {
            OtherThing::WhisperKey
        } else if begins("bc1") {
            OtherThing::Bitcoin
        } else if text.contains(".onion") {
            OtherThing::Onion
        } else if begins("npub1") {
            OtherThing::Nostr
        } else if begins("simplex:") || begins("https://simplex.chat/") {
            OtherThing::Simplex
        } else {
            return Ok(());
        };
        Err(AddressError::Other(other))
    }

    /// Refuses characters outside of ASCII.
    pub(super) fn check_ascii(&self) -> Result<(), AddressError> {
        self.refuse(
            |_, symbol| !symbol.is_ascii(),
            |place, symbol| AddressError::NotAscii {
                place,
                symbol,
                looks_like: lookalike::in_ascii(symbol),
            },
        )
    }

    /// Refuses a mixture of lower and upper case.
    pub(super) fn check_case(&self) -> Result<(), AddressError> {
        let first = self.0.iter().find(|(_, c)| c.is_ascii_alphabetic());
        let is_upper = first.is_some_and(|(_, c)| c.is_ascii_uppercase());
        self.refuse(
            |_, symbol| symbol.is_ascii_alphabetic() && symbol.is_ascii_uppercase() != is_upper,
            |place, _| AddressError::MixedCase(place),
        )
    }

    /// Requires `shh1` at the beginning.
    pub(super) fn check_prefix(&self) -> Result<(), AddressError> {
        if self.lower_case().starts_with(PREFIX) {
            return Ok(());
        }
        let begin: String = self.0.iter().map(|(_, c)| *c).collect();
        Err(AddressError::NoPrefix {
            begin: excerpt(&begin, PREFIX.len()),
        })
    }

    /// Refuses characters that no address contains after the prefix.
    pub(super) fn check_alphabet(&self) -> Result<(), AddressError> {
        self.refuse(
            |index, symbol| index >= PREFIX.len() && Fe32::from_char(symbol).is_err(),
            |place, symbol| AddressError::NotInAlphabet { place, symbol },
        )
    }

    /// Requires 63 characters.
    pub(super) const fn check_length(&self) -> Result<(), AddressError> {
        match self.0.len() {
            ContactAddress::LEN => Ok(()),
            chars => Err(AddressError::Length { chars }),
        }
    }

    /// The characters that count, in lower case.
    pub(super) fn lower_case(&self) -> String {
        self.0.iter().map(|(_, c)| c.to_ascii_lowercase()).collect()
    }

    /// Where the character of an index is.
    pub(super) fn place(&self, index: usize) -> CharPlace {
        CharPlace {
            position: self.0.get(index).map_or(index + 1, |(place, _)| *place),
            group: index / GROUP_LEN + 1,
        }
    }

    /// The error of the first character that is refused.
    fn refuse(
        &self,
        is_refused: impl Fn(usize, char) -> bool,
        error: impl Fn(CharPlace, char) -> AddressError,
    ) -> Result<(), AddressError> {
        let mut symbols = self.0.iter().enumerate();
        match symbols.find(|(index, (_, symbol))| is_refused(*index, *symbol)) {
            Some((index, (_, symbol))) => Err(error(self.place(index), *symbol)),
            None => Ok(()),
        }
    }
}

/// What programs and people put between the characters: white space, hyphens, invisible characters.
const fn is_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '\r' | '\n' | '-' | '\u{a0}' | '\u{ad}' | '\u{200b}'
            ..='\u{200d}' | '\u{2060}' | '\u{feff}'
    )
}

/// The scheme of links and QR codes.
const SCHEME: &str = "shh:";
/// Hexadecimal digits of a public key of Whisper.
const KEY_DIGITS: usize = 130;
