//! The packets of discovery, version 4 (protocol sheet 1.8): `hash | signature | type | RLP`.
//!
//! The hash covers all bytes after it and detects accidental damage only; the signature identifies
//! the sender, whose key is recovered from it. Cheap checks come first: length, hash, type, expiry.
//! The signature comes last, so that old or damaged packets cost no curve operation.
//!
//! As EIP-8 demands, unknown elements and bytes are ignored. Contacts whose address or key has a
//! wrong length are skipped; the querier checks whether a key is valid.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use circuits::ids::RelayKey;
use circuits::time::UnixSecs;
use secp256k1::Message;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use sha3::{Digest, Keccak256};

use super::contact::Contact;
use crate::link::{LinkKey, to_relay_key};
use crate::rlp::{RlpError, RlpReader, RlpWriter};

/// The content of a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DiscoveryPacket {
    /// Asks for a pong; also tells the port on which the sender accepts links.
    Ping {
        /// The sender's endpoint as it states it; only the packet's source address is trusted.
        from: (IpAddr, u16),
        /// The sender's TCP port for links; 0 for none.
        tcp: u16,
        /// The recipient's endpoint as the sender sees it.
        to: (IpAddr, u16),
    },
    /// Answers the ping with this hash.
    Pong {
        /// The first 32 bytes of the ping packet.
        ping: [u8; 32],
        /// The recipient's endpoint as the sender sees it.
        to: (IpAddr, u16),
    },
    /// Asks for nodes near this target.
    FindNode {
        /// A key, or 64 bytes in the form of one.
        target: RelayKey,
    },
    /// Contacts near the target of a FindNode.
    Neighbors(Vec<Contact>),
}

/// A decoded packet.
#[derive(Debug)]
pub struct DecodedPacket {
    /// Its first 32 bytes, which a pong repeats.
    pub hash: [u8; 32],
    /// The key that signed it.
    pub from: RelayKey,
    /// Its content.
    pub packet: DiscoveryPacket,
}

/// Signs a packet; returns its bytes and its hash.
#[must_use]
pub fn encode_packet(
    packet: &DiscoveryPacket,
    expiry: UnixSecs,
    key: &LinkKey,
) -> (Vec<u8>, [u8; 32]) {
    let body = packet.encode(expiry);
    let digest: [u8; 32] = Keccak256::digest(&body).into();
    let message = Message::from_digest(digest);
    let (id, rs) =
        RecoverableSignature::sign_ecdsa_recoverable(message, key.expose()).serialize_compact();
    let mut bytes = vec![0; HASH_LEN];
    bytes.extend_from_slice(&rs);
    bytes.push(id.to_u8());
    bytes.extend_from_slice(&body);
    let hash: [u8; 32] = Keccak256::digest(bytes.get(HASH_LEN..).unwrap_or_default()).into();
    for (to, from) in bytes.iter_mut().zip(hash) {
        *to = from;
    }
    (bytes, hash)
}

/// Decodes a packet and recovers the key that signed it.
///
/// # Errors
///
/// [`BadPacket`] names the first rule that the packet breaks.
pub fn decode_packet(bytes: &[u8], now: UnixSecs) -> Result<DecodedPacket, BadPacket> {
    if bytes.len() > MAX_PACKET_BYTES {
        return Err(BadPacket::TooLong);
    }
    let (hash, signed) = bytes
        .split_first_chunk::<HASH_LEN>()
        .ok_or(BadPacket::TooShort)?;
    let (signature, body) = signed
        .split_first_chunk::<SIGNATURE_LEN>()
        .ok_or(BadPacket::TooShort)?;
    if Keccak256::digest(signed)[..] != hash[..] {
        return Err(BadPacket::WrongHash);
    }
    let (packet, expiry) = DiscoveryPacket::decode(body)?;
    if expiry < u64::from(now.0) {
        return Err(BadPacket::Expired);
    }
    let digest: [u8; 32] = Keccak256::digest(body).into();
    let from = signer(signature, digest).ok_or(BadPacket::WrongSignature)?;
    Ok(DecodedPacket {
        hash: *hash,
        from,
        packet,
    })
}

impl DiscoveryPacket {
    /// Maximum number of contacts in a packet that stays below the 1,280-byte limit.
    pub const MAX_NEIGHBORS: usize = 12;

    fn encode(&self, expiry: UnixSecs) -> Vec<u8> {
        let kind = match self {
            Self::Ping { .. } => PING,
            Self::Pong { .. } => PONG,
            Self::FindNode { .. } => FIND_NODE,
            Self::Neighbors(_) => NEIGHBORS,
        };
        let mut body = vec![kind];
        body.extend(RlpWriter::only_list(|list| {
            self.write_fields(list);
            list.integer(expiry.0);
        }));
        body
    }

    fn write_fields(&self, list: &mut RlpWriter) {
        match self {
            Self::Ping { from, tcp, to } => {
                list.integer(VERSION);
                write_endpoint(list, *from, *tcp);
                write_endpoint(list, *to, 0);
            }
            Self::Pong { ping, to } => {
                write_endpoint(list, *to, 0);
                list.bytes(ping);
            }
            Self::FindNode { target } => {
                list.bytes(&target.0);
            }
            Self::Neighbors(contacts) => {
                list.list(|list| {
                    for contact in contacts {
                        list.list(|list| {
                            write_address(list, contact.ip);
                            list.integer(contact.udp).integer(contact.tcp);
                            list.bytes(&contact.key.0);
                        });
                    }
                });
            }
        }
    }

