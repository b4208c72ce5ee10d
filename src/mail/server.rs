//! A mail server, as a machine: told what clients ask and what the archive finds, it says what to
//! send and what to look for.
//!
//! A peer is answered one request after another, a page at a time, and the next page is looked for
//! only when the one before has left: a client that does not read costs one page. How many ask at
//! once, how much each may ask for and how often has a bound beside it. Refusals are told to the
//! client (go-ethereum's ignores them); only what is malformed, or a flood, costs the link.
//!
//! The archive itself is behind [`ServerAction::Find`]; nothing here knows what it is made of.

use std::collections::{BTreeMap, VecDeque};

use circuits::bounded_map::BoundedMap;
use circuits::ids::{LinkId, RelayKey};
use circuits::time::{Instant, Now};

use super::access::AccessPolicy;
use super::archive::{Page, PageQuery, QueryId, Unavailable};
use super::cursor::{Cursor, Position};
use super::request::{Limit, MailRequest, RequestPacket};
use super::request_quota::{QuotaResult, RequestQuota};
use super::response::{Completion, messages};
use super::{RequestId, sync};
use crate::envelope::EnvelopeHash;
use crate::gossip::packet::P2pKind;

/// The state of all clients.
#[derive(Debug)]
pub struct MailServer {
    access: AccessPolicy,
    /// Ranked by the time at which the quota is full again.
    quotas: BoundedMap<RelayKey, RequestQuota, Instant>,
    /// What each link waits for, the first of them under way.
    queues: BTreeMap<LinkId, VecDeque<PendingAnswer>>,
    queries: BTreeMap<QueryId, LinkId>,
    last_query: u64,
    /// Envelopes given out since the start.
    sent: u64,
}

/// Something to be done.
#[derive(Debug)]
pub enum ServerAction {
    /// Ask the archive; the answer goes to [`MailServer::on_page`].
    Find(QueryId, PageQuery),
    /// The peer breaks the protocol, or does not stop asking.
    HangUp(LinkId),
    /// Send a packet, in this order with others on the link.
    Send(LinkId, P2pKind, Vec<u8>),
}

/// One request being carried out.
#[derive(Debug)]
struct PendingAnswer {
    id: RequestId,
    format: ReplyFormat,
    request: MailRequest,
    /// Envelopes that may still be sent.
    left: u32,
    /// Envelopes that may still be looked at.
    effort: usize,
    after: Option<Position>,
    last: Option<EnvelopeHash>,
    state: AnswerState,
}

/// In which packets an answer goes out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ReplyFormat {
    /// Codes 127 and 125.
    P2p,
    /// Code 124.
    Sync,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum AnswerState {
    /// The link has to be free before the next page is looked for.
    Waiting,
    /// The archive is looking.
    Asked(QueryId),
}

impl MailServer {
    /// A server without clients.
    #[must_use]
    pub const fn new(access: AccessPolicy) -> Self {
        Self {
            access,
            quotas: BoundedMap::new(MAX_QUOTAS),
            queues: BTreeMap::new(),
            queries: BTreeMap::new(),
            last_query: 0,
            sent: 0,
        }
    }

    /// A packet with code 126 came.
    #[must_use]
    pub fn on_request(
        &mut self,
        now: Now,
        link: LinkId,
        peer: RelayKey,
        payload: &[u8],
    ) -> Vec<ServerAction> {
        let quota = self.charge(now, peer);
        if quota == QuotaResult::Flooding {
            return vec![ServerAction::HangUp(link)];
        }
        if payload.len() > MAX_REQUEST {
            return Vec::new();
        }
        let Ok(packet) = RequestPacket::decode(payload) else {
            return vec![ServerAction::HangUp(link)];
        };
        let admitted = match quota {
            QuotaResult::Allowed => self.access.admit(peer, packet, now.unix),
            QuotaResult::Exceeded | QuotaResult::Flooding => {
                return vec![fail(link, packet.id(), TOO_OFTEN)];
            }
        };
        match admitted {
            Ok((id, request)) => self.enqueue(link, id, ReplyFormat::P2p, request),
            Err((id, denied)) => vec![fail(link, id, &denied.to_string())],
        }
    }

