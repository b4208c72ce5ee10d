//! Fetching what one missed, as a machine: told what a server says, it says what to ask next.
//!
//! The server is a stranger who is trusted to send envelopes and nothing else. What was not asked
//! for is dropped, what comes twice is dropped, and a server that sends too much, hangs, or leads
//! its client in circles is left. Which dialect it speaks is read from the name in its hello; one
//! that is unknown is asked as status-im's are, and if it stays silent, as go-ethereum's.
//!
//! A page is asked for when the caller says so: it first digests the page before.

use core::time::Duration;
use std::collections::BTreeSet;

use circuits::time::{Instant, UnixSecs};

use super::RequestId;
use super::cursor::Cursor;
use super::request::{Limit, Request};
use super::response::{Completion, NotACompletion};
use crate::bloom::Bloom;
use crate::envelope::{Envelope, EnvelopeHash, ProtocolVersion};

/// What a client wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wish {
    /// The first second of the range.
    pub lower: UnixSecs,
    /// The last second of the range.
    pub upper: UnixSecs,
    /// Which topics.
    pub bloom: Bloom,
}

/// How a server wants to be asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// Packed bytes; the answer has no end and no cursor. Only with a password.
    Geth,
    /// A list; the answer comes in pages.
    StatusIm,
    /// A list first; packed bytes if nothing comes.
    Unknown,
}

impl Dialect {
    /// Guesses from the name that a server gives in its hello.
    #[must_use]
    pub fn from_client_name(name: &str) -> Self {
        let program = name.split('/').next().unwrap_or_default();
        match program.to_ascii_lowercase().as_str() {
            "geth" | "wnode" => Self::Geth,
            "whisht" | "statusim" | "statusd" => Self::StatusIm,
            _ => Self::Unknown,
        }
    }
}

/// One exchange with one server.
#[derive(Debug)]
pub struct Client {
    wish: Wish,
    dialect: Dialect,
    stage: Stage,
    after: Option<Cursor>,
    /// Cursors that were followed.
    followed: BTreeSet<Cursor>,
    known: BTreeSet<EnvelopeHash>,
    tally: Tally,
    /// Pages in a row that brought nothing new.
    barren: u32,
    /// Times in a row that the server asked for patience.
    pauses: u32,
}

/// What an exchange has come to so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Pages asked for.
    pub pages: u32,
    /// Envelopes that were asked for and came, each once.
    pub envelopes: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Envelopes that nobody had asked for.
    pub unasked: u32,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Stage {
    /// A request may go out.
    Ready,
    /// The server wants us to wait before the next one.
    Paused(Instant),
    /// A request is out.
    Asked(Asked),
    Over(Outcome),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Asked {
    id: RequestId,
    since: Instant,
    /// When something last came.
    heard: Instant,
    /// Envelopes that came, wanted or not.
    count: u32,
    /// Of these, how many were new.
    fresh: u32,
}

/// How an exchange ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The server says that this was all.
    Complete,
    /// A server of go-ethereum's has sent nothing more for a while; it never says whether that
    /// was all.
    Quiet,
    /// There is more than one exchange may bring.
    Enough,
    /// The server does not do it, for this reason.
    Refused(String),
    /// Nothing came.
    Silent,
    /// The server breaks the rules; what it sent is dealt with all the same.
    Lied(Lie),
}

/// What a server did wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Lie {
    /// A cursor led to where we had been, or on and on to nothing.
    #[error("it leads in circles")]
    Circle,
    /// More envelopes than were asked for.
    #[error("it sends more than was asked for")]
    Flood,
    /// It begins to answer and does not come to an end.
    #[error("it does not come to an end")]
    Stall,
}

impl Client {
    /// An exchange that has not begun.
    #[must_use]
    pub const fn new(wish: Wish, dialect: Dialect) -> Self {
        Self {
            wish,
            dialect,
            stage: Stage::Ready,
            after: None,
            followed: BTreeSet::new(),
            known: BTreeSet::new(),
            tally: Tally {
                pages: 0,
                envelopes: 0,
                bytes: 0,
                unasked: 0,
            },
            barren: 0,
            pauses: 0,
        }
    }

