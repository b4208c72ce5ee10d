//! The components of one node without the node, for the tests of each component.

use std::net::SocketAddr;
use std::sync::Arc;

use circuits::directory::RelayEndpoint;
use circuits::ids::{Profile, RelayKey};
use circuits::level::Level;
use circuits::path::GuardSeed;
use circuits::secret::Secret;
use circuits::time::{Instant, Now, UnixSecs};

use super::clock_skew::ClockSkew;
use super::config::{NodeConfig, PowGeneration};
use super::directory::RelayDirectory;
use super::effects::Effects;
use super::gossip::EnvelopeGossip;
use super::local_peer::LocalPeer;
use super::mail::MailContext;
use super::peers::Peers;
use super::receive::Receiver;
use super::relay::RelayContext;
use super::send::SendContext;
use super::stem::Stem;
use crate::endpoint::{Endpoint, PeerAddr};
use crate::envelope::{Envelope, SizeClass, Topic, TtlClass};
use crate::link::LinkKey;
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
            config,
            local,
            fx,
        }
    }

    pub(super) fn sending(&mut self) -> (&mut Effects, SendContext<'_>) {
        let context = SendContext {
            peers: &self.peers,
            gossip: &self.gossip,
            stem: &self.stem,
            directory: &self.directory,
            receive: &self.receive,
            clock: &self.clock,
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

/// The configuration of a relay of a local network that accepts any proof of work.
pub(super) fn config() -> NodeConfig {
    NodeConfig {
        profile: Profile::Local,
        network: "test".to_owned(),
        level: Level::Open,
        relay: true,
        advertise: vec![RelayEndpoint::Ip4([127, 0, 0, 1].into(), 30_303)],
        family: Vec::new(),
        listen_port: 0,
        peers: Vec::new(),
        trusted_peers: Vec::new(),
        discovery: None,
        listening: Vec::new(),
        max_peers: 25,
        min_pow: 0.0,
        pow_generation: PowGeneration::Auto,
        pool_bytes: 1 << 20,
        guard: None,
        mail: None,
        danger_reveal_paths: false,
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
