//! The five fields as canonical RLP (Ethereum yellow paper, appendix B).
//!
//! RLP gives every value one shortest encoding; peers refuse all others, because two encodings of
//! one envelope would be two names for it. The parser below accepts the shortest form and nothing
//! else, allocates nothing, and looks at no length before it is known to lie inside the input.

use thiserror::Error;

use super::LIST;

/// The fields of an envelope, and where in its bytes they are.
pub(super) struct Fields {
    pub(super) expiry: u32,
    pub(super) ttl: u32,
    pub(super) topic: [u8; 4],
    pub(super) nonce: u64,
    pub(super) first_at: usize,
    pub(super) data_at: usize,
    pub(super) data_end: usize,
}

impl Fields {
    pub(super) fn parse(rlp: &[u8]) -> Result<Self, EnvelopeError> {
        let mut outer = Items(rlp);
        let list = outer.take(Kind::List)?;
        if !outer.0.is_empty() {
            return Err(EnvelopeError::TrailingBytes);
        }
        let mut items = Items(list);
        let expiry = items.uint(4)?;
        let ttl = items.uint(4)?;
        let topic = items.take(Kind::String)?;
        let data = items.take(Kind::String)?;
        let data_end = rlp.len().saturating_sub(items.0.len());
        let nonce = items.uint(8)?;
        if !items.0.is_empty() {
            return Err(EnvelopeError::TooManyFields);
        }
        Ok(Self {
            expiry: u32::try_from(expiry).map_err(|_| EnvelopeError::IntegerTooLong)?,
            ttl: u32::try_from(ttl).map_err(|_| EnvelopeError::IntegerTooLong)?,
            topic: topic.try_into().map_err(|_| EnvelopeError::TopicLength)?,
            nonce,
            first_at: rlp.len().saturating_sub(list.len()),
            data_at: data_end.saturating_sub(data.len()),
            data_end,
        })
    }
}

/// Why bytes are no envelope.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// A list stands where a string belongs, or the other way round.
    #[error("envelope has a field of the wrong kind")]
    FieldKind,
    /// An integer begins with a zero byte.
    #[error("envelope has an integer with leading zeros")]
    IntegerPadded,
    /// An integer is wider than its field.
    #[error("envelope has an integer too wide for its field")]
    IntegerTooLong,
    /// A length or a single byte is not written in the shortest way.
    #[error("envelope is not in canonical form")]
    NotCanonical,
    /// Fewer than five fields.
    #[error("envelope has too few fields")]
    TooFewFields,
    /// More than five fields.
    #[error("envelope has too many fields")]
    TooManyFields,
    /// The topic is not four bytes.
    #[error("envelope has a topic that is not four bytes long")]
    TopicLength,
    /// Bytes follow the envelope.
    #[error("envelope is followed by more bytes")]
    TrailingBytes,
    /// A length points beyond the end of what contains it.
    #[error("envelope ends too early")]
    Truncated,
}

/// Appends the header of a string (`base` 80) or list (`base` c0) of `len` bytes.
pub(super) fn push_header(out: &mut Vec<u8>, base: u8, len: usize) {
    match u8::try_from(len) {
        Ok(short @ 0..=SHORT_MAX) => out.push(base.saturating_add(short)),
        _ => {
            let be = len.to_be_bytes();
            let digits = trim_zeros(&be);
            let count = u8::try_from(digits.len()).unwrap_or(u8::MAX);
            out.push(base.saturating_add(SHORT_MAX).saturating_add(count));
            out.extend_from_slice(digits);
        }
    }
}

/// Appends a string.
pub(super) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    if !matches!(bytes, [0..STRING]) {
        push_header(out, STRING, bytes.len());
    }
    out.extend_from_slice(bytes);
}

/// Appends an integer: its bytes without leading zeros.
pub(super) fn push_uint(out: &mut Vec<u8>, value: u64) {
    push_bytes(out, trim_zeros(&value.to_be_bytes()));
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    List,
    String,
}

/// Takes items off the front of a list's body.
struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    /// The content of the next item, which must be of this kind.
    fn take(&mut self, wanted: Kind) -> Result<&'a [u8], EnvelopeError> {
        let (&first, rest) = self.0.split_first().ok_or(EnvelopeError::TooFewFields)?;
        let (kind, marker) = match first {
            0..STRING => return self.single(wanted),
            STRING..LIST => (Kind::String, first.saturating_sub(STRING)),
            LIST.. => (Kind::List, first.saturating_sub(LIST)),
        };
        if kind != wanted {
            return Err(EnvelopeError::FieldKind);
        }
        let (content, rest) = match marker.checked_sub(SHORT_MAX) {
            None | Some(0) => split(rest, marker.into())?,
            Some(digits) => {
                let (be, rest) = split(rest, digits.into())?;
                split(rest, long_length(be)?)?
            }
        };
        if kind == Kind::String && matches!(content, [0..STRING]) {
            return Err(EnvelopeError::NotCanonical);
        }
        self.0 = rest;
        Ok(content)
    }

    /// A byte below 80 is its own encoding.
    fn single(&mut self, wanted: Kind) -> Result<&'a [u8], EnvelopeError> {
        if wanted != Kind::String {
            return Err(EnvelopeError::FieldKind);
        }
        let (content, rest) = split(self.0, 1)?;
        self.0 = rest;
        Ok(content)
    }

    /// An integer of at most `width` bytes.
    fn uint(&mut self, width: usize) -> Result<u64, EnvelopeError> {
        let be = self.take(Kind::String)?;
        if be.len() > width {
            return Err(EnvelopeError::IntegerTooLong);
        }
        if be.first() == Some(&0) {
            return Err(EnvelopeError::IntegerPadded);
        }
        Ok(be_value(be))
    }
}

/// A length of more than 55, in as few bytes as can be.
fn long_length(be: &[u8]) -> Result<usize, EnvelopeError> {
    if be.first() == Some(&0) {
        return Err(EnvelopeError::NotCanonical);
    }
    let len = usize::try_from(be_value(be)).map_err(|_| EnvelopeError::Truncated)?;
    if len <= usize::from(SHORT_MAX) {
        return Err(EnvelopeError::NotCanonical);
    }
    Ok(len)
}

fn split(bytes: &[u8], at: usize) -> Result<(&[u8], &[u8]), EnvelopeError> {
    bytes.split_at_checked(at).ok_or(EnvelopeError::Truncated)
}

/// The value of at most eight bytes.
fn be_value(be: &[u8]) -> u64 {
    be.iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn trim_zeros(mut be: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = be {
        be = rest;
    }
    be
}

/// First byte of an empty string.
const STRING: u8 = 0x80;
/// Longest content whose length fits into the first byte.
const SHORT_MAX: u8 = 55;
