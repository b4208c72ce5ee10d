//! The answer: envelopes as P2P messages (code 127), then a word of completion (code 125).
//!
//! go-ethereum's servers send one envelope a packet and nothing at the end; its clients ignore the
//! completion and hang up on a list. status-im's send lists to whoever asked for batches, a single
//! envelope always bare, and end with `id | last hash | cursor` or `ERROR=id text` (protocol sheet
//! 8.3). A cursor says that there is more.

use super::cursor::Cursor;
use super::{MAX_PACKET, RequestId};
use crate::envelope::{Envelope, EnvelopeHash};
use crate::gossip::packet::outgoing;
use crate::rlp::{RlpReader, RlpWriter};

/// The end of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Completion {
    /// Everything was sent, up to the limit.
    Done {
        /// Which request.
        id: RequestId,
        /// The envelope that was sent last, if any was.
        last: Option<EnvelopeHash>,
        /// Where to go on, if there is more.
        cursor: Option<Cursor>,
    },
    /// The server does not do it.
    Failed {
        /// Which request.
        id: RequestId,
        /// Why, in words that the server chose.
        reason: String,
    },
}

impl Completion {
    /// Which request it ends.
    #[must_use]
    pub const fn id(&self) -> RequestId {
        match self {
            Self::Done { id, .. } | Self::Failed { id, .. } => *id,
        }
    }

    /// The payload of code 125.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let inner = match self {
            Self::Done { id, last, cursor } => {
                let last = last.map_or([0; 32], |hash| hash.0);
                let cursor = cursor.map_or_else(Vec::new, Cursor::to_bytes);
                [&id.0, &last, cursor.as_slice()].concat()
            }
            Self::Failed { id, reason } => [ERROR, &id.0, reason.as_bytes()].concat(),
        };
        RlpWriter::only_bytes(&inner)
    }

    /// Reads the payload of code 125.
    ///
    /// # Errors
    ///
    /// [`NotACompletion`] for what a client of status-im hangs up on, and for a reason longer than
    /// anybody needs.
    pub fn decode(payload: &[u8]) -> Result<Self, NotACompletion> {
        let inner = RlpReader::new(payload)
            .bytes()
            .map_err(|_| NotACompletion)?;
        if let Some(failure) = inner.strip_prefix(ERROR) {
            let (id, text) = failure.split_first_chunk().ok_or(NotACompletion)?;
            if text.len() > MAX_REASON {
                return Err(NotACompletion);
            }
            let mut reason = String::from_utf8_lossy(text).into_owned();
            // What stands for a broken byte is longer than the byte.
            reason.truncate(reason.floor_char_boundary(MAX_REASON));
            return Ok(Self::Failed {
                id: RequestId(*id),
                reason,
            });
        }
        let (id, rest) = inner.split_first_chunk().ok_or(NotACompletion)?;
        let (last, cursor) = match rest.split_first_chunk() {
            Some((last, cursor)) => (*last, cursor),
            None if rest.is_empty() => ([0; 32], rest),
            None => return Err(NotACompletion),
        };
        Ok(Self::Done {
            id: RequestId(*id),
            last: (last != [0; 32]).then_some(EnvelopeHash(last)),
            cursor: Cursor::read(cursor).map_err(|_| NotACompletion)?,
        })
    }
}

/// The payloads of code 127 that carry these envelopes, each below what every peer takes. An
/// envelope too long for any packet is left out: it would cost the link.
#[must_use]
pub fn messages(envelopes: &[Envelope], batch: bool) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut waiting: Vec<&Envelope> = Vec::new();
    let mut bytes = 0_usize;
    for envelope in envelopes {
        let len = envelope.as_rlp().len();
        if len > MAX_PACKET {
            continue;
        }
        let full = bytes.saturating_add(len).saturating_add(LIST_HEADER) > MAX_PACKET;
        if !waiting.is_empty() && (full || !batch) {
            packets.push(packet(&waiting));
            waiting.clear();
            bytes = 0;
        }
        waiting.push(envelope);
        bytes = bytes.saturating_add(len);
    }
    if !waiting.is_empty() {
        packets.push(packet(&waiting));
    }
    packets
}

/// One envelope bare, several as a list.
fn packet(envelopes: &[&Envelope]) -> Vec<u8> {
    if let [envelope] = envelopes {
        return outgoing::p2p_message(envelope);
    }
    RlpWriter::only_list(|list| {
        for envelope in envelopes {
            list.encoded(envelope.as_rlp());
        }
    })
}

/// The bytes are no end of an answer: the server is hung up on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("packet is no completion of a mail request")]
pub struct NotACompletion;

/// What a failure begins with.
const ERROR: &[u8] = b"ERROR=";
/// Bytes of the header of a list that fills a packet.
const LIST_HEADER: usize = 4;
/// Bytes of the longest reason that is read.
pub const MAX_REASON: usize = 512;

#[cfg(test)]
mod tests;
