//! The state machine of a mail server: it receives requests and archive pages, and returns packets
//! and queries.
//!
//! A peer's requests are answered one after another, a page at a time. The next page is queried
//! only when the previous one has left, so a client that does not read costs one page. The number
//! of concurrent clients, the size of an answer and the rate of requests are bounded by the
//! constants below. Refusals are sent to the client (go-ethereum's ignore them). Only malformed
//! packets and floods cost the link.
//!
//! The archive is behind [`ServerAction::Find`]; this module must not depend on its storage.

use std::collections::{BTreeMap, VecDeque};

use circuits::bounded_map::BoundedMap;
use circuits::directory::Subnet;
use circuits::ids::{LinkId, RelayKey};
use circuits::rate_limit::{KeyedLimiter, Quota, TokenBucket};
use circuits::time::{Instant, Now};

use super::access::{AccessPolicy, Denied};
use super::archive::{Page, PageQuery, QueryId, Unavailable};
use super::cursor::{Cursor, Position};
use super::password_guesses::GuessLimiter;
use super::request::{Limit, MailRequest, RequestPacket};
use super::request_quota::{MAX_REQUESTS, QuotaResult, RequestQuota};
use super::response::{MailCompletion, messages};
use super::{RequestId, sync};
use crate::envelope::EnvelopeHash;
use crate::gossip::packet::P2pKind;

/// The state of all clients.
#[derive(Debug)]
pub struct MailServer {
    access: AccessPolicy,
    /// Ranked by the time at which the quota is full again.
    quotas: BoundedMap<RelayKey, RequestQuota, Instant>,
    /// Keys are free, so requests are counted by their network too.
    subnets: KeyedLimiter<Subnet>,
    /// Requests over Tor and loopback, which have no networks to tell apart.
    without_subnet: TokenBucket,
    guesses: GuessLimiter,
    /// The requests of each link; the first is under way.
    queues: BTreeMap<LinkId, VecDeque<PendingAnswer>>,
    /// Queries that the archive has not answered; `None` if the client has gone.
    queries: BTreeMap<QueryId, Option<LinkId>>,
    last_query: u64,
    /// The link that was served last.
    last_asker: Option<LinkId>,
    /// Envelopes sent since the start.
    sent: u64,
}

/// A client of the server.
#[derive(Clone, Copy, Debug)]
pub struct MailPeer {
    /// Its link.
    pub link: LinkId,
    /// Its key.
    pub key: RelayKey,
    /// The network that it connects from.
    pub subnet: Subnet,
}

/// An action for the caller.
#[derive(Debug)]
pub enum ServerAction {
    /// Withdraw a query from the archive, which still answers it.
    Withdraw(QueryId),
    /// Query the archive; the answer goes to [`MailServer::on_page`].
    Find(QueryId, PageQuery),
    /// Disconnect: the peer violates the protocol or floods requests.
    HangUp(LinkId),
    /// Send a packet, in the order of the actions for this link.
    Send(LinkId, P2pKind, Vec<u8>),
}

/// A request that may be answered, or the reason why not.
type Admission = Result<(RequestId, MailRequest), (RequestId, Denied)>;

/// One request that is being answered.
#[derive(Debug)]
struct PendingAnswer {
    id: RequestId,
    format: ReplyFormat,
    request: MailRequest,
    /// Envelopes that may still be sent.
    left: u32,
    /// Envelopes that may still be examined.
    effort: usize,
    after: Option<Position>,
    last: Option<EnvelopeHash>,
    state: AnswerState,
}

/// The packets of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ReplyFormat {
    /// Codes 127 and 125.
    P2p,
    /// Code 124.
    Sync,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum AnswerState {
    /// The link must be free before the next page is queried.
    Waiting,
    /// The archive is searching.
    Asked(QueryId),
}

