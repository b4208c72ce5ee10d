//! Commands: what users and API clients ask of a running node.
//!
//! Each command goes to its component. A query reads and changes nothing.

use circuits::time::Now;

use super::command::{Command, OpenedState, ReaderKind, Refusal, Reply, SendRequest};
use super::durability::{Continuation, StateContinuation};
use super::effects::Counter;
use super::input::{ClientId, CommandId};
use super::jobs::{JobId, JobResult};
use super::local_peer::CLIENT_ID;
use super::output::Output;
use super::peers::PeerKnowledge;
use super::receive::MAX_FILTERS;
use super::shh_api::{self, Post, PostRoute, SealedPost, ShhCommand, ShhError, ShhInfo, ShhReply};
use super::views::{DirectoryAge, NodeView, StatusView};
use super::{Node, contact_levels, dial_back, hex, locking, metrics, talks};
use crate::bandwidth::BandwidthLimits;
use crate::bloom::Bloom;
use crate::endpoint::Endpoint;
use crate::envelope::EnvelopeHash;
use crate::state::StateTable;
use crate::subscriptions::{Filter, FilterId};

impl Node {
    /// Carries out a command, and answers it unless the answer has to wait.
    pub(super) fn on_command(&mut self, now: Now, id: CommandId, command: Command) {
        let reply = match command {
            Command::Shh(command) => return self.on_shh_command(now, id, command),
            Command::AddPeer(peer) if peer.key == self.local.key() => Err(Refusal::usage(
                "this is the address of the node itself, which is not dialled",
                "name another peer",
            )),
            Command::AddPeer(peer) => {
                self.peers.add_static(&mut self.fx, now, peer);
                if self.peers.to_key(peer.key).is_some() {
                    // A connected peer may be a stem successor once the user has named it.
                    self.on_peers_changed(now);
                }
                Ok(Reply::Done)
            }
            Command::RemovePeer(key) => {
                self.peers.remove_static(&mut self.fx, now, key);
                Ok(Reply::Done)
            }
            Command::AlwaysAdmit(key, always) => {
                self.peers.always_admit(key, always);
                Ok(Reply::Done)
            }
            Command::TrustPeer(key) if self.gossip.trust(self.peers.to_key(key)) => Ok(Reply::Done),
            Command::TrustPeer(_) => Err(Refusal::no_such_peer()),
            Command::SendDirect(key, envelope) => {
                let gossip = self.gossip.machine();
                let sent = self.peers.send_direct(&mut self.fx, key, &envelope, gossip);
                sent.map(done)
            }
            Command::PublishRelayList(raw) => {
                let (directory, peers) = (&mut self.directory, &self.peers);
                directory
                    .publish_list(&mut self.fx, now, &raw, peers)
                    .map(done)
            }
            Command::Drain(drain) => {
                let publisher = self.directory.publisher_mut();
                publisher.drain(&mut self.fx, now, drain).map(done)
            }
            Command::AddIdentity(name, identity) => {
                let fx = &mut self.fx;
                let added = self.receive.add_identity(fx, now, name, identity);
                added.map(|topics| {
                    self.gossip.widen_bloom(&mut self.fx, now, &topics);
                    Reply::Done
                })
            }
            Command::AddLocked(name, identity) => self.receive.add_locked(name, identity).map(done),
            Command::RemoveIdentity(name) => self.receive.remove_identity(&name).map(done),
            Command::RenameIdentity(old, new) => self.receive.rename_identity(&old, new).map(done),
            Command::Send(request) => return self.accept(now, id, None, request),
            Command::SendCustom(name, request) => {
                return self.accept(now, id, Some(&name), request);
            }
            Command::Renew(message) => {
                let (send, fx, context) = self.sending();
                send.renew(fx, now, message, context).map(done)
            }
            Command::Estimate(request) => self.estimate(now, None, request),
            Command::EstimateCustom(name, request) => self.estimate(now, Some(&name), request),
            Command::Cancel(message) if self.send.cancel(&mut self.fx, message) => Ok(Reply::Done),
            Command::Cancel(message) => Err(Refusal::usage(
                format!("message {} is not in flight", message.0),
                "`whisht outbox` lists those that are",
            )),
            Command::FetchMail(request) => {
                let (mail, fx, context) = self.mailing();
                mail.begin_fetch(fx, now, request, context)
                    .map(Reply::Fetch)
            }
            Command::Contact(command) => {
                return contact_levels::on_command(self, now, id, None, command);
            }
            Command::ContactCustom(name, command) => {
                return contact_levels::on_command(self, now, id, Some(&name), *command);
            }
            Command::File(command) => {
                let (transfers, fx, context) = self.transferring();
                return transfers.on_command(fx, now, id, command, context);
            }
            Command::Talk(command) => {
                let (talks, fx, context) = talks::routing::talking(self);
                return talks.on_command(fx, now, id, command, context);
            }
            Command::OpenState(_) if self.fx.state_is_open() => Err(Refusal::usage(
                "the state of this node is not locked",
                "use it",
            )),
            Command::OpenState(state) => {
                self.open_state(now, state);
                Ok(Reply::Done)
            }
            Command::DialBack => return dial_back::on_command(self, now, id),
            Command::Lock(what) => return locking::lock(self, now, id, &what),
            Command::Shutdown => {
                self.shut_down(now);
                Ok(Reply::Done)
            }
            Command::SetBandwidth(limits) => {
                self.set_bandwidth(now, limits);
                Ok(Reply::Done)
            }
            Command::SetMinPow(_)
            | Command::SetBloom(_)
            | Command::SetMaxSize(_)
            | Command::SetLight(_) => self.gossip.set_policy(&mut self.fx, now, command).map(done),
            // Queries, which change nothing.
            Command::Identities => Ok(Reply::Identities(self.receive.identity_views())),
            Command::Inbox(query) => self.receive.messages(&query).map(Reply::Inbox),
            Command::Node => Ok(Reply::Node(self.node_view())),
            Command::Outbox => Ok(Reply::Outbox(self.send.views(now.mono))),
            Command::Peers => Ok(Reply::Peers(self.peers.peer_views(&self.gossip))),
            Command::Relays => Ok(Reply::Relays(self.directory.relay_views(now))),
            Command::Metrics => Ok(Reply::Metrics(Box::new(metrics::view(self, now)))),
            Command::Status => Ok(Reply::Status(Box::new(self.status(now)))),
            Command::HeldCells => Ok(Reply::HeldCells(self.relay.held(&self.fx))),
            Command::Levels => {
                let levels = self.send_context().levels(now, &self.config.levels);
                Ok(Reply::Levels(Box::new(levels)))
            }
        };
        self.fx.reply(id, reply);
    }

