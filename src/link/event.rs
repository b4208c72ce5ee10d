//! What a link reports to its owner.

use std::fmt;

use circuits::ids::RelayKey;

use super::{Capability, DisconnectReason};

/// An event on a link.
#[derive(Clone, Eq, PartialEq)]
pub enum LinkEvent {
    /// Handshake and Hello are complete; messages may be sent.
    Connected {
        /// The peer's key, authenticated.
        remote: RelayKey,
        /// Name of the peer's program: at most 128 characters of printable ASCII.
        client_id: String,
        /// The shared capabilities, sorted by name.
        shared: Vec<Capability>,
    },
    /// A message arrived.
    Message {
        /// The capability to which the message belongs.
        capability: Capability,
        /// Its code within the capability.
        code: u16,
        /// Its payload, decompressed, of a length within the limits.
        payload: Vec<u8>,
    },
    /// The peer ended the connection. This is the last event.
    Disconnected(DisconnectReason),
}

impl fmt::Debug for LinkEvent {
    /// Shows the length of a payload, not the payload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected {
                remote,
                client_id,
                shared,
            } => f
                .debug_struct("Connected")
                .field("remote", remote)
                .field("client_id", client_id)
                .field("shared", shared)
                .finish(),
            Self::Message {
                capability,
                code,
                payload,
            } => write!(f, "Message({capability} {code}, {} bytes)", payload.len()),
            Self::Disconnected(reason) => f.debug_tuple("Disconnected").field(reason).finish(),
        }
    }
}
