//! The voice check: six words that two people compare to see that they hold the same address.
//!
//! The words carry 66 bits of a hash of the id. They are for comparison only: an address cannot be made
//! from them, and an attacker can search for an id with some equal words, so all six count.

use core::fmt;

use bip39::Language;

use super::id::ContactId;
use super::kdf::{Label, hash};

/// Six words of an id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VoiceWords([&'static str; Self::COUNT]);

impl VoiceWords {
    /// Number of words.
    pub const COUNT: usize = 6;
    /// Bits that the words carry.
    pub const BITS: u32 = 66;

    /// The words of an id.
    #[must_use]
    pub fn of(id: &ContactId) -> Self {
        let digest = hash(Label::WORDS, &[&id.0]);
        let start = digest.iter().take(HASHED_BYTES);
        let bits = start.fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte)) >> UNUSED_BITS;
        let mut left = bits;
        let mut words = [""; Self::COUNT];
        for word in words.iter_mut().rev() {
            // The remainder is below the length of the list, so the word exists.
            let index = usize::try_from(left % WORDS_IN_LIST).unwrap_or_default();
            *word = Language::English
                .word_list()
                .get(index)
                .copied()
                .unwrap_or_default();
            left /= WORDS_IN_LIST;
        }
        Self(words)
    }

    /// The words, in order.
    #[must_use]
    pub const fn words(&self) -> &[&'static str; Self::COUNT] {
        &self.0
    }
}

impl fmt::Display for VoiceWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Bytes of the hash that contain the first 66 bits.
const HASHED_BYTES: usize = 9;
/// Bits of these bytes beyond the first 66.
const UNUSED_BITS: u32 = 6;
const WORDS_IN_LIST: u128 = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    /// From the check values of the contact formats, computed by an independent program.
    #[test]
    fn words_agree_with_the_check_value() {
        let mut id = [0; 32];
        let digits = "c5e23d0f6e8b9b728752537b3c38acdc7bb3f9320a1046ce7899ff1650116778";
        hex::decode_to_slice(digits, &mut id).unwrap();
        let words = VoiceWords::of(&ContactId(id));
        assert_eq!(words.to_string(), "trumpet result tennis cheap song soccer");
    }
}