    fn set_bandwidth(&mut self, now: Now, limits: BandwidthLimits) {
        self.config.bandwidth = limits;
        self.peers.set_bandwidth(now.mono, &limits);
        self.gossip.set_bandwidth(&mut self.fx, now, &limits);
        self.fx.emit(Output::LimitBandwidth(limits));
    }

    /// Hands the rows of the user's state to the components that own them.
    pub(super) fn open_state(&mut self, now: Now, state: OpenedState) {
        let OpenedState { mut rows, is_stale } = state;
        self.fx.open_state();
        let inbox = rows.take(StateTable::Inbox);
        self.receive.open_state(&mut self.fx, now, inbox);
        let outbox = rows.take(StateTable::Outbox);
        self.send.restore(&mut self.fx, now, outbox);
        self.transfers.open_state(&mut self.fx, now, &mut rows);
        self.contacts
            .open_state(&mut self.fx, now, &mut rows, is_stale);
    }

    /// Sends a message, and answers once it is accepted: in the state of the user, if that is open.
    fn accept(&mut self, now: Now, id: CommandId, custom: Option<&str>, request: SendRequest) {
        let reply = self.send_message(now, (id.client, custom), request);
        match reply {
            Ok(Reply::Accepted(message)) if self.send.is_storing(message) => {
                let then = StateContinuation::Reply(id, reply);
                self.fx.defer(Continuation::State(then));
            }
            reply => self.fx.reply(id, reply),
        }
    }

    fn send_message(
        &mut self,
        now: Now,
        (client, custom): (ClientId, Option<&str>),
        mut request: SendRequest,
    ) -> Result<Reply, Refusal> {
        let custom = self.choose_level(now, custom, &mut request)?;
        let send = &self.send;
        self.client_messages
            .check(client, |message| send.is_in_flight(message))?;
        let (send, fx, context) = self.sending();
        let message = send.send_within(fx, now, custom, request, context)?;
        self.client_messages.note(message, client);
        Ok(Reply::Accepted(message))
    }

    fn estimate(
        &self,
        now: Now,
        custom: Option<&str>,
        mut request: SendRequest,
    ) -> Result<Reply, Refusal> {
        self.choose_level(now, custom, &mut request)?;
        let context = self.send_context();
        let estimate = self.send.estimate(now, &request, context)?;
        Ok(Reply::Estimate(estimate))
    }

    /// Writes the level that applies into a request, and checks the limits of a custom one. Returns the
    /// name of that.
    fn choose_level(
        &self,
        now: Now,
        custom: Option<&str>,
        request: &mut SendRequest,
    ) -> Result<Option<String>, Refusal> {
        let default = self.send.default_level();
        let chosen = self.config.levels.choose(default, custom, request)?;
        request.level = Some(chosen.level);
        // A message to a recipient without whisht never becomes shards, whichever of the two tells.
        if chosen.reader == Some(ReaderKind::AnyClient) {
            request.reader = ReaderKind::AnyClient;
        }
        let Some(custom) = chosen.custom else {
            return Ok(None);
        };
        let context = self.send_context();
        let estimate = self.send.estimate(now, request, context)?;
        custom.check(&estimate, &context.limited_network(now))?;
        Ok(Some(custom.name().to_owned()))
    }

