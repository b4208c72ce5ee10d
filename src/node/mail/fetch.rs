//! Fetching: requests missed messages from a mail server, and gives them to the filters.
//!
//! There is one exchange at a time. The server is connected to if it is not a peer yet, trusted for
//! as long as the exchange lasts, and sent requests that are signed with a key of their own. The
//! next page is requested when our keys have been tried on the last one, so a server cannot make
//! this node hold more than that.

use core::time::Duration;

use circuits::ids::{LinkId, RelayKey};
use circuits::time::{Instant, Now};

use super::{Mail, MailContext, disconnect, packet};
use crate::envelope::{EncryptionHint, Envelope, Topic, Ttl, UnminedEnvelope};
use crate::envelope_pool::Pool;
use crate::gossip::PowRule;
use crate::gossip::packet::P2pKind;
use crate::link::{Capability, DisconnectReason};
use crate::mail::client::{Dialect, FetchOutcome, FetchStats, MailClient, MailQuery};
use crate::mail::query_padding;
use crate::message::{
    ClientPublic, ClientSecret, Padding, Plaintext, SymKey, seal_asymmetric, seal_symmetric,
};
use crate::node::action::Action;
use crate::node::command::{FetchRequest, MailSource, Refusal};
use crate::node::effects::Effects;
use crate::node::event::{Event, FetchEnd, FetchId, FetchStage};
use crate::node::hex;
use crate::node::jobs::{Job, JobId, JobOwner};
use crate::node::peers::{LinkPurpose, RemotePeer};
use crate::node::timers::TimerId;
use crate::node::views::FetchView;
use crate::pow::{Generations, OutOfTime, PowJob};

/// An exchange with a mail server.
pub(super) struct MailFetch {
    id: FetchId,
    server: RelayKey,
    query: MailQuery,
    password: Option<SymKey>,
    /// Whether the connection was made for this exchange, and is closed after it.
    dialed: bool,
    state: FetchState,
    /// Number of envelopes that were not in the mempool.
    new: u32,
    /// Number of messages for identities of this user.
    messages: u32,
    /// Number of envelopes when progress was last reported.
    reported: u32,
}

enum FetchState {
    /// There is no link yet; ends at this instant.
    Connecting(Instant),
    /// There is a link.
    Active(Box<Exchange>),
}

struct Exchange {
    link: LinkId,
    client: MailClient,
    /// The envelope of the next request, while its proof of work is searched.
    mining: Option<(JobId, UnminedEnvelope)>,
    /// Whether the peer was trusted before the exchange.
    trusted_before: bool,
    connected: bool,
}

impl MailFetch {
    fn next_due(&self) -> Option<Instant> {
        match &self.state {
            FetchState::Connecting(until) => Some(*until),
            FetchState::Active(exchange) => exchange.client.next_due(),
        }
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        if let Some(exchange) = self.exchange_over(link) {
            exchange.connected = false;
            exchange.client.on_closed();
        }
    }

    /// Takes the envelopes that the server sent. Returns those for the filters.
    pub(super) fn on_envelopes(
        &mut self,
        now: Now,
        from: LinkId,
        envelopes: Vec<Envelope>,
        pool: &Pool,
    ) -> Vec<Envelope> {
        let Some(exchange) = self.exchange_over(from) else {
            return envelopes;
        };
        let mut requested = exchange.client.on_messages(now.mono, envelopes);
        // Every filter has seen the envelopes of the mempool.
        requested.retain(|envelope| !pool.contains(&envelope.hash()));
        let new = u32::try_from(requested.len()).unwrap_or(u32::MAX);
        self.new = self.new.saturating_add(new);
        requested
    }

    /// The exchange, if it uses this link.
    fn exchange_over(&mut self, link: LinkId) -> Option<&mut Exchange> {
        self.active().filter(|exchange| exchange.link == link)
    }

    fn active(&mut self) -> Option<&mut Exchange> {
        match &mut self.state {
            FetchState::Active(exchange) => Some(exchange),
            FetchState::Connecting(_) => None,
        }
    }

    fn notify(&self, fx: &mut Effects, stage: FetchStage) {
        fx.notify(Event::Fetch(self.id, stage));
    }

    /// Reports progress, once per [`PROGRESS_STEP`] envelopes.
    fn report_progress(&mut self, fx: &mut Effects) {
        let Some(stats) = self.active().map(|exchange| exchange.client.stats()) else {
            return;
        };
        if stats.envelopes.saturating_sub(self.reported) >= PROGRESS_STEP {
            self.reported = stats.envelopes;
            let stage = FetchStage::Received {
                envelopes: stats.envelopes,
                bytes: stats.bytes,
            };
            self.notify(fx, stage);
        }
    }

