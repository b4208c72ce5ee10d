//! The URLs by which Ethereum's nodes are named: `enode://<key>@<ip>:<port>`.
//!
//! Operators paste these between programs, so the accepted forms and the error texts are
//! go-ethereum's (p2p/enode, version 1.8.27). The host is an IP literal: resolving a name would
//! tell a resolver whom this node is about to dial. A URL that is only a key, with or without
//! scheme, is *incomplete* and names a node that nobody can dial yet.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use circuits::ids::RelayKey;
use circuits::secret::Redacted;
use thiserror::Error;

use crate::link;

/// A node's key and, if known, where it listens.
///
/// `Display` gives the whole URL, for people who asked for it; `Debug` hides the address.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Enode {
    key: RelayKey,
    endpoint: Option<Endpoint>,
}

/// Where a node listens.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Endpoint {
    /// For connections.
    pub tcp: SocketAddr,
    /// For discovery, at the same address; 0 where discovery is off.
    pub udp: u16,
}

impl Enode {
    /// A node known by its key alone.
    #[must_use]
    pub const fn incomplete(key: RelayKey) -> Self {
        Self {
            key,
            endpoint: None,
        }
    }

    /// A node that listens at `tcp`, and for discovery on the same port.
    #[must_use]
    pub fn new(key: RelayKey, tcp: SocketAddr) -> Self {
        let tcp = SocketAddr::new(tcp.ip().to_canonical(), tcp.port());
        let udp = tcp.port();
        Self {
            key,
            endpoint: Some(Endpoint { tcp, udp }),
        }
    }

    /// The same node, with discovery on another port.
    #[must_use]
    pub fn with_discovery_port(self, udp: u16) -> Self {
        let endpoint = self.endpoint.map(|endpoint| Endpoint { udp, ..endpoint });
        Self { endpoint, ..self }
    }

    /// The node's key. When parsed, it was checked to be a point of the curve.
    #[must_use]
    pub const fn key(&self) -> RelayKey {
        self.key
    }

    /// Where it listens; `None` if the URL was incomplete.
    #[must_use]
    pub const fn endpoint(&self) -> Option<Endpoint> {
        self.endpoint
    }
}

impl FromStr for Enode {
    type Err = EnodeError;

    fn from_str(url: &str) -> Result<Self, EnodeError> {
        let rest = strip_scheme(url);
        let bare = rest.unwrap_or(url);
        if !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self::incomplete(parse_key(bare)?));
        }
        let rest = match rest {
            Some(rest) => rest,
            None if has_scheme(url) => return Err(EnodeError::MissingNodeId),
            None => return Err(EnodeError::Scheme),
        };
        let (rest, _fragment) = split(rest, '#');
        let (rest, query) = split(rest, '?');
        let (authority, _path) = split(rest, '/');
        let (key, host) = authority
            .rsplit_once('@')
            .ok_or(EnodeError::MissingNodeId)?;
        let key = parse_key(key)?;
        let (host, port) = split_port(host)?;
        let ip: IpAddr = host.parse().map_err(|_| EnodeError::Ip)?;
        let port = parse_port(port).ok_or(EnodeError::Port)?;
        let node = Self::new(key, SocketAddr::new(ip, port));
        match discovery_port(query) {
            None | Some("") => Ok(node),
            Some(port) => parse_port(port)
                .map(|port| node.with_discovery_port(port))
                .ok_or(EnodeError::DiscoveryPort),
        }
    }
}

impl fmt::Display for Enode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "enode://{}", hex::encode(self.key.0))?;
        if let Some(Endpoint { tcp, udp }) = self.endpoint {
            write!(f, "@{tcp}")?;
            if udp != tcp.port() {
                write!(f, "?discport={udp}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Enode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enode")
            .field("key", &self.key)
            .field("endpoint", &self.endpoint)
            .finish()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Redacted(()), f)
    }
}

/// What is wrong with an enode URL, in geth's words.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EnodeError {
    /// The discovery port is no 16-bit number.
    #[error("invalid discport in query")]
    DiscoveryPort,
    /// The host has no port, or brackets and colons do not fit.
    #[error("invalid host: {0}")]
    Host(&'static str),
    /// The host is no IP literal.
    #[error("invalid IP address")]
    Ip,
    /// There is nothing before an `@`.
    #[error("does not contain node ID")]
    MissingNodeId,
    /// The key is no key.
    #[error("invalid node ID ({0})")]
    NodeId(NodeIdError),
    /// The port is no 16-bit number.
    #[error("invalid port")]
    Port,
    /// The URL begins with something else than `enode:`.
    #[error("invalid URL scheme, want \"enode\"")]
    Scheme,
}

