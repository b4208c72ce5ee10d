//! The whole machine, without input or output of its own.
//!
//! A shell (tokio, or a simulator) feeds [`Node::handle`] with [`Input`]s and does what the
//! [`Output`]s say. The node reads no clock, opens no socket, starts no thread and draws all its
//! randomness from one seed, so a run can be repeated exactly.
//!
//! One module for each concern: `peers` (connections, dialer, discovery, bans), `onion_wire` (messages between whisht nodes),
//! `gossip` (the pool and the `shh` protocol), `direct` (messages to one peer past gossip), `mail` (mail server and
//! client), `local_policy` (what we ask of all peers), `relay` (cells that pass through), `stem` (envelopes before they
//! enter the network), `directory` (known relays, and our own descriptor), `send` (messages we send), `inbox` (messages
//! we receive), `shh_api` (keys, filters and posts of `shh_*` clients), `commands` (what users ask for).

mod command;
mod commands;
mod config;
mod direct;
mod directory;
mod durability;
mod event;
mod gossip;
mod inbox;
mod input;
mod jobs;
mod local_policy;
mod mail;
mod onion_wire;
mod output;
mod peers;
mod pow_policy;
mod relay;
mod send;
mod shh_api;
mod stem;
mod timers;
mod views;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use circuits::directory::{BadSigningKey, Directory, DirectoryLimits, Requirements, SigningKey};
use circuits::ids::{LinkId, Profile, RelayId, RelayKey};
use circuits::path::{GuardSeed, Guards};
use circuits::time::{Instant, Now};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use self::directory::RelayDirectory;
use self::directory::publisher::DescriptorPublisher;
use self::durability::{Continuation, DurabilityBarrier};
use self::inbox::Inbox;
use self::mail::{Mail, MailServerRole};
use self::peers::bans::BanList;
use self::peers::dialer::Dialer;
use self::peers::table::ConnectionTable;
use self::relay::RelayRole;
use self::send::queue::Outbox;
use self::shh_api::ShhApi;
use self::stem::StemState;
use self::timers::{Timer, Timers};
use crate::discovery::{self, Discovery};
use crate::envelope::EnvelopeHash;
use crate::envelope_pool::Pool;
use crate::gossip::{Gossip, packet::MinPow};
use crate::link::{Capability, LinkConfig, LinkKey, LinkLimits};
use crate::mail::access::AccessPolicy;
use crate::message::{ClientSecret, SymKey};

pub use command::{
    Command, FetchRequest, Identity, IdentityKind, MailSource, PublicIdentity, Recipient, Refusal,
    RefusalKind, Reply, SendRequest,
};
pub use config::{MailService, NodeConfig, NodeKeys, PowGeneration, Restored};
pub use event::{Event, FetchEnd, FetchId, FetchStage, MessageId, RelayLabel, Stage, Trace};
pub use input::{CommandId, Connectivity, Input, StoreId};
pub use jobs::{Job, JobId, JobResult};
pub use local_policy::MAX_ENVELOPE_SIZE;
pub use output::{Output, Record};
pub use peers::CLIENT_ID;
pub use shh_api::{Criteria, FilterKeyId, Post, PostTo, ShhCommand, ShhError, ShhInfo, ShhReply};
pub use views::{
    DirectoryAge, EstimateView, FetchView, IdentityView, LevelView, MailView, MessageView,
    NodeView, OutgoingView, PeerView, RelayView, StatusView,
};

/// A Whisper relay node.
pub struct Node {
    config: NodeConfig,
    local: LocalPeer,
    started: Instant,
    rng: ChaCha20Rng,
    outputs: VecDeque<Output>,
    timers: Timers,
    counters: Counters,
    durability: DurabilityBarrier<Continuation>,
    last_job: u64,
    /// Hashes a second that searches get, once that is known.
    hash_rate: Option<f64>,
    connections: ConnectionTable,
    dialer: Dialer,
    bans: BanList,
    discovery: Option<Discovery>,
    pool: Pool,
    gossip: Gossip,
    stem: StemState,
    relay: RelayRole,
    relays: RelayDirectory,
    publisher: DescriptorPublisher,
    guards: Guards,
    inbox: Inbox,
    outbox: Outbox,
    shh_api: ShhApi,
    mail: Mail,
    /// Whether links can be had.
    connectivity: Connectivity,
    /// When that last changed.
    connectivity_changed: Instant,
    /// When a peer last brought an envelope.
    last_foreign: Instant,
    /// Envelopes that were seen to leave, as far as traces are wanted.
    traced: BTreeSet<EnvelopeHash>,
}

/// Who this node is to its peers. Nothing here names a client.
struct LocalPeer {
    link: Arc<LinkKey>,
    /// How we introduce ourselves to gossip peers, and to relays that only get cells from us.
    as_peer: Arc<LinkConfig>,
    as_relay: Arc<LinkConfig>,
    signing: SigningKey,
    key: RelayKey,
    id: RelayId,
    requirements: Requirements,
}

