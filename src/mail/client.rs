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
use super::request::{Limit, MailRequest};
use super::response::{Completion, NotACompletion};
use crate::bloom::Bloom;
use crate::envelope::{Envelope, EnvelopeHash, ProtocolVersion};

/// What a client wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MailQuery {
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
pub struct MailClient {
    query: MailQuery,
    dialect: Dialect,
    state: ClientState,
    after: Option<Cursor>,
    /// Cursors that were followed.
    followed: BTreeSet<Cursor>,
    known: BTreeSet<EnvelopeHash>,
    stats: FetchStats,
    /// Pages in a row that brought nothing new.
    empty_pages: u32,
    /// Times in a row that the server asked for patience.
    pauses: u32,
}

/// What an exchange has come to so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FetchStats {
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
enum ClientState {
    /// A request may go out.
    Ready,
    /// The server wants us to wait before the next one.
    Paused(Instant),
    /// A request is out.
    Asked(PendingPage),
    Over(FetchOutcome),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct PendingPage {
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
pub enum FetchOutcome {
    /// The server says that this was all.
    Complete,
    /// A server of go-ethereum's has sent nothing more for a while; it never says whether that
    /// was all.
    Quiet,
    /// There is more than one exchange may bring.
    LimitReached,
    /// The server does not do it, for this reason.
    Refused(String),
    /// Nothing came.
    NoResponse,
    /// The server breaks the rules; what it sent is dealt with all the same.
    Misbehaved(ServerMisbehaviour),
}

/// What a server did wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ServerMisbehaviour {
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

impl MailClient {
    /// An exchange that has not begun.
    #[must_use]
    pub const fn new(query: MailQuery, dialect: Dialect) -> Self {
        Self {
            query,
            dialect,
            state: ClientState::Ready,
            after: None,
            followed: BTreeSet::new(),
            known: BTreeSet::new(),
            stats: FetchStats {
                pages: 0,
                envelopes: 0,
                bytes: 0,
                unasked: 0,
            },
            empty_pages: 0,
            pauses: 0,
        }
    }

    /// Whether the next request may go out.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == ClientState::Ready
    }

    /// The way the server is asked now.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What has come so far.
    #[must_use]
    pub const fn stats(&self) -> FetchStats {
        self.stats
    }

    /// How it ended, if it has.
    #[must_use]
    pub const fn outcome(&self) -> Option<&FetchOutcome> {
        match &self.state {
            ClientState::Over(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// The next request, to be sealed in an envelope.
    #[must_use]
    pub fn next_request(&self) -> Vec<u8> {
        let MailQuery {
            lower,
            upper,
            bloom,
        } = self.query;
        let request = MailRequest {
            lower,
            upper,
            bloom,
            limit: match self.dialect {
                Dialect::Geth => Limit::All,
                Dialect::StatusIm | Dialect::Unknown => Limit::Count(PAGE_LIMIT),
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
    pub fn on_sent(&mut self, now: Instant, envelope: EnvelopeHash) {
        self.stats.pages = self.stats.pages.saturating_add(1);
        self.state = ClientState::Asked(PendingPage {
            id: RequestId(envelope.0),
            since: now,
            heard: now,
            count: 0,
            fresh: 0,
        });
    }

    /// A P2P message came (code 127); gives the envelopes of it that are new and were asked for.
    pub fn on_messages(&mut self, now: Instant, envelopes: Vec<Envelope>) -> Vec<Envelope> {
        let ClientState::Asked(asked) = &mut self.state else {
            return Vec::new();
        };
        asked.heard = now;
        let mut new = Vec::new();
        for envelope in envelopes {
            asked.count = asked.count.saturating_add(1);
            if !self.query.admits(&envelope) {
                self.stats.unasked = self.stats.unasked.saturating_add(1);
            } else if self.known.insert(envelope.hash()) {
                let len = u64::try_from(envelope.as_rlp().len()).unwrap_or(u64::MAX);
                self.stats.envelopes = self.stats.envelopes.saturating_add(1);
                self.stats.bytes = self.stats.bytes.saturating_add(len);
                asked.fresh = asked.fresh.saturating_add(1);
                new.push(envelope);
            }
        }
        let most = match self.dialect {
            Dialect::Geth => MAX_ENVELOPES,
            Dialect::StatusIm | Dialect::Unknown => PAGE_LIMIT,
        };
        if asked.count > most.saturating_add(SLACK) {
            self.state = ClientState::Over(FetchOutcome::Misbehaved(ServerMisbehaviour::Flood));
        } else if self.known.len() >= usize::try_from(MAX_ENVELOPES).unwrap_or(usize::MAX) {
            self.state = ClientState::Over(FetchOutcome::LimitReached);
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
        let asked = match &self.state {
            ClientState::Asked(asked) if asked.id == completion.id() => *asked,
            // Of an earlier request, or of none.
            _ => return Ok(()),
        };
        self.state = match completion {
            Completion::Failed { reason, .. } => self.refused(now, &reason),
            Completion::Done { cursor: None, .. } => ClientState::Over(FetchOutcome::Complete),
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
            self.state = ClientState::Over(FetchOutcome::NoResponse);
        }
    }

    /// When something is to be given up.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        match &self.state {
            ClientState::Asked(asked) => Some(asked.deadline(self.dialect)),
            ClientState::Paused(until) => Some(*until),
            ClientState::Ready | ClientState::Over(_) => None,
        }
    }

    /// Time has passed.
    pub fn on_timeout(&mut self, now: Instant) {
        if self.next_due().is_none_or(|due| due > now) {
            return;
        }
        self.state = match &self.state {
            ClientState::Asked(asked) => match (self.dialect, asked.count) {
                (Dialect::Geth, 1..) => ClientState::Over(FetchOutcome::Quiet),
                (Dialect::Unknown, 0) if self.stats.envelopes == 0 => {
                    self.dialect = Dialect::Geth;
                    ClientState::Ready
                }
                (_, 0) => ClientState::Over(FetchOutcome::NoResponse),
                (_, 1..) => ClientState::Over(FetchOutcome::Misbehaved(ServerMisbehaviour::Stall)),
            },
            _ => ClientState::Ready,
        };
    }

    /// The server does not do it now, or not at all.
    fn refused(&mut self, now: Instant, reason: &str) -> ClientState {
        let reason: String = reason
            .chars()
            .take(MAX_REASON_CHARS)
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        let patience = RETRY_REASONS.iter().any(|word| reason.contains(word));
        if patience && self.pauses < MAX_PAUSES {
            self.pauses = self.pauses.saturating_add(1);
            return ClientState::Paused(now.after(PAUSE));
        }
        ClientState::Over(FetchOutcome::Refused(reason))
    }

    fn follow(&mut self, cursor: Cursor, asked: PendingPage) -> ClientState {
        // One that names the end of a page can only be told from a dialect that knows pages.
        self.dialect = Dialect::StatusIm;
        self.pauses = 0;
        self.empty_pages = match asked.fresh {
            0 => self.empty_pages.saturating_add(1),
            _ => 0,
        };
        if self.empty_pages > MAX_EMPTY_PAGES || !self.followed.insert(cursor) {
            return ClientState::Over(FetchOutcome::Misbehaved(ServerMisbehaviour::Circle));
        }
        self.after = Some(cursor);
        ClientState::Ready
    }
}

impl MailQuery {
    fn admits(&self, envelope: &Envelope) -> bool {
        envelope.protocol() == ProtocolVersion::V6
            && (self.lower..=self.upper).contains(&envelope.sent())
            && self.bloom.wants(envelope.topic())
    }
}

impl PendingPage {
    fn deadline(&self, dialect: Dialect) -> Instant {
        let patience = match (dialect, self.count) {
            (Dialect::Geth, 1..) => QUIET_TIMEOUT,
            _ => RESPONSE_TIMEOUT,
        };
        self.heard
            .after(patience)
            .min(self.since.after(PAGE_TIMEOUT))
    }
}

/// Envelopes of one page: what status-im allows in each of its forms, so that we ask as others do.
const PAGE_LIMIT: u32 = 1_000;
/// Envelopes of one exchange.
pub const MAX_ENVELOPES: u32 = 1 << 18;
/// Envelopes beyond a page that are forgiven, for servers that count batches.
const SLACK: u32 = 1_000;
/// Pages in a row without anything new: a narrow filter makes a server search long.
const MAX_EMPTY_PAGES: u32 = 64;
/// Times in a row that a server may ask for patience.
const MAX_PAUSES: u32 = 10;
/// How long to wait then.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a server may say nothing.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);
/// After how long without an envelope a server that knows no end is taken to have ended.
const QUIET_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(600);
/// What servers say when they want to be asked later.
const RETRY_REASONS: [&str; 2] = ["rate limit", "number of requests limit"];
/// Characters of a server's reason that are shown.
const MAX_REASON_CHARS: usize = 160;

#[cfg(test)]
mod tests;