impl MailServer {
    /// A server without clients.
    #[must_use]
    pub const fn new(access: AccessPolicy) -> Self {
        Self {
            access,
            quotas: BoundedMap::new(MAX_QUOTAS),
            subnets: KeyedLimiter::new(SUBNET_QUOTA, MAX_QUOTAS),
            without_subnet: TokenBucket::full(Instant::ZERO),
            guesses: GuessLimiter::new(),
            queues: BTreeMap::new(),
            queries: BTreeMap::new(),
            last_query: 0,
            last_asker: None,
            sent: 0,
        }
    }

    /// Handles a packet with code 126.
    #[must_use]
    pub fn on_request(&mut self, now: Now, peer: MailPeer, payload: &[u8]) -> Vec<ServerAction> {
        let link = peer.link;
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
        let id = packet.id();
        let admitted = match quota {
            QuotaResult::Allowed => self.admit(now, peer, packet),
            QuotaResult::Exceeded | QuotaResult::Flooding => None,
        };
        let Some(admitted) = admitted else {
            return vec![fail(link, id, TOO_OFTEN)];
        };
        match admitted {
            Ok((id, request)) => self.enqueue(link, id, ReplyFormat::P2p, request),
            Err((id, denied)) => vec![fail(link, id, &denied.to_string())],
        }
    }

    /// Handles a packet with code 123: a request of another server, which has no field for a
    /// password.
    #[must_use]
    pub fn on_sync_request(
        &mut self,
        now: Now,
        peer: MailPeer,
        payload: &[u8],
    ) -> Vec<ServerAction> {
        let link = peer.link;
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
        match (quota, self.access.check_peer(peer.key)) {
            (QuotaResult::Allowed, Ok(())) => {
                self.enqueue(link, RequestId([0; 32]), ReplyFormat::Sync, request)
            }
            (QuotaResult::Allowed, Err(denied)) => refuse(&denied.to_string()),
            (QuotaResult::Exceeded | QuotaResult::Flooding, _) => refuse(TOO_OFTEN),
        }
    }

