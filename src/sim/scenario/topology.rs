//! Who relays, who dials whom, and when each node starts.
//!
//! Every node dials four nodes that were drawn at random, so nodes have eight peers on average and
//! the network is connected with overwhelming probability. If clients cannot be dialled, the four are
//! relays.

use std::time::Duration;

use circuits::time::Instant;

use super::super::seed::{SmallRng, WorldSeed};
use super::super::world::World;
use crate::node::{NodeConfig, Refusal, RefusalKind};

/// The plan of a network.
pub(in crate::sim) struct Topology {
    nodes: Vec<PlannedNode>,
    /// Whether only relays can be dialled.
    hidden_clients: bool,
}

struct PlannedNode {
    relay: bool,
    peers: Vec<usize>,
    start: Instant,
}

impl Topology {
    /// Draws a network of `nodes`, of which `relays` are relays. With `hidden_clients` only relays
    /// can be dialled.
    pub(in crate::sim) fn draw(
        seed: &WorldSeed,
        nodes: usize,
        relays: Option<usize>,
        hidden_clients: bool,
    ) -> Self {
        let mut rng = seed.small_rng("topology", &[]);
        let relays = relays
            .unwrap_or_else(|| (nodes / RELAY_SHARE).max(MIN_RELAYS))
            .min(nodes);
        let all: Vec<usize> = (0..nodes)
            .filter(|number| !hidden_clients || is_relay(*number, nodes, relays))
            .collect();
        let planned = (0..nodes)
            .map(|number| PlannedNode {
                relay: is_relay(number, nodes, relays),
                peers: peers(&mut rng, number, &all),
                start: Instant::ZERO.after(START_WINDOW.mul_f64(rng.unit())),
            })
            .collect();
        Self {
            nodes: planned,
            hidden_clients,
        }
    }

    /// The numbers of the nodes that do not relay.
    pub(super) fn clients(&self) -> Vec<usize> {
        let numbered = self.nodes.iter().enumerate();
        let clients = numbered.filter(|(_, node)| !node.relay);
        clients.map(|(number, _)| number).collect()
    }

    /// The numbers of the relays.
    pub(in crate::sim) fn relays(&self) -> Vec<usize> {
        let numbered = self.nodes.iter().enumerate();
        let relays = numbered.filter(|(_, node)| node.relay);
        relays.map(|(number, _)| number).collect()
    }

    /// Adds the nodes to a world. `change` gets the last word on their configuration.
    pub(in crate::sim) fn build(
        &self,
        world: &mut World,
        change: impl Fn(&mut NodeConfig),
    ) -> Result<(), Refusal> {
        let max_peers = MAX_PEERS + self.expected_clients().saturating_mul(2);
        for node in &self.nodes {
            let added = world.add_node(node.relay, &node.peers, node.start, |config| {
                config.danger_reveal_paths = false;
                config.max_peers = max_peers;
                change(config);
            });
            let number = added.map_err(|error| Refusal {
                kind: RefusalKind::Usage,
                cause: error.to_string(),
                remedy: "choose another seed".to_owned(),
            })?;
            if self.hidden_clients && !node.relay {
                world.put_behind_nat(number);
            }
        }
        Ok(())
    }

    /// Clients that dial a relay on average, if only relays can be dialled.
    fn expected_clients(&self) -> usize {
        if !self.hidden_clients {
            return 0;
        }
        let dials = self.clients().len().saturating_mul(PEERS_DIALLED);
        dials.checked_div(self.relays().len()).unwrap_or(0)
    }
}

/// Relays are spread evenly over the numbers, so that they are spread over subnets too.
const fn is_relay(number: usize, nodes: usize, relays: usize) -> bool {
    let before = number * relays / nodes;
    let after = (number + 1) * relays / nodes;
    before != after
}

/// The peers that a node dials, of all that can be dialled.
fn peers(rng: &mut SmallRng, number: usize, all: &[usize]) -> Vec<usize> {
    let others = all.iter().filter(|peer| **peer != number).count();
    let mut peers = Vec::new();
    while peers.len() < PEERS_DIALLED.min(others) {
        let Some(&peer) = all.get(below(rng, all.len())) else {
            break;
        };
        if peer != number && !peers.contains(&peer) {
            peers.push(peer);
        }
    }
    peers
}

/// Fisher and Yates.
pub(in crate::sim) fn shuffle(items: &mut [usize], rng: &mut SmallRng) {
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
