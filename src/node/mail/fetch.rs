//! The client's side: asks a server for what was missed, and gives it to the filters.
//!
//! One exchange at a time. The server is connected to if it is no peer yet, trusted for as long as
//! the exchange lasts, and asked under a key made for this one request. The next page is asked for
//! when our keys have been tried on the last: a server cannot make us hold more than that.

use circuits::ids::{LinkId, RelayKey};
use circuits::time::{Instant, Now};
use core::time::Duration;

use super::super::command::{FetchRequest, MailSource, Refusal};
use super::super::event::{Event, FetchEnd, FetchId, FetchStage};
use super::super::jobs::{Job, JobId};
use super::super::output::Output;
use super::super::peers::table::LinkPurpose;
use super::super::views::FetchView;
use super::super::{Node, hex};
use crate::endpoint::PeerAddr;
use crate::envelope::{EncryptionHint, Envelope, Topic, Ttl, UnminedEnvelope};
use crate::gossip::PowRule;
use crate::gossip::packet::P2pKind;
use crate::link::{Capability, DisconnectReason};
use crate::mail::client::{Dialect, FetchOutcome, FetchStats, MailClient, MailQuery};
use crate::mail::query_padding;
use crate::message::{
    ClientPublic, ClientSecret, Padding, Plaintext, SymKey, seal_asymmetric, seal_symmetric,
};
use crate::pow::{Generations, PowJob};

/// An exchange with a mail server.
pub(in super::super) struct MailFetch {
    id: FetchId,
    server: RelayKey,
    query: MailQuery,
    password: Option<SymKey>,
    /// Whether the connection was made for this, and is to be ended after it.
    dialed: bool,
    state: FetchState,
    /// Envelopes that were not in the pool.
    new: u32,
    /// Messages that our keys opened.
    messages: u32,
    /// Envelopes that the user has been told of.
    reported: u32,
}

enum FetchState {
    /// There is no link yet; so long it may take.
    Connecting(Instant),
    /// There is.
    Active(Box<Exchange>),
}

struct Exchange {
    link: LinkId,
    client: MailClient,
    /// The envelope of the next request, while its proof of work is sought.
    sealing: Option<(JobId, UnminedEnvelope)>,
    /// Whether the peer was trusted before.
    trusted_before: bool,
    connected: bool,
}

impl MailFetch {
    pub(super) fn next_due(&self) -> Option<Instant> {
        match &self.state {
            FetchState::Connecting(until) => Some(*until),
            FetchState::Active(exchange) => exchange.client.next_due(),
        }
    }

    pub(super) fn close(&mut self, link: LinkId) {
        if let FetchState::Active(exchange) = &mut self.state
            && exchange.link == link
        {
            exchange.connected = false;
            exchange.client.on_closed();
        }
    }

    /// The exchange over this link, if it is this one.
    fn on_link(&mut self, from: LinkId) -> Option<&mut Exchange> {
        match &mut self.state {
            FetchState::Active(exchange) if exchange.link == from => Some(exchange),
            _ => None,
        }
    }
}

impl Node {
    /// Begins to fetch, or says why not.
    pub(in super::super) fn begin_fetch(
        &mut self,
        now: Now,
        request: FetchRequest,
    ) -> Result<FetchView, Refusal> {
        if self.mail.fetching.is_some() {
            return Err(Refusal::usage(
                "mail is being fetched already",
                "wait until that is done",
            ));
        }
        let server = self.mail_source(request.from)?;
        let query = self.query(now, &request)?;
        self.mail.last_fetch = self.mail.last_fetch.saturating_add(1);
        let id = FetchId(self.mail.last_fetch);
        let key = match &server {
            MailSource::At(peer) => peer.key,
            MailSource::Peer(key) => *key,
        };
        let known = self.connections.to_key(key).is_some();
        let dialed = match server {
            MailSource::At(peer) if !known => {
                self.dial(peer, LinkPurpose::Peer);
                !self.dialer.is_static(key)
            }
            _ => false,
        };
        self.mail.fetching = Some(Box::new(MailFetch {
            id,
            server: key,
            query,
            password: request.password,
            dialed,
            state: FetchState::Connecting(now.mono.after(CONNECT_TIMEOUT)),
            new: 0,
            messages: 0,
            reported: 0,
        }));
        self.notify_fetch(id, FetchStage::Connecting);
        Ok(FetchView {
            fetch: id,
            server: hex(&key.0),
            since: query.lower.0,
            until: query.upper.0,
            share: query_padding::topic_share(&query.bloom),
        })
    }

