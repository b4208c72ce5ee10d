//! Identifiers of networks, relays and links.
//!
//! The secp256k1 link key identifies a relay. Two digests of the key are used where 64 bytes are
//! too long: [`RelayId`] in key schedules and tickets, [`ShortId`] in the slot of a cell. Client
//! identities never appear in this crate.

use core::fmt;

use sha2::{Digest, Sha256};

use crate::time::UnixSecs;

/// Identifier of a network. Nodes of different networks never exchange `onion/1` data.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct NetworkId(pub [u8; 32]);

impl NetworkId {
    /// `SHA-256("whisht/1/net/" | profile | name)`.
    #[must_use]
    pub fn new(profile: Profile, name: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"whisht/1/net/");
        hash.update(profile.label());
        hash.update(name);
        Self(hash.finalize().into())
    }
}

impl fmt::Debug for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NetworkId(")?;
        hex(f, self.0.get(..4).unwrap_or_default())?;
        f.write_str("..)")
    }
}

/// The rules of path choice and directory that apply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// All rules of the specification.
    Main,
    /// Without the subnet, age and minimum-size rules, for demonstrations and tests on loopback.
    Local,
}

impl Profile {
    /// The profile's name in configuration files and in the network id.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Local => "local",
        }
    }
}

/// A relay's link key: secp256k1, X then Y, as in an enode URL.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct RelayKey(pub [u8; 64]);

impl RelayKey {
    /// `SHA-256("whisht/1/relay-id" | key)`.
    #[must_use]
    pub fn id(&self) -> RelayId {
        RelayId(
            Sha256::new()
                .chain_update(b"whisht/1/relay-id")
                .chain_update(self.0)
                .finalize()
                .into(),
        )
    }
}

impl fmt::Debug for RelayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayKey(")?;
        hex(f, self.0.get(..4).unwrap_or_default())?;
        f.write_str("..)")
    }
}

/// Digest of a relay's key, bound into the key schedule of every layer and into tickets.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct RelayId(pub [u8; 32]);

impl RelayId {
    /// The first half, which fits into the slot of a cell.
    #[must_use]
    pub fn short(&self) -> ShortId {
        let mut short = [0; 16];
        short.copy_from_slice(self.0.split_at(16).0);
        ShortId(short)
    }
}

impl fmt::Debug for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.short(), f)
    }
}

/// Name of the next hop in a slot: the first half of a [`RelayId`], or the handle of a link.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct ShortId(pub [u8; 16]);

impl fmt::Display for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

impl fmt::Debug for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShortId(")?;
        hex(f, self.0.get(..4).unwrap_or_default())?;
        f.write_str("..)")
    }
}

/// A connection to a peer, numbered by the shell; not reused while the node runs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct LinkId(pub u64);

/// Validity period of an onion key: `floor(unix / 43,200)`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Epoch(pub u32);

impl Epoch {
    /// Length in seconds: twelve hours.
    pub const SECS: u32 = 43_200;
    /// Seconds before the start of an epoch at which its relays are frozen (spec M12).
    const FREEZE_SECS: u32 = 3_600;

    /// The epoch that contains `unix`.
    #[must_use]
    pub const fn at(unix: UnixSecs) -> Self {
        Self(unix.0 / Self::SECS)
    }

    /// The first second of the epoch.
    #[must_use]
    pub const fn start(self) -> UnixSecs {
        UnixSecs(self.0.saturating_mul(Self::SECS))
    }

    /// When the relays of the epoch are frozen: an hour before it starts (spec M12).
    #[must_use]
    pub const fn freeze(self) -> UnixSecs {
        self.start().before(Self::FREEZE_SECS)
    }

    /// The next epoch.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The previous epoch.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The low four bits, which the version byte of a cell carries.
    #[must_use]
    pub const fn hint(self) -> u8 {
        let [.., low] = self.0.to_be_bytes();
        low & 0x0f
    }
}

/// Writes bytes as lower-case hexadecimal digits.
fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// What this node knows of the peer on a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkClass {
    /// A relay of the directory.
    Listed {
        /// Number of relays in the directory, with this one.
        relays: usize,
    },
    /// Any other peer: a client, or an unknown peer.
    Unlisted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_id_depends_on_profile_and_name() {
        let main = NetworkId::new(Profile::Main, "x");
        assert_ne!(main, NetworkId::new(Profile::Local, "x"));
        assert_ne!(main, NetworkId::new(Profile::Main, "y"));
    }

    #[test]
    fn epoch_at_contains_first_second_and_not_the_one_before() {
        let epoch = Epoch(7);
        assert_eq!(Epoch::at(epoch.start()), epoch);
        assert_eq!(Epoch::at(epoch.start().before(1)), Epoch(6));
    }

    #[test]
    fn epoch_hint_is_low_half_byte() {
        assert_eq!(Epoch(0x1234_567a).hint(), 0x0a);
    }
}
