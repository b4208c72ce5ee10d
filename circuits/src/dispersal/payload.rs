//! The payload of a cell: the body that its last hop decrypts.

use core::fmt;

use rand_core::CryptoRng;

use super::{Class, Cookie, Shard, Ticket};
use crate::bytes::{ByteReader, ByteWriter, Full, Truncated};
use crate::geometry::{DELTA_LEN, SHARD_LEN};

/// The body of a cell, as decrypted by its last hop.
///
/// Bytes that a kind does not use are random, so that padding does not identify an implementation.
#[derive(Clone, Eq, PartialEq)]
pub enum Payload {
    /// Cover traffic that ends here.
    Drop,
    /// Cover traffic that returns to its origin.
    Loop {
        /// Identifies the loop to its origin.
        nonce: [u8; 16],
    },
    /// The end of a circuit that is joined with another one; contains everything after the flags.
    Meet(Box<[u8; Self::MEET_LEN]>),
    /// One shard of a package.
    Shard(Shard),
}

impl Payload {
    /// Length of the data of a meeting. It starts after the flags, because its 20-byte cookie would
    /// otherwise overlap them.
    pub const MEET_LEN: usize = DELTA_LEN - FLAGS_AT - 1;

    /// Parses the body of a cell.
    ///
    /// # Errors
    ///
    /// The first rule that the body breaks. The origin is at fault and gets no answer: an invalid
    /// body is treated as [`Payload::Drop`].
    pub fn parse(delta: &[u8; DELTA_LEN]) -> Result<Self, PayloadError> {
        let mut fields = ByteReader::new(delta);
        let cookie = fields.array()?;
        let index = fields.u8()?;
        let k = fields.u8()?;
        let n = fields.u8()?;
        let flags = fields.u8()?;
        match flags {
            FLAGS_SHARD => {
                let class =
                    Class::from_parts(k, n, fields.u32()?).ok_or(PayloadError::UnknownClass)?;
                if index >= class.n() {
                    return Err(PayloadError::IndexOutOfRange);
                }
                Ok(Self::Shard(Shard {
                    cookie: Cookie(cookie),
                    class,
                    index,
                    ticket: Ticket(fields.array()?),
                    bytes: Box::new(fields.array()?),
                }))
            }
            FLAGS_LOOP => Ok(Self::Loop { nonce: cookie }),
            FLAGS_DROP => Ok(Self::Drop),
            FLAGS_MEET => Ok(Self::Meet(Box::new(fields.array()?))),
            _ => Err(PayloadError::UnknownFlags),
        }
    }

    /// Encodes the body of a cell, with random bytes in unused places.
    #[must_use]
    pub fn emit(&self, rng: &mut impl CryptoRng) -> Box<[u8; DELTA_LEN]> {
        let mut delta = Box::new([0; DELTA_LEN]);
        rng.fill_bytes(delta.as_mut_slice());
        // Cannot fail: by the assertion below, every field lies inside the body.
        let _: Result<(), Full> = self.write(&mut delta);
        delta
    }

    fn write(&self, delta: &mut [u8; DELTA_LEN]) -> Result<(), Full> {
        let (head, tail) = delta.split_at_mut_checked(FLAGS_AT).ok_or(Full)?;
        let (mut head, mut tail) = (ByteWriter::new(head), ByteWriter::new(tail));
        match self {
            Self::Drop => tail.put(&[FLAGS_DROP]),
            Self::Loop { nonce } => {
                head.put(nonce)?;
                tail.put(&[FLAGS_LOOP])
            }
            Self::Meet(meeting) => {
                tail.put(&[FLAGS_MEET])?;
                tail.put(meeting.as_slice())
            }
            Self::Shard(shard) => {
                let length = u32::try_from(shard.class.package_len()).map_err(|_| Full)?;
                head.put(&shard.cookie.0)?;
                head.put(&[shard.index, shard.class.k(), shard.class.n()])?;
                tail.put(&[FLAGS_SHARD])?;
                tail.put(&length.to_be_bytes())?;
                tail.put(&shard.ticket.0)?;
                tail.put(shard.bytes.as_slice())
            }
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop => f.write_str("Drop"),
            Self::Loop { nonce: _ } => f.write_str("Loop(..)"),
            Self::Meet(_) => f.write_str("Meet(..)"),
            Self::Shard(shard) => fmt::Debug::fmt(shard, f),
        }
    }
}

/// Reason why bytes are not a valid body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PayloadError {
    /// The shard's index is not below `n`.
    IndexOutOfRange,
    /// The class table has no row with this k, n and length.
    UnknownClass,
    /// The flags have an unknown value.
    UnknownFlags,
}

impl From<Truncated> for PayloadError {
    /// Unreachable, because the type of the input fixes its length; the choice of variant does not
    /// matter.
    fn from(_: Truncated) -> Self {
        Self::UnknownFlags
    }
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IndexOutOfRange => "shard index is not below the number of shards",
            Self::UnknownClass => "no class has this k, n and package length",
            Self::UnknownFlags => "flags have an unknown value",
        })
    }
}

impl core::error::Error for PayloadError {}

const FLAGS_SHARD: u8 = 0;
const FLAGS_LOOP: u8 = 1;
const FLAGS_DROP: u8 = 2;
const FLAGS_MEET: u8 = 3;

/// Offset of the flags: after cookie, index, k and n.
const FLAGS_AT: usize = 16 + 1 + 1 + 1;

const _: () = assert!(FLAGS_AT + 1 + 4 + 8 + SHARD_LEN == DELTA_LEN);