    /// Which server is meant.
    fn mail_source(&self, named: Option<MailSource>) -> Result<MailSource, Refusal> {
        let source = match named {
            Some(MailSource::Peer(key)) if self.connections.to_key(key).is_none() => {
                let known = self.trusted_peer(|peer| peer.key == key);
                known.map(MailSource::At).ok_or_else(|| {
                    Refusal::usage(
                        "no connected peer has this key",
                        "give the server's whole enode URL",
                    )
                })?
            }
            Some(source) => source,
            None => {
                let connected = |peer: &PeerAddr| self.connections.to_key(peer.key).is_some();
                let chosen = self.trusted_peer(connected);
                let chosen = chosen.or_else(|| self.trusted_peer(|_| true));
                chosen.map(MailSource::At).ok_or_else(|| {
                    Refusal::usage(
                        "no mail server is known",
                        "name one with --from, or in the setting trusted-peers",
                    )
                })?
            }
        };
        let key = match &source {
            MailSource::At(peer) => peer.key,
            MailSource::Peer(key) => *key,
        };
        if key == self.local.key {
            return Err(Refusal::usage(
                "this is the node's own address",
                "name another node",
            ));
        }
        Ok(source)
    }

    fn trusted_peer(&self, is: impl Fn(&PeerAddr) -> bool) -> Option<PeerAddr> {
        let peers = self.config.trusted_peers.iter();
        peers.copied().find(|peer| is(peer))
    }

    /// What the server will see of what the user wants.
    fn query(&self, now: Now, request: &FetchRequest) -> Result<MailQuery, Refusal> {
        let until = request.until.unwrap_or(now.unix);
        if request.since > until {
            return Err(Refusal::usage(
                "the range ends before it begins",
                "give an earlier beginning, or a later end",
            ));
        }
        if request.narrow && request.topics.is_empty() {
            return Err(Refusal::usage(
                "there is no topic to narrow the request to",
                "name topics, or ask for everything",
            ));
        }
        if request.topics.len() > MAX_TOPICS {
            return Err(Refusal::usage(
                format!("there are more than {MAX_TOPICS} topics"),
                "ask for everything: so many topics are nearly that",
            ));
        }
        let (lower, upper) = query_padding::whole_hours(request.since, until, now.unix);
        let bloom = match request.narrow {
            true => query_padding::exact_bloom(&request.topics),
            false => self.mail.padding.bloom(&request.topics),
        };
        Ok(MailQuery {
            lower,
            upper,
            bloom,
        })
    }

    /// Takes what the server of the exchange sent; gives back what is for the filters.
    pub(super) fn on_fetched(
        &mut self,
        now: Now,
        from: LinkId,
        envelopes: Vec<Envelope>,
    ) -> Vec<Envelope> {
        let Some(fetching) = &mut self.mail.fetching else {
            return envelopes;
        };
        let Some(exchange) = fetching.on_link(from) else {
            return envelopes;
        };
        let mut wanted = exchange.client.on_messages(now.mono, envelopes);
        // What is in the pool has been offered to every filter.
        wanted.retain(|envelope| !self.pool.contains(&envelope.hash()));
        let new = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        fetching.new = fetching.new.saturating_add(new);
        wanted
    }

    pub(super) fn on_mail_complete(&mut self, now: Now, from: LinkId, payload: &[u8]) {
        let fetching = self.mail.fetching.as_mut();
        let Some(exchange) = fetching.and_then(|fetching| fetching.on_link(from)) else {
            return;
        };
        if exchange.client.on_completion(now.mono, payload).is_err() {
            self.hang_up(now, from);
        }
    }

    /// Whether a search is for the nonce of a request.
    pub(in super::super) fn is_request_job(&self, job: JobId) -> bool {
        let fetching = self.mail.fetching.as_ref();
        fetching.is_some_and(|fetching| match &fetching.state {
            FetchState::Connecting(_) => false,
            FetchState::Active(exchange) => {
                matches!(exchange.sealing, Some((sealing, _)) if sealing == job)
            }
        })
    }

