//! The frames inside the end-to-end encryption: 796 bytes each, `type 1 | len 2 | payload | zeros`.
//!
//! Every frame has the full length, so a relay learns neither kind nor fill. A decoder refuses a frame that
//! an encoder would not write: one content has one form.

use core::fmt;

use circuits::bytes::{ByteReader, ByteWriter, Truncated};
use zeroize::Zeroizing;

use super::chunk::LEAF_LEN;

/// What a circuit carries per cell after all layers of relays, in bytes.
pub const PAYLOAD_LEN: usize = 812;
/// A frame: a payload without its tag, in bytes.
pub const FRAME_LEN: usize = 796;
/// What fits into a frame, in bytes.
pub const MAX_CONTENT_LEN: usize = FRAME_LEN - HEAD_LEN;
/// The most leaves of a frame.
pub const MAX_LEAVES: usize = (MAX_CONTENT_LEN - 4) / LEAF_LEN;

/// A payload for a circuit, sealed.
pub type SealedPayload = Box<[u8; PAYLOAD_LEN]>;

/// A frame of an open channel.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum BulkFrame<'a> {
    /// Hashes of chunks, from the one of this number on: 1 to 24 of 32 bytes each.
    Leaves {
        /// The number of the first.
        first: u32,
        /// The hashes.
        leaves: &'a [u8],
    },
    /// The next bytes of `chunk number 4 | chunk`: 1 to 793.
    Data(&'a [u8]),
    /// The receiver takes so many frames more: at least 1.
    Credit(u16),
    /// Of the sender: everything was sent. Of the receiver: everything is durable.
    Done,
    /// The session ends.
    Stop(StopReason),
    /// Nothing.
    Padding,
}

impl fmt::Debug for BulkFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// Why one end ends a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StopReason {
    /// Its user does not want to go on.
    #[error("cancelled by the user")]
    Cancelled,
    /// Its disk is full, or fails.
    #[error("the disk is full or fails")]
    Disk,
    /// The other end broke a rule.
    #[error("a rule was broken")]
    Protocol,
    /// It no longer has the file.
    #[error("the file is no longer there")]
    Gone,
}

impl StopReason {
    const fn code(self) -> u8 {
        match self {
            Self::Cancelled => 1,
            Self::Disk => 2,
            Self::Protocol => 3,
            Self::Gone => 4,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Cancelled),
            2 => Some(Self::Disk),
            3 => Some(Self::Protocol),
            4 => Some(Self::Gone),
            _ => None,
        }
    }
}

/// A frame is not in its format.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadFrame {
    /// An unknown type.
    #[error("the type {0} is unknown")]
    Kind(u8),
    /// The length does not fit the type.
    #[error("the length does not fit the type")]
    Length,
    /// The rest of the frame is not zero.
    #[error("the rest is not zero")]
    Rest,
    /// A field has a value that the format does not allow.
    #[error("a field is out of range")]
    Field,
    /// The version of the other end is unknown.
    #[error("version {0} is unknown: it needs a newer version of this program")]
    Version(u8),
}

impl From<Truncated> for BadFrame {
    fn from(_: Truncated) -> Self {
        Self::Length
    }
}