    /// Whether the next request may go out.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// The way the server is asked now.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What has come so far.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// How it ended, if it has.
    #[must_use]
    pub const fn outcome(&self) -> Option<&Outcome> {
        match &self.stage {
            Stage::Over(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// The next request, to be sealed in an envelope.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let Wish {
            lower,
            upper,
            bloom,
        } = self.wish;
        let request = Request {
            lower,
            upper,
            bloom,
            limit: match self.dialect {
                Dialect::Geth => Limit::All,
                Dialect::StatusIm | Dialect::Unknown => Limit::Count(PAGE),
            },
            after: self.after,
            batch: self.dialect != Dialect::Geth,
        };
        match self.dialect {
            Dialect::Geth => request.to_packed(),
            Dialect::StatusIm | Dialect::Unknown => request.to_list(),
        }
    }

    /// The request went out in an envelope of this hash.
    pub fn asked(&mut self, now: Instant, envelope: EnvelopeHash) {
        self.tally.pages = self.tally.pages.saturating_add(1);
        self.stage = Stage::Asked(Asked {
            id: RequestId(envelope.0),
            since: now,
            heard: now,
            count: 0,
            fresh: 0,
        });
    }

    /// A P2P message came (code 127); gives the envelopes of it that are new and were asked for.
    pub fn on_messages(&mut self, now: Instant, envelopes: Vec<Envelope>) -> Vec<Envelope> {
        let Stage::Asked(asked) = &mut self.stage else {
            return Vec::new();
        };
        asked.heard = now;
        let mut new = Vec::new();
        for envelope in envelopes {
            asked.count = asked.count.saturating_add(1);
            if !self.wish.admits(&envelope) {
                self.tally.unasked = self.tally.unasked.saturating_add(1);
            } else if self.known.insert(envelope.hash()) {
                let len = u64::try_from(envelope.as_rlp().len()).unwrap_or(u64::MAX);
                self.tally.envelopes = self.tally.envelopes.saturating_add(1);
                self.tally.bytes = self.tally.bytes.saturating_add(len);
                asked.fresh = asked.fresh.saturating_add(1);
                new.push(envelope);
            }
        }
        let most = match self.dialect {
            Dialect::Geth => MOST,
            Dialect::StatusIm | Dialect::Unknown => PAGE,
        };
        if asked.count > most.saturating_add(SLACK) {
            self.stage = Stage::Over(Outcome::Lied(Lie::Flood));
        } else if self.known.len() >= usize::try_from(MOST).unwrap_or(usize::MAX) {
            self.stage = Stage::Over(Outcome::Enough);
        }
        new
    }

    /// The end of an answer came (code 125).
    ///
    /// # Errors
    ///
    /// [`NotACompletion`]: the server is hung up on.
    pub fn on_completion(&mut self, now: Instant, payload: &[u8]) -> Result<(), NotACompletion> {
        let completion = Completion::decode(payload)?;
        let asked = match &self.stage {
            Stage::Asked(asked) if asked.id == completion.id() => *asked,
            // Of an earlier request, or of none.
            _ => return Ok(()),
        };
        self.stage = match completion {
            Completion::Failed { reason, .. } => self.refused(now, &reason),
            Completion::Done { cursor: None, .. } => Stage::Over(Outcome::Complete),
            Completion::Done {
                cursor: Some(cursor),
                ..
            } => self.follow(cursor, asked),
        };
        Ok(())
    }

    /// The link has ended.
    pub fn on_closed(&mut self) {
        if self.outcome().is_none() {
            self.stage = Stage::Over(Outcome::Silent);
        }
    }

    /// When something is to be given up.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Asked(asked) => Some(asked.deadline(self.dialect)),
            Stage::Paused(until) => Some(*until),
            Stage::Ready | Stage::Over(_) => None,
        }
    }

    /// Time has passed.
    pub fn on_time(&mut self, now: Instant) {
        if self.next_due().is_none_or(|due| due > now) {
            return;
        }
        self.stage = match &self.stage {
            Stage::Asked(asked) => match (self.dialect, asked.count) {
                (Dialect::Geth, 1..) => Stage::Over(Outcome::Quiet),
                (Dialect::Unknown, 0) if self.tally.envelopes == 0 => {
                    self.dialect = Dialect::Geth;
                    Stage::Ready
                }
                (_, 0) => Stage::Over(Outcome::Silent),
                (_, 1..) => Stage::Over(Outcome::Lied(Lie::Stall)),
            },
            _ => Stage::Ready,
        };
    }

    /// The server does not do it now, or not at all.
    fn refused(&mut self, now: Instant, reason: &str) -> Stage {
        let reason: String = reason
            .chars()
            .take(REASON_CHARS)
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        let patience = PATIENT.iter().any(|word| reason.contains(word));
        if patience && self.pauses < MOST_PAUSES {
            self.pauses = self.pauses.saturating_add(1);
            return Stage::Paused(now.after(PAUSE));
        }
        Stage::Over(Outcome::Refused(reason))
    }

    fn follow(&mut self, cursor: Cursor, asked: Asked) -> Stage {
        // One that names the end of a page can only be told from a dialect that knows pages.
        self.dialect = Dialect::StatusIm;
        self.pauses = 0;
        self.barren = match asked.fresh {
            0 => self.barren.saturating_add(1),
            _ => 0,
        };
        if self.barren > MOST_BARREN || !self.followed.insert(cursor) {
            return Stage::Over(Outcome::Lied(Lie::Circle));
        }
        self.after = Some(cursor);
        Stage::Ready
    }
}

impl Wish {
    fn admits(&self, envelope: &Envelope) -> bool {
        envelope.protocol() == ProtocolVersion::V6
            && (self.lower..=self.upper).contains(&envelope.sent())
            && self.bloom.wants(envelope.topic())
    }
}

impl Asked {
    fn deadline(&self, dialect: Dialect) -> Instant {
        let patience = match (dialect, self.count) {
            (Dialect::Geth, 1..) => QUIET,
            _ => SILENCE,
        };
        self.heard.after(patience).min(self.since.after(WHOLE_PAGE))
    }
}

/// Envelopes of one page: what status-im allows in each of its forms, so that we ask as others do.
pub const PAGE: u32 = 1_000;
/// Envelopes of one exchange.
pub const MOST: u32 = 1 << 18;
/// Envelopes beyond a page that are forgiven, for servers that count batches.
const SLACK: u32 = 1_000;
/// Pages in a row without anything new: a narrow filter makes a server search long.
const MOST_BARREN: u32 = 64;
/// Times in a row that a server may ask for patience.
const MOST_PAUSES: u32 = 10;
/// How long to wait then.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a server may say nothing.
pub const SILENCE: Duration = Duration::from_secs(15);
/// After how long without an envelope a server that knows no end is taken to have ended.
const QUIET: Duration = Duration::from_secs(5);
/// How long one page may take.
const WHOLE_PAGE: Duration = Duration::from_secs(600);
/// What servers say when they want to be asked later.
const PATIENT: [&str; 2] = ["rate limit", "number of requests limit"];
/// Characters of a server's reason that are shown.
const REASON_CHARS: usize = 160;

#[cfg(test)]
mod tests;
