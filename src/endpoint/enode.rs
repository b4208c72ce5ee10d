//! Enode URLs, the way users name peers: `enode://<key, 128 hex digits>@<address>:<port>`.
//!
//! The address is an IPv4 or bracketed IPv6 address or a version 3 onion name, never a host name:
//! a DNS lookup would tell the name server which peer we are about to dial. go-ethereum's
//! `?discport=` is ignored here; discovery reads it itself.

use core::fmt;
use core::str::FromStr;
use std::net::SocketAddr;

use circuits::ids::RelayKey;

use super::{Endpoint, PeerAddr, onion};
use crate::link::is_on_curve;

impl FromStr for PeerAddr {
    type Err = EnodeUrlError;

    fn from_str(url: &str) -> Result<Self, EnodeUrlError> {
        let rest = url
            .trim()
            .strip_prefix("enode://")
            .ok_or(EnodeUrlError::NotEnode)?;
        let rest = rest.split_once('?').map_or(rest, |(head, _query)| head);
        let (key, endpoint) = rest.split_once('@').ok_or(EnodeUrlError::AddressMissing)?;
        Ok(Self {
            key: parse_key(key)?,
            endpoint: endpoint.parse()?,
        })
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "enode://{}@{}", hex::encode(self.key.0), self.endpoint)
    }
}

impl FromStr for Endpoint {
    type Err = EnodeUrlError;

    fn from_str(text: &str) -> Result<Self, EnodeUrlError> {
        let (host, port) = text.rsplit_once(':').ok_or(EnodeUrlError::PortMissing)?;
        let port = port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or(EnodeUrlError::BadPort)?;
        if let Some(name) = host.strip_suffix(".onion") {
            return onion::decode(name)
                .map(|key| Self::Onion(key, port))
                .ok_or(EnodeUrlError::BadOnionName);
        }
        text.parse::<SocketAddr>()
            .map(Self::Tcp)
            .map_err(|_| EnodeUrlError::NotAnAddress)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Onion(key, port) => write!(f, "{}.onion:{port}", onion::encode(key)),
        }
    }
}

/// 64 bytes that are a point of secp256k1.
fn parse_key(digits: &str) -> Result<RelayKey, EnodeUrlError> {
    let mut key = [0; 64];
    hex::decode_to_slice(digits, &mut key).map_err(|_| EnodeUrlError::KeyNotHex)?;
    let key = RelayKey(key);
    if is_on_curve(&key) {
        Ok(key)
    } else {
        Err(EnodeUrlError::KeyNotOnCurve)
    }
}

/// Why a text is not an enode URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EnodeUrlError {
    /// No `@` after the key.
    #[error("the address is missing; write enode://KEY@ADDRESS:PORT")]
    AddressMissing,
    /// The onion name's length, alphabet, checksum or version is wrong.
    #[error("the onion name is mistyped: its checksum does not match; copy it again")]
    BadOnionName,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    BadPort,
    /// The key is not 128 hexadecimal digits.
    #[error("the key is not 128 hexadecimal digits; copy the whole URL again")]
    KeyNotHex,
    /// The key is not a point of the curve.
    #[error("the key is not a point of secp256k1; copy the whole URL again")]
    KeyNotOnCurve,
    /// The host is a name or garbage.
    #[error(
        "the host is not an IP address; write 192.0.2.1:20819 or [2001:db8::1]:20819 \
         (names are never looked up)"
    )]
    NotAnAddress,
    /// It does not begin with `enode://`.
    #[error("a peer is written as a URL that begins with enode://")]
    NotEnode,
    /// No `:` after the address.
    #[error("the port is missing; write ADDRESS:PORT")]
    PortMissing,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generator of secp256k1.
    const KEY: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                       483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";

    fn parse(rest: &str) -> Result<PeerAddr, EnodeUrlError> {
        format!("enode://{KEY}@{rest}").parse()
    }

    #[test]
    fn addresses_of_every_kind_round_trip() {
        let onion = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion:80";
        for address in ["192.0.2.1:20819", "[2001:db8::1]:30303", onion] {
            let peer = parse(address).unwrap();
            assert_eq!(peer.to_string(), format!("enode://{KEY}@{address}"));
        }
    }

    #[test]
    fn discport_is_ignored() {
        assert_eq!(
            parse("192.0.2.1:30303?discport=0"),
            parse("192.0.2.1:30303")
        );
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        assert_eq!(parse("example.org:1"), Err(EnodeUrlError::NotAnAddress));
        assert_eq!(parse("192.0.2.1"), Err(EnodeUrlError::PortMissing));
        assert_eq!(parse("192.0.2.1:0"), Err(EnodeUrlError::BadPort));
        assert_eq!(parse("192.0.2.1:65536"), Err(EnodeUrlError::BadPort));
        assert_eq!(parse("duck.onion:80"), Err(EnodeUrlError::BadOnionName));
        assert_eq!("http://x".parse::<PeerAddr>(), Err(EnodeUrlError::NotEnode));
        assert_eq!(
            "enode://ab".parse::<PeerAddr>(),
            Err(EnodeUrlError::AddressMissing)
        );
        assert_eq!(
            "enode://ab@1.2.3.4:1".parse::<PeerAddr>(),
            Err(EnodeUrlError::KeyNotHex)
        );
        let off_curve = format!("enode://{}@1.2.3.4:1", KEY.replace("79be", "79bf"));
        assert_eq!(
            off_curve.parse::<PeerAddr>(),
            Err(EnodeUrlError::KeyNotOnCurve)
        );
    }
}