    /// Decodes type and RLP; returns the packet and its expiry.
    fn decode(body: &[u8]) -> Result<(Self, u64), BadPacket> {
        let (kind, rlp) = body.split_first().ok_or(BadPacket::TooShort)?;
        let mut items = RlpReader::new(rlp).list()?;
        let packet = match *kind {
            PING => {
                items.item()?;
                let (ip, udp, tcp) = read_endpoint(&mut items)?;
                let from = (ip, udp);
                let (ip, udp, _) = read_endpoint(&mut items)?;
                let to = (ip, udp);
                Self::Ping { from, tcp, to }
            }
            PONG => {
                let (ip, udp, _) = read_endpoint(&mut items)?;
                let ping = items.array()?;
                Self::Pong {
                    ping,
                    to: (ip, udp),
                }
            }
            FIND_NODE => Self::FindNode {
                target: RelayKey(items.array()?),
            },
            NEIGHBORS => Self::Neighbors(read_contacts(items.list()?)?),
            _ => return Err(BadPacket::UnknownKind),
        };
        Ok((packet, items.integer()?))
    }
}

fn write_endpoint(list: &mut RlpWriter, (ip, udp): (IpAddr, u16), tcp: u16) {
    list.list(|list| {
        write_address(list, ip);
        list.integer(udp).integer(tcp);
    });
}

fn write_address(list: &mut RlpWriter, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => list.bytes(&ip.octets()),
        IpAddr::V6(ip) => list.bytes(&ip.octets()),
    };
}

/// An endpoint that is only informative: an address of a wrong length reads as unspecified.
fn read_endpoint(items: &mut RlpReader<'_>) -> Result<(IpAddr, u16, u16), RlpError> {
    let mut endpoint = items.list()?;
    let ip = read_address(endpoint.bytes()?).unwrap_or_else(|| Ipv4Addr::UNSPECIFIED.into());
    Ok((ip, port(&mut endpoint)?, port(&mut endpoint)?))
}

fn read_contacts(mut items: RlpReader<'_>) -> Result<Vec<Contact>, RlpError> {
    let mut contacts = Vec::new();
    while !items.is_empty() {
        let mut item = items.list()?;
        let ip = read_address(item.bytes()?);
        let (udp, tcp) = (port(&mut item)?, port(&mut item)?);
        let key = item.bytes()?.try_into().map(RelayKey);
        let (Some(ip), Ok(key)) = (ip, key) else {
            continue;
        };
        // The packet length bounds the list; excess contacts are ignored.
        if contacts.len() < DiscoveryPacket::MAX_NEIGHBORS {
            contacts.push(Contact { key, ip, udp, tcp });
        }
    }
    Ok(contacts)
}

fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|octets| Ipv4Addr::from(octets).into());
    let v6 = || {
        <[u8; 16]>::try_from(bytes)
            .ok()
            .map(|octets| IpAddr::from(Ipv6Addr::from(octets)).to_canonical())
    };
    v4.ok().or_else(v6)
}

/// A port, with or without leading zeros: devp2p for JavaScript always writes two bytes.
fn port(items: &mut RlpReader<'_>) -> Result<u16, RlpError> {
    match *items.bytes()? {
        [] => Ok(0),
        [low] => Ok(low.into()),
        [high, low] => Ok(u16::from_be_bytes([high, low])),
        _ => Err(RlpError),
    }
}

fn signer(signature: &[u8; SIGNATURE_LEN], digest: [u8; 32]) -> Option<RelayKey> {
    let [rs @ .., id] = signature;
    let id = match id {
        0 => RecoveryId::Zero,
        1 => RecoveryId::One,
        _ => return None,
    };
    RecoverableSignature::from_compact(rs, id)
        .ok()?
        .recover_ecdsa(Message::from_digest(digest))
        .ok()
        .map(|point| to_relay_key(&point))
}

/// Why a packet was rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadPacket {
    /// The packet expired: it may be a replay.
    #[error("the packet has expired")]
    Expired,
    /// Its fields are not those of its type.
    #[error("the packet is not valid RLP of its type")]
    Malformed,
    /// Longer than the protocol allows.
    #[error("the packet is longer than {MAX_PACKET_BYTES} bytes")]
    TooLong,
    /// Shorter than hash, signature and type.
    #[error("the packet is truncated")]
    TooShort,
    /// A type that discv4 does not define.
    #[error("the packet type is unknown")]
    UnknownKind,
    /// Damaged in transit.
    #[error("the packet does not match the hash at its beginning")]
    WrongHash,
    /// No key can be recovered from the signature.
    #[error("the packet signature is invalid")]
    WrongSignature,
}

impl From<RlpError> for BadPacket {
    fn from(_: RlpError) -> Self {
        Self::Malformed
    }
}

const HASH_LEN: usize = 32;
const SIGNATURE_LEN: usize = 65;
/// The packet limit of the protocol, in bytes.
pub(super) const MAX_PACKET_BYTES: usize = 1280;
const VERSION: u8 = 4;
const PING: u8 = 1;
const PONG: u8 = 2;
const FIND_NODE: u8 = 3;
const NEIGHBORS: u8 = 4;

#[cfg(test)]
mod tests;
