//! The world of `whisht::sim` as tests use it: one latency, a recorder as its observer, scripted
//! peers as its other programs, and a panic where a test expects something that is not there.

#![allow(dead_code, reason = "no test uses all that a world can do")]

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use circuits::ids::{Epoch, LinkId};
use circuits::time::{Instant, Now, UnixSecs};
use whisht::envelope::Envelope;
use whisht::envelope_builder::{Life, dummy};
use whisht::node::{Command, Event, NodeConfig, Output, Refusal, Reply, StatusView};
use whisht::pow::Generations;
use whisht::sim::{Recorder, World as SimWorld, WorldConfig};

pub(crate) mod scripted_peer;

use scripted_peer::{PeerBehaviour, ScriptedPeer};

/// A world of nodes and scripted peers.
pub(crate) struct World {
    world: SimWorld,
    /// The key of every mail server's password, if they have one.
    pub(crate) mail_password: Option<[u8; 32]>,
}

impl Deref for World {
    type Target = SimWorld;

    fn deref(&self) -> &SimWorld {
        &self.world
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut SimWorld {
        &mut self.world
    }
}

impl World {
    pub(crate) fn new(latency: Duration) -> Self {
        Self::with_config(WorldConfig::plain(latency))
    }

    /// The same in the last seconds of an epoch.
    pub(crate) fn before_epoch_end(latency: Duration, left: u32) -> Self {
        let mut config = WorldConfig::plain(latency);
        let end = Epoch::at(config.start).next().start();
        config.start = UnixSecs(end.0 - left);
        Self::with_config(config)
    }

    pub(crate) fn with_config(config: WorldConfig) -> Self {
        Self {
            world: SimWorld::new(config, Box::new(Recorder::default())),
            mail_password: None,
        }
    }

    /// Adds a node that dials `peers`; returns its number.
    pub(crate) fn add(&mut self, relay: bool, peers: &[usize]) -> usize {
        self.add_with(relay, peers, |_| {})
    }

    pub(crate) fn add_with(
        &mut self,
        relay: bool,
        peers: &[usize],
        change: impl FnOnce(&mut NodeConfig),
    ) -> usize {
        self.world.set_mail_password(self.mail_password);
        let now = self.clock().mono;
        self.world.add_node(relay, peers, now, change).unwrap()
    }

    /// Adds a scripted peer, which obeys no rule of the protocols.
    pub(crate) fn add_scripted_peer(&mut self, behaviour: PeerBehaviour) -> usize {
        self.world
            .add_actor(|key, _| Box::new(ScriptedPeer::new(key, behaviour)))
    }

    /// Adds a scripted peer that discovery finds.
    pub(crate) fn add_discoverable_peer(&mut self, behaviour: PeerBehaviour) -> usize {
        self.world
            .add_actor(|key, addr| Box::new(ScriptedPeer::discoverable(key, addr, behaviour)))
    }

    /// Restarts a node after a crash.
    pub(crate) fn restart(&mut self, at: usize) {
        self.world.set_mail_password(self.mail_password);
        self.world.restart(at).unwrap();
    }

    /// The received messages and the sessions of a scripted peer.
    pub(crate) fn scripted(&self, at: usize) -> &ScriptedPeer {
        self.actor(at).expect("a scripted peer")
    }

    /// Makes a scripted peer act.
    pub(crate) fn act<T>(
        &mut self,
        at: usize,
        action: impl FnOnce(&mut ScriptedPeer, Now) -> (T, Vec<Output>),
    ) -> T {
        let acted = self.world.act(at, action);
        acted.expect("a scripted peer")
    }

    /// Makes a scripted peer dial a node, waits a second, and returns the peer's end of the link.
    pub(crate) fn connect_scripted(&mut self, scripted: usize, node: usize) -> LinkId {
        let peer = self.addr(node);
        let link = self.act(scripted, |scripted, _| scripted.dial(peer));
        self.run(Duration::from_secs(1));
        link
    }

    /// An envelope that no key decrypts, mined by a scripted peer. Its ttl is at least this number of seconds: the
    /// shorter, the less work it costs.
    pub(crate) fn mined_envelope(&mut self, scripted: usize, secs: u64) -> Envelope {
        let unix = self.clock().unix;
        self.act(scripted, |scripted, _| {
            let life = Life::at_least(Duration::from_secs(secs));
            let draft = dummy(&mut scripted.rng, unix, life, 0.002).unwrap();
            let mut search = draft
                .pow_job(Generations::Modern)
                .unwrap()
                .search(&mut scripted.rng);
            let nonce = loop {
                if let Some(nonce) = search.step(8192) {
                    break nonce;
                }
            };
            (draft.unmined.with_nonce(nonce), Vec::new())
        })
    }

    /// The status of a node.
    pub(crate) fn status(&mut self, at: usize) -> StatusView {
        match self.command(at, Command::Status) {
            Ok(Reply::Status(status)) => *status,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a command to a node, and waits up to an hour for the reply.
    pub(crate) fn ask(&mut self, at: usize, command: Command) -> Result<Reply, Refusal> {
        self.world.ask(at, command, Duration::from_secs(3_601))
    }

    /// Advances time until the condition holds, or by `time`; returns whether it holds.
    pub(crate) fn run_until(&mut self, time: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let until = self.clock().mono.after(time);
        while self.step(until) {
            if condition(self) {
                return true;
            }
        }
        condition(self)
    }

    /// The events that a node reported, with their times.
    pub(crate) fn events(&self, at: usize) -> &[(Instant, Event)] {
        self.recorder().events(at)
    }

    /// The addresses to which a node sent datagrams.
    pub(crate) fn datagrams_of(&self, at: usize) -> Vec<SocketAddr> {
        let mut addresses: Vec<_> = self.recorder().datagrams(at).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }

    /// The nodes that a node dialled, with the times.
    pub(crate) fn dials(&self, at: usize) -> Vec<(Instant, usize)> {
        self.recorder().dials(at).collect()
    }

    fn recorder(&self) -> &Recorder {
        self.observer().expect("the world has a recorder")
    }
}

/// Hashes per second of every node of such a world.
pub(crate) const HASHES_PER_SECOND: u32 = 131_072;
