//! Names of networks, relays and links.
//!
//! A relay is named by its secp256k1 link key; two digests of that key serve where 64 bytes are
//! too many: [`RelayId`] in key schedules and tickets, [`ShortId`] in a cell's slot. Client
//! identities never appear in this crate.

use core::fmt;

use sha2::{Digest, Sha256};

use crate::time::UnixSecs;

/// A network that relays belong to; nodes of different networks never exchange `onion/1` data.
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

/// Which rules of path choice and directory apply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Profile {
    /// The rules of the specification, all of them.
    Main,
    /// For loopback demonstrations and tests: lifts the subnet, age and minimum-size rules.
    Local,
}

impl Profile {
    /// The word in configuration files and in the network id.
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

/// Digest of a relay's key, bound into every layer's key schedule and into tickets.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct RelayId(pub [u8; 32]);

impl RelayId {
    /// The first half, which a cell's slot has room for.
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

/// What a slot calls the next hop: the first half of a [`RelayId`], or the handle of a link.
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

/// One connection to a neighbour, numbered by the shell; never reused while the node runs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct LinkId(pub u64);

/// A period of onion keys: `floor(unix / 43,200)`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Epoch(pub u32);

impl Epoch {
    /// Length in seconds: twelve hours.
    pub const SECS: u32 = 43_200;

    /// The epoch that `unix` falls into.
    #[must_use]
    pub const fn at(unix: UnixSecs) -> Self {
        Self(unix.0 / Self::SECS)
    }

    /// Its first second.
    #[must_use]
    pub const fn start(self) -> UnixSecs {
        UnixSecs(self.0.saturating_mul(Self::SECS))
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The one before it.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The low four bits, which a cell's version byte carries.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_differ_by_profile_and_name() {
        let main = NetworkId::new(Profile::Main, "x");
        assert_ne!(main, NetworkId::new(Profile::Local, "x"));
        assert_ne!(main, NetworkId::new(Profile::Main, "y"));
    }

    #[test]
    fn an_epoch_holds_its_first_second_and_not_the_one_before() {
        let epoch = Epoch(7);
        assert_eq!(Epoch::at(epoch.start()), epoch);
        assert_eq!(Epoch::at(epoch.start().before(1)), Epoch(6));
    }

    #[test]
    fn the_hint_is_the_low_half_byte() {
        assert_eq!(Epoch(0x1234_567a).hint(), 0x0a);
    }
}