    /// Starts the exchange once the link is ready. Returns how the fetch ends, if it ends here.
    fn open(
        &mut self,
        fx: &mut Effects,
        now: Now,
        until: Instant,
        context: MailContext<'_>,
    ) -> Option<FetchResult> {
        let ready = context.peers.to_key(self.server).filter(|link| {
            let connection = context.peers.get(*link);
            let gossip = context.gossip.machine();
            connection.is_some_and(|connection| connection.speaks(Capability::SHH_6))
                && gossip.peer(*link).is_some_and(|peer| peer.has_status)
        });
        let Some(link) = ready else {
            let is_late = until <= now.mono;
            return is_late.then_some((FetchEnd::Unreachable, None));
        };
        let client_name = context.peers.remote(link).map(RemotePeer::client);
        let dialect = Dialect::from_client_name(client_name.unwrap_or_default());
        if dialect == Dialect::Geth && self.password.is_none() {
            let reason = "servers of go-ethereum want a password; name its file";
            return Some((FetchEnd::Refused, Some(reason.to_owned())));
        }
        self.state = FetchState::Active(Box::new(Exchange {
            link,
            client: MailClient::new(self.query, dialect),
            mining: None,
            trusted_before: context.gossip.machine().trusts(link),
            connected: true,
        }));
        fx.request(Action::Trust(link, true));
        self.request_page(fx, now, context)
    }

    /// Continues an open exchange. Returns how the fetch ends, if it ends here.
    fn advance(
        &mut self,
        fx: &mut Effects,
        now: Now,
        context: MailContext<'_>,
    ) -> Option<FetchResult> {
        let tried = !context.receive.has_direct();
        let exchange = self.active()?;
        exchange.client.on_timeout(now.mono);
        if let Some(outcome) = exchange.client.outcome() {
            return tried.then(|| result(outcome));
        }
        if exchange.client.is_ready() && exchange.mining.is_none() && tried {
            return self.request_page(fx, now, context);
        }
        None
    }

    /// Encrypts the next request, and starts its proof of work.
    fn request_page(
        &mut self,
        fx: &mut Effects,
        now: Now,
        context: MailContext<'_>,
    ) -> Option<FetchResult> {
        let server = self.server;
        let FetchState::Active(exchange) = &mut self.state else {
            return None;
        };
        let signer = ClientSecret::generate(fx.key_rng());
        let payload = exchange.client.next_request();
        let plaintext =
            Plaintext::build(fx.key_rng(), &payload, Padding::Align, Some(&signer)).ok();
        let data = plaintext.and_then(|plaintext| match &self.password {
            Some(key) => Some(seal_symmetric(fx.key_rng(), key, &plaintext)),
            None => {
                let key = client_public(server)?;
                Some(seal_asymmetric(fx.key_rng(), &key, &plaintext))
            }
        });
        let Some(data) = data else {
            fx.bug("a mail request could not be encrypted");
            return None;
        };
        let unmined = UnminedEnvelope {
            expiry: now.unix.after(REQUEST_TTL.0),
            ttl: REQUEST_TTL,
            topic: Topic::default(),
            hint: EncryptionHint::Absent,
            data,
        };
        match pow_job(&unmined, exchange.link, context) {
            Ok(job) => {
                let search = Job::ProofOfWork(Box::new(job.search(fx.rng())));
                let job = fx.start_job(JobOwner::MailRequest, search);
                exchange.mining = Some((job, unmined));
                None
            }
            Err(reason) => Some((FetchEnd::Refused, Some(reason))),
        }
    }

    /// Sends the request whose proof of work is done.
    fn send_request(&mut self, fx: &mut Effects, now: Now, job: JobId, nonce: u64) {
        let Some(exchange) = self.active() else {
            return;
        };
        let Some((_, unmined)) = exchange.mining.take_if(|(mining, _)| *mining == job) else {
            return;
        };
        let envelope = unmined.with_nonce(nonce);
        let link = exchange.link;
        exchange.client.on_sent(now.mono, envelope.hash());
        let page = exchange.client.stats().pages;
        // If the link has no room now, the server's silence ends the exchange.
        fx.request(packet(link, P2pKind::Request, envelope.as_rlp().to_vec()));
        self.notify(fx, FetchStage::Asked { page });
    }

    /// Ends the exchange, and reports the result.
    fn end(mut self, fx: &mut Effects, (end, reason): FetchResult) {
        let dialed = self.dialed;
        let stats = self.active().map_or_else(FetchStats::default, |exchange| {
            if let Some((job, _)) = exchange.mining {
                fx.cancel_job(job);
            }
            if !exchange.trusted_before {
                fx.request(Action::Trust(exchange.link, false));
            }
            if dialed && exchange.connected {
                fx.request(Action::Disconnect(
                    exchange.link,
                    DisconnectReason::Requested,
                ));
            }
            exchange.client.stats()
        });
        let stage = FetchStage::Ended {
            end,
            reason,
            pages: stats.pages,
            envelopes: stats.envelopes,
            bytes: stats.bytes,
            new: self.new,
            messages: self.messages,
            unasked: stats.unasked,
        };
        self.notify(fx, stage);
    }
}

