//! The request of a client, in the four formats in use (protocol sheet 8.1 and 8.2).
//!
//! | form | bytes | travels |
//! |---|---|---|
//! | list | RLP `[lower, upper, bloom, limit, cursor, batch]` | sealed in an envelope |
//! | packed | `lower 4 \| upper 4 [\| bloom 64 [\| limit 4 [\| cursor]]]` | sealed in an envelope |
//! | plain | RLP `[id, from, to, limit, cursor, bloom]` | as it is |
//!
//! The first 72 bytes of the packed form are go-ethereum's whole request; go-ethereum ignores the
//! rest. Its clients cannot read a list of envelopes, so only a request in the list or plain form
//! gets lists.
//!
//! This module checks the form only. [`super::access`] decides which client may ask.

use circuits::bytes::ByteReader;
use circuits::time::UnixSecs;

use super::RequestId;
use super::cursor::{BadCursor, Cursor};
use crate::bloom::Bloom;
use crate::envelope::{Envelope, ProtocolVersion};
use crate::rlp::{RlpError, RlpItem, RlpReader, RlpWriter};

/// The request of a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailRequest {
    /// The first second of the range.
    pub lower: UnixSecs,
    /// The last second of the range.
    pub upper: UnixSecs,
    /// The requested topics.
    pub bloom: Bloom,
    /// The client's limit of envelopes.
    pub limit: Limit,
    /// The end of an earlier answer.
    pub after: Option<Cursor>,
    /// Whether the client reads several envelopes in one packet.
    pub batch: bool,
}

/// The number of envelopes that a client requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// All: go-ethereum's clients have neither limit nor cursor, so they cannot request the rest.
    All,
    /// The server's default.
    Unspecified,
    /// This number.
    Count(u32),
}

impl Limit {
    const fn of(count: u32) -> Self {
        match count {
            0 => Self::Unspecified,
            count => Self::Count(count),
        }
    }

    const fn count(self) -> u32 {
        match self {
            Self::All | Self::Unspecified => 0,
            Self::Count(count) => count,
        }
    }

    /// The limit that a server applies.
    #[must_use]
    pub fn granted(self) -> u32 {
        match self {
            Self::All => MAX_UNPAGED_LIMIT,
            Self::Unspecified => DEFAULT_LIMIT,
            Self::Count(count) => count.min(MAX_LIMIT),
        }
    }
}

/// A packet with code 126.
#[derive(Clone, Debug)]
pub enum RequestPacket {
    /// An envelope that contains an encrypted request.
    Sealed(Envelope),
    /// An unencrypted request.
    Plain(RequestId, Result<MailRequest, BadRequest>),
}

impl RequestPacket {
    /// Whether the request is encrypted, perhaps under the server's password.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_))
    }

    /// Distinguishes the two: an envelope begins with a number of at most four bytes, a plain
    /// request with an identifier of 32.
    ///
    /// # Errors
    ///
    /// [`NotARequest`] for any other content. Bytes after the first item are ignored, as in
    /// go-ethereum.
    pub fn decode(payload: &[u8]) -> Result<Self, NotARequest> {
        let whole = RlpReader::new(payload)
            .raw_list()
            .map_err(|_| NotARequest)?;
        let mut fields = RlpReader::new(whole).list().map_err(|_| NotARequest)?;
        let id = match fields.item().map_err(|_| NotARequest)? {
            RlpItem::Bytes(id) => id,
            RlpItem::List(_) => return Err(NotARequest),
        };
        match id.try_into() {
            Ok(id) => Ok(Self::Plain(RequestId(id), MailRequest::read_plain(fields))),
            Err(_) => Envelope::decode(whole)
                .ok()
                .filter(|envelope| envelope.protocol() == ProtocolVersion::V6)
                .map(Self::Sealed)
                .ok_or(NotARequest),
        }
    }

    /// The identifier that the answer uses.
    #[must_use]
    pub fn id(&self) -> RequestId {
        match self {
            Self::Sealed(envelope) => RequestId(envelope.hash().0),
            Self::Plain(id, _) => *id,
        }
    }
}

impl MailRequest {
    /// Reads the content of an envelope: a list, or packed bytes.
    ///
    /// # Errors
    ///
    /// [`BadRequest`] names the invalid field.
    pub fn read(payload: &[u8], now: UnixSecs) -> Result<Self, BadRequest> {
        // Packed bytes that happen to form a list would request a range in the year 2072 or later.
        match RlpReader::only_list(payload) {
            Ok(fields) => Self::read_list(fields, now),
            Err(RlpError) => Self::read_packed(payload),
        }
    }

    /// Reads the list. Its published description lacks the last field, which then means no batches.
    fn read_list(mut fields: RlpReader<'_>, now: UnixSecs) -> Result<Self, BadRequest> {
        let lower = seconds(&mut fields)?;
        let upper = match seconds(&mut fields)? {
            UnixSecs(0) => now.after(UNTIL_NOW),
            upper => upper,
        };
        let bloom = bloom(&mut fields)?;
        let limit = Limit::of(number(&mut fields)?);
        let after = cursor(&mut fields)?;
        let batch = if fields.is_empty() {
            false
        } else {
            match number(&mut fields)? {
                flag @ (0 | 1) => flag == 1,
                _ => return Err(BadRequest::Malformed),
            }
        };
        fields.finish().map_err(|_| BadRequest::Malformed)?;
        Self {
            lower,
            upper,
            bloom,
            limit,
            after,
            batch,
        }
        .check_range()
    }

