//! What a user asks of a running node.
//!
//! Answers are made from what the node has now; nothing here changes what it does, but for the
//! commands that say so (adding a peer or an identity, sending, cancelling, stopping). What clients of
//! `shh_*` ask is answered in `shh_api`.

use circuits::dispersal::Class;
use circuits::ids::{Profile, RelayKey};
use circuits::level::{EmissionSchedule, Insertion, Level};
use circuits::time::Now;

use super::command::{Command, Recipient, Refusal, RefusalKind, Reply, SendRequest};
use super::direct::no_such_peer;
use super::input::{CommandId, Connectivity};
use super::peers::CLIENT_ID;
use super::send::queue::{MIN_WITNESSES, SendState};
use super::views::{
    DirectoryAge, EstimateView, LevelView, NodeView, OutgoingView, PeerView, RelayView, StatusView,
};
use super::{Node, Output, hex};
use crate::discovery::Discovery;
use crate::endpoint::Endpoint;
use crate::envelope_builder::{self, EnvelopeDraft, Life, OutgoingMessage};
use crate::latency_model::PathModel;
use crate::link::{Capability, DisconnectReason};
use crate::pow::PowJob;

impl Refusal {
    /// The request makes no sense as it stands.
    pub(super) fn usage(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Usage,
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }

    /// The key that this takes is locked away.
    pub(super) fn locked(cause: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Locked,
            cause: cause.into(),
            remedy: "unlock it with `whisht unlock`".to_owned(),
        }
    }

    /// A rule of the level cannot be kept.
    pub(super) fn policy(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Policy,
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }
}

impl Node {
    pub(super) fn on_command(&mut self, now: Now, id: CommandId, command: Command) {
        let reply = match command {
            Command::AddPeer(peer) => {
                self.dialer.add(peer, now.mono);
                self.redial(now.mono);
                if self.connections.to_key(peer.key).is_some() {
                    // A peer that was found, or came by itself, may be given stems from now on.
                    self.peers_changed(now);
                }
                Ok(Reply::Done)
            }
            Command::RemovePeer(key) => {
                self.remove_peer(now, key);
                Ok(Reply::Done)
            }
            Command::AlwaysAdmit(key, always) => {
                self.dialer.always_admit(key, always);
                Ok(Reply::Done)
            }
            Command::TrustPeer(key) if self.trust_peer(key) => Ok(Reply::Done),
            Command::TrustPeer(_) => Err(no_such_peer()),
            Command::SendDirect(key, envelope) => {
                self.send_direct(key, &envelope).map(|()| Reply::Done)
            }
            Command::SetMinPow(min_pow) => {
                self.set_min_pow(now, min_pow);
                Ok(Reply::Done)
            }
            Command::SetBloom(bloom) => {
                self.set_bloom(now, bloom);
                Ok(Reply::Done)
            }
            Command::SetMaxSize(bytes) => self.set_max_size(bytes).map(|()| Reply::Done),
            Command::SetLight(light) => {
                self.gossip.set_light(light);
                Ok(Reply::Done)
            }
            Command::AddIdentity(name, identity) => {
                self.add_identity(now, name, identity).map(|()| Reply::Done)
            }
            Command::AddLocked(name, public_identity) => self
                .inbox
                .add_locked(name, public_identity)
                .map(|()| Reply::Done),
            Command::Send(request) => self.send(now, request).map(Reply::Accepted),
            Command::Cancel(message) if self.cancel(message) => Ok(Reply::Done),
            Command::Cancel(message) => Err(Refusal::usage(
                format!("no message {} is on its way", message.0),
                "`whisht outbox` lists those that are",
            )),
            Command::Drain(drain) => self.drain(now, drain).map(|()| Reply::Done),
            Command::FetchMail(request) => self.begin_fetch(now, request).map(Reply::Fetch),
            Command::Identities => Ok(Reply::Identities(self.inbox.identities())),
            Command::Inbox(after) => self.inbox.messages(after).map(Reply::Inbox),
            Command::Node => Ok(Reply::Node(self.node_view())),
            Command::Outbox => Ok(Reply::Outbox(self.outgoing())),
            Command::Peers => Ok(Reply::Peers(self.peer_views())),
            Command::Relays => Ok(Reply::Relays(self.relay_views(now))),
            Command::Status => Ok(Reply::Status(Box::new(self.status(now)))),
            Command::Estimate(request) => self.estimate(now, &request).map(Reply::Estimate),
            Command::Shh(command) => return self.on_shh_command(now, id, command),
            Command::Shutdown => {
                self.shut_down(now);
                Ok(Reply::Done)
            }
        };
        self.outputs.push_back(Output::Reply(id, reply));
    }