    fn shut_down(&mut self, now: Now) {
        self.peers.shut_down(&mut self.fx, now);
        self.send.shut_down(&mut self.fx);
        self.shh_api.shut_down(&mut self.fx);
    }

    // -- the `shh_*` API

    fn on_shh_command(&mut self, now: Now, id: CommandId, command: ShhCommand) {
        let answer = match command {
            ShhCommand::Post(post) => match self.begin_post(now, id, post) {
                Ok(Some(post)) => self.send_post(now, id, post).map(ShhReply::Posted),
                Ok(None) => return,
                Err(error) => Err(error),
            },
            ShhCommand::Info => Ok(ShhReply::Info(self.shh_info())),
            ShhCommand::TrustPeer(key) if self.gossip.trust(self.peers.to_key(key)) => {
                Ok(ShhReply::Done)
            }
            ShhCommand::TrustPeer(key) => Err(shh_api::no_peer(key)),
            command => match self.shh_api.run_key_command(&mut self.fx, command) {
                Ok(answer) => answer,
                Err(command) => self.run_filter_command(now, *command),
            },
        };
        shh_api::answer(&mut self.fx, id, answer);
    }

    fn run_filter_command(&mut self, now: Now, command: ShhCommand) -> Result<ShhReply, ShhError> {
        match command {
            ShhCommand::NewFilter(criteria) => {
                let (filter, topics) = self.shh_api.filter(criteria)?;
                if let Some(abandoned) = self.shh_api.make_room(now.mono)? {
                    self.receive.uninstall(abandoned);
                }
                let filter = self.install_filter(now, filter, &topics, false)?;
                let id = self.shh_api.register(&mut self.fx, now.mono, filter);
                Ok(ShhReply::Id(id))
            }
            ShhCommand::Subscribe(criteria) => {
                let (filter, topics) = self.shh_api.subscription(criteria)?;
                let filter = self.install_filter(now, filter, &topics, true)?;
                Ok(ShhReply::Subscribed(filter))
            }
            ShhCommand::Messages(id) => {
                let filter = self.shh_api.on_poll(now.mono, &id)?;
                let messages = self.receive.poll(filter)?;
                Ok(ShhReply::Messages(messages))
            }
            ShhCommand::DeleteFilter(id) => {
                let filter = self.shh_api.unregister(&id)?;
                self.receive.uninstall(filter);
                Ok(ShhReply::Done)
            }
            ShhCommand::Unsubscribe(filter) => Ok(ShhReply::Known(self.receive.uninstall(filter))),
            // `on_shh_command` and `ShhApi::run_key_command` answer all others.
            _ => Err(ShhError::InvalidId),
        }
    }

    fn install_filter(
        &mut self,
        now: Now,
        filter: Filter,
        topics: &Bloom,
        push: bool,
    ) -> Result<FilterId, ShhError> {
        let installed = self.receive.install(filter, push);
        let installed = installed.ok_or(ShhError::TooManyFilters(MAX_FILTERS))?;
        self.gossip.widen_bloom(&mut self.fx, now, topics);
        Ok(installed)
    }

    fn begin_post(
        &mut self,
        now: Now,
        id: CommandId,
        post: Box<Post>,
    ) -> Result<Option<SealedPost>, ShhError> {
        let level = self.send.default_level();
        let context = super::send_context!(self);
        let fx = &mut self.fx;
        self.shh_api.begin_post(fx, now, id, post, level, context)
    }

    /// The search for the nonce of a post has ended.
    pub(super) fn on_post_nonce(&mut self, now: Now, job: JobId, result: Option<JobResult>) {
        let ended = self.shh_api.on_job_ended(job, result);
        let delays = self.directory.mix_network(now).class();
        self.shh_api
            .mine_posts(&mut self.fx, now, &self.gossip, delays);
        if let Some((command, post)) = ended {
            let sent = post.and_then(|post| self.send_post(now, command, post));
            shh_api::answer(&mut self.fx, command, sent.map(ShhReply::Posted));
        }
    }