    /// A packet with code 123 came: another server asks. It has no way to show a password.
    #[must_use]
    pub fn on_sync_request(
        &mut self,
        now: Now,
        link: LinkId,
        peer: RelayKey,
        payload: &[u8],
    ) -> Vec<ServerAction> {
        let quota = self.charge(now, peer);
        if quota == QuotaResult::Flooding {
            return vec![ServerAction::HangUp(link)];
        }
        let refuse = |reason: &str| {
            let payload = sync::SyncResponse::refusal(reason);
            vec![ServerAction::Send(link, P2pKind::SyncResponse, payload)]
        };
        let Ok(request) = sync::read_request(payload) else {
            return vec![ServerAction::HangUp(link)];
        };
        match (quota, self.access.check_peer(peer)) {
            (QuotaResult::Allowed, Ok(())) => {
                self.enqueue(link, RequestId([0; 32]), ReplyFormat::Sync, request)
            }
            (QuotaResult::Allowed, Err(denied)) => refuse(&denied.to_string()),
            (QuotaResult::Exceeded | QuotaResult::Flooding, _) => refuse(TOO_OFTEN),
        }
    }

    /// The archive found a page, or does not answer.
    #[must_use]
    pub fn on_page(
        &mut self,
        query: QueryId,
        found: Result<Page, Unavailable>,
    ) -> Vec<ServerAction> {
        let Some(link) = self.queries.remove(&query) else {
            return Vec::new();
        };
        let queue = self.queues.get_mut(&link);
        let Some(answer) = queue.and_then(VecDeque::front_mut) else {
            return Vec::new();
        };
        if answer.state != AnswerState::Asked(query) {
            return Vec::new();
        }
        match found {
            Ok(page) => {
                let given = u64::try_from(page.envelopes.len()).unwrap_or(u64::MAX);
                self.sent = self.sent.saturating_add(given);
                let (actions, over) = answer.on_page(link, page);
                if over {
                    self.end(link);
                }
                actions
            }
            Err(unavailable) => {
                let refusal = answer.refuse(link, &unavailable.to_string());
                self.end(link);
                vec![refusal]
            }
        }
    }

    /// Looks for the next page of every answer whose link is free.
    #[must_use]
    pub fn find_next_pages(&mut self, free: impl Fn(LinkId) -> bool) -> Vec<ServerAction> {
        let mut actions = Vec::new();
        for (link, queue) in &mut self.queues {
            let Some(answer) = queue.front_mut() else {
                continue;
            };
            if answer.state != AnswerState::Waiting || !free(*link) {
                continue;
            }
            self.last_query = self.last_query.saturating_add(1);
            let id = QueryId(self.last_query);
            answer.state = AnswerState::Asked(id);
            self.queries.insert(id, *link);
            actions.push(ServerAction::Find(id, answer.query()));
        }
        actions
    }

    /// A link was closed: nobody waits for its answers.
    pub fn close(&mut self, link: LinkId) {
        self.queues.remove(&link);
        self.queries.retain(|_, asker| *asker != link);
    }

    /// Whether some answer waits for its link.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        let mut fronts = self.queues.values().filter_map(VecDeque::front);
        fronts.any(|answer| answer.state == AnswerState::Waiting)
    }

    /// Requests being answered, or in line.
    #[must_use]
    pub fn answering(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }

    /// Envelopes given out since the start.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    fn charge(&mut self, now: Now, peer: RelayKey) -> QuotaResult {
        while self.quotas.is_full()
            && self
                .quotas
                .pop_first_if(|full_at| full_at <= now.mono)
                .is_some()
        {}
        let known = self.quotas.get(&peer).copied();
        if known.is_none() && self.quotas.is_full() {
            return QuotaResult::Exceeded;
        }
        let mut quota = known.unwrap_or_default();
        let result = quota.spend(now.mono);
        self.quotas.insert(peer, quota.full_at(), quota);
        result
    }

    fn enqueue(
        &mut self,
        link: LinkId,
        id: RequestId,
        format: ReplyFormat,
        request: MailRequest,
    ) -> Vec<ServerAction> {
        let crowded = !self.queues.contains_key(&link) && self.queues.len() >= MAX_CLIENTS;
        let answer = PendingAnswer::new(id, format, request);
        if crowded {
            return vec![answer.refuse(link, CROWDED)];
        }
        let queue = self.queues.entry(link).or_default();
        if queue.len() >= MAX_QUEUED {
            return vec![answer.refuse(link, TOO_OFTEN)];
        }
        queue.push_back(answer);
        Vec::new()
    }

    /// The first answer of a link is over.
    fn end(&mut self, link: LinkId) {
        if let Some(queue) = self.queues.get_mut(&link) {
            queue.pop_front();
            if queue.is_empty() {
                self.queues.remove(&link);
            }
        }
    }
}