    /// Composes an envelope for a request; nothing leaves.
    pub(super) fn compose(
        &mut self,
        now: Now,
        request: &SendRequest,
    ) -> Result<(EnvelopeDraft, PowJob), Refusal> {
        if let Some(name) = &request.sign_as {
            self.inbox.check_unlocked(name)?;
        }
        if let Recipient::Shared(name) = &request.to {
            self.inbox.check_unlocked(name)?;
        }
        let signer = match &request.sign_as {
            Some(name) => Some(self.inbox.secret(name).ok_or_else(|| {
                Refusal::usage(
                    format!("no key pair is called `{name}`"),
                    "`whisht id list` shows the identities; `whisht id new NAME` makes one",
                )
            })?),
            None => None,
        };
        let shared = match &request.to {
            Recipient::Public(..) => None,
            Recipient::Shared(name) => Some(self.inbox.shared(name).ok_or_else(|| {
                Refusal::usage(
                    format!("no shared key is called `{name}`"),
                    "`whisht id list` shows the identities; `whisht id new NAME --shared` makes one",
                )
            })?),
        };
        let (topic, to) = match (&request.to, &shared) {
            (Recipient::Public(key, topic), _) => {
                (*topic, envelope_builder::EncryptionKey::Asymmetric(key))
            }
            (Recipient::Shared(_), Some((key, topic))) => {
                (*topic, envelope_builder::EncryptionKey::Symmetric(key))
            }
            (Recipient::Shared(_), None) => {
                return Err(Refusal::usage("the shared key is gone", "name another"));
            }
        };
        let rules = request.level.unwrap_or(self.config.level).rules();
        let travel = rules.hold + rules.delay.saturating_mul(rules.relays.into());
        let message = OutgoingMessage {
            topic,
            recipient: to,
            signer: signer.as_deref(),
            payload: &request.payload,
            life: Life {
                travel,
                ..Life::at_least(request.life)
            },
            pow_minimum: self.config.min_pow,
        };
        let draft = envelope_builder::draft(&mut self.rng, now.unix, &message)
            .map_err(|error| Refusal::usage(error.to_string(), error.remedy()))?;
        let level = request.level.unwrap_or(self.config.level);
        let generations = self.generations(level, draft.bits);
        let job = draft.pow_job(generations).map_err(|error| {
            Refusal::usage(
                error.to_string(),
                "choose a shorter life, or send less at a time",
            )
        })?;
        Ok((draft, job))
    }

    /// Whether a message could be sent at a level now.
    pub(super) fn check_level(&mut self, now: Now, level: Level) -> Result<(), Refusal> {
        let rules = level.rules();
        if let EmissionSchedule::Stream { .. } = rules.emission {
            return Err(Refusal::policy(
                format!(
                    "level `{level}` is not there yet: it needs cover traffic that never stops"
                ),
                "use `normal`, and read docs/threat-model.md for what it does not protect from",
            ));
        }
        if rules.insertion == Insertion::Stem && !self.stem.stem.can_stem() {
            return Err(Refusal::policy(
                format!("level `{level}` needs two peers that speak onion/1 and that you named"),
                "add whisht nodes with --peer or in the configuration file",
            ));
        }
        if rules.insertion == Insertion::HeldStem {
            let peers = self.shh6_peers();
            if peers < MIN_WITNESSES {
                return Err(Refusal::policy(
                    format!(
                        "level `{level}` needs {MIN_WITNESSES} gossip peers to see the echo, not {peers}"
                    ),
                    "add peers with --peer or in the configuration file",
                ));
            }
            self.pick_lanes(now, rules).map_err(|refusal| {
                Refusal::policy(
                    format!("level `{level}`: {refusal}"),
                    "wait until more relays are known (`whisht relays`), or choose a lower level yourself",
                )
            })?;
        }
        Ok(())
    }

