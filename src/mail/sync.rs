//! How one mail server fills its gaps from another (protocol sheet 8.4).
//!
//! A request (code 123) is a plain list; the answer (code 124) is a list of envelopes with a cursor,
//! in one packet or several, the last of which says so. What comes this way is archived and not
//! pooled: it may be long dead.

use circuits::time::UnixSecs;

use super::MAX_PACKET;
use super::cursor::Cursor;
use super::request::{
    BadRequest, Limit, MailRequest, append_cursor, bloom, cursor, number, seconds,
};
use super::response::MAX_REASON;
use crate::bloom::Bloom;
use crate::envelope::Envelope;
use crate::gossip::packet::MAX_ENVELOPES;
use crate::rlp::{RlpError, RlpReader, RlpWriter};

/// Reads the payload of code 123: `[lower, upper, bloom, limit, cursor]`.
///
/// # Errors
///
/// [`BadRequest`]: status-im drops the peer.
pub fn read_request(payload: &[u8]) -> Result<MailRequest, BadRequest> {
    let list = RlpReader::new(payload).list();
    let mut fields = list.map_err(|_| BadRequest::Malformed)?;
    let (lower, upper) = (seconds(&mut fields)?, seconds(&mut fields)?);
    let bloom = bloom(&mut fields)?;
    let limit = number(&mut fields)?;
    let after = cursor(&mut fields)?;
    fields.finish().map_err(|_| BadRequest::Malformed)?;
    if !(1..=MAX_SYNC_LIMIT).contains(&limit) {
        return Err(BadRequest::Limit);
    }
    if lower > upper {
        return Err(BadRequest::Backwards);
    }
    Ok(MailRequest {
        lower,
        upper,
        bloom,
        limit: Limit::Count(limit),
        after,
        batch: true,
    })
}

/// The payload of code 123.
#[must_use]
pub fn request(lower: UnixSecs, upper: UnixSecs, bloom: &Bloom, after: Option<Cursor>) -> Vec<u8> {
    RlpWriter::only_list(|list| {
        list.integer(lower.0)
            .integer(upper.0)
            .bytes(&bloom.0)
            .integer(MAX_SYNC_LIMIT);
        append_cursor(list, after);
    })
}

/// The payload of code 124.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SyncResponse {
    /// Envelopes, perhaps long dead.
    pub envelopes: Vec<Envelope>,
    /// Where to go on, if there is more. Means something in the last packet only.
    pub cursor: Option<Cursor>,
    /// Whether this is the last packet.
    pub last: bool,
    /// What the server could not do; empty if all is well.
    pub error: String,
}

impl SyncResponse {
    /// Reads the payload of code 124.
    ///
    /// # Errors
    ///
    /// [`NotASyncResponse`] if it is none, or longer than anything useful.
    pub fn decode(payload: &[u8]) -> Result<Self, NotASyncResponse> {
        let mut fields = RlpReader::new(payload).list()?;
        let mut list = fields.list()?;
        let mut envelopes = Vec::new();
        while !list.is_empty() {
            if envelopes.len() == MAX_ENVELOPES {
                return Err(NotASyncResponse);
            }
            let envelope = Envelope::decode(list.raw_list()?).map_err(|_| NotASyncResponse)?;
            envelopes.push(envelope);
        }
        let cursor = Cursor::read(fields.bytes()?).map_err(|_| NotASyncResponse)?;
        let last = match fields.integer()? {
            flag @ (0 | 1) => flag == 1,
            _ => return Err(NotASyncResponse),
        };
        let error = fields.bytes()?;
        if error.len() > MAX_REASON {
            return Err(NotASyncResponse);
        }
        let error = String::from_utf8_lossy(error).into_owned();
        fields.finish()?;
        Ok(Self {
            envelopes,
            cursor,
            last,
            error,
        })
    }

    /// The packet that refuses a request.
    #[must_use]
    pub fn refusal(reason: &str) -> Vec<u8> {
        encode(&[], None, true, reason)
    }
}

/// The packets that carry a page; only the last of them is the end of the answer, if `last`.
#[must_use]
pub fn responses(envelopes: &[Envelope], more: Option<Cursor>, last: bool) -> Vec<Vec<u8>> {
    let fits = |envelope: &&Envelope| envelope.as_rlp().len() <= MAX_BODY;
    let mut packets: Vec<Vec<&Envelope>> = vec![Vec::new()];
    let mut bytes = 0_usize;
    for envelope in envelopes.iter().filter(fits) {
        let len = envelope.as_rlp().len();
        if bytes.saturating_add(len) > MAX_BODY {
            packets.push(Vec::new());
            bytes = 0;
        }
        bytes = bytes.saturating_add(len);
        if let Some(packet) = packets.last_mut() {
            packet.push(envelope);
        }
    }
    let count = packets.len();
    let whole = |(index, packet): (usize, Vec<&Envelope>)| {
        let end = last && index.saturating_add(1) == count;
        encode(&packet, more.filter(|_| end), end, "")
    };
    packets.into_iter().enumerate().map(whole).collect()
}

fn encode(envelopes: &[&Envelope], more: Option<Cursor>, last: bool, error: &str) -> Vec<u8> {
    RlpWriter::only_list(|packet| {
        packet.list(|list| {
            for envelope in envelopes {
                list.encoded(envelope.as_rlp());
            }
        });
        append_cursor(packet, more);
        packet.integer(last).bytes(error.as_bytes());
    })
}

/// The bytes are no answer to a server: the other side is hung up on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("packet is no answer to a mail server")]
pub struct NotASyncResponse;

impl From<RlpError> for NotASyncResponse {
    fn from(_: RlpError) -> Self {
        Self
    }
}

/// Envelopes that one request may ask for, as status-im has it.
const MAX_SYNC_LIMIT: u32 = 1_000;
/// What headers, cursor and flags leave of a packet.
const MAX_BODY: usize = MAX_PACKET - 64;

#[cfg(test)]
mod tests;