    /// Handles a page of the archive, or its failure.
    #[must_use]
    pub fn on_page(
        &mut self,
        query: QueryId,
        found: Result<Page, Unavailable>,
    ) -> Vec<ServerAction> {
        let Some(link) = self.queries.remove(&query).flatten() else {
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

    /// Queries the next page of every answer whose link is free. If the archive has no room for all,
    /// the links take turns.
    #[must_use]
    pub fn find_next_pages(&mut self, free: impl Fn(LinkId) -> bool) -> Vec<ServerAction> {
        let mut actions = Vec::new();
        let links = self.queues.keys().copied();
        let (earlier, later): (Vec<_>, Vec<_>) =
            links.partition(|link| Some(*link) <= self.last_asker);
        for link in later.into_iter().chain(earlier) {
            if self.queries.len() >= MAX_QUERIES {
                break;
            }
            let front = self.queues.get_mut(&link).and_then(VecDeque::front_mut);
            let Some(answer) = front else {
                continue;
            };
            if answer.state != AnswerState::Waiting || !free(link) {
                continue;
            }
            self.last_asker = Some(link);
            self.last_query = self.last_query.saturating_add(1);
            let id = QueryId(self.last_query);
            answer.state = AnswerState::Asked(id);
            self.queries.insert(id, Some(link));
            actions.push(ServerAction::Find(id, answer.query()));
        }
        actions
    }

    /// Drops the answers of a closed link. A query that the archive has not answered is withdrawn,
    /// and counts until it is: clients that come and go while the archive is slow must not fill its
    /// queue.
    #[must_use]
    pub fn close(&mut self, link: LinkId) -> Vec<ServerAction> {
        self.queues.remove(&link);
        let mut withdrawn = Vec::new();
        for (query, asker) in &mut self.queries {
            if *asker == Some(link) {
                *asker = None;
                withdrawn.push(ServerAction::Withdraw(*query));
            }
        }
        withdrawn
    }

    /// Whether an answer waits for its link.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        let mut fronts = self.queues.values().filter_map(VecDeque::front);
        fronts.any(|answer| answer.state == AnswerState::Waiting)
    }

    /// Number of requests being answered or queued.
    #[must_use]
    pub fn answering(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }

    /// Envelopes sent since the start.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Checks a request against the policy; `None` if the peer may not guess the password now.
    fn admit(&mut self, now: Now, peer: MailPeer, packet: RequestPacket) -> Option<Admission> {
        let is_guess = self.access.password.is_some() && packet.is_sealed();
        if !is_guess {
            return Some(self.access.admit(peer.key, packet, now.unix));
        }
        let guess = self.guesses.take(now.mono, peer.key, peer.subnet)?;
        let admitted = self.access.admit(peer.key, packet, now.unix);
        match &admitted {
            Err((_, Denied::WrongPassword)) => self.guesses.on_wrong(peer.key),
            Ok(_) => self
                .guesses
                .on_right(now.mono, guess, peer.key, peer.subnet),
            Err(_) => self.guesses.on_other(guess, peer.subnet),
        }
        Some(admitted)
    }

    /// Takes a request from the quotas of its peer and its network.
    fn charge(&mut self, now: Now, peer: MailPeer) -> QuotaResult {
        let result = self.charge_key(now, peer.key);
        if result != QuotaResult::Allowed {
            return result;
        }
        let permitted = match peer.subnet {
            Subnet::Onion => self.without_subnet.take(WITHOUT_SUBNET_QUOTA, now.mono),
            subnet => self.subnets.take(subnet, now.mono),
        };
        if permitted {
            QuotaResult::Allowed
        } else {
            QuotaResult::Exceeded
        }
    }

    fn charge_key(&mut self, now: Now, peer: RelayKey) -> QuotaResult {
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

    /// Ends the first answer of a link.
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
                let done = MailCompletion::Done {
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
    complete(link, &MailCompletion::Failed { id, reason })
}

fn complete(link: LinkId, completion: &MailCompletion) -> ServerAction {
    ServerAction::Send(link, P2pKind::RequestComplete, completion.encode())
}

/// status-im's text for this refusal.
const TOO_OFTEN: &str = "rate limit exceeded";
const CROWDED: &str = "too many clients at once; try again later";

/// Maximum bytes of a request; those in use have less than a thousand.
pub const MAX_REQUEST: usize = 16 * 1024;
/// Maximum number of queued requests per peer.
const MAX_QUEUED: usize = 4;
/// Maximum number of peers answered at once.
pub const MAX_CLIENTS: usize = 64;
/// Maximum number of queries that the archive has not answered: each client's, and as many of
/// clients that have gone.
const MAX_QUERIES: usize = 2 * MAX_CLIENTS;
/// Requests of one network, an IPv4 /16 or an IPv6 /32: those of five peers at once.
const SUBNET_QUOTA: Quota = Quota::per_second(5, 5 * MAX_REQUESTS);
/// Requests of all peers over Tor and loopback.
const WITHOUT_SUBNET_QUOTA: Quota = Quota::per_second(20, 20 * MAX_REQUESTS);
/// Maximum number of peers, and of networks, with a recorded quota.
const MAX_QUOTAS: usize = 4_096;
/// Bytes of one page. Times [`MAX_CLIENTS`], it bounds the memory that slow clients use.
pub const PAGE_BYTES: usize = 192 * 1024;
/// Envelopes examined for one page: some milliseconds.
pub const PAGE_EFFORT: usize = 4_096;
/// Envelopes examined for one request; then the client gets a cursor.
const MAX_EFFORT: usize = 32 * PAGE_EFFORT;
/// The same for clients that cannot request the rest.
const MAX_EFFORT_ALL: usize = 256 * PAGE_EFFORT;

#[cfg(test)]
mod tests;