    /// The nonce of the next request was found.
    pub(in super::super) fn on_request_nonce(&mut self, now: Now, nonce: u64) {
        let fetching = self.mail.fetching.as_mut();
        let Some(FetchState::Active(exchange)) = fetching.map(|fetching| &mut fetching.state)
        else {
            return;
        };
        let Some((_, unmined)) = exchange.sealing.take() else {
            return;
        };
        let envelope = unmined.with_nonce(nonce);
        let link = exchange.link;
        exchange.client.on_sent(now.mono, envelope.hash());
        let page = exchange.client.stats().pages;
        let payload = envelope.as_rlp().to_vec();
        // If the link has no room now, the server's silence will say so.
        self.send_direct_packet(link, P2pKind::Request, payload);
        if let Some(id) = self.mail.fetching.as_ref().map(|fetching| fetching.id) {
            self.notify_fetch(id, FetchStage::Asked { page });
        }
    }

    /// A key of ours opened something that was handed over.
    pub(in super::super) fn on_fetched_message(&mut self) {
        if let Some(fetching) = &mut self.mail.fetching {
            fetching.messages = fetching.messages.saturating_add(1);
        }
    }

    /// Goes on with the exchange as far as it can.
    pub(super) fn fetch_mail(&mut self, now: Now) {
        let Some(fetching) = &mut self.mail.fetching else {
            return;
        };
        match &mut fetching.state {
            FetchState::Connecting(until) => {
                let late = *until <= now.mono;
                self.open_exchange(now, late);
            }
            FetchState::Active(exchange) => {
                exchange.client.on_timeout(now.mono);
                let digested = !self.inbox.has_direct();
                if exchange.client.outcome().is_some() {
                    if digested {
                        self.end_exchange(now);
                    }
                } else if exchange.client.is_ready() && exchange.sealing.is_none() && digested {
                    self.start_request(now);
                }
            }
        }
        self.notify_progress();
    }

    /// Starts to ask once the link stands.
    fn open_exchange(&mut self, now: Now, late: bool) {
        let Some(fetching) = &mut self.mail.fetching else {
            return;
        };
        let link = self.connections.to_key(fetching.server);
        let connection = link.and_then(|link| Some((link, self.connections.get(link)?)));
        let greeted = |link: LinkId| {
            let mut peers = self.gossip.peers();
            peers.any(|(peer, info)| peer == link && info.has_status)
        };
        let gossips =
            connection.filter(|(id, link)| link.speaks(Capability::SHH_6) && greeted(*id));
        let Some((link, connection)) = gossips else {
            if late {
                self.finish_fetch(FetchEnd::Unreachable, None);
            }
            return;
        };
        let name = connection
            .remote
            .as_ref()
            .map(|remote| remote.client.as_str());
        let dialect = Dialect::from_client_name(name.unwrap_or_default());
        if dialect == Dialect::Geth && fetching.password.is_none() {
            let reason = "servers of go-ethereum want a password; name its file";
            return self.finish_fetch(FetchEnd::Refused, Some(reason.to_owned()));
        }
        let trusted_before = self.gossip.trusts(link);
        fetching.state = FetchState::Active(Box::new(Exchange {
            link,
            client: MailClient::new(fetching.query, dialect),
            sealing: None,
            trusted_before,
            connected: true,
        }));
        self.gossip.trust(link);
        self.start_request(now);
    }

    /// Seals the next request.
    fn start_request(&mut self, now: Now) {
        let Some(fetching) = &mut self.mail.fetching else {
            return;
        };
        let FetchState::Active(exchange) = &mut fetching.state else {
            return;
        };
        let signer = ClientSecret::generate(&mut self.rng);
        let payload = exchange.client.next_request();
        let plaintext =
            Plaintext::build(&mut self.rng, &payload, Padding::Align, Some(&signer)).ok();
        let data = plaintext.and_then(|plaintext| match &fetching.password {
            Some(key) => Some(seal_symmetric(&mut self.rng, key, &plaintext)),
            None => {
                let key = client_public(fetching.server)?;
                Some(seal_asymmetric(&mut self.rng, &key, &plaintext))
            }
        });
        let Some(data) = data else {
            return self.bug("a mail request could not be sealed");
        };
        let unmined = UnminedEnvelope {
            expiry: now.unix.after(REQUEST_TTL.0),
            ttl: REQUEST_TTL,
            topic: Topic::default(),
            hint: EncryptionHint::Absent,
            data,
        };
        let info = self.gossip.peers().find(|(link, _)| *link == exchange.link);
        let (rule, wanted) =
            info.map_or((PowRule::Both, 0.0), |(_, info)| (info.rule, info.min_pow));
        let generations = match rule {
            PowRule::Legacy => Generations::Legacy,
            PowRule::Modern | PowRule::Either => Generations::Modern,
            PowRule::Both => Generations::Both,
        };
        let minimum = self.config.min_pow.max(wanted);
        match PowJob::for_minimum(&unmined, generations, minimum) {
            Ok(job) => {
                let search = job.search(&mut self.rng);
                self.last_job = self.last_job.saturating_add(1);
                let id = JobId(self.last_job);
                exchange.sealing = Some((id, unmined));
                self.outputs
                    .push_back(Output::Work(id, Job::ProofOfWork(Box::new(search))));
            }
            Err(error) => {
                let reason = format!("the server wants more proof of work than there is: {error}");
                self.finish_fetch(FetchEnd::Refused, Some(reason));
            }
        }
    }

