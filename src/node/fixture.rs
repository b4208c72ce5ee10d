//! The components of one node without the node, for the tests of each component.

use std::net::SocketAddr;
use std::sync::Arc;

use circuits::arithmetic::Arithmetic;
use circuits::directory::{
    Descriptor, DescriptorDraft, EndpointKinds, PuzzleSearch, RelayEndpoint, SigningKey,
};
use circuits::erasing_rng::ErasingRng;
use circuits::ids::{Epoch, LinkId, Profile, RelayKey};
use circuits::keys::OnionSecret;
use circuits::level::Level;
use circuits::mixing::ArrivalRate;
use circuits::path::GuardSeed;
use circuits::secret::Secret;
use circuits::time::{Instant, Now, UnixSecs};

use super::clock_skew::ClockSkew;
use super::config::{Cover, NodeConfig, PowGeneration};
use super::directory::RelayDirectory;
use super::effects::Effects;
use super::emission::Emission;
use super::gossip::EnvelopeGossip;
use super::level_policy::LevelPolicy;
use super::local_peer::LocalPeer;
use super::mail::MailContext;
use super::output::Output;
use super::peers::{LinkPurpose, OnionOutcome, PeerKnowledge, Peers, RemotePeer};
use super::receive::Receiver;
use super::relay::RelayContext;
use super::send::SendContext;
use super::stem::Stem;
use crate::endpoint::{Endpoint, PeerAddr};
use crate::envelope::{Envelope, SizeClass, Topic, TtlClass};
use crate::link::{LinkEvent, LinkKey};
use crate::pow::PowHashes;

/// The start of every test.
pub(super) const START: Now = Now {
    mono: Instant::ZERO,
    unix: UnixSecs(1_750_000_000),
};

/// The components that others read.
pub(super) struct Fixture {
    pub(super) config: NodeConfig,
    pub(super) local: Arc<LocalPeer>,
    pub(super) fx: Effects,
    pub(super) peers: Peers,
    pub(super) gossip: EnvelopeGossip,
    pub(super) stem: Stem,
    pub(super) directory: RelayDirectory,
    pub(super) receive: Receiver,
    pub(super) clock: ClockSkew,
    pub(super) emission: Emission,
}

impl Fixture {
    /// Components without peers, after `change` of the configuration.
    pub(super) fn new(change: impl FnOnce(&mut NodeConfig)) -> Self {
        let mut config = config();
        change(&mut config);
        let local = Arc::new(LocalPeer::new(&config, link_key(1)).unwrap());
        let mut fx = Effects::for_test();
        let seed = GuardSeed(Secret::init_with(|seed| seed.fill(3)));
        Self {
            peers: Peers::new(&config, Arc::clone(&local), None, START.mono),
            gossip: EnvelopeGossip::new(&config, &[6; 32], START.mono),
            stem: Stem::new(fx.rng(), START.mono),
            directory: RelayDirectory::new(&config, &local, seed, START),
            receive: Receiver::default(),
            clock: ClockSkew::new(config.profile),
            emission: Emission::new(
                config.cover,
                Arithmetic::default(),
                ErasingRng::from_seed(&[8; 32]),
                START.mono,
            ),
            config,
            local,
            fx,
        }
    }

    /// Lists another node as a relay with this endpoint.
    pub(super) fn list_relay(&mut self, number: u8, endpoint: RelayEndpoint) {
        let descriptor = self.descriptor(number, endpoint, Epoch::at(START.unix));
        let (directory, peers) = (&mut self.directory, &self.peers);
        directory.publish_own(&mut self.fx, START, descriptor.raw(), peers);
        assert!(directory.contains(descriptor.key().id().short()));
    }

    /// The descriptor of another node for an epoch.
    pub(super) fn descriptor(
        &mut self,
        number: u8,
        endpoint: RelayEndpoint,
        epoch: Epoch,
    ) -> Descriptor {
        let key = link_key(number);
        let requirements = self.local.requirements();
        let network = requirements.network;
        let rng = self.fx.rng();
        let mut search = PuzzleSearch::new(network, key.public(), epoch, requirements.effort, rng);
        let puzzle = core::iter::repeat_with(|| search.step()).find_map(|found| found);
        let onion = |epoch: Epoch| {
            let [a, b, c, d] = epoch.0.to_be_bytes();
            let seed: [u8; 32] = core::array::from_fn(|at| [number, a, b, c, d][at % 5]);
            let secret = OnionSecret::generate(&mut ErasingRng::from_seed(&seed));
            *secret.public().as_bytes()
        };
        let draft = DescriptorDraft {
            epoch,
            onion: onion(epoch),
            onion_next: onion(epoch.next()),
            endpoints: vec![endpoint],
            dials: EndpointKinds::ALL,
            family: Vec::new(),
            arrivals: ArrivalRate::NONE,
            ticket_bits: 17,
        };
        let signing = SigningKey::new(key.to_bytes()).unwrap();
        Descriptor::sign(draft, puzzle.unwrap(), &signing, network).unwrap()
    }