    fn estimate(&mut self, now: Now, request: &SendRequest) -> Result<EstimateView, Refusal> {
        let level = request.level.unwrap_or(self.config.level);
        self.check_level(now, level)?;
        let (draft, job) = self.compose(now, request)?;
        let envelope_bytes = draft.size.len();
        let rules = level.rules();
        let (lanes, pieces, needed, hops) = match rules.insertion {
            Insertion::HeldStem => {
                let (_, plan) = self.pick_lanes(now, rules).map_err(|refusal| {
                    Refusal::policy(refusal.to_string(), "wait until more relays are known")
                })?;
                let class = Class::converge(envelope_bytes).unwrap_or_else(Class::whole);
                let hops: usize = plan.lanes.iter().map(|lane| lane.hops.len()).sum();
                let lanes: Vec<usize> = plan
                    .lanes
                    .iter()
                    .map(|lane| lane.hops.len().saturating_sub(1))
                    .collect();
                (lanes, usize::from(class.n()), usize::from(class.k()), hops)
            }
            Insertion::Gossip | Insertion::Stem => (Vec::new(), 0, 0, 0),
        };
        let gap = match rules.emission {
            EmissionSchedule::OnDemand { gap } => gap,
            EmissionSchedule::None | EmissionSchedule::Stream { .. } => core::time::Duration::ZERO,
        };
        let cell_hops = pieces
            .saturating_mul(hops)
            .checked_div(lanes.len())
            .unwrap_or(0);
        let stem = rules.insertion != Insertion::Gossip;
        let model = PathModel {
            lanes,
            shards: pieces,
            needed,
            gap,
            delay: rules.delay,
            hold: rules.hold,
            stem,
        };
        let latency = model.latency();
        let sealing = self
            .expected_seconds(&job)
            .and_then(|seconds| core::time::Duration::try_from_secs_f64(seconds).ok());
        let millis =
            |time: core::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Ok(EstimateView {
            level,
            envelope_bytes,
            expected_hashes: job.expected_hashes(),
            sealing_ms: sealing.and_then(|time| u64::try_from(time.as_millis()).ok()),
            cells: pieces,
            network_bytes: u64::try_from(cell_hops)
                .unwrap_or(u64::MAX)
                .saturating_mul(CELL_FRAME),
            median_ms: millis(latency.median),
            p95_ms: millis(latency.p95),
            profile: self.config.profile,
        })
    }

    fn outgoing(&self) -> Vec<OutgoingView> {
        let messages = self.outbox.messages.iter();
        messages
            .map(|(id, outgoing)| OutgoingView {
                id: *id,
                level: outgoing.level,
                stage: outgoing.stage.clone(),
            })
            .collect()
    }

    fn peer_views(&self) -> Vec<PeerView> {
        let gossip: std::collections::BTreeMap<_, _> = self.gossip.peers().collect();
        self.connections
            .iter()
            .filter_map(|(id, link)| {
                let remote = link.remote.as_ref()?;
                let info = gossip.get(&id);
                Some(PeerView {
                    key: hex(&remote.key.0),
                    client: remote.client.clone(),
                    address: link.address.map(|address| address.to_string()),
                    named: self.dialer.is_static(remote.key),
                    always_admitted: self.dialer.always_admits(remote.key),
                    outbound: link.outbound(),
                    found: self.is_discovered(link),
                    capabilities: remote.shared.iter().map(Capability::to_string).collect(),
                    min_pow: info.map_or(0.0, |info| info.min_pow),
                    pow_rule: info.map(|info| info.rule),
                    served: info.is_none_or(|info| !info.has_status || self.serves(info)),
                    trusted: info.is_some_and(|info| info.trusted),
                    pulls: info.is_some_and(|info| info.pulls),
                    rating: info.map_or(0, |info| info.score),
                    received: info.map_or(0, |info| info.received),
                    sent: info.map_or(0, |info| info.sent),
                })
            })
            .collect()
    }

    fn node_view(&self) -> NodeView {
        let advertised = self.config.advertise.iter().copied();
        NodeView {
            key: hex(&self.local.key.0),
            client: CLIENT_ID.to_owned(),
            advertised: advertised
                .map(|endpoint| Endpoint::from(endpoint).to_string())
                .collect(),
            discovery: self.discovery.is_some(),
            min_pow: self.gossip.min_pow().value(),
            max_message_size: self.gossip.max_size(),
        }
    }

