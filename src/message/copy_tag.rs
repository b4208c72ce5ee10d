//! The tag by which a reader recognises copies of one message.
//!
//! A sender that hears no echo sends a message again as another envelope, and both may arrive. All
//! attempts of one message begin their padding with the same tag: `nonce 8 | check 8`, where check is
//! the start of keccak256(label | nonce). The nonce is random, so the tag says nothing about sender,
//! time or content; outside the encryption it does not exist. Other programs see random padding.
//!
//! The check keeps readers from taking the padding of another program for a tag: a program may pad
//! every message with the same bytes.

use rand_core::CryptoRng;
use sha3::{Digest, Keccak256};

/// The tag of one message.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CopyTag([u8; Self::LEN]);

impl CopyTag {
    /// Length in bytes.
    pub const LEN: usize = 2 * HALF;

    /// Draws the tag of a new message.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut nonce = [0; HALF];
        rng.fill_bytes(&mut nonce);
        Self::of_nonce(nonce)
    }

    /// Reads the tag at the start of a padding; `None` if the padding begins with none.
    #[must_use]
    pub fn of_padding(padding: &[u8]) -> Option<Self> {
        let nonce = padding.first_chunk::<HALF>()?;
        let tag = Self::of_nonce(*nonce);
        padding.starts_with(&tag.0).then_some(tag)
    }

    /// Its bytes in the padding.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    fn of_nonce(nonce: [u8; HALF]) -> Self {
        let hash = Keccak256::new().chain_update(LABEL).chain_update(nonce);
        let mut tag = [0; Self::LEN];
        for (to, from) in tag.iter_mut().zip(nonce.into_iter().chain(hash.finalize())) {
            *to = from;
        }
        Self(tag)
    }
}

const LABEL: &[u8] = b"whisht/1/copy";
/// Length of the nonce, and of the check.
const HALF: usize = 8;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn tag_is_read_from_the_padding_that_begins_with_it() {
        let tag = CopyTag::draw(&mut ChaCha20Rng::from_seed([1; 32]));
        let padding = [tag.as_bytes().as_slice(), &[9; 5]].concat();
        assert_eq!(CopyTag::of_padding(&padding), Some(tag));
        assert_eq!(CopyTag::of_padding(tag.as_bytes()), Some(tag));
    }

    #[test]
    fn padding_of_another_program_has_no_tag() {
        for padding in [&[][..], &[0; 15], &[0; 300], &[0xff; 16]] {
            assert_eq!(CopyTag::of_padding(padding), None);
        }
        let mut altered = *CopyTag::draw(&mut ChaCha20Rng::from_seed([1; 32])).as_bytes();
        altered[15] ^= 1;
        assert_eq!(CopyTag::of_padding(&altered), None);
    }

    #[test]
    fn tag_matches_its_vector() {
        let tag = CopyTag::of_nonce([0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(hex::encode(tag.0), "000102030405060747a96b960735ee25");
    }
}