/// What is wrong with the key in an enode URL, in geth's words.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum NodeIdError {
    /// A byte is no hexadecimal digit.
    #[error("encoding/hex: invalid byte: {}", Unicode(*.0))]
    Digit(u8),
    /// Not 64 bytes.
    #[error("wrong length, want 128 hex chars")]
    Length,
    /// Half a byte too many.
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

/// Whether the scheme is right although no `//` follows.
fn has_scheme(url: &str) -> bool {
    url.split_once(':')
        .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("enode"))
}

fn parse_key(digits: &str) -> Result<RelayKey, EnodeError> {
    let bytes = hex::decode(digits).map_err(|_| {
        let stranger = digits.bytes().find(|byte| !byte.is_ascii_hexdigit());
        EnodeError::NodeId(stranger.map_or(NodeIdError::OddLength, NodeIdError::Digit))
    })?;
    let key = bytes
        .try_into()
        .map(RelayKey)
        .map_err(|_| EnodeError::NodeId(NodeIdError::Length))?;
    if link::is_on_curve(&key) {
        Ok(key)
    } else {
        Err(EnodeError::NodeId(NodeIdError::OffCurve))
    }
}

/// Splits `host:port` or `[v6]:port`.
fn split_port(host: &str) -> Result<(&str, &str), EnodeError> {
    if let Some(bracketed) = host.strip_prefix('[') {
        let (ip, rest) = bracketed
            .split_once(']')
            .ok_or(EnodeError::Host("missing ']' in address"))?;
        let port = rest
            .strip_prefix(':')
            .ok_or(EnodeError::Host("missing port in address"))?;
        return Ok((ip, port));
    }
    let (ip, port) = host
        .split_once(':')
        .ok_or(EnodeError::Host("missing port in address"))?;
    if port.contains(':') {
        return Err(EnodeError::Host("too many colons in address"));
    }
    Ok((ip, port))
}

/// Reads a port of decimal digits only: Rust's own parser would take a sign.
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

/// What comes before the first `mark`, and after it.
fn split(text: &str, mark: char) -> (&str, &str) {
    text.split_once(mark).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "1dd9d65c4552b5eb43d5ad55a2ee3f56c6cbc1c64a5c8d659f51fcd51bace24351232b8d7821617d2b29b54b81cdefb9b3e9c37d7fd5f63270bcc9e1a6f6a439";

    fn error(url: &str) -> String {
        url.parse::<Enode>().unwrap_err().to_string()
    }

    #[test]
    fn complete_urls_are_read_and_written_back() {
        for rest in [
            "@127.0.0.1:52150",
            "@[::]:52150",
            "@[2001:db8:3c4d:15::abcd:ef12]:52150",
            "@127.0.0.1:52150?discport=22334",
            "@127.0.0.1:52150?discport=0",
            "",
        ] {
            let url = format!("enode://{KEY}{rest}");
            assert_eq!(url.parse::<Enode>().unwrap().to_string(), url);
        }
    }

    #[test]
    fn a_key_alone_is_an_incomplete_node_however_it_is_written() {
        let upper = KEY.to_uppercase();
        for url in [KEY, &upper, &format!("ENODE://{KEY}")] {
            let node: Enode = url.parse().unwrap();
            assert_eq!(node.endpoint(), None);
            assert_eq!(hex::encode(node.key().0), KEY);
        }
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        let url = format!("enode://{KEY}@[::ffff:10.1.2.3]:5/");
        let node: Enode = url.parse().unwrap();
        assert_eq!(node.to_string(), format!("enode://{KEY}@10.1.2.3:5"));
    }

    #[test]
    fn errors_are_worded_as_by_geth() {
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

    #[test]
    fn debug_shows_no_address() {
        let node: Enode = format!("enode://{KEY}@203.0.113.9:30303").parse().unwrap();
        let shown = format!("{node:?}");
        assert!(
            !shown.contains("203") && !shown.contains("30303"),
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn every_address_survives_the_round_trip(ip: IpAddr, tcp: u16, udp: u16) {
            let key: Enode = KEY.parse().unwrap();
            let node = Enode::new(key.key(), SocketAddr::new(ip, tcp)).with_discovery_port(udp);
            prop_assert_eq!(node.to_string().parse::<Enode>(), Ok(node));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "(enode://)?[0-9a-f:@?=\\[\\]#/é]{0,40}") {
            let _verdict = text.parse::<Enode>();
        }
    }
}
