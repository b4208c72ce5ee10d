//! The node: a Whisper relay without input or output of its own.
//!
//! A shell (tokio, or the simulator) feeds [`Node::handle`] with [`Input`]s and carries out the
//! [`Output`]s. The node reads no clock, opens no socket, starts no thread, and draws all randomness
//! from one seed, so a run can be repeated exactly.
//!
//! The components own their state, and act through `effects`:
//!
//! * `peers`: connections, dialer, discovery, admission, ban list
//! * `gossip`: mempool, `shh` protocol, policies on proof of work
//! * `stem`: envelopes before they enter the network
//! * `relay`: cells that pass through, replay tags, mix, rendezvous
//! * `directory`: known relays, guard choice, path choice, our own descriptor
//! * `circuits`: streams of cells through relays, of this node and of others
//! * `emission`: our own cells at the levels with cover traffic, and their loops
//! * `send`: outgoing messages, their confirmation and retry, the offline queue
//! * `receive`: trial decryption, identities, inbox
//! * `shh_api`: keys, filters and posts of API clients
//! * `mail`: mail server and client
//! * `contacts`: own addresses, contacts and conversations
//! * `transfers`: files that are handed over within conversations
//! * `talks`: talk lines between the two ends of a conversation
//! * `meetings`: when the ends of files and of talk lines open circuits, and to which relays
//! * `dial_back`: whether peers reach this node, and dials for peers that ask
//! * `clock_skew`: whether this machine's clock agrees with those of its peers
//!
//! `routing` connects them: inputs and `action`s go to the component that they concern. Timers, completions,
//! messages of `onion/1`, and what belongs to circuits, emission, files and talk lines have a module each
//! (`timer_routing` and others of this ending).
//! `commands` answers users. [`Node`] itself decides nothing.

mod action;
mod circuit_routing;
mod circuits;
mod client_messages;
mod clock_skew;
mod command;
mod commands;
mod completion_routing;
mod config;
mod contact_levels;
mod contacts;
mod dial_back;
mod directory;
mod durability;
mod effects;
mod emission;
mod emission_routing;
mod event;
mod file_storage;
#[cfg(test)]
mod fixture;
mod generators;
mod gossip;
mod inbox_query;
mod input;
mod jobs;
mod level_policy;
mod local_peer;
mod locking;
mod mail;
mod meetings;
mod metrics;
mod onion_wire_routing;
mod output;
mod peers;
mod pool_scan;
mod receive;
mod relay;
mod routing;
mod send;
mod shh_api;
#[cfg(feature = "sim")]
pub(crate) mod simulation;
mod stem;
mod talks;
mod timer_routing;
mod timers;
mod transfer_routing;
mod transfers;
mod untried;
mod views;

use std::sync::Arc;

use ::circuits::directory::BadSigningKey;
use ::circuits::ids::LinkId;
use ::circuits::path::GuardSeed;
use ::circuits::time::{Instant, Now};

use self::circuits::Circuits;
use self::client_messages::ClientMessages;
use self::clock_skew::{ClockSkew, ShownTime};
use self::contacts::{ContactContext, Contacts};
use self::dial_back::DialBack;
use self::directory::RelayDirectory;
use self::effects::Effects;
use self::emission::Emission;
use self::generators::Generators;
use self::gossip::EnvelopeGossip;
use self::local_peer::{LocalPeer, hex};
use self::mail::{Mail, MailContext};
use self::peers::Peers;
use self::receive::Receiver;
use self::relay::{Relay, RelayContext};
use self::send::{SendContext, Sender};
use self::shh_api::ShhApi;
#[cfg(feature = "sim")]
use self::simulation::SimulatedCircuits;
use self::stem::Stem;
use self::talks::Talks;
use self::timers::MIN_ABSENCE;
use self::transfers::{TransferContext, Transfers};

