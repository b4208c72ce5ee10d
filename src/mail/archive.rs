//! The requests of a node to the archive of its shell, and the responses.
//!
//! The node passes envelopes in batches and learns when a batch is durable. It requests pages; each
//! page is bounded in envelopes, in bytes and in work. The shell decides whether the archive is a
//! file or a database, and where.
//!
//! An archive keeps each envelope once, in the order of [`Position`], and returns only envelopes
//! that it received. It deletes the oldest envelopes first, by age and by total size.

use core::fmt;

use circuits::time::UnixSecs;

use super::cursor::Position;
use crate::bloom::Bloom;
use crate::envelope::Envelope;

/// Numbers the batches passed to the archive, upwards from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct BatchId(pub u64);

/// Numbers the queries to the archive.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct QueryId(pub u64);

/// A request to the archive.
pub enum ArchiveRequest {
    /// Make these envelopes durable; answered by [`ArchiveResponse::Kept`]. An archive that fails
    /// retries until it succeeds; the node acknowledges only answered batches.
    Keep(BatchId, Vec<Envelope>),
    /// Find a page; answered by [`ArchiveResponse::Found`].
    Find(QueryId, PageQuery),
    /// Forget a query that is not answered yet: its client has gone. The query is answered with
    /// [`Unavailable`], so that each query has one answer.
    Withdraw(QueryId),
}

impl fmt::Debug for ArchiveRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep(..) => "Keep(..)",
            Self::Find(..) => "Find(..)",
            Self::Withdraw(..) => "Withdraw(..)",
        })
    }
}

/// A response of the archive.
#[derive(Debug)]
pub enum ArchiveResponse {
    /// Every batch up to this one would survive a crash. The contents, if they were counted.
    Kept(BatchId, Option<Contents>),
    /// The answer to a query.
    Found(QueryId, Result<Page, Unavailable>),
}

/// A query: the envelopes of a range of time that match a bloom filter, after a position.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PageQuery {
    /// The first second of the range.
    pub lower: UnixSecs,
    /// The last second of the range.
    pub upper: UnixSecs,
    /// The requested topics.
    pub bloom: Bloom,
    /// Only envelopes after this position.
    pub after: Option<Position>,
    /// Maximum number of envelopes.
    pub limit: usize,
    /// Maximum number of bytes; a longer first envelope is returned nevertheless.
    pub bytes: usize,
    /// Maximum number of envelopes to examine.
    pub effort: usize,
}

impl PageQuery {
    /// The position after which the answer begins; `None` if it begins with the range.
    ///
    /// A position before the range is ignored; only a forged cursor contains one.
    #[must_use]
    pub fn start(&self) -> Option<Position> {
        self.after.filter(|position| position.sent >= self.lower)
    }

    /// Whether an envelope matches the query, apart from its position.
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
    /// The last examined position, if the range continues after it.
    pub more: Option<Position>,
    /// Number of envelopes examined.
    pub effort: usize,
}

/// The contents of an archive.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Contents {
    /// Bytes in use, with indices.
    pub bytes: u64,
    /// The start of the oldest envelope's lifetime.
    pub oldest: Option<UnixSecs>,
}

/// The archive does not answer; the log states the cause.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the archive does not answer; try again later")]
pub struct Unavailable;
