//! Hand-over: a file travels between the two ends of a conversation through a pair of circuits.
//!
//! An offer and its answer are parts of messages of the conversation; they carry the secret of the file and
//! the relays where the circuits meet. The bytes follow in frames of one length, end-to-end encrypted, in
//! chunks that the receiver checks against a list of hashes. The formats are in docs/wire/transfer.md.
//!
//! Everything here is computation: a session reads no clock and no disk, and opens no circuit. What it needs
//! from the disk are steps that it returns; what it sends are payloads for a circuit.

pub mod answer;
pub mod channel;
pub mod chunk;
pub mod chunk_set;
pub mod fault;
pub mod frame;
pub mod offer;
pub mod receive;
pub mod schedule;
pub mod secret;
pub mod send;
pub mod session;

use core::fmt;

use circuits::bytes::{ByteReader, TrailingBytes, Truncated};

/// Names a file that is offered. Drawn by the sender.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FileId(pub [u8; 16]);

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileId(..)")
    }
}

/// The most relays of an offer, and of an answer that names others.
pub const MAX_MEETING_RELAYS: usize = 4;

/// A part of a message about a file is not in its format.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadFilePart {
    /// The value is shorter or longer than its fields.
    #[error("an offer or answer about a file does not have the length of its fields")]
    Length,
    /// A field has a value that the format does not allow.
    #[error("an offer or answer about a file has an invalid field: {0}")]
    Field(&'static str),
}

impl From<Truncated> for BadFilePart {
    fn from(_: Truncated) -> Self {
        Self::Length
    }
}

impl From<TrailingBytes> for BadFilePart {
    fn from(_: TrailingBytes) -> Self {
        Self::Length
    }
}

/// Reads a count and so many relay ids, all different.
fn read_relays(fields: &mut ByteReader<'_>) -> Result<Vec<circuits::ids::RelayId>, BadFilePart> {
    let count = usize::from(fields.u8()?);
    if count > MAX_MEETING_RELAYS {
        return Err(BadFilePart::Field("more than four relays"));
    }
    let mut relays = Vec::with_capacity(count);
    for _ in 0..count {
        let relay = circuits::ids::RelayId(fields.array()?);
        if relays.contains(&relay) {
            return Err(BadFilePart::Field("a relay is named twice"));
        }
        relays.push(relay);
    }
    Ok(relays)
}

/// Writes a count and the relay ids.
fn write_relays(to: &mut Vec<u8>, relays: &[circuits::ids::RelayId]) {
    let named = relays.iter().take(MAX_MEETING_RELAYS);
    to.push(u8::try_from(named.len()).unwrap_or(u8::MAX));
    named.for_each(|relay| to.extend_from_slice(&relay.0));
}

#[cfg(test)]
mod tests;