impl<'a> BulkFrame<'a> {
    /// The name of the type.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Leaves { .. } => "leaves",
            Self::Data(_) => "data",
            Self::Credit(_) => "credit",
            Self::Done => "done",
            Self::Stop(_) => "stop",
            Self::Padding => "padding",
        }
    }

    /// Encodes the frame; `None` if its content does not fit.
    #[must_use]
    pub fn encode(&self) -> Option<Zeroizing<[u8; FRAME_LEN]>> {
        let first_bytes;
        let credit_bytes;
        let stop_bytes;
        let (kind, parts): (u8, [&[u8]; 2]) = match self {
            Self::Leaves { first, leaves } => {
                first_bytes = first.to_be_bytes();
                (LEAVES, [&first_bytes, leaves])
            }
            Self::Data(bytes) => (DATA, [bytes, &[]]),
            Self::Credit(frames) => {
                credit_bytes = frames.to_be_bytes();
                (CREDIT, [&credit_bytes, &[]])
            }
            Self::Done => (DONE, [&[], &[]]),
            Self::Stop(reason) => {
                stop_bytes = [reason.code()];
                (STOP, [&stop_bytes, &[]])
            }
            Self::Padding => (PADDING, [&[], &[]]),
        };
        encode_parts(kind, parts)
    }

    /// Decodes a frame.
    ///
    /// # Errors
    ///
    /// [`BadFrame`] names the first rule that the frame breaks.
    pub fn decode(frame: &'a [u8; FRAME_LEN]) -> Result<Self, BadFrame> {
        let (kind, content) = split(frame)?;
        let mut fields = ByteReader::new(content);
        let decoded = match kind {
            LEAVES => {
                let first = fields.u32()?;
                let leaves = fields.take(fields.remaining())?;
                if leaves.is_empty() || !leaves.len().is_multiple_of(LEAF_LEN) {
                    return Err(BadFrame::Length);
                }
                Self::Leaves { first, leaves }
            }
            DATA if content.is_empty() => return Err(BadFrame::Length),
            DATA => Self::Data(fields.take(content.len())?),
            CREDIT => match fields.u16()? {
                0 => return Err(BadFrame::Field),
                frames => Self::Credit(frames),
            },
            DONE => Self::Done,
            STOP => Self::Stop(StopReason::from_code(fields.u8()?).ok_or(BadFrame::Field)?),
            PADDING => Self::Padding,
            kind => return Err(BadFrame::Kind(kind)),
        };
        fields.finish().map_err(|_| BadFrame::Length)?;
        Ok(decoded)
    }
}

/// The first thing that each end says: `type 1 | len 2 | version 1 | runs 1 | runs 4 each | zeros`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct BulkHello {
    /// The chunks that the receiver has, as [`ChunkSet`](super::chunk_set::ChunkSet) encodes them; of the
    /// sender none.
    pub(super) runs: Vec<u8>,
}

/// A hello inside its encryption, in bytes: a payload without 32 random bytes and a tag.
pub(super) const HELLO_LEN: usize = PAYLOAD_LEN - 32 - 16;

impl BulkHello {
    pub(super) fn encode(&self) -> Option<Zeroizing<[u8; HELLO_LEN]>> {
        let runs = u8::try_from(self.runs.len() / 4).ok()?;
        encode_parts(HELLO, [&[VERSION, runs], &self.runs])
    }

    pub(super) fn decode(frame: &[u8; HELLO_LEN]) -> Result<Self, BadFrame> {
        let (kind, content) = split(frame)?;
        if kind != HELLO {
            return Err(BadFrame::Kind(kind));
        }
        let mut fields = ByteReader::new(content);
        let version = fields.u8()?;
        if version != VERSION {
            return Err(BadFrame::Version(version));
        }
        let runs = usize::from(fields.u8()?);
        if runs > super::chunk_set::MAX_RUNS {
            return Err(BadFrame::Field);
        }
        let runs = fields.take(runs.saturating_mul(4))?.to_vec();
        fields.finish().map_err(|_| BadFrame::Length)?;
        Ok(Self { runs })
    }
}

/// Writes type, length and the parts into a frame of `N` bytes; `None` if they do not fit.
fn encode_parts<const N: usize>(kind: u8, parts: [&[u8]; 2]) -> Option<Zeroizing<[u8; N]>> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Zeroizing::new([0; N]);
    let mut writer = ByteWriter::new(&mut frame[..]);
    writer.put(&[kind]).ok()?;
    writer.put(&u16::try_from(len).ok()?.to_be_bytes()).ok()?;
    parts.iter().try_for_each(|part| writer.put(part)).ok()?;
    Some(frame)
}

/// Type and content of a frame whose rest is zero.
fn split(frame: &[u8]) -> Result<(u8, &[u8]), BadFrame> {
    let mut fields = ByteReader::new(frame);
    let kind = fields.u8()?;
    let len = usize::from(fields.u16()?);
    let content = fields.take(len)?;
    if fields.rest().iter().any(|byte| *byte != 0) {
        return Err(BadFrame::Rest);
    }
    Ok((kind, content))
}

const HEAD_LEN: usize = 3;
const VERSION: u8 = 1;

const HELLO: u8 = 1;
const LEAVES: u8 = 2;
const DATA: u8 = 3;
const CREDIT: u8 = 4;
const DONE: u8 = 5;
const STOP: u8 = 6;
const PADDING: u8 = 7;

const _: () = assert!(MAX_CONTENT_LEN == 793 && MAX_LEAVES == 24 && HELLO_LEN == 764);