    /// Lets go of a peer that the user wants no more.
    fn remove_peer(&mut self, now: Now, key: RelayKey) {
        self.dialer.remove(key);
        if let Some(link) = self.connections.to_key(key) {
            self.disconnect(now, link, DisconnectReason::Requested);
        }
    }

    fn relay_views(&mut self, now: Now) -> Vec<RelayView> {
        let snapshot = self.snapshot(now);
        let guard = self.current_guard(now, &snapshot);
        self.relays
            .directory
            .iter()
            .map(|descriptor| {
                let id = descriptor.id();
                let subnets = circuits::directory::Subnet::of_endpoints(descriptor.endpoints());
                RelayView {
                    id: hex(&id.0),
                    subnet: subnets
                        .first()
                        .map_or_else(String::new, ToString::to_string),
                    eligible: snapshot.get(&id).is_some(),
                    guard: guard == Some(id),
                    ticket_bits: descriptor.ticket_bits(),
                }
            })
            .collect()
    }

    fn status(&mut self, now: Now) -> StatusView {
        let snapshot = self.snapshot(now);
        let young = self.config.profile == Profile::Main && snapshot.is_young();
        let open = |link: &&super::peers::table::PeerConnection| link.is_connected();
        let links = || self.connections.iter().map(|(_, link)| link);
        StatusView {
            client: CLIENT_ID.to_owned(),
            profile: self.config.profile,
            level: self.config.level,
            key: hex(&self.local.key.0),
            uptime_secs: now.mono.since(self.started).as_secs(),
            peers: links().filter(open).count(),
            dark_peers: links()
                .filter(|link| link.speaks(Capability::ONION_1))
                .count(),
            unserved_peers: self.unserved_peers(),
            refused: self.bans.banned(now.mono),
            relays: self.relays.directory.len(),
            eligible_relays: snapshot.relays().len(),
            directory: if young {
                DirectoryAge::Young
            } else {
                DirectoryAge::Settled
            },
            relay: self.config.relay,
            listed: self.listing_status(now).to_owned(),
            drained_in_secs: self.drained_in(now),
            pool_envelopes: self.pool.len(),
            pool_bytes: self.pool.bytes(),
            cells_forwarded: self.counters.cells_forwarded,
            cells_dropped: self.counters.cells_dropped,
            rebuilt: self.counters.rebuilt,
            outgoing: self.outbox.in_flight(),
            discovery: self.discovery.as_ref().map(Discovery::known),
            found_peers: links()
                .filter(|link| link.is_connected() && self.is_discovered(link))
                .count(),
            mail: self.mail_view(),
            shut: match &self.connectivity {
                Connectivity::Up => None,
                Connectivity::Down(reason) => Some(reason.clone()),
            },
            onion: self.onion_services(),
            levels: self.level_views(now),
        }
    }

    fn onion_services(&self) -> Vec<String> {
        let endpoints = self.config.advertise.iter().copied().map(Endpoint::from);
        let onions = endpoints.filter(Endpoint::is_onion);
        onions.map(|endpoint| endpoint.to_string()).collect()
    }

    fn level_views(&mut self, now: Now) -> Vec<LevelView> {
        [
            Level::Open,
            Level::Swift,
            Level::Normal,
            Level::Hush,
            Level::Dark,
        ]
        .into_iter()
        .map(|level| {
            let missing = self.check_level(now, level).err();
            LevelView {
                level,
                missing: missing.map(|refusal| refusal.cause),
            }
        })
        .collect()
    }

    fn shut_down(&mut self, now: Now) {
        let links: Vec<_> = self.connections.iter().map(|(id, _)| id).collect();
        for link in links {
            self.disconnect(now, link, DisconnectReason::Quitting);
        }
        for outgoing in self.outbox.messages.values() {
            if let SendState::Mining(job, _) | SendState::Ticket(job, _) = &outgoing.state {
                self.outputs.push_back(Output::CancelWork(*job));
            }
        }
        for job in self.shh_api.posts.jobs() {
            self.outputs.push_back(Output::CancelWork(job));
        }
    }
}

/// Bytes of one cell on a link, RLPx framing included.
const CELL_FRAME: u64 = 976;
