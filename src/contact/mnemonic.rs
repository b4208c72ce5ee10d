//! Twelve words from which an address, or the keys of letters, can be restored.
//!
//! The words are those of BIP-39: 128 random bits and a checksum of four bits, from the English list, with
//! an empty passphrase. They are a secret: no method formats them but [`Mnemonic::words`], and an error
//! names the place of a word, not the word.

use bip39::Language;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Twelve words. Erased on drop.
pub struct Mnemonic(bip39::Mnemonic);

impl Mnemonic {
    /// Number of words.
    pub const WORDS: usize = 12;

    /// Draws new words.
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut entropy = Zeroizing::new([0; ENTROPY_BYTES]);
        loop {
            rng.fill_bytes(entropy.as_mut_slice());
            // The only refusal is of another length.
            if let Ok(words) = bip39::Mnemonic::from_entropy_in(LIST, entropy.as_slice()) {
                return Self(words);
            }
        }
    }

    /// Reads words that are separated by white space. Upper case is accepted.
    ///
    /// # Errors
    ///
    /// [`MnemonicError`] if there are not twelve, if one is not in the list, or if the checksum is wrong.
    pub fn parse(text: &str) -> Result<Self, MnemonicError> {
        let text = Zeroizing::new(text.to_ascii_lowercase());
        let words = text.split_whitespace().count();
        if words != Self::WORDS {
            return Err(MnemonicError::Count(words));
        }
        match bip39::Mnemonic::parse_in_normalized(LIST, &text) {
            Ok(words) => Ok(Self(words)),
            Err(bip39::Error::UnknownWord(index)) => Err(MnemonicError::Unknown(index + 1)),
            Err(_) => Err(MnemonicError::Checksum),
        }
    }

    /// The words, in order.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.0.words()
    }

    /// The seed from which keys are derived. Takes about a millisecond.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.0.to_seed_normalized(""))
    }
}

/// Why a text is not twelve words.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MnemonicError {
    /// Too few or too many words.
    #[error("there are 12 words; {0} were typed")]
    Count(usize),
    /// The word at this place, counted from 1, is not in the list.
    #[error("word {0} is not in the list of English words of BIP-39; check its spelling")]
    Unknown(usize),
    /// All words are in the list, but the checksum is wrong.
    #[error("the words do not belong together; one is wrong, or two have changed places")]
    Checksum,
}

const LIST: Language = Language::English;
/// 128 bits: 12 words of 11 bits, less the checksum of 4.
const ENTROPY_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    const ABOUT: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                         abandon abandon about";

    /// The first vector of BIP-39 with an empty passphrase.
    #[test]
    fn seed_agrees_with_the_vector_of_bip39() {
        let words = Mnemonic::parse(ABOUT).ok().unwrap();
        assert_eq!(
            hex::encode(words.seed().as_slice()),
            "5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1\
             9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4"
        );
    }

    #[test]
    fn drawn_words_parse_in_any_case_and_spacing() {
        let drawn = Mnemonic::draw(&mut ChaCha20Rng::from_seed([7; 32]));
        let typed: Vec<_> = drawn.words().map(str::to_ascii_uppercase).collect();
        assert_eq!(typed.len(), Mnemonic::WORDS);
        let parsed = Mnemonic::parse(&format!(" {}\n", typed.join("  ")))
            .ok()
            .unwrap();
        assert_eq!(*parsed.seed(), *drawn.seed());
        let other = Mnemonic::draw(&mut ChaCha20Rng::from_seed([8; 32]));
        assert_ne!(*other.seed(), *drawn.seed());
    }

    #[test]
    fn wrong_words_are_refused_by_place() {
        let parse = |text: &str| Mnemonic::parse(text).err();
        assert_eq!(parse(""), Some(MnemonicError::Count(0)));
        let thirteen = format!("{ABOUT} about");
        assert_eq!(parse(&thirteen), Some(MnemonicError::Count(13)));
        let misspelt = ABOUT.replacen("abandon abandon", "abandon abondon", 1);
        assert_eq!(parse(&misspelt), Some(MnemonicError::Unknown(2)));
        let swapped = ABOUT.replace("abandon about", "about abandon");
        assert_eq!(parse(&swapped), Some(MnemonicError::Checksum));
    }
}