    /// Sends a post that is ready.
    pub(super) fn send_post(
        &mut self,
        now: Now,
        command: CommandId,
        post: SealedPost,
    ) -> Result<EnvelopeHash, ShhError> {
        let (envelope, route, pow_target) = post.into_parts();
        let hash = envelope.hash();
        match route {
            PostRoute::Peer(key) if self.peers.to_key(key).is_none() => {
                return Err(shh_api::no_peer(key));
            }
            PostRoute::Peer(key) => {
                let gossip = self.gossip.machine();
                self.peers
                    .send_direct(&mut self.fx, key, &envelope, gossip)?;
            }
            PostRoute::Gossip => {
                shh_api::check_pow_target(route, pow_target, &self.gossip)?;
                let proofs = self.gossip.machine().validate(now, &envelope);
                let proofs = proofs.map_err(|rejected| shh_api::rejection(rejected, hash))?;
                self.pool_envelope(now, envelope, proofs, None);
            }
            PostRoute::Hidden(level) => {
                let (client, send) = (command.client, &self.send);
                self.client_messages
                    .check(client, |message| send.is_in_flight(message))?;
                let (send, fx, context) = self.sending();
                let message = send.send_envelope(fx, now, level, envelope, context)?;
                self.client_messages.note(message, client);
                self.run_actions(now);
                if let Some(reason) = self.send.failure(message) {
                    return Err(Refusal::policy(reason, "send it again").into());
                }
            }
        }
        Ok(hash)
    }

    // -- views

    fn shh_info(&self) -> ShhInfo {
        let pool = self.gossip.pool();
        ShhInfo {
            memory: pool.size(),
            messages: self.receive.waiting(),
            min_pow: self.gossip.machine().min_pow().value(),
            max_message_size: self.gossip.machine().max_size(),
        }
    }

    fn node_view(&self) -> NodeView {
        let advertised = self.config.advertise.iter().copied().map(Endpoint::from);
        NodeView {
            key: hex(&self.local.key().0),
            client: CLIENT_ID.to_owned(),
            advertised: advertised.map(|endpoint| endpoint.to_string()).collect(),
            discovery: self.config.discovery.is_some(),
            min_pow: self.gossip.machine().min_pow().value(),
            max_message_size: self.gossip.machine().max_size(),
        }
    }

    fn status(&self, now: Now) -> StatusView {
        let snapshot = self.directory.snapshot(now);
        let endpoints = self.config.advertise.iter().copied().map(Endpoint::from);
        let (publisher, pool) = (self.directory.publisher(), self.gossip.pool());
        let is_relay = |peer| self.directory.contains(peer);
        let others = PeerKnowledge::new(self.gossip.machine(), &is_relay);
        StatusView {
            client: CLIENT_ID.to_owned(),
            profile: self.config.profile,
            level: self.config.level,
            key: hex(&self.local.key().0),
            uptime_secs: now.mono.since(self.started).as_secs(),
            peers: self.peers.connected(),
            dark_peers: self.peers.onion_speakers(),
            unreached_peers: self.peers.unreached_views(now.mono),
            unserved_peers: self.gossip.unserved_peers(),
            refused: self.peers.banned(now.mono),
            key_in_use: self.peers.is_key_in_use(now.mono),
            inbound: self.peers.inbound_view(now.mono, others),
            dial_back: self.dial_back.view(now.mono),
            relays: self.directory.len(),
            eligible_relays: snapshot.relays().len(),
            directory: DirectoryAge::of(snapshot.is_young()),
            relay_list: self.directory.relay_list_view(now),
            relay: self.config.relay,
            listed: publisher
                .listing_status(now, self.stem.can_stem(), self.clock.is_wrong(now))
                .to_owned(),
            drained_in_secs: publisher.drained_in(now),
            clock: self.clock.view(now),
            pool_envelopes: pool.len(),
            pool_bytes: pool.bytes(),
            gossip_displaced: self.gossip.machine().displaced(),
            packets_dropped: self.fx.counted(Counter::PacketsDropped),
            untried: self.receive.waiting(),
            pool_untried: self.fx.counted(Counter::PooledUntried),
            direct_untried: self.fx.counted(Counter::DirectUntried),
            turns: self.turn_times,
            cells_forwarded: self.fx.counted(Counter::CellsForwarded),
            cells_dropped: self.fx.counted(Counter::CellsDropped),
            rebuilt: self.fx.counted(Counter::Rebuilt),
            circuits: self.circuits.view(&self.fx),
            emission: self.emission.view(),
            flow: metrics::flow(self, now),
            outgoing: self.send.in_flight(),
            discovery: self.peers.discovery_nodes(),
            found_peers: self.peers.connected_discovered(),
            mail: self.mail.server_view(),
            state_locked: !self.fx.state_is_open(),
            cards_wait: self.contacts.cards_wait(),
            tor: self.config.via_tor,
            shut: self.send.connectivity().down_reason().map(str::to_owned),
            unverified: self.send.connectivity().doubt().map(str::to_owned),
            onion: endpoints
                .filter(Endpoint::is_onion)
                .map(|endpoint| endpoint.to_string())
                .collect(),
            levels: self.send_context().level_views(now),
        }
    }
}

/// The reply to a command without a result.
const fn done((): ()) -> Reply {
    Reply::Done
}