impl LocalPeer {
    fn new(config: &NodeConfig, link: LinkKey) -> Result<Self, BadSigningKey> {
        let introduce = |capabilities: &[Capability]| {
            Arc::new(LinkConfig {
                client_id: CLIENT_ID.to_owned(),
                listen_port: config.listen_port,
                capabilities: capabilities.to_vec(),
                limits: LinkLimits::default(),
            })
        };
        let key = link.public();
        Ok(Self {
            as_peer: introduce(&[Capability::ONION_1, Capability::SHH_5, Capability::SHH_6]),
            as_relay: introduce(&[Capability::ONION_1]),
            signing: SigningKey::new(link.to_bytes())?,
            key,
            id: key.id(),
            requirements: Requirements::new(config.network_id(), config.profile),
            link: Arc::new(link),
        })
    }
}

/// The mail server that a configuration asks for, if it does.
fn mail_server(
    config: &NodeConfig,
    link: &LinkKey,
    password: Option<SymKey>,
) -> Result<Option<MailServerRole>, BadSigningKey> {
    let Some(service) = &config.mail else {
        return Ok(None);
    };
    let access = AccessPolicy {
        password,
        node: ClientSecret::from_bytes(&link.to_bytes()).map_err(|_| BadSigningKey)?,
        allowed: service.allow.iter().copied().collect(),
        min_pow: config.min_pow,
    };
    Ok(Some(MailServerRole::new(access, config.pool_bytes)))
}

/// What happened since the start, in numbers too coarse to tell anything about anybody.
#[derive(Default)]
struct Counters {
    cells_dropped: u64,
    cells_forwarded: u64,
    descriptors_refused: u64,
    link_faults: u64,
    malformed: u64,
    rebuilt: u64,
}

impl Node {
    /// A node that has done nothing yet; feed it [`Input::Timeout`] to start it.
    ///
    /// `seed` is all the randomness that the node will ever have.
    ///
    /// # Errors
    ///
    /// [`BadSigningKey`] if the link key cannot sign, which no valid key comes to.
    pub fn new(
        config: NodeConfig,
        keys: NodeKeys,
        restored: Restored,
        seed: [u8; 32],
        now: Now,
    ) -> Result<Self, BadSigningKey> {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let local = LocalPeer::new(&config, keys.link)?;
        let requirements = local.requirements;
        let directory = Directory::new(requirements, DirectoryLimits::default(), None, now.unix);
        let mail = Mail::new(
            mail_server(&config, &local.link, keys.mail_password)?,
            &keys.guard_seed,
        );
        let mut guards = Guards::new(GuardSeed(keys.guard_seed), local.id);
        guards.pin(config.guard);
        let gossip_config = crate::gossip::GossipConfig {
            min_pow: MinPow::new(config.min_pow).unwrap_or(MinPow::DEFAULT),
            ..crate::gossip::GossipConfig::default()
        };
        let mut gossip_seed = [0; 32];
        rng.fill_bytes(&mut gossip_seed);
        let discovery = config.discovery.as_ref().map(|bootnodes| {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            let config = discovery::DiscoveryConfig {
                bootnodes: bootnodes.clone(),
                own: config.listening.clone(),
                loopback_only: config.profile == Profile::Local,
            };
            Discovery::new(config, Arc::clone(&local.link), seed, now.mono)
        });
        let mut node = Self {
            started: now.mono,
            outputs: VecDeque::new(),
            timers: Timers::new(now.mono),
            counters: Counters::default(),
            durability: DurabilityBarrier::default(),
            last_job: 0,
            hash_rate: None,
            connections: ConnectionTable::default(),
            dialer: Dialer::new(config.peers.iter().chain(&config.trusted_peers), now.mono),
            bans: BanList::default(),
            discovery,
            pool: Pool::new(config.pool_bytes),
            gossip: Gossip::new(gossip_config, gossip_seed),
            stem: StemState::new(&mut rng, now.mono),
            relay: RelayRole::new(local.id),
            relays: RelayDirectory::new(directory),
            publisher: DescriptorPublisher::default(),
            guards,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            shh_api: ShhApi::default(),
            mail,
            connectivity: Connectivity::default(),
            connectivity_changed: now.mono,
            last_foreign: now.mono,
            traced: BTreeSet::new(),
            config,
            local,
            rng,
        };
        node.restore_relay(now, restored);
        Ok(node)
    }

    /// A number for a connection that somebody made to us.
    pub fn new_link(&mut self) -> LinkId {
        self.connections.new_id()
    }

