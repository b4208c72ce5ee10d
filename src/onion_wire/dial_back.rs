//! Code 8: a node asks a peer to dial it, and the peer reports how that ended.
//!
//! Request and answer are lists of three: the kind, the nonce that pairs them, and the port or the result.
//! The request has no address: the peer dials the one that it sees. This module dials nothing.

use core::num::NonZeroU16;

use super::OnionWireError;
use crate::rlp::{RlpReader, RlpWriter};

/// A request to be dialled, or its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DialBackMessage {
    /// Dial the sender at the address from which its link comes.
    Request {
        /// Names the request.
        nonce: DialBackNonce,
        /// The TCP port to dial.
        port: NonZeroU16,
    },
    /// How a request ended.
    Answer {
        /// The nonce of the request.
        nonce: DialBackNonce,
        /// How it ended.
        result: DialBackResult,
    },
}

/// The number that pairs a request with its answer, drawn at random.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DialBackNonce(pub [u8; 8]);

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DialBackResult {
    /// The asking node answered the handshake with its key.
    Reached,
    /// No TCP connection came about in time.
    NoAnswer,
    /// The address refused the TCP connection.
    Refused,
    /// A program accepted the connection and does not have the key of the asking node.
    OtherKey,
    /// Not dialled: the peer dials for too many nodes at the moment.
    Busy,
    /// Not dialled: the peer uses Tor, or accepts no connections itself.
    NeverDials,
    /// Not dialled: the asking node did not open the link, or its address is not one of the network.
    AddressNotDialed,
    /// Not dialled: the port is below 1,024.
    PortNotDialed,
}

impl DialBackResult {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Reached,
        Self::NoAnswer,
        Self::Refused,
        Self::OtherKey,
        Self::Busy,
        Self::NeverDials,
        Self::AddressNotDialed,
        Self::PortNotDialed,
    ];

    /// Its number on the wire.
    const fn number(self) -> u8 {
        match self {
            Self::Reached => 0,
            Self::NoAnswer => 1,
            Self::Refused => 2,
            Self::OtherKey => 3,
            Self::Busy => 4,
            Self::NeverDials => 5,
            Self::AddressNotDialed => 6,
            Self::PortNotDialed => 7,
        }
    }

    fn from_number(number: u64) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|result| u64::from(result.number()) == number)
    }
}

impl DialBackMessage {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, OnionWireError> {
        let mut fields = RlpReader::only_list(payload)?;
        let kind = fields.integer()?;
        let nonce = DialBackNonce(fields.array()?);
        let value = fields.integer()?;
        fields.finish()?;
        let message = match kind {
            REQUEST => u16::try_from(value)
                .ok()
                .and_then(NonZeroU16::new)
                .map(|port| Self::Request { nonce, port }),
            ANSWER => {
                DialBackResult::from_number(value).map(|result| Self::Answer { nonce, result })
            }
            _ => None,
        };
        message.ok_or(OnionWireError::Malformed)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, nonce, value) = match self {
            Self::Request { nonce, port } => (REQUEST, nonce, port.get()),
            Self::Answer { nonce, result } => (ANSWER, nonce, u16::from(result.number())),
        };
        RlpWriter::only_list(|body| {
            body.integer(kind).bytes(&nonce.0).integer(value);
        })
    }
}

/// The kind of a request.
const REQUEST: u64 = 0;
/// The kind of an answer.
const ANSWER: u64 = 1;
