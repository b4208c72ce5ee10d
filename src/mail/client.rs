//! A state machine that fetches missed envelopes from a mail server.
//!
//! The server is trusted to send envelopes and nothing else. The client drops envelopes that it did
//! not request and duplicates, and leaves a server that sends too much, hangs, or returns cursors
//! in circles. The dialect follows from the client name in the server's Hello. An unknown server is
//! asked in status-im's dialect first, and in go-ethereum's if it stays silent.
//!
//! The caller decides when to request a page, so that it can process the previous page first.

use core::time::Duration;
use std::collections::BTreeSet;

use circuits::time::{Instant, UnixSecs};

use super::RequestId;
use super::cursor::Cursor;
use super::request::{Limit, MailRequest};
use super::response::{MailCompletion, NotACompletion};
use crate::bloom::Bloom;
use crate::envelope::{Envelope, EnvelopeHash, ProtocolVersion};

/// The range and topics that a client requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MailQuery {
    /// The first second of the range.
    pub lower: UnixSecs,
    /// The last second of the range.
    pub upper: UnixSecs,
    /// The topics.
    pub bloom: Bloom,
}

/// The request format of a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialect {
    /// Packed bytes; the answer has no end and no cursor. Requires a password.
    Geth,
    /// A list; the answer is divided into pages.
    StatusIm,
    /// A list first; packed bytes if no answer arrives.
    Unknown,
}

impl Dialect {
    /// Guesses the dialect from the client name in the server's Hello.
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
    state: ExchangeState,
    after: Option<Cursor>,
    /// The cursors used so far.
    followed: BTreeSet<Cursor>,
    known: BTreeSet<EnvelopeHash>,
    stats: FetchStats,
    /// Consecutive pages without a new envelope.
    empty_pages: u32,
    /// Consecutive requests of the server to wait.
    pauses: u32,
}

/// Counters of an exchange.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FetchStats {
    /// Pages requested.
    pub pages: u32,
    /// Requested envelopes that arrived, each counted once.
    pub envelopes: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Envelopes that arrived without a request.
    pub unasked: u32,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum ExchangeState {
    /// A request may be sent.
    Ready,
    /// The server asked to wait before the next request.
    Paused(Instant),
    /// A request is pending.
    Asked(PendingPage),
    Over(FetchOutcome),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct PendingPage {
    id: RequestId,
    since: Instant,
    /// The time of the last packet.
    heard: Instant,
    /// Envelopes that arrived, wanted or not.
    count: u32,
    /// New envelopes among them.
    fresh: u32,
}

/// The result of an exchange.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FetchOutcome {
    /// The server stated that the answer is complete.
    Complete,
    /// A go-ethereum server sent no more envelopes for a while; it never states whether the answer
    /// is complete.
    Quiet,
    /// The range contains more than one exchange may fetch.
    LimitReached,
    /// The server refused, for this reason.
    Refused(String),
    /// No answer arrived.
    NoResponse,
    /// The server violated the protocol. The envelopes that it sent before are kept.
    Misbehaved(ServerMisbehaviour),
}

/// A violation by a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ServerMisbehaviour {
    /// A cursor was returned twice, or too many pages contained nothing new.
    #[error("it repeats cursors or empty pages")]
    Circle,
    /// More envelopes than requested.
    #[error("it sends more than requested")]
    Flood,
    /// The answer takes longer than the limit for a page.
    #[error("it does not complete its answer")]
    Stall,
}