impl Mail {
    /// Starts to fetch mail.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the cause; nothing is sent.
    pub(in crate::node) fn begin_fetch(
        &mut self,
        fx: &mut Effects,
        now: Now,
        request: FetchRequest,
        context: MailContext<'_>,
    ) -> Result<FetchView, Refusal> {
        if self.fetch.is_some() {
            return Err(Refusal::usage(
                "mail is being fetched already",
                "wait until that is done",
            ));
        }
        let server = self.source(request.from, context.peers)?;
        let query = self.query(now, &request)?;
        self.last_fetch = self.last_fetch.saturating_add(1);
        let id = FetchId(self.last_fetch);
        let key = server.key();
        let dialed = match server {
            MailSource::At(peer) if context.peers.to_key(key).is_none() => {
                fx.request(Action::Dial(peer, LinkPurpose::Peer));
                !context.peers.is_static(key)
            }
            _ => false,
        };
        let fetch = MailFetch {
            id,
            server: key,
            query,
            password: request.password,
            dialed,
            state: FetchState::Connecting(now.mono.after(CONNECT_TIMEOUT)),
            new: 0,
            messages: 0,
            reported: 0,
        };
        fetch.notify(fx, FetchStage::Connecting);
        self.fetch = Some(Box::new(fetch));
        Ok(FetchView {
            fetch: id,
            server: hex(&key.0),
            since: query.lower.0,
            until: query.upper.0,
            share: query_padding::topic_share(&query.bloom),
        })
    }

    /// Continues the exchange as far as possible.
    pub(super) fn poll_fetch(&mut self, fx: &mut Effects, now: Now, context: MailContext<'_>) {
        let Some(fetch) = &mut self.fetch else {
            return;
        };
        let ended = match fetch.state {
            FetchState::Connecting(until) => fetch.open(fx, now, until, context),
            FetchState::Active(_) => fetch.advance(fx, now, context),
        };
        fetch.report_progress(fx);
        fx.arm(TimerId::MailFetch, fetch.next_due());
        if let Some(result) = ended
            && let Some(fetch) = self.fetch.take()
        {
            fetch.end(fx, result);
            fx.arm(TimerId::MailFetch, None);
        }
    }

    /// The server says that it has sent everything.
    pub(super) fn on_completion(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        payload: &[u8],
    ) {
        let fetch = self.fetch.as_mut();
        if let Some(exchange) = fetch.and_then(|fetch| fetch.exchange_over(from))
            && exchange.client.on_completion(now.mono, payload).is_err()
        {
            disconnect(fx, from);
        }
    }

    /// The search for the nonce of a request has ended.
    pub(in crate::node) fn on_request_nonce(
        &mut self,
        fx: &mut Effects,
        now: Now,
        job: JobId,
        nonce: Result<u64, OutOfTime>,
    ) {
        let Ok(nonce) = nonce else {
            return fx.bug("the proof of work of a mail request ran out of time");
        };
        if let Some(fetch) = &mut self.fetch {
            fetch.send_request(fx, now, job, nonce);
        }
    }

    /// Messages for identities of this user came in direct envelopes.
    pub(in crate::node) fn on_direct_messages(&mut self, messages: u32) {
        if let Some(fetch) = &mut self.fetch {
            fetch.messages = fetch.messages.saturating_add(messages);
        }
    }
}

/// How a fetch ends, and the server's or our reason.
type FetchResult = (FetchEnd, Option<String>);

fn result(outcome: &FetchOutcome) -> FetchResult {
    match outcome {
        FetchOutcome::Complete => (FetchEnd::Complete, None),
        FetchOutcome::Quiet => (FetchEnd::Quiet, None),
        FetchOutcome::LimitReached => (FetchEnd::Enough, None),
        FetchOutcome::Refused(reason) => (FetchEnd::Refused, Some(reason.clone())),
        FetchOutcome::Misbehaved(misbehaviour) => (FetchEnd::Lied, Some(misbehaviour.to_string())),
        FetchOutcome::NoResponse => (FetchEnd::Silent, None),
    }
}

/// The search for the nonce of a request, by the rule of the server.
fn pow_job(
    unmined: &UnminedEnvelope,
    link: LinkId,
    context: MailContext<'_>,
) -> Result<PowJob, String> {
    let peer = context.gossip.machine().peer(link);
    let (rule, required) = peer.map_or((PowRule::Both, 0.0), |peer| (peer.rule, peer.min_pow));
    let generations = match rule {
        PowRule::Legacy => Generations::Legacy,
        PowRule::Modern | PowRule::Either => Generations::Modern,
        PowRule::Both => Generations::Both,
    };
    let minimum = context.gossip.configured_min_pow().max(required);
    PowJob::for_minimum(unmined, generations, minimum)
        .map_err(|error| format!("the server wants more proof of work than there is: {error}"))
}

/// A node's key as a key that messages can be encrypted to.
fn client_public(RelayKey(key): RelayKey) -> Option<ClientPublic> {
    let mut bytes = [0x04; 65];
    bytes.get_mut(1..)?.copy_from_slice(&key);
    ClientPublic::from_bytes(&bytes).ok()
}

/// Time limit of the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The life of a request. Servers ignore it; a shorter one needs less work.
const REQUEST_TTL: Ttl = Ttl(10);
/// Number of envelopes between two progress reports.
const PROGRESS_STEP: u32 = 100;