    /// The exchange is over and what it brought has been tried.
    fn end_exchange(&mut self, now: Now) {
        let Some(fetching) = &mut self.mail.fetching else {
            return;
        };
        let FetchState::Active(exchange) = &fetching.state else {
            return;
        };
        let (link, dialed) = (exchange.link, fetching.dialed && exchange.connected);
        let (end, reason) = match exchange.client.outcome() {
            Some(FetchOutcome::Complete) => (FetchEnd::Complete, None),
            Some(FetchOutcome::Quiet) => (FetchEnd::Quiet, None),
            Some(FetchOutcome::LimitReached) => (FetchEnd::Enough, None),
            Some(FetchOutcome::Refused(reason)) => (FetchEnd::Refused, Some(reason.clone())),
            Some(FetchOutcome::Misbehaved(misbehaviour)) => {
                (FetchEnd::Lied, Some(misbehaviour.to_string()))
            }
            Some(FetchOutcome::NoResponse) | None => (FetchEnd::Silent, None),
        };
        if !exchange.trusted_before {
            self.gossip.distrust(link);
        }
        self.finish_fetch(end, reason);
        if dialed {
            self.disconnect(now, link, DisconnectReason::Requested);
        }
    }

    /// Forgets the exchange and tells what came of it.
    fn finish_fetch(&mut self, end: FetchEnd, reason: Option<String>) {
        let Some(fetching) = self.mail.fetching.take() else {
            return;
        };
        let stats = match &fetching.state {
            FetchState::Connecting(_) => FetchStats::default(),
            FetchState::Active(exchange) => {
                let job = exchange.sealing.as_ref().map(|(job, _)| *job);
                self.outputs.extend(job.map(Output::CancelWork));
                exchange.client.stats()
            }
        };
        self.notify_fetch(
            fetching.id,
            FetchStage::Ended {
                end,
                reason,
                pages: stats.pages,
                envelopes: stats.envelopes,
                bytes: stats.bytes,
                new: fetching.new,
                messages: fetching.messages,
                unasked: stats.unasked,
            },
        );
    }

    /// Tells the user now and then how far it is.
    fn notify_progress(&mut self) {
        let Some(fetching) = &mut self.mail.fetching else {
            return;
        };
        let FetchState::Active(exchange) = &fetching.state else {
            return;
        };
        let stats = exchange.client.stats();
        if stats.envelopes.saturating_sub(fetching.reported) < PROGRESS_EVERY {
            return;
        }
        fetching.reported = stats.envelopes;
        let id = fetching.id;
        self.notify_fetch(
            id,
            FetchStage::Received {
                envelopes: stats.envelopes,
                bytes: stats.bytes,
            },
        );
    }

    fn notify_fetch(&mut self, id: FetchId, stage: FetchStage) {
        self.outputs
            .push_back(Output::Notify(Event::Fetch(id, stage)));
    }
}

/// A node's key as one that messages can be sealed to.
fn client_public(RelayKey(key): RelayKey) -> Option<ClientPublic> {
    let mut bytes = [0x04; 65];
    bytes.get_mut(1..)?.copy_from_slice(&key);
    ClientPublic::from_bytes(&bytes).ok()
}

/// How long the connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The life of a request, which servers do not look at; the shorter, the less work it is.
const REQUEST_TTL: Ttl = Ttl(10);
/// Topics of one request: with more, most of the bloom is theirs.
const MAX_TOPICS: usize = 64;
/// Envelopes between two words on how far it is.
const PROGRESS_EVERY: u32 = 100;