    /// Takes in one thing that happened; what is to be done about it is in the result.
    ///
    /// Outputs that are not taken before the result is dropped come first next time.
    pub fn handle(&mut self, now: Now, input: Input<'_>) -> Drain<'_> {
        match input {
            Input::Timeout => {}
            Input::Accepted(link, from) => self.on_accepted(now, link, from),
            Input::Dialed(link) => self.on_dialed(now, link),
            Input::DialFailed(link) => self.on_dial_failed(now, link),
            Input::Received(link, bytes) => self.on_received(now, link, bytes),
            Input::Flushed(link, bytes) => self.on_flushed(link, bytes),
            Input::Closed(link) => self.on_closed(now, link),
            Input::Datagram(from, bytes) => self.on_datagram(now, from, bytes),
            Input::Stored(id) => self.on_stored(now, id),
            Input::Working(job, tried) => self.on_progress(job, tried),
            Input::HashRate(rate) => self.hash_rate = (rate > 0.0).then_some(rate),
            Input::Archived(word) => self.on_archived(now, word),
            Input::Worked(job, done) => self.on_job_done(now, job, done),
            Input::Connectivity(connectivity) => self.on_connectivity(now, connectivity),
            Input::Command(id, command) => self.on_command(now, id, command),
        }
        self.run_due(now);
        self.run_mail(now);
        self.transmit(now);
        self.schedule(now);
        Drain { node: self }
    }

    /// Does everything whose time has come, in the order in which one thing leads to another.
    fn run_due(&mut self, now: Now) {
        while let Some(timer) = self.timers.pop_due(now.mono) {
            match timer {
                Timer::CloseIdle => self.close_idle_cell_links(now),
                Timer::Epoch => self.turn_epoch(now),
                Timer::ExpirePool => self.expire_pool(now),
                Timer::TryDecrypt => self.try_decrypt_queued(),
                Timer::Redial => {
                    self.redial(now.mono);
                    self.dial_discovered(now);
                }
                Timer::Resume => self.resume_queued(now),
            }
        }
        self.run_link_timeouts(now);
        self.peel_cells(now);
        self.release_cells(now);
        self.relay.rendezvous.expire(now);
        self.release_delayed(now);
        self.end_embargoes(now);
        self.emit_cells(now);
        self.run_gossip(now);
        self.run_discovery(now);
    }

    /// Asks to be called when the next thing is due.
    fn schedule(&mut self, now: Now) {
        self.outputs
            .retain(|output| !matches!(output, Output::Timeout(_)));
        let links = self.connections.next_due();
        let due = [
            self.timers.next_due(),
            links,
            self.relay.next_due(self.durability.waiting()),
            self.stem.next_due(),
            self.outbox.next_due(),
            self.mail.next_due(),
            self.gossip.next_due(),
            self.discovery.as_ref().map(Discovery::poll_timeout),
        ];
        let next = due.into_iter().flatten().min().unwrap_or(now.mono);
        self.outputs.push_back(Output::Timeout(next.max(now.mono)));
    }

    fn on_stored(&mut self, now: Now, id: StoreId) {
        for continuation in self.durability.stored(id) {
            match continuation {
                Continuation::ForwardCell(cell) => self.forward_durable(now, cell),
                Continuation::PublishDescriptor(raw) => self.publish_descriptor(now, &raw),
            }
        }
    }

    fn on_job_done(&mut self, now: Now, job: JobId, done: Option<JobResult>) {
        match done {
            Some(JobResult::Puzzle(solution)) => self.on_puzzle(job, solution),
            Some(JobResult::Nonce(Ok(nonce))) if self.is_request_job(job) => {
                self.on_request_nonce(now, nonce);
            }
            Some(JobResult::Nonce(nonce)) => self.on_nonce(now, job, nonce),
            Some(JobResult::Ticket(ticket)) => self.on_ticket(now, job, ticket),
            None => self.on_post_cancelled(job),
        }
    }

    fn start_job(&mut self, job: Job) -> JobId {
        self.last_job = self.last_job.saturating_add(1);
        let id = JobId(self.last_job);
        self.outputs.push_back(Output::Work(id, job));
        id
    }

    /// Something that cannot happen did: the node goes on without it, and says so.
    fn bug(&self, what: &'static str) {
        tracing::error!(what, "this is a bug in whisht; please report it");
    }

    /// Tells what only a demonstration may see.
    fn trace(&mut self, what: impl FnOnce() -> Trace) {
        if self.config.danger_reveal_paths {
            self.outputs.push_back(Output::Notify(Event::Trace(what())));
        }
    }
}

/// Outputs of one [`Node::handle`], in order; borrows the node until they are taken.
#[must_use]
pub struct Drain<'a> {
    node: &'a mut Node,
}

impl Iterator for Drain<'_> {
    type Item = Output;

    fn next(&mut self) -> Option<Output> {
        self.node.outputs.pop_front()
    }
}

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    ::hex::encode(bytes)
}
