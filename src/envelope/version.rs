//! The two envelope forms, and the encryption that the outer fields declare.
//!
//! `shh/5` states how a message is encrypted: a version, and an AES nonce that is present only for
//! symmetric encryption. So every node sees which kind of key decrypts it. `shh/6` states nothing.

use core::fmt;

use super::wire::V5Fields;

/// The protocol to which an envelope belongs. The same message in the other form is another
/// envelope, with another hash and its own proof of work.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum ProtocolVersion {
    /// Seven fields: go-ethereum 1.7 to 1.8.2.
    V5,
    /// Five fields: go-ethereum since 1.8.3, and the other implementations.
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

/// The encryption that the outer fields declare.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EncryptionHint {
    /// None declared (`shh/6`): recipients try all their keys.
    #[default]
    Absent,
    /// To a public key (`shh/5`, without AES nonce).
    Asymmetric,
    /// Under a symmetric key, with this AES nonce (`shh/5`).
    Symmetric(AesNonce),
}

impl EncryptionHint {
    /// The protocol version whose envelopes carry this hint.
    #[must_use]
    pub const fn protocol(&self) -> ProtocolVersion {
        match self {
            Self::Absent => ProtocolVersion::V6,
            Self::Asymmetric | Self::Symmetric(_) => ProtocolVersion::V5,
        }
    }

    /// The fields that encode this hint.
    pub(super) const fn v5_fields(&self) -> V5Fields<'_> {
        let (version, aes_nonce): (&[u8], &[u8]) = match self {
            Self::Absent => (&[], &[]),
            Self::Asymmetric => (&VERSION, &[]),
            Self::Symmetric(AesNonce(nonce)) => (&VERSION, nonce),
        };
        V5Fields { version, aes_nonce }
    }
}

/// The nonce of AES-256-GCM, which `shh/5` carries in a field of its own.
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