impl MailClient {
    /// An exchange before its first request.
    #[must_use]
    pub const fn new(query: MailQuery, dialect: Dialect) -> Self {
        Self {
            query,
            dialect,
            state: ExchangeState::Ready,
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

    /// Whether the next request may be sent.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == ExchangeState::Ready
    }

    /// The dialect of the next request.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The counters so far.
    #[must_use]
    pub const fn stats(&self) -> FetchStats {
        self.stats
    }

    /// The result, if the exchange has ended.
    #[must_use]
    pub const fn outcome(&self) -> Option<&FetchOutcome> {
        match &self.state {
            ExchangeState::Over(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// The next request, to be encrypted in an envelope.
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

    /// Records that the request was sent in an envelope with this hash.
    pub fn on_sent(&mut self, now: Instant, envelope: EnvelopeHash) {
        self.stats.pages = self.stats.pages.saturating_add(1);
        self.state = ExchangeState::Asked(PendingPage {
            id: RequestId(envelope.0),
            since: now,
            heard: now,
            count: 0,
            fresh: 0,
        });
    }

    /// Handles a P2P message (code 127); returns the new and requested envelopes in it.
    pub fn on_messages(&mut self, now: Instant, envelopes: Vec<Envelope>) -> Vec<Envelope> {
        let ExchangeState::Asked(asked) = &mut self.state else {
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
            self.state = ExchangeState::Over(FetchOutcome::Misbehaved(ServerMisbehaviour::Flood));
        } else if self.known.len() >= usize::try_from(MAX_ENVELOPES).unwrap_or(usize::MAX) {
            self.state = ExchangeState::Over(FetchOutcome::LimitReached);
        }
        new
    }

    /// Handles the end of an answer (code 125).
    ///
    /// # Errors
    ///
    /// [`NotACompletion`]: the caller must disconnect.
    pub fn on_completion(&mut self, now: Instant, payload: &[u8]) -> Result<(), NotACompletion> {
        let completion = MailCompletion::decode(payload)?;
        let asked = match &self.state {
            ExchangeState::Asked(asked) if asked.id == completion.id() => *asked,
            // The completion belongs to an earlier request, or to none.
            _ => return Ok(()),
        };
        self.state = match completion {
            MailCompletion::Failed { reason, .. } => self.refused(now, &reason),
            MailCompletion::Done { cursor: None, .. } => {
                ExchangeState::Over(FetchOutcome::Complete)
            }
            MailCompletion::Done {
                cursor: Some(cursor),
                ..
            } => self.follow(cursor, asked),
        };
        Ok(())
    }

    /// Handles the end of the link.
    pub fn on_closed(&mut self) {
        if self.outcome().is_none() {
            self.state = ExchangeState::Over(FetchOutcome::NoResponse);
        }
    }

    /// When [`Self::on_timeout`] is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        match &self.state {
            ExchangeState::Asked(asked) => Some(asked.deadline(self.dialect)),
            ExchangeState::Paused(until) => Some(*until),
            ExchangeState::Ready | ExchangeState::Over(_) => None,
        }
    }

    /// Handles the timeouts that are due.
    pub fn on_timeout(&mut self, now: Instant) {
        if self.next_due().is_none_or(|due| due > now) {
            return;
        }
        self.state = match &self.state {
            ExchangeState::Asked(asked) => match (self.dialect, asked.count) {
                (Dialect::Geth, 1..) => ExchangeState::Over(FetchOutcome::Quiet),
                (Dialect::Unknown, 0) if self.stats.envelopes == 0 => {
                    self.dialect = Dialect::Geth;
                    ExchangeState::Ready
                }
                (_, 0) => ExchangeState::Over(FetchOutcome::NoResponse),
                (_, 1..) => {
                    ExchangeState::Over(FetchOutcome::Misbehaved(ServerMisbehaviour::Stall))
                }
            },
            _ => ExchangeState::Ready,
        };
    }

    /// Handles a refusal: waits and retries, or ends the exchange.
    fn refused(&mut self, now: Instant, reason: &str) -> ExchangeState {
        let reason: String = reason
            .chars()
            .take(MAX_REASON_CHARS)
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        let wait = RETRY_REASONS.iter().any(|word| reason.contains(word));
        if wait && self.pauses < MAX_PAUSES {
            self.pauses = self.pauses.saturating_add(1);
            return ExchangeState::Paused(now.after(PAUSE));
        }
        ExchangeState::Over(FetchOutcome::Refused(reason))
    }

    fn follow(&mut self, cursor: Cursor, asked: PendingPage) -> ExchangeState {
        // A server that names the end of a page has a dialect with pages.
        self.dialect = Dialect::StatusIm;
        self.pauses = 0;
        self.empty_pages = match asked.fresh {
            0 => self.empty_pages.saturating_add(1),
            _ => 0,
        };
        if self.empty_pages > MAX_EMPTY_PAGES || !self.followed.insert(cursor) {
            return ExchangeState::Over(FetchOutcome::Misbehaved(ServerMisbehaviour::Circle));
        }
        self.after = Some(cursor);
        ExchangeState::Ready
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
        let wait = match (dialect, self.count) {
            (Dialect::Geth, 1..) => QUIET_TIMEOUT,
            _ => RESPONSE_TIMEOUT,
        };
        self.heard.after(wait).min(self.since.after(PAGE_TIMEOUT))
    }
}

/// Envelopes per page: the limit of every form of status-im, so that our requests look like others.
const PAGE_LIMIT: u32 = 1_000;
/// Envelopes per exchange.
pub const MAX_ENVELOPES: u32 = 1 << 18;
/// Tolerated envelopes beyond a page, for servers that count batches.
const SLACK: u32 = 1_000;
/// Consecutive pages without a new envelope. A narrow filter makes a server search for long.
const MAX_EMPTY_PAGES: u32 = 64;
/// Consecutive requests of a server to wait.
const MAX_PAUSES: u32 = 10;
/// Wait before the next request then.
const PAUSE: Duration = Duration::from_secs(2);
/// Maximum silence of a server.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);
/// Silence after which an answer of a go-ethereum server counts as complete.
const QUIET_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum duration of one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(600);
/// The error texts by which servers ask to retry later.
const RETRY_REASONS: [&str; 2] = ["rate limit", "number of requests limit"];
/// Characters of a server's reason that are shown.
const MAX_REASON_CHARS: usize = 160;

#[cfg(test)]
mod tests;