impl PendingAnswer {
    fn new(id: RequestId, format: ReplyFormat, request: MailRequest) -> Self {
        let effort = match request.limit {
            Limit::All => MAX_EFFORT_ALL,
            Limit::Unspecified | Limit::Count(_) => MAX_EFFORT,
        };
        Self {
            id,
            format,
            left: request.limit.granted(),
            effort,
            after: request.after.map(|cursor| cursor.position),
            last: None,
            state: AnswerState::Waiting,
            request,
        }
    }

    fn query(&self) -> PageQuery {
        PageQuery {
            lower: self.request.lower,
            upper: self.request.upper,
            bloom: self.request.bloom,
            after: self.after,
            limit: usize::try_from(self.left).unwrap_or(usize::MAX),
            bytes: PAGE_BYTES,
            effort: self.effort.min(PAGE_EFFORT),
        }
    }

    /// The packets of a page, and whether they end the answer.
    fn on_page(&mut self, link: LinkId, page: Page) -> (Vec<ServerAction>, bool) {
        let Page {
            envelopes,
            more,
            effort,
        } = page;
        let count = u32::try_from(envelopes.len()).unwrap_or(u32::MAX);
        self.left = self.left.saturating_sub(count);
        self.effort = self.effort.saturating_sub(effort.max(1));
        self.last = envelopes.last().map(|last| last.hash()).or(self.last);
        let over = more.is_none() || self.left == 0 || self.effort == 0;
        self.after = more.or(self.after);
        self.state = AnswerState::Waiting;
        let more = more.map(Cursor::from);
        let actions = match self.format {
            ReplyFormat::P2p => {
                let packets = messages(&envelopes, self.request.batch).into_iter();
                let done = Completion::Done {
                    id: self.id,
                    last: self.last,
                    cursor: more,
                };
                let done = over.then(|| complete(link, &done));
                packets
                    .map(|packet| ServerAction::Send(link, P2pKind::Message, packet))
                    .chain(done)
                    .collect()
            }
            ReplyFormat::Sync if envelopes.is_empty() && !over => Vec::new(),
            ReplyFormat::Sync => sync::responses(&envelopes, more, over)
                .into_iter()
                .map(|packet| ServerAction::Send(link, P2pKind::SyncResponse, packet))
                .collect(),
        };
        (actions, over)
    }

    fn refuse(&self, link: LinkId, reason: &str) -> ServerAction {
        match self.format {
            ReplyFormat::P2p => fail(link, self.id, reason),
            ReplyFormat::Sync => ServerAction::Send(
                link,
                P2pKind::SyncResponse,
                sync::SyncResponse::refusal(reason),
            ),
        }
    }
}

fn fail(link: LinkId, id: RequestId, reason: &str) -> ServerAction {
    let reason = reason.to_owned();
    complete(link, &Completion::Failed { id, reason })
}

fn complete(link: LinkId, completion: &Completion) -> ServerAction {
    ServerAction::Send(link, P2pKind::RequestComplete, completion.encode())
}

/// What status-im says for it.
const TOO_OFTEN: &str = "rate limit exceeded";
const CROWDED: &str = "too many clients at once; try again later";

/// Bytes of the longest request that is looked at: those in use have less than a thousand.
pub const MAX_REQUEST: usize = 16 * 1024;
/// Requests of one peer that may be in line.
const MAX_QUEUED: usize = 4;
/// Peers answered at once.
pub const MAX_CLIENTS: usize = 64;
/// Peers whose quotas are remembered.
const MAX_QUOTAS: usize = 4_096;
/// Bytes of one page. With [`MAX_CLIENTS`] it bounds what slow clients make us hold.
pub const PAGE_BYTES: usize = 192 * 1024;
/// Envelopes that the archive looks at for one page: some milliseconds.
pub const PAGE_EFFORT: usize = 4_096;
/// Envelopes looked at for one request; then the client is given a cursor.
const MAX_EFFORT: usize = 32 * PAGE_EFFORT;
/// The same for clients that cannot ask for the rest.
const MAX_EFFORT_ALL: usize = 256 * PAGE_EFFORT;

#[cfg(test)]
mod tests;
