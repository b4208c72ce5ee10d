//! The two forms, and what the outside of an envelope says of its encryption.
//!
//! `shh/5` writes down how a message is encrypted: a version, and a nonce that is there only under
//! a shared key. So everybody sees which kind of key opens it. `shh/6` says nothing.

use core::fmt;

use super::wire::V5Fields;

/// Which protocol an envelope belongs to. One of the other form is another envelope, with another
/// name and no work, even if it holds the same message.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum ProtocolVersion {
    /// Seven fields: go-ethereum 1.7 to 1.8.2.
    V5,
    /// Five fields: everybody since.
    #[default]
    V6,
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V5 => "shh/5",
            Self::V6 => "shh/6",
        })
    }
}

/// What the outside of an envelope says of its encryption.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EncryptionHint {
    /// Nothing (`shh/6`): readers try all their keys.
    #[default]
    Absent,
    /// To a public key (`shh/5`, no nonce).
    Asymmetric,
    /// Under a shared key, with this nonce (`shh/5`).
    Symmetric(AesNonce),
}

impl EncryptionHint {
    /// The form that has such a marking.
    #[must_use]
    pub const fn protocol(&self) -> ProtocolVersion {
        match self {
            Self::Absent => ProtocolVersion::V6,
            Self::Asymmetric | Self::Symmetric(_) => ProtocolVersion::V5,
        }
    }

    /// The fields that say so.
    pub(super) const fn v5_fields(&self) -> V5Fields<'_> {
        let (version, aes_nonce): (&[u8], &[u8]) = match self {
            Self::Absent => (&[], &[]),
            Self::Asymmetric => (&VERSION, &[]),
            Self::Symmetric(AesNonce(nonce)) => (&VERSION, nonce),
        };
        V5Fields { version, aes_nonce }
    }
}

/// The nonce of AES-256-GCM, which `shh/5` shows in a field of its own.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct AesNonce(pub [u8; Self::LEN]);

impl AesNonce {
    /// Length in bytes.
    pub const LEN: usize = 12;
}

impl fmt::Debug for AesNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AesNonce([redacted])")
    }
}

/// The only version that was ever in use.
const VERSION: [u8; 1] = [0];