pub use command::{
    Command, FetchRequest, Identity, IdentityKind, LockRequest, MailSource, OpenedState,
    PreparedData, PublicIdentity, ReaderKind, Recipient, Refusal, RefusalKind, Reply,
    SealedRecipient, SendRequest,
};
pub use config::{Cover, MailService, NodeConfig, NodeKeys, PowGeneration, Restored};
pub use contacts::{
    AddressView, Attachment, CardView, ContactCommand, ContactEvent, ContactReply, ContactSend,
    ContactStage, ContactState, ContactView, ConversationMessageView, ConversationStateView,
    ConversationView, DeliveryView, FileVerdictView, HistoryQuery, HowKnown, IntroducedView,
    IntroductionRequest, MessageDirection, MessagePartView, MissingCardView, SendPriceView,
    SentMessage,
};
pub use event::{Event, FetchEnd, FetchId, FetchStage, MessageId, RelayLabel, Stage, Trace};
pub use file_storage::{FileFault, FileRequest, FileRequestId, FileResponse};
pub use gossip::MAX_ENVELOPE_SIZE;
pub use inbox_query::{InboxQuery, MessageIdError, MessageIdPrefix};
pub use input::{ClientId, CommandId, Connectivity, DialFailure, Input, StoreId};
pub use jobs::{Job, JobId, JobResult};
pub use level_policy::{
    ChosenLevel, CustomLevel, LevelChoice, LevelLimits, LevelNameError, LevelPolicy,
    LevelPolicyError, LimitedNetwork, RecipientPolicy,
};
pub use local_peer::CLIENT_ID;
pub use output::{Drain, Output, Record};
pub use peers::MAX_INBOUND_LINKS;
pub use shh_api::{Criteria, FilterKeyId, Post, PostTo, ShhCommand, ShhError, ShhInfo, ShhReply};
pub use talks::{TALK_BYTES_PER_MINUTE, TalkCommand, TalkEvent, TalkReply, TalkStage, TalkView};
pub use transfers::{
    FileCommand, FileDirection, FileOutgoing, FilePriceView, FileReply, FileStage, FileView,
};
pub use views::{
    ArchiveMetrics, CircuitsView, ClockView, CustomLevelView, DialBackOutcome, DialBackView,
    DialedBackView, DirectoryAge, EmissionView, EstimateView, FetchView, FlowView, IdentityView,
    InboundView, LISTED, LevelView, LevelsView, LinkedView, ListInForceView, ListenerFaultView,
    LoopAlarmView, MailView, MessageView, MetricsView, MixingView, NodeView, OutgoingView,
    PeerView, PriceView, ProfileView, ProtectionView, RelayListView, RelayView, StatusView,
    TurnTimes, UnreachedPeerView, own_bytes_per_day, settings_bytes_per_day,
};

/// What sending reads of a node, while another component of it changes.
macro_rules! send_context {
    ($node:ident) => {
        $crate::node::send::SendContext {
            peers: &$node.peers,
            gossip: &$node.gossip,
            stem: &$node.stem,
            directory: &$node.directory,
            receive: &$node.receive,
            clock: &$node.clock,
            emission: &$node.emission,
        }
    };
}
use send_context;

/// A Whisper relay node.
pub struct Node {
    config: NodeConfig,
    local: Arc<LocalPeer>,
    started: Instant,
    fx: Effects,
    peers: Peers,
    gossip: EnvelopeGossip,
    stem: Stem,
    relay: Relay,
    circuits: Circuits,
    directory: RelayDirectory,
    send: Sender,
    emission: Emission,
    receive: Receiver,
    shh_api: ShhApi,
    client_messages: ClientMessages,
    contacts: Contacts,
    transfers: Transfers,
    talks: Talks,
    mail: Mail,
    turn_times: Option<TurnTimes>,
    clock: ClockSkew,
    dial_back: DialBack,
    #[cfg(feature = "sim")]
    simulated: SimulatedCircuits,
}

impl Node {
    /// A node that has done nothing yet; [`Input::Timeout`] starts it.
    ///
    /// The node draws everything from `seed` and from the entropy of [`Input::Entropy`]. The caller
    /// wipes the seed.
    ///
    /// # Errors
    ///
    /// [`BadSigningKey`] if the link key cannot sign; no valid key has this property.
    pub fn new(
        config: NodeConfig,
        keys: NodeKeys,
        mut restored: Restored,
        seed: &[u8; 32],
        now: Now,
    ) -> Result<Self, BadSigningKey> {
        let mut generators = Generators::new(seed);
        let local = Arc::new(LocalPeer::new(&config, keys.link)?);
        let mail = Mail::new(&config, &local, keys.mail_password, &keys.guard_seed)?;
        let guard_seed = GuardSeed(keys.guard_seed);
        let gossip = EnvelopeGossip::new(&config, &generators.seed(), now.mono);
        let discovery = peers::discovery(&config, &local, &generators.seed(), now.mono);
        let stem = Stem::new(generators.paths(), now.mono);
        let slots = generators.cover().child();
        let mut node = Self {
            started: now.mono,
            peers: Peers::new(&config, Arc::clone(&local), discovery, now.mono),
            gossip,
            stem,
            circuits: Circuits::new(local.arithmetic(), generators.circuits().child()),
            relay: Relay::new(local.id(), config.relay, local.arithmetic()),
            directory: RelayDirectory::new(&config, &local, guard_seed, now),
            send: Sender::new(&config, local.arithmetic(), now.mono),
            emission: Emission::new(config.cover, local.arithmetic(), slots, now.mono),
            receive: Receiver::default(),
            shh_api: ShhApi::default(),
            client_messages: ClientMessages::default(),
            contacts: Contacts::new(config.profile, config.card_level, now.mono),
            transfers: Transfers::new(config.max_file_bytes),
            talks: Talks::default(),
            mail,
            turn_times: None,
            clock: ClockSkew::new(config.profile),
            dial_back: DialBack::new(&config, &local, now.mono),
            #[cfg(feature = "sim")]
            simulated: SimulatedCircuits::default(),
            fx: Effects::new(generators, now.mono, config.danger_reveal_paths),
            config,
            local,
        };
        node.emission.start(&mut node.fx);
        let cover = node.config.cover;
        node.send.start_dummies(&mut node.fx, now, cover);
        let state = restored.state.take();
        let is_stale = restored.state_is_stale;
        node.directory.restore(&mut node.fx, now, restored);
        if let Some(rows) = state {
            node.open_state(now, OpenedState { rows, is_stale });
        }
        for peer in node.directory.entry_peers(&mut node.fx, &node.config, now) {
            node.peers.add_static(&mut node.fx, now, peer);
        }
        node.run_actions(now);
        Ok(node)
    }