    fn read_packed(payload: &[u8]) -> Result<Self, BadRequest> {
        let mut reader = ByteReader::new(payload);
        let mut second = || reader.u32().map(UnixSecs).map_err(|_| BadRequest::Length);
        let (lower, upper) = (second()?, second()?);
        let bloom = match reader.remaining() {
            0 => Bloom::FULL,
            _ => Bloom(reader.array().map_err(|_| BadRequest::Length)?),
        };
        let limit = reader.u32().map_or(Limit::All, Limit::of);
        Ok(Self {
            lower,
            upper,
            bloom,
            limit,
            after: Cursor::read(reader.rest()).ok().flatten(),
            batch: false,
        })
    }

    /// Reads the plain list, from its second field on.
    fn read_plain(mut fields: RlpReader<'_>) -> Result<Self, BadRequest> {
        let (lower, upper) = (seconds(&mut fields)?, seconds(&mut fields)?);
        let limit = number(&mut fields)?;
        let after = cursor(&mut fields)?;
        let bloom = bloom(&mut fields)?;
        fields.finish().map_err(|_| BadRequest::Malformed)?;
        if limit > MAX_PLAIN_LIMIT {
            return Err(BadRequest::Limit);
        }
        Self {
            lower,
            upper,
            bloom,
            limit: Limit::of(limit),
            after,
            batch: true,
        }
        .check_range()
    }

    fn check_range(self) -> Result<Self, BadRequest> {
        if self.lower > self.upper {
            Err(BadRequest::Backwards)
        } else {
            Ok(self)
        }
    }

    /// The list, to be encrypted in an envelope: status-im's main form.
    #[must_use]
    pub fn to_list(&self) -> Vec<u8> {
        RlpWriter::only_list(|list| {
            list.integer(self.lower.0)
                .integer(self.upper.0)
                .bytes(&self.bloom.0)
                .integer(self.limit.count());
            append_cursor(list, self.after);
            list.integer(self.batch);
        })
    }

    /// Packed bytes, to be encrypted in an envelope; 72 of them for go-ethereum, which has neither
    /// limit nor cursor.
    #[must_use]
    pub fn to_packed(&self) -> Vec<u8> {
        let mut bytes = self.lower.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.upper.0.to_be_bytes());
        bytes.extend_from_slice(&self.bloom.0);
        if self.limit != Limit::All {
            bytes.extend_from_slice(&self.limit.count().to_be_bytes());
            bytes.extend(self.after.into_iter().flat_map(Cursor::to_bytes));
        }
        bytes
    }

    /// The whole packet of the plain form.
    #[must_use]
    pub fn to_plain(&self, id: RequestId) -> Vec<u8> {
        RlpWriter::only_list(|list| {
            list.bytes(&id.0)
                .integer(self.lower.0)
                .integer(self.upper.0)
                .integer(self.limit.count());
            append_cursor(list, self.after);
            list.bytes(&self.bloom.0);
        })
    }
}

pub(super) fn append_cursor(list: &mut RlpWriter, after: Option<Cursor>) {
    list.bytes(&after.map_or_else(Vec::new, Cursor::to_bytes));
}

pub(super) fn number(fields: &mut RlpReader<'_>) -> Result<u32, BadRequest> {
    let wide = fields.integer().map_err(|_| BadRequest::Malformed)?;
    u32::try_from(wide).map_err(|_| BadRequest::Malformed)
}

pub(super) fn seconds(fields: &mut RlpReader<'_>) -> Result<UnixSecs, BadRequest> {
    number(fields).map(UnixSecs)
}

pub(super) fn bloom(fields: &mut RlpReader<'_>) -> Result<Bloom, BadRequest> {
    fields.array().map(Bloom).map_err(|_| BadRequest::Bloom)
}

pub(super) fn cursor(fields: &mut RlpReader<'_>) -> Result<Option<Cursor>, BadRequest> {
    let bytes = fields.bytes().map_err(|_| BadRequest::Malformed)?;
    Ok(Cursor::read(bytes)?)
}

/// A packet is neither an envelope nor a plain request; the caller must disconnect.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("packet is neither an envelope nor a request")]
pub struct NotARequest;

/// The reason why a request is refused. The client is told, except go-ethereum's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRequest {
    /// The range ends before it begins.
    #[error("the range ends before it begins")]
    Backwards,
    /// The bloom filter does not have 64 bytes.
    #[error("the bloom filter does not have 64 bytes")]
    Bloom,
    /// The cursor has an invalid length.
    #[error("the cursor has neither 36 nor 40 bytes")]
    Cursor,
    /// The packed bytes number neither 8 nor at least 72.
    #[error("the request has neither 8 nor at least 72 bytes")]
    Length,
    /// More envelopes than one answer may contain.
    #[error("the limit is above {MAX_PLAIN_LIMIT}")]
    Limit,
    /// A field of a list is invalid.
    #[error("the request is malformed")]
    Malformed,
}

impl From<BadCursor> for BadRequest {
    fn from(_: BadCursor) -> Self {
        Self::Cursor
    }
}

/// An open end of a list means one minute after now, for clocks that are slow.
const UNTIL_NOW: u32 = 60;
/// Envelopes for a request without a limit, as in status-im.
pub const DEFAULT_LIMIT: u32 = 2_000;
/// Maximum number of envelopes of one answer to a sealed request.
pub const MAX_LIMIT: u32 = 10_000;
/// Maximum limit of a plain request, as in status-im.
pub const MAX_PLAIN_LIMIT: u32 = 1_000;
/// Envelopes for a client that cannot request the rest.
pub const MAX_UNPAGED_LIMIT: u32 = 100_000;

#[cfg(test)]
mod tests;
