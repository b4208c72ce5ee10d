//! The savings of announcements, and their cost in time: a network of nodes with eight peers each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use circuits::ids::LinkId;
use circuits::time::{Instant, Now, UnixSecs};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use whisht::bloom::Bloom;
use whisht::envelope::Envelope;
use whisht::envelope_pool::{InsertOutcome, Pool};
use whisht::gossip::packet::{MinPow, code, outgoing};
use whisht::gossip::{Gossip, GossipConfig, OutboundPacket};
use whisht::link::Capability;
use whisht::onion_wire::OnionMessage;

use super::world::{START, sized};

const NODES: usize = 32;
const PEERS: usize = 8;
/// One way, as across a continent.
const LATENCY: Duration = Duration::from_millis(40);
const BEGIN: Instant = Instant::from_micros(5_000_000);

/// The id of a node's link to another is the other's number.
fn link(to: usize) -> LinkId {
    LinkId(u64::try_from(to).unwrap() + 1)
}

struct MeshNode {
    gossip: Gossip,
    pool: Pool,
    peers: Vec<usize>,
}

struct Mesh {
    members: Vec<MeshNode>,
    /// Packets in transit by arrival; the number keeps equal times apart.
    wire: BTreeMap<(Instant, u64), (usize, usize, OutboundPacket)>,
    serial: u64,
    now: Instant,
    /// Bytes on the wire since the network was built.
    bytes: usize,
}

impl Mesh {
    /// Nodes that announce and send this many bodies unrequested or, with `None`, speak plain
    /// Whisper.
    fn new(bodies: Option<usize>) -> Self {
        let config = GossipConfig {
            min_pow: MinPow::ZERO,
            eager_push_peers: bodies.unwrap_or(0),
            ..GossipConfig::default()
        };
        let members = random_peers()
            .into_iter()
            .enumerate()
            .map(|(at, peers)| MeshNode {
                gossip: Gossip::new(config, &[u8::try_from(at).unwrap(); 32]),
                pool: Pool::new(1 << 24),
                peers: peers.into_iter().collect(),
            })
            .collect();
        let mut mesh = Self {
            members,
            wire: BTreeMap::new(),
            serial: 0,
            now: BEGIN,
            bytes: 0,
        };
        let (clock, status) = (
            mesh.clock(),
            outgoing::status(MinPow::ZERO, &Bloom::FULL, false),
        );
        for member in &mut mesh.members {
            for peer in &member.peers {
                let _ = member.gossip.add_peer(clock, link(*peer), "whisht/v0.1.0");
                member.gossip.defer_delivery(link(*peer));
                let greeting = (code::STATUS, status.as_slice());
                let _ = member
                    .gossip
                    .receive(clock, link(*peer), greeting.0, greeting.1, &member.pool)
                    .unwrap();
                member.gossip.decide_delivery(link(*peer), bodies.is_some());
            }
        }
        mesh.run(Duration::from_secs(10));
        mesh.bytes = 0;
        mesh
    }

    fn clock(&self) -> Now {
        let passed = self.now.since(BEGIN).as_secs();
        Now {
            mono: self.now,
            unix: UnixSecs(START + u32::try_from(passed).unwrap()),
        }
    }

    fn insert(&mut self, at: usize, envelope: &Envelope, from: Option<usize>) {
        let clock = self.clock();
        let member = &mut self.members[at];
        let (pow, not_expired) = member.gossip.validate(clock, envelope).unwrap();
        if member.pool.insert(envelope.clone(), pow, not_expired) == InsertOutcome::New {
            member.gossip.on_pooled(clock, envelope, from.map(link));
        }
    }

