//! Enode URLs with go-ethereum's parser rules and error texts.
//!
//! Programs pass these URLs to `shh_*` and `admin_*` calls and show the errors to users, so the
//! accepted forms are those of p2p/enode in version 1.8.27. The host is an IP literal. A URL that
//! is only a key, with or without scheme, names a node without an address. All other modules parse
//! peers with [`crate::endpoint`], whose errors are more detailed.

use core::fmt;
use std::net::{IpAddr, SocketAddr};

use circuits::ids::RelayKey;
use thiserror::Error;

use crate::link::is_on_curve;

/// A node's key and its address, if the URL contains one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Enode {
    pub(super) key: RelayKey,
    pub(super) address: Option<SocketAddr>,
}

impl Enode {
    /// Parses a URL.
    pub(super) fn parse(url: &str) -> Result<Self, GethEnodeError> {
        let rest = strip_scheme(url);
        let bare = rest.unwrap_or(url);
        if !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let key = parse_key(bare)?;
            return Ok(Self { key, address: None });
        }
        let rest = rest.ok_or_else(|| {
            if has_scheme(url) {
                GethEnodeError::MissingNodeId
            } else {
                GethEnodeError::Scheme
            }
        })?;
        let (rest, _fragment) = split(rest, '#');
        let (rest, query) = split(rest, '?');
        let (authority, _path) = split(rest, '/');
        let (key, host) = authority
            .rsplit_once('@')
            .ok_or(GethEnodeError::MissingNodeId)?;
        let key = parse_key(key)?;
        let (host, port) = split_port(host)?;
        let ip: IpAddr = host.parse().map_err(|_| GethEnodeError::Ip)?;
        let port = parse_port(port).ok_or(GethEnodeError::Port)?;
        match discovery_port(query) {
            None | Some("") => {}
            Some(port) if parse_port(port).is_some() => {}
            Some(_) => return Err(GethEnodeError::DiscoveryPort),
        }
        let address = Some(SocketAddr::new(ip.to_canonical(), port));
        Ok(Self { key, address })
    }
}

/// A defect of an enode URL, in geth's words.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(super) enum GethEnodeError {
    /// The discovery port is not a 16-bit number.
    #[error("invalid discport in query")]
    DiscoveryPort,
    /// The host lacks a port, or its brackets and colons do not match.
    #[error("invalid host: {0}")]
    Host(&'static str),
    /// The host is not an IP literal.
    #[error("invalid IP address")]
    Ip,
    /// The part before `@` is empty.
    #[error("does not contain node ID")]
    MissingNodeId,
    /// The key is invalid.
    #[error("invalid node ID ({0})")]
    NodeId(NodeIdError),
    /// The port is not a 16-bit number.
    #[error("invalid port")]
    Port,
    /// The scheme is not `enode:`.
    #[error("invalid URL scheme, want \"enode\"")]
    Scheme,
}

/// A defect of the key in an enode URL, in geth's words.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub(super) enum NodeIdError {
    /// A byte is not a hexadecimal digit.
    #[error("encoding/hex: invalid byte: {}", Unicode(*.0))]
    Digit(u8),
    /// Not 64 bytes.
    #[error("wrong length, want 128 hex chars")]
    Length,
    /// An odd number of digits.
    #[error("encoding/hex: odd length hex string")]
    OddLength,
    /// Not a point of the curve.
    #[error("invalid secp256k1 public key")]
    OffCurve,
}

/// Writes a byte as Go's `%#U` does.
struct Unicode(u8);

impl fmt::Display for Unicode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "U+{:04X}", self.0)?;
        if self.0.is_ascii_graphic() || self.0 == b' ' {
            write!(f, " '{}'", char::from(self.0))?;
        }
        Ok(())
    }
}

fn strip_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    scheme.eq_ignore_ascii_case("enode").then_some(rest)
}

/// Whether the scheme is right although `//` is missing.
fn has_scheme(url: &str) -> bool {
    url.split_once(':')
        .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("enode"))
}

fn parse_key(digits: &str) -> Result<RelayKey, GethEnodeError> {
    let bytes = hex::decode(digits).map_err(|_| {
        let stranger = digits.bytes().find(|byte| !byte.is_ascii_hexdigit());
        GethEnodeError::NodeId(stranger.map_or(NodeIdError::OddLength, NodeIdError::Digit))
    })?;
    let key = bytes
        .try_into()
        .map(RelayKey)
        .map_err(|_| GethEnodeError::NodeId(NodeIdError::Length))?;
    if is_on_curve(&key) {
        Ok(key)
    } else {
        Err(GethEnodeError::NodeId(NodeIdError::OffCurve))
    }
}

