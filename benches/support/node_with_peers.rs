//! One whole node with its peers, without sockets: the node's work is timed, the peers' is not.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use circuits::ids::{Epoch, LinkId, ShortId};
use circuits::keys::OnionSecret;
use circuits::relay::ReplayLog;
use circuits::secret::Secret;
use circuits::time::{Instant, Now, UnixSecs};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use whisht::bloom::Bloom;
use whisht::config::{Config, file};
use whisht::envelope::{Envelope, Topic, Ttl};
use whisht::gossip::packet::{MinPow, ShhPacket, code, outgoing};
use whisht::link::{
    Capability, Link, LinkConfig, LinkEvent, LinkKey, LinkLimits, Packing, Priority,
};
use whisht::node::{
    ClientId, Command, CommandId, ContactCommand, ContactReply, Input, Node, NodeConfig, NodeKeys,
    Output, Reply, Restored,
};
use whisht::onion_wire::OnionMessage;
use whisht::state::StateRows;

/// A node with peers.
pub(crate) struct NodeWithPeers {
    node: Node,
    peers: Vec<BenchPeer>,
    rng: ChaCha20Rng,
    now: Now,
    serial: u64,
    /// When the node's timer is due.
    due: Option<Instant>,
    /// The node's processing time so far.
    pub(crate) spent: Duration,
    is_relay: bool,
}

struct BenchPeer {
    id: LinkId,
    link: Link,
    /// Envelopes that the peer received.
    received: usize,
    /// Cells that the peer received.
    cells: usize,
}

impl NodeWithPeers {
    /// A node that is connected to this many full nodes, all of which speak `shh/6` only.
    pub(crate) fn new(peers: usize) -> Self {
        Self::restored(peers, Restored::default())
    }

    /// The same with the state of its user.
    pub(crate) fn with_state(peers: usize, state: StateRows) -> Self {
        let restored = Restored {
            state: Some(state),
            ..Restored::default()
        };
        Self::restored(peers, restored)
    }

    /// A relay with this onion key, and peers that speak `onion/1`.
    pub(crate) fn relay(peers: usize, secret: [u8; 32]) -> Self {
        let copy = || Secret::init_with(|copy| *copy = secret);
        let epoch = Epoch::at(START);
        let (_, log) = ReplayLog::create(epoch, OnionSecret::from_secret(copy()).public());
        let restored = Restored {
            onion_keys: vec![(epoch, copy(), log)],
            ..Restored::default()
        };
        Self::build(peers, restored, true)
    }

    fn restored(peers: usize, restored: Restored) -> Self {
        Self::build(peers, restored, false)
    }

    fn build(peers: usize, restored: Restored, is_relay: bool) -> Self {
        let keys = NodeKeys {
            link: LinkKey::from_bytes(&mut NODE_KEY.clone()).unwrap(),
            guard_seed: Secret::init_with(|seed| seed.fill(2)),
            mail_password: None,
        };
        let now = Now {
            mono: Instant::ZERO,
            unix: START,
        };
        let node = Node::new(config(is_relay), keys, restored, &[3; 32], now).unwrap();
        let mut node = Self {
            node,
            peers: Vec::new(),
            rng: ChaCha20Rng::seed_from_u64(4),
            now,
            serial: 1 << 56,
            due: None,
            spent: Duration::ZERO,
            is_relay,
        };
        for _ in 0..peers {
            node.add_peer();
        }
        node.spent = Duration::ZERO;
        node
    }

    fn add_peer(&mut self) {
        let ours = Arc::new(LinkKey::generate(&mut self.rng));
        let mut capabilities = vec![Capability::SHH_6];
        if self.is_relay {
            capabilities.push(Capability::ONION_1);
        }
        let link_config = Arc::new(LinkConfig {
            client_id: "Geth/v1.9.25-stable".to_owned(),
            listen_port: 0,
            capabilities,
            limits: LinkLimits::default(),
        });
        let node = LinkKey::from_bytes(&mut NODE_KEY.clone()).unwrap().public();
        let link = Link::dial(link_config, ours, node, &mut self.rng, self.now.mono).unwrap();
        let id = self.node.new_link();
        self.peers.push(BenchPeer {
            id,
            link,
            received: 0,
            cells: 0,
        });
        self.feed(Input::Accepted(id, None));
        self.exchange();
        let status = outgoing::status(MinPow::ZERO, &Bloom::FULL, false);
        self.send(self.peers.len() - 1, code::STATUS, status);
        if self.is_relay {
            let status = OnionMessage::Status {
                network: config(true).network_id(),
                epoch: Epoch::at(self.now.unix),
                time: None,
            };
            self.send_onion(self.peers.len() - 1, &status);
        }
    }

    /// A new envelope of 600 bytes with a ttl of a minute.
    pub(crate) fn envelope(&mut self) -> Envelope {
        self.envelope_until(self.now.unix.after(60))
    }

    /// A packet of envelopes that expired in transit, which has no penalty.
    pub(crate) fn expired(&mut self, count: usize) -> Vec<u8> {
        let expiry = self.now.unix.before(5);
        let envelopes: Vec<_> = (0..count).map(|_| self.envelope_until(expiry)).collect();
        outgoing::messages(&envelopes)
    }

    fn envelope_until(&mut self, expiry: UnixSecs) -> Envelope {
        self.serial += 1;
        let mut data = vec![0; DATA];
        self.rng.fill_bytes(&mut data);
        let envelope = Envelope::build(expiry, Ttl(100), Topic([7; 4]), data, self.serial);
        assert_eq!(envelope.as_rlp().len(), 600);
        envelope
    }