    /// Connects another node, which speaks `onion/1`, over a link of this purpose.
    pub(super) fn connect(&mut self, number: u8, purpose: LinkPurpose) -> LinkId {
        let local = Arc::new(LocalPeer::new(&config(), link_key(number)).unwrap());
        let mut remote = Peers::new(&config(), local, None, START.mono);
        let mut remote_fx = Effects::for_test();
        self.peers.dial(&mut self.fx, START, peer(number), purpose);
        let dialed = self.fx.take_outputs().into_iter();
        let mut links = dialed.filter_map(|output| match output {
            Output::Dial(link, _) => Some(link),
            _ => None,
        });
        let ours = links.next().unwrap();
        self.peers.on_dialed(&mut self.fx, START, ours);
        let theirs = remote.new_link();
        remote.on_accepted(START, theirs, None);
        let mut connected = None;
        for _ in 0..4 {
            self.peers.flush(&mut self.fx, START);
            deliver(&mut self.fx, &mut remote, &mut remote_fx, theirs);
            remote.flush(&mut remote_fx, START);
            let events = deliver(&mut remote_fx, &mut self.peers, &mut self.fx, ours);
            connected = connected.or_else(|| events.into_iter().next());
        }
        let Some(LinkEvent::Connected {
            remote: key,
            client_id,
            shared,
        }) = connected
        else {
            panic!("not connected");
        };
        let peer = RemotePeer::new(key, client_id, shared);
        let gossip = self.gossip.machine();
        let others = PeerKnowledge::new(gossip, &|_| false);
        assert!(self.peers.admit(&mut self.fx, START, ours, peer, others));
        let network = self.config.network_id();
        let outcome = self
            .peers
            .on_onion_status(&mut self.fx, START, ours, network);
        assert!(matches!(outcome, Some(OnionOutcome::Ready(_))));
        self.peers.flush(&mut self.fx, START);
        self.fx.take_outputs();
        ours
    }

    pub(super) fn sending(&mut self) -> (&mut Effects, SendContext<'_>) {
        let context = SendContext {
            peers: &self.peers,
            gossip: &self.gossip,
            stem: &self.stem,
            directory: &self.directory,
            receive: &self.receive,
            clock: &self.clock,
            emission: &self.emission,
        };
        (&mut self.fx, context)
    }

    pub(super) fn mailing(&mut self) -> (&mut Effects, MailContext<'_>) {
        let context = MailContext {
            peers: &self.peers,
            gossip: &self.gossip,
            receive: &self.receive,
        };
        (&mut self.fx, context)
    }

    pub(super) fn relaying(&mut self) -> (&mut Effects, RelayContext<'_>, &EnvelopeGossip) {
        let context = RelayContext {
            peers: &self.peers,
            directory: &self.directory,
        };
        (&mut self.fx, context, &self.gossip)
    }
}

/// Hands all sent bytes to the other side, and polls its events.
pub(super) fn deliver(
    from: &mut Effects,
    to: &mut Peers,
    fx: &mut Effects,
    link: LinkId,
) -> Vec<LinkEvent> {
    let mut events = Vec::new();
    for output in from.take_outputs() {
        if let Output::Send(_, bytes) = output {
            assert!(to.on_received(fx, START, link, &bytes).is_none());
            events.extend(std::iter::from_fn(|| to.poll_event(link)));
        }
    }
    events
}

/// The configuration of a relay of a local network that accepts any proof of work.
pub(super) fn config() -> NodeConfig {
    NodeConfig {
        profile: Profile::Local,
        network: "test".to_owned(),
        level: Level::Open,
        levels: LevelPolicy::default(),
        relay: true,
        advertise: vec![RelayEndpoint::Ip4([127, 0, 0, 1].into(), 30_303)],
        through_tor: false,
        family: Vec::new(),
        listen_port: 0,
        peers: Vec::new(),
        trusted_peers: Vec::new(),
        discovery: None,
        listening: Vec::new(),
        max_peers: 25,
        min_pow: 0.0,
        card_level: Level::Normal,
        max_file_bytes: 1 << 30,
        pow_generation: PowGeneration::Auto,
        pool_bytes: 1 << 20,
        cover: Cover::Off,
        bandwidth: crate::bandwidth::BandwidthLimits::default(),
        guard: None,
        signers: None,
        mail: None,
        via_tor: false,
        danger_reveal_paths: false,
        danger_descriptor_effort: None,
    }
}

/// A link key that differs for every number.
pub(super) fn link_key(number: u8) -> LinkKey {
    LinkKey::from_bytes(&mut [number; 32]).unwrap()
}

/// The key of another node.
pub(super) fn peer_key(number: u8) -> RelayKey {
    link_key(number).public()
}

/// The address of another node.
pub(super) fn peer(number: u8) -> PeerAddr {
    let address = SocketAddr::from(([127, 0, 0, 1], 40_000 + u16::from(number)));
    PeerAddr {
        key: peer_key(number),
        endpoint: Endpoint::Tcp(address),
    }
}

/// A fresh envelope of the smallest classes, which differs for every number.
pub(super) fn envelope(number: u8) -> Envelope {
    let life = TtlClass::HalfHour;
    let data = vec![number; SizeClass::SMALLEST.data_len(life)];
    let expiry = life.lattice_floor(START.unix).after(life.ttl().0);
    let topic = Topic([number; 4]);
    // One zero bit is the least that classes require.
    let worked = |envelope: &Envelope| PowHashes::of(envelope).modern[0] < 0x80;
    (1 << 56..)
        .map(|nonce| Envelope::build(expiry, life.ttl(), topic, data.clone(), nonce))
        .find(worked)
        .unwrap()
}