    fn arrive(&mut self, at: usize, from: usize, send: OutboundPacket) {
        let clock = self.clock();
        let member = &mut self.members[at];
        if send.capability == Capability::SHH_6 {
            let received = member
                .gossip
                .receive(clock, link(from), send.code, &send.payload, &member.pool)
                .unwrap();
            for (envelope, ..) in received.admitted {
                self.insert(at, &envelope, Some(from));
            }
            return;
        }
        match OnionMessage::decode(send.code, &send.payload) {
            Ok(Some(OnionMessage::Announce(hashes))) => {
                let _ = member
                    .gossip
                    .on_announced(clock, link(from), hashes, &member.pool);
            }
            Ok(Some(OnionMessage::GetEnvelopes(hashes))) => {
                member.gossip.on_requested(link(from), hashes)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Advances time until `so` is true, or by `time`.
    fn run_until(&mut self, time: Duration, so: impl Fn(&Self) -> bool) {
        let end = self.now.after(time);
        while !so(self) {
            let wire = self.wire.first_key_value().map(|((at, _), _)| *at);
            let due = self
                .members
                .iter()
                .filter_map(|member| member.gossip.next_due());
            let Some(next) = due.chain(wire).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            while let Some(first) = self.wire.first_entry() {
                if first.key().0 > self.now {
                    break;
                }
                let (at, from, send) = first.remove();
                self.arrive(at, from, send);
            }
            for from in 0..NODES {
                let clock = self.clock();
                let member = &mut self.members[from];
                for send in member.gossip.tick(clock, &member.pool, |_| false) {
                    self.bytes += frame(send.payload.len());
                    self.serial += 1;
                    let to = usize::try_from(send.link.0).unwrap() - 1;
                    let key = (self.now.after(LATENCY), self.serial);
                    self.wire.insert(key, (to, from, send));
                }
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now.after(time);
        self.run_until(time, |_| false);
        self.now = end;
    }

    fn everywhere(&self, envelope: &Envelope) -> bool {
        let hash = envelope.hash();
        self.members
            .iter()
            .all(|member| member.pool.contains(&hash))
    }
}

/// Bytes of the frame around a payload: header, two MACs, message code, padding.
const fn frame(payload: usize) -> usize {
    32 + (payload + 1).next_multiple_of(16) + 16
}

/// The links: eight random cycles through all nodes, two steps each.
fn random_peers() -> Vec<BTreeSet<usize>> {
    let mut rng = ChaCha20Rng::from_seed([5; 32]);
    let mut peers = vec![BTreeSet::new(); NODES];
    for _ in 0..PEERS / 2 {
        let mut circle: Vec<usize> = (0..NODES).collect();
        for last in (1..NODES).rev() {
            let other =
                usize::try_from(rng.next_u64() % (u64::try_from(last).unwrap() + 1)).unwrap();
            circle.swap(last, other);
        }
        for (at, node) in circle.iter().enumerate() {
            let next = circle[(at + 1) % NODES];
            peers[*node].insert(next);
            peers[next].insert(*node);
        }
    }
    peers
}

const ENVELOPES: u32 = 40;

/// Bytes that each node sends per envelope.
fn bytes_each(mesh: &Mesh) -> f64 {
    let bytes = u32::try_from(mesh.bytes).unwrap();
    let nodes = u32::try_from(NODES).unwrap();
    f64::from(bytes) / f64::from(ENVELOPES) / f64::from(nodes)
}

/// One envelope at a time: bytes, and the mean time until all nodes have it.
fn quiet(bodies: Option<usize>) -> (f64, Duration) {
    let mut mesh = Mesh::new(bodies);
    let mut time = Duration::ZERO;
    for number in 0..ENVELOPES {
        let envelope = sized(number, 535);
        mesh.insert(usize::try_from(number).unwrap() % NODES, &envelope, None);
        let begin = mesh.now;
        mesh.run_until(Duration::from_secs(30), |mesh| mesh.everywhere(&envelope));
        assert!(mesh.everywhere(&envelope));
        time += mesh.now.since(begin);
        mesh.run(Duration::from_secs(3));
    }
    (bytes_each(&mesh), time / ENVELOPES)
}

/// Ten envelopes a second: bytes.
fn busy(bodies: Option<usize>) -> f64 {
    let mut mesh = Mesh::new(bodies);
    for number in 0..ENVELOPES {
        let envelope = sized(number, 535);
        mesh.insert(usize::try_from(number).unwrap() % NODES, &envelope, None);
        mesh.run(Duration::from_millis(100));
    }
    mesh.run(Duration::from_secs(10));
    assert!((0..ENVELOPES).all(|number| mesh.everywhere(&sized(number, 535))));
    bytes_each(&mesh)
}

#[test]
fn announcing_saves_bandwidth_within_twice_the_latency() {
    let ((all, quick), flood) = (quiet(None), busy(None));
    println!("plain: {all:.0} bytes, {quick:.2?}; busy {flood:.0}");
    for bodies in 0..=2 {
        let ((bytes, time), rush) = (quiet(Some(bodies)), busy(Some(bodies)));
        println!("announced, bodies to {bodies}: {bytes:.0} bytes, {time:.2?}; busy {rush:.0}");
        if bodies == GossipConfig::default().eager_push_peers {
            assert!(bytes < 0.7 * all, "{bytes:.0} bytes instead of {all:.0}");
            assert!(rush < 0.6 * flood, "{rush:.0} bytes instead of {flood:.0}");
            assert!(time < 2 * quick, "{time:?} instead of {quick:?}");
        }
    }
}
