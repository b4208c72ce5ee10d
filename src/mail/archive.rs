//! What a node says to the archive that its shell keeps, and what it is told.
//!
//! The node hands envelopes over in batches and hears when a batch is durable; it asks for pages
//! and gets them, each bounded in envelopes, in bytes and in the work that it may cost. Whether
//! the archive is a file or a database, and where, is the shell's business.
//!
//! An archive keeps an envelope once, in the order of [`Position`], and gives none back that it did
//! not get. What is too old or too much goes, the oldest first.

use core::fmt;

use circuits::time::UnixSecs;

use super::cursor::Position;
use crate::bloom::Bloom;
use crate::envelope::Envelope;

/// Numbers the batches handed to the archive, upwards from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct BatchId(pub u64);

/// Numbers the questions put to the archive.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct QueryId(pub u64);

/// Something for the archive to do.
pub enum ArchiveRequest {
    /// Make these envelopes durable; answered by [`ArchiveResponse::Kept`]. An archive that fails tries again
    /// until it succeeds: what it never answers, nobody is told that it is kept.
    Keep(BatchId, Vec<Envelope>),
    /// Find a page; answered by [`ArchiveResponse::Found`].
    Find(QueryId, PageQuery),
}

impl fmt::Debug for ArchiveRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep(..) => "Keep(..)",
            Self::Find(..) => "Find(..)",
        })
    }
}

/// What the archive says.
#[derive(Debug)]
pub enum ArchiveResponse {
    /// Every batch up to this one would survive a crash. How much is kept, if it was counted.
    Kept(BatchId, Option<Contents>),
    /// The answer to a question.
    Found(QueryId, Result<Page, Unavailable>),
}

/// A question: the envelopes of a range of time that a bloom admits, from a position on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageQuery {
    /// The first second of the range.
    pub lower: UnixSecs,
    /// The last second of the range.
    pub upper: UnixSecs,
    /// Which topics are wanted.
    pub bloom: Bloom,
    /// Only what comes after this position.
    pub after: Option<Position>,
    /// Envelopes at the most.
    pub limit: usize,
    /// Bytes of envelopes at the most; a first one that is longer is given all the same.
    pub bytes: usize,
    /// Envelopes that may be looked at.
    pub effort: usize,
}

impl PageQuery {
    /// The position behind which the answer begins; `None` if it begins where the range does.
    ///
    /// A position before the range, which only a forger names, counts as none.
    #[must_use]
    pub fn start(&self) -> Option<Position> {
        self.after.filter(|position| position.sent >= self.lower)
    }

    /// Whether an envelope belongs into the answer, its position apart.
    #[must_use]
    pub fn wants(&self, envelope: &Envelope) -> bool {
        (self.lower..=self.upper).contains(&envelope.sent()) && self.bloom.wants(envelope.topic())
    }
}

/// A part of an answer, in the order of the archive.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// The envelopes.
    pub envelopes: Vec<Envelope>,
    /// The last position that was looked at, if there are others behind it in the range.
    pub more: Option<Position>,
    /// How many envelopes were looked at.
    pub effort: usize,
}

/// How much an archive holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Contents {
    /// Bytes in use, indices included.
    pub bytes: u64,
    /// The start of the life of the oldest.
    pub oldest: Option<UnixSecs>,
}

/// The archive does not answer; why is in the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the archive does not answer; try again later")]
pub struct Unavailable;
