//! The id of a person: the hash of a root, which commits to the keys of the person.
//!
//! The id is the secret that finds a person's cards. It is not printed by `Debug`.

use core::fmt;

use super::kdf::{Label, hash};

/// The hash of a root. What an address contains.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct ContactId(pub [u8; 32]);

impl ContactId {
    /// The id of 64 hexadecimal digits, as views have it; `None` for any other text.
    #[must_use]
    pub fn from_hex(digits: &str) -> Option<Self> {
        let mut id = [0; 32];
        hex::decode_to_slice(digits, &mut id).ok()?;
        Some(Self(id))
    }
}

impl fmt::Debug for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContactId(..)")
    }
}

/// The root of an address: the long-term Ed25519 key, and room for two further commitments. 99 bytes:
/// `version 1 | Ed25519 32 | flags 1 | secp256k1 33 or zeros | commitment to a later key 32 or zeros`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Root {
    /// The Ed25519 public key that signs certificates of cards.
    pub identity_key: [u8; 32],
    /// A compressed secp256k1 key of the same person, if the root names one. It signs nothing here.
    pub secp256k1: Option<[u8; 33]>,
    /// A commitment to a key of a later, post-quantum signature scheme.
    pub later_key: Option<[u8; 32]>,
}

impl Root {
    /// Length in bytes.
    pub const LEN: usize = 99;

    /// The bytes that the id hashes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let flags = u8::from(self.secp256k1.is_some()) | (u8::from(self.later_key.is_some()) << 1);
        let mut bytes = [0; Self::LEN];
        let parts = [
            &[VERSION][..],
            &self.identity_key,
            &[flags],
            self.secp256k1.as_ref().map_or(&[0; 33], |key| key),
            self.later_key.as_ref().map_or(&[0; 32], |key| key),
        ]
        .concat();
        bytes.copy_from_slice(&parts);
        bytes
    }

    /// Reads a root.
    ///
    /// # Errors
    ///
    /// [`BadRoot`] if the version or a flag is unknown, or if an absent part is not zero.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, BadRoot> {
        let (version, rest) = bytes.split_first().ok_or(BadRoot)?;
        let (identity_key, rest) = rest.split_first_chunk::<32>().ok_or(BadRoot)?;
        let (flags, rest) = rest.split_first().ok_or(BadRoot)?;
        let (secp256k1, rest) = rest.split_first_chunk::<33>().ok_or(BadRoot)?;
        let later_key = rest.first_chunk::<32>().ok_or(BadRoot)?;
        let root = Self {
            identity_key: *identity_key,
            secp256k1: (flags & 1 != 0).then_some(*secp256k1),
            later_key: (flags & 2 != 0).then_some(*later_key),
        };
        // Comparing the encoding checks the version, unknown flags and zeros at once.
        if *version == VERSION && root.to_bytes() == *bytes {
            Ok(root)
        } else {
            Err(BadRoot)
        }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> ContactId {
        ContactId(hash(Label::ID, &[&self.to_bytes()]))
    }
}

const VERSION: u8 = 1;

/// The bytes are not a root of this version.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a root of version 1")]
pub struct BadRoot;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_agrees_with_the_check_value() {
        let root = Root {
            identity_key: [0x11; 32],
            secp256k1: None,
            later_key: None,
        };
        assert_eq!(
            hex::encode(root.id().0),
            "c5e23d0f6e8b9b728752537b3c38acdc7bb3f9320a1046ce7899ff1650116778"
        );
        assert_eq!(Root::from_bytes(&root.to_bytes()), Ok(root));
    }

    #[test]
    fn root_with_stray_bytes_is_refused() {
        let root = Root {
            identity_key: [0x11; 32],
            secp256k1: Some([2; 33]),
            later_key: None,
        };
        let bytes = root.to_bytes();
        assert_eq!(Root::from_bytes(&bytes), Ok(root));
        for (place, value) in [(0, 2), (33, 0), (33, 5), (98, 1)] {
            let mut altered = bytes;
            altered[place] = value;
            assert_eq!(Root::from_bytes(&altered), Err(BadRoot), "{place} {value}");
        }
    }
}
