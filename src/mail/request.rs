//! What a client asks for, in the four ways that are alive (protocol sheet 8.1 and 8.2).
//!
//! | form | bytes | travels |
//! |---|---|---|
//! | list | RLP `[lower, upper, bloom, limit, cursor, batch]` | sealed in an envelope |
//! | packed | `lower 4 \| upper 4 [\| bloom 64 [\| limit 4 [\| cursor]]]` | sealed in an envelope |
//! | plain | RLP `[id, from, to, limit, cursor, bloom]` | as it is |
//!
//! The first 72 bytes of the packed form are go-ethereum's whole request, which ignores what
//! follows. Its clients cannot read a list of envelopes, so only who asked by a list or plainly is
//! answered with lists.
//!
//! Form is all that is judged here. Who may ask is said in [`super::access`].

use circuits::bytes::ByteReader;
use circuits::time::UnixSecs;
use rlp::RlpStream;

use super::RequestId;
use super::cursor::{BadCursor, Cursor};
use crate::bloom::Bloom;
use crate::envelope::{Envelope, ProtocolVersion};
use crate::rlp_reader::{RlpError, RlpItem, RlpReader};

/// What a client asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailRequest {
    /// The first second of the range.
    pub lower: UnixSecs,
    /// The last second of the range.
    pub upper: UnixSecs,
    /// Which topics are wanted.
    pub bloom: Bloom,
    /// Envelopes at the most, as far as the client says.
    pub limit: Limit,
    /// Where an earlier answer stopped.
    pub after: Option<Cursor>,
    /// Whether the client reads several envelopes in one packet.
    pub batch: bool,
}

/// How many envelopes a client wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// All: go-ethereum's clients know neither limit nor cursor, and could not ask for the rest.
    All,
    /// As many as the server thinks fit.
    Unspecified,
    /// So many.
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

    /// The number that a server keeps to.
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
    /// An envelope with a request in it.
    Sealed(Envelope),
    /// A request as it is.
    Plain(RequestId, Result<MailRequest, BadRequest>),
}

impl RequestPacket {
    /// Tells the two apart: an envelope begins with a number of four bytes at the most, a plain
    /// request with a name of 32.
    ///
    /// # Errors
    ///
    /// [`NotARequest`] for whatever is neither. Bytes after the first item are ignored, as
    /// go-ethereum does.
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

    /// What the answer calls the request.
    #[must_use]
    pub fn id(&self) -> RequestId {
        match self {
            Self::Sealed(envelope) => RequestId(envelope.hash().0),
            Self::Plain(id, _) => *id,
        }
    }
}

impl MailRequest {
    /// Reads what was sealed in an envelope: a list, or packed bytes.
    ///
    /// # Errors
    ///
    /// [`BadRequest`] names what is wrong.
    pub fn read(payload: &[u8], now: UnixSecs) -> Result<Self, BadRequest> {
        // Packed bytes that are one list by chance would have to ask for the year 2072.
        match RlpReader::only_list(payload) {
            Ok(fields) => Self::read_list(fields, now),
            Err(RlpError) => Self::read_packed(payload),
        }
    }

    /// The list. Its published description lacks the last field, and means no batches by that.
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

    /// The plain list, from its second field on.
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

    /// The list, to be sealed in an envelope: status-im's main form.
    #[must_use]
    pub fn to_list(&self) -> Vec<u8> {
        let mut list = RlpStream::new_list(6);
        list.append(&self.lower.0)
            .append(&self.upper.0)
            .append(&self.bloom.0.as_slice())
            .append(&self.limit.count());
        append_cursor(&mut list, self.after);
        list.append(&u8::from(self.batch));
        list.out().into()
    }

    /// Packed bytes, to be sealed in an envelope; 72 of them for go-ethereum, which knows neither
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
        let mut list = RlpStream::new_list(6);
        list.append(&id.0.as_slice())
            .append(&self.lower.0)
            .append(&self.upper.0)
            .append(&self.limit.count());
        append_cursor(&mut list, self.after);
        list.append(&self.bloom.0.as_slice());
        list.out().into()
    }
}

pub(super) fn append_cursor(list: &mut RlpStream, after: Option<Cursor>) {
    list.append(&after.map_or_else(Vec::new, Cursor::to_bytes));
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

/// A packet is neither an envelope nor a plain request: its sender is hung up on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("packet is neither an envelope nor a request")]
pub struct NotARequest;

/// Why a request is not carried out. The client is told, unless it is go-ethereum's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRequest {
    /// The range ends before it begins.
    #[error("the range ends before it begins")]
    Backwards,
    /// The bloom has another length than 64 bytes.
    #[error("the bloom filter has the wrong length")]
    Bloom,
    /// The cursor is none of a mail server.
    #[error("the cursor has the wrong length")]
    Cursor,
    /// Packed bytes of another length than 8, or 72 and more.
    #[error("the request has the wrong length")]
    Length,
    /// More envelopes than one answer holds.
    #[error("the limit is above {MAX_PLAIN_LIMIT}")]
    Limit,
    /// The fields of a list are not what they should be.
    #[error("the request is malformed")]
    Malformed,
}

impl From<BadCursor> for BadRequest {
    fn from(_: BadCursor) -> Self {
        Self::Cursor
    }
}

/// What a list means by no end: a minute ahead of now, for clocks that are.
const UNTIL_NOW: u32 = 60;
/// Envelopes for a request that names no limit, as status-im has it.
pub const DEFAULT_LIMIT: u32 = 2_000;
/// Envelopes of one answer at the most, whatever a sealed request asks for.
pub const MAX_LIMIT: u32 = 10_000;
/// What a plain request may ask for, as status-im has it.
pub const MAX_PLAIN_LIMIT: u32 = 1_000;
/// Envelopes for a client that cannot ask for the rest.
pub const MAX_UNPAGED_LIMIT: u32 = 100_000;

#[cfg(test)]
mod tests;