/// Splits `host:port` or `[v6]:port`.
fn split_port(host: &str) -> Result<(&str, &str), GethEnodeError> {
    if let Some(bracketed) = host.strip_prefix('[') {
        let (ip, rest) = bracketed
            .split_once(']')
            .ok_or(GethEnodeError::Host("missing ']' in address"))?;
        let port = rest
            .strip_prefix(':')
            .ok_or(GethEnodeError::Host("missing port in address"))?;
        return Ok((ip, port));
    }
    let (ip, port) = host
        .split_once(':')
        .ok_or(GethEnodeError::Host("missing port in address"))?;
    if port.contains(':') {
        return Err(GethEnodeError::Host("too many colons in address"));
    }
    Ok((ip, port))
}

/// Parses a port of decimal digits only: Rust's own parser would accept a sign.
fn parse_port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

/// The first `discport` of a query.
fn discovery_port(query: &str) -> Option<&str> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("discport="))
}

/// The parts before and after the first `mark`.
fn split(text: &str, mark: char) -> (&str, &str) {
    text.split_once(mark).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "1dd9d65c4552b5eb43d5ad55a2ee3f56c6cbc1c64a5c8d659f51fcd51bace24\
                       351232b8d7821617d2b29b54b81cdefb9b3e9c37d7fd5f63270bcc9e1a6f6a439";

    fn error(url: &str) -> String {
        Enode::parse(url).unwrap_err().to_string()
    }

    #[test]
    fn complete_url_has_address() {
        for (rest, address) in [
            ("@127.0.0.1:52150", "127.0.0.1:52150"),
            ("@[::]:52150", "[::]:52150"),
            ("@127.0.0.1:52150?discport=22334", "127.0.0.1:52150"),
            ("@127.0.0.1:52150?discport=0", "127.0.0.1:52150"),
            ("@[::ffff:10.1.2.3]:5/", "10.1.2.3:5"),
        ] {
            let node = Enode::parse(&format!("enode://{KEY}{rest}")).unwrap();
            assert_eq!(node.address, Some(address.parse().unwrap()));
            assert_eq!(hex::encode(node.key.0), KEY);
        }
    }

    #[test]
    fn key_without_address_parses_in_every_form() {
        let upper = KEY.to_uppercase();
        for url in [KEY, &upper, &format!("ENODE://{KEY}")] {
            let node = Enode::parse(url).unwrap();
            assert_eq!(
                (hex::encode(node.key.0).as_str(), node.address),
                (KEY, None)
            );
        }
    }

    #[test]
    fn errors_equal_geth_texts() {
        assert_eq!(error("http://foobar"), "invalid URL scheme, want \"enode\"");
        assert_eq!(error("foobar"), "invalid URL scheme, want \"enode\"");
        assert_eq!(error(""), "invalid URL scheme, want \"enode\"");
        assert_eq!(error("enode:x"), "does not contain node ID");
        assert_eq!(error("enode://"), "does not contain node ID");
        assert_eq!(error("enode://10.0.0.1:30303"), "does not contain node ID");
        for short in ["01010101", "enode://01010101", "enode://01010101@1.2.3.4:3"] {
            assert_eq!(
                error(short),
                "invalid node ID (wrong length, want 128 hex chars)"
            );
        }
        assert_eq!(
            error("enode://xyz@1.2.3.4:3"),
            "invalid node ID (encoding/hex: invalid byte: U+0078 'x')"
        );
        assert_eq!(
            error("enode://010@1.2.3.4:3"),
            "invalid node ID (encoding/hex: odd length hex string)"
        );
        assert_eq!(
            error(&format!("enode://{}@1.2.3.4:3", "01".repeat(64))),
            "invalid node ID (invalid secp256k1 public key)"
        );
        let with = |rest: &str| error(&format!("enode://{KEY}{rest}"));
        assert_eq!(with("@hostname:3"), "invalid IP address");
        assert_eq!(with("@127.0.0.1:foo"), "invalid port");
        assert_eq!(with("@127.0.0.1:"), "invalid port");
        assert_eq!(with("@127.0.0.1:+3"), "invalid port");
        assert_eq!(with("@127.0.0.1:65536"), "invalid port");
        assert_eq!(
            with("@127.0.0.1:3?discport=foo"),
            "invalid discport in query"
        );
        assert_eq!(with("@127.0.0.1"), "invalid host: missing port in address");
        assert_eq!(with("@::1:3"), "invalid host: too many colons in address");
        assert_eq!(with("@[::1:3"), "invalid host: missing ']' in address");
    }

    proptest! {
        #[test]
        fn addresses_of_both_families_parse(ip: IpAddr, tcp: u16, udp: u16) {
            let address = SocketAddr::new(ip, tcp);
            let node = Enode::parse(&format!("enode://{KEY}@{address}?discport={udp}")).unwrap();
            prop_assert_eq!(node.address, Some(SocketAddr::new(ip.to_canonical(), tcp)));
        }

        #[test]
        fn arbitrary_text_does_not_panic(text in "(enode://)?[0-9a-f:@?=\\[\\]#/é]{0,40}") {
            let _verdict = Enode::parse(&text);
        }
    }
}