    /// A link id for a connection to our listener.
    pub fn new_link(&mut self) -> LinkId {
        self.peers.new_link()
    }

    /// Takes one input; the result yields the outputs that follow from it.
    ///
    /// Outputs that are not taken before the result is dropped come first next time.
    pub fn handle(&mut self, now: Now, input: Input<'_>) -> Drain<'_> {
        // If this call comes long after the instant that the node asked for, the process was stopped,
        // or a turn took long: the peers were not silent, this node did not listen.
        let absence = now.mono.since(self.fx.awaited());
        if absence >= MIN_ABSENCE {
            self.peers.excuse_absence(&mut self.fx, absence);
        }
        self.clock.on_input(now);
        dial_back::route(self, now, input);
        self.run_actions(now);
        timer_routing::run_due(self, now);
        let (mail, fx, context) = self.mailing();
        mail.poll(fx, now, context);
        self.run_actions(now);
        self.flush_links(now);
        self.fx.set_deadline(now.mono);
        Drain { node: self }
    }

    /// Compares this machine's clock with what a peer shows, if the user named the peer.
    fn compare_clock(&mut self, now: Now, link: LinkId, shown: ShownTime) {
        if let Some(witness) = self.peers.clock_witness(link) {
            self.clock.on_shown(&mut self.fx, now, witness, shown);
        }
    }

    /// Mixes entropy into every generator of the node.
    fn reseed(&mut self, entropy: &[u8; 32]) {
        self.fx.reseed(entropy);
        self.gossip.reseed(&self.fx.seed());
        self.peers.reseed(&self.fx.seed());
        self.emission.reseed(&self.fx.seed());
        self.circuits.reseed(&self.fx.seed());
    }

    /// Hands queued bytes to the shell. A link with new room may take more mail and cells of circuits.
    fn flush_links(&mut self, now: Now) {
        loop {
            self.circuits.send_due(&mut self.fx, now, &self.peers);
            self.run_actions(now);
            let flushed = self.peers.flush(&mut self.fx, now);
            if flushed.is_empty() {
                return;
            }
            for link in flushed {
                self.mail.on_link_flushed(&mut self.fx, link, &self.peers);
                self.circuits.on_link_flushed(now, link);
            }
            self.run_actions(now);
        }
    }

    fn on_connectivity(&mut self, now: Now, connectivity: Connectivity) {
        let online = self.send.on_connectivity(&mut self.fx, now, connectivity);
        if online {
            self.peers.expedite_redials(now.mono);
            self.directory.expedite_guard_dials(&mut self.fx, now.mono);
        }
    }

    fn sending(&mut self) -> (&mut Sender, &mut Effects, SendContext<'_>) {
        let context = send_context!(self);
        (&mut self.send, &mut self.fx, context)
    }

    const fn send_context(&self) -> SendContext<'_> {
        send_context!(self)
    }

    fn contacting(&mut self) -> (&mut Contacts, &mut Effects, ContactContext<'_>) {
        let context = ContactContext {
            send: &self.send,
            others: send_context!(self),
            transfers: &self.transfers,
        };
        (&mut self.contacts, &mut self.fx, context)
    }

    fn transferring(&mut self) -> (&mut Transfers, &mut Effects, TransferContext<'_>) {
        let context = TransferContext {
            contacts: &self.contacts,
            circuits: &self.circuits,
            send: &self.send,
            others: send_context!(self),
        };
        (&mut self.transfers, &mut self.fx, context)
    }

    fn mailing(&mut self) -> (&mut Mail, &mut Effects, MailContext<'_>) {
        let context = MailContext {
            peers: &self.peers,
            gossip: &self.gossip,
            receive: &self.receive,
        };
        (&mut self.mail, &mut self.fx, context)
    }

    fn relaying(&mut self) -> (&mut Relay, &mut Effects, RelayContext<'_>, &EnvelopeGossip) {
        let context = RelayContext {
            peers: &self.peers,
            directory: &self.directory,
        };
        (&mut self.relay, &mut self.fx, context, &self.gossip)
    }
}
