//! Who relays, who dials whom, and when each node starts.
//!
//! Every node dials four nodes that were drawn at random, so nodes have eight peers on average and
//! the network is connected with overwhelming probability.

use std::time::Duration;

use circuits::time::Instant;

use super::super::seed::{SmallRng, WorldSeed};
use super::super::world::World;
use crate::node::{Refusal, RefusalKind};

/// The plan of a network.
pub(super) struct Topology {
    nodes: Vec<PlannedNode>,
}

struct PlannedNode {
    relay: bool,
    peers: Vec<usize>,
    start: Instant,
}

impl Topology {
    /// Draws a network of `nodes`, of which `relays` are relays.
    pub(super) fn draw(seed: &WorldSeed, nodes: usize, relays: Option<usize>) -> Self {
        let mut rng = seed.small_rng("topology", &[]);
        let relays = relays
            .unwrap_or_else(|| (nodes / RELAY_SHARE).max(MIN_RELAYS))
            .min(nodes);
        let planned = (0..nodes)
            .map(|number| PlannedNode {
                relay: is_relay(number, nodes, relays),
                peers: peers(&mut rng, number, nodes),
                start: Instant::ZERO.after(START_WINDOW.mul_f64(rng.unit())),
            })
            .collect();
        Self { nodes: planned }
    }

    /// The numbers of the relays.
    pub(super) fn relays(&self) -> Vec<usize> {
        let numbered = self.nodes.iter().enumerate();
        let relays = numbered.filter(|(_, node)| node.relay);
        relays.map(|(number, _)| number).collect()
    }

    /// Adds the nodes to a world.
    pub(super) fn build(&self, world: &mut World) -> Result<(), Refusal> {
        for node in &self.nodes {
            let added = world.add_node(node.relay, &node.peers, node.start, |config| {
                config.danger_reveal_paths = false;
                config.max_peers = MAX_PEERS;
            });
            added.map_err(|error| Refusal {
                kind: RefusalKind::Usage,
                cause: error.to_string(),
                remedy: "choose another seed".to_owned(),
            })?;
        }
        Ok(())
    }
}

/// Relays are spread evenly over the numbers, so that they are spread over subnets too.
const fn is_relay(number: usize, nodes: usize, relays: usize) -> bool {
    let before = number * relays / nodes;
    let after = (number + 1) * relays / nodes;
    before != after
}

/// The peers that a node dials.
fn peers(rng: &mut SmallRng, number: usize, nodes: usize) -> Vec<usize> {
    let mut peers = Vec::new();
    while peers.len() < PEERS_DIALLED.min(nodes - 1) {
        let peer = below(rng, nodes);
        if peer != number && !peers.contains(&peer) {
            peers.push(peer);
        }
    }
    peers
}

/// Fisher and Yates.
pub(super) fn shuffle(items: &mut [usize], rng: &mut SmallRng) {
    for at in (1..items.len()).rev() {
        items.swap(at, below(rng, at + 1));
    }
}

/// Uniform below `bound`.
pub(super) fn below(rng: &mut SmallRng, bound: usize) -> usize {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX);
    usize::try_from(rng.below(bound)).unwrap_or(0)
}

/// One node in ten relays.
const RELAY_SHARE: usize = 10;
/// Relays that a small network needs for the paths of `normal`.
const MIN_RELAYS: usize = 12;
/// Peers that a node dials: two suffice for a stem, the others replace them.
const PEERS_DIALLED: usize = 4;
/// Room for the peers of every node: eight on average, Poisson distributed.
const MAX_PEERS: usize = 50;
/// Time over which the nodes start.
const START_WINDOW: Duration = Duration::from_secs(5);