    /// Lets a peer send a packet, and the node process it at once.
    pub(crate) fn send(&mut self, peer: usize, code: u8, payload: Vec<u8>) {
        let (priority, packing) = (Priority::Gossip, Packing::Snappy);
        let link = &mut self.peers[peer].link;
        let sent = link.send(priority, Capability::SHH_6, code.into(), payload, packing);
        sent.unwrap();
        self.exchange();
    }

    /// Lets a peer send a message of `onion/1`.
    pub(crate) fn send_onion(&mut self, peer: usize, message: &OnionMessage) {
        let (onion, packing) = (Capability::ONION_1, Packing::Literal);
        let (code, body) = (message.code().into(), message.encode().unwrap());
        let link = &mut self.peers[peer].link;
        link.send(Priority::Cell, onion, code, body, packing)
            .unwrap();
        self.exchange();
    }

    /// The handle by which a cell addresses a peer.
    pub(crate) fn handle_of(&self, peer: usize) -> ShortId {
        self.peers[peer].link.handle().unwrap()
    }

    /// The number of cells that a peer received.
    pub(crate) fn cells(&self, peer: usize) -> usize {
        self.peers[peer].cells
    }

    /// The epoch of the relay's onion key.
    pub(crate) const fn epoch() -> Epoch {
        Epoch::at(START)
    }

    /// Advances time, in steps of the node's timers.
    pub(crate) fn advance(&mut self, time: Duration) {
        let end = self.now.mono.after(time);
        while let Some(due) = self.due.filter(|due| *due <= end) {
            self.set_clock(due.max(self.now.mono));
            self.feed(Input::Timeout);
            self.exchange();
        }
        self.set_clock(end);
    }

    /// The number of conversations of the user.
    pub(crate) fn conversations(&mut self) -> usize {
        let list = Command::Contact(ContactCommand::Conversations);
        let command = CommandId {
            number: 1,
            client: ClientId::OWN,
        };
        let outputs = self.handle(Input::Command(command, list));
        let replies = outputs.into_iter().filter_map(|output| match output {
            Output::Reply(_, Ok(Reply::Contact(reply))) => match *reply {
                ContactReply::Conversations(all) => Some(all.len()),
                _ => None,
            },
            _ => None,
        });
        replies.last().unwrap()
    }

    /// The number of envelopes that a peer received.
    pub(crate) fn received(&self, peer: usize) -> usize {
        self.peers[peer].received
    }

    /// Moves bytes in both directions until all are delivered.
    fn exchange(&mut self) {
        loop {
            let mut sent = Vec::new();
            for BenchPeer { id, link, .. } in &mut self.peers {
                if let Some(bytes) = link.poll_transmit(self.now.mono, usize::MAX) {
                    sent.push((*id, bytes));
                }
            }
            if sent.is_empty() {
                return;
            }
            for (id, bytes) in sent {
                for some in bytes.chunks(READ) {
                    self.feed(Input::Received(id, some));
                }
            }
        }
    }

    /// Passes one input to the node and applies its outputs.
    fn feed(&mut self, input: Input<'_>) {
        let (mut flushed, mut stored) = (Vec::new(), Vec::new());
        for output in self.handle(input) {
            match output {
                Output::Send(id, bytes) => {
                    flushed.push((id, bytes.len()));
                    let peer = self.peers.iter_mut().find(|peer| peer.id == id).unwrap();
                    peer.take(self.now.mono, &mut self.rng, &bytes);
                }
                Output::Close(_) => panic!("the node disconnects"),
                Output::Store(id, _) => stored.push(id),
                Output::Timeout(due) => self.due = Some(due),
                _ => {}
            }
        }
        for (id, len) in flushed {
            self.feed(Input::Flushed(id, len));
        }
        for id in stored {
            self.feed(Input::Stored(id));
        }
    }

    /// The timed function.
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    fn handle(&mut self, input: Input<'_>) -> Vec<Output> {
        let begun = Clock::now();
        let outputs = self.node.handle(self.now, input).collect();
        self.spent += begun.elapsed();
        outputs
    }

    fn set_clock(&mut self, mono: Instant) {
        let secs = u32::try_from(mono.as_micros() / 1_000_000).unwrap();
        let unix = START.after(secs);
        self.now = Now { mono, unix };
    }
}

impl BenchPeer {
    fn take(&mut self, now: Instant, rng: &mut ChaCha20Rng, bytes: &[u8]) {
        self.link.receive(now, rng, bytes).unwrap();
        while let Some(event) = self.link.poll_event() {
            let LinkEvent::Message {
                capability,
                code,
                payload,
            } = event
            else {
                continue;
            };
            if capability == Capability::ONION_1 {
                let message = OnionMessage::decode(u8::try_from(code).unwrap(), &payload);
                self.cells += usize::from(matches!(message, Ok(Some(OnionMessage::Cell(_)))));
                continue;
            }
            let packet = ShhPacket::decode(u8::try_from(code).unwrap(), &payload);
            if let Ok(ShhPacket::Messages(envelopes)) = packet {
                self.received += envelopes.count();
            }
        }
    }
}

fn config(is_relay: bool) -> NodeConfig {
    let settings = "profile = 'local'\nnetwork = 'town'\nlevel = 'open'\nmax-peers = 500\n";
    let settings = file::parse(Path::new("town"), settings).unwrap();
    let mut config = Config::build(settings).unwrap().node;
    // Every envelope has this work; the node must check it nevertheless.
    config.min_pow = 1e-9;
    config.relay = is_relay;
    config
}

/// The key of the node's links.
const NODE_KEY: [u8; 32] = [1; 32];
/// Bytes per read of a shell.
const READ: usize = 16_384;
/// Data bytes of an envelope of 600 bytes.
const DATA: usize = 600 - 26;
/// A Saturday in 2026.
const START: UnixSecs = UnixSecs(1_795_240_000);
