//! Churn: nodes fail and come back at random times.
//!
//! The times between are exponential. A node that fails says no farewell; when it comes back it has
//! what was durable. The share of the nodes that are down at any time is given, apart for relays and
//! clients.

use std::time::Duration;

use circuits::time::Instant;

use super::super::event_queue::EventQueue;
use super::super::seed::{SmallRng, WorldSeed};
use super::super::world::World;
use crate::node::{Refusal, RefusalKind};

/// How often nodes are down.
#[derive(Clone, Copy, Debug, Default)]
pub struct Churn {
    /// Mean share of the relays that are down, below 1.
    pub relays_down: f64,
    /// Mean share of the clients that are down, below 1.
    pub clients_down: f64,
    /// Mean time for which a node is up.
    pub session: Duration,
}

/// Draws which node fails or comes back, and when.
pub(super) struct ChurnSource {
    rng: SmallRng,
    changes: EventQueue<usize>,
    /// Mean times up and down of each node; none of a node that never fails.
    nodes: Vec<Option<(Duration, Duration)>>,
}

impl ChurnSource {
    /// None if no node ever fails. `is_relay` says for each node whether it is a relay.
    pub(super) fn new(seed: &WorldSeed, churn: &Churn, is_relay: &[bool]) -> Option<Self> {
        let times = |is_relay: &bool| {
            let down = if *is_relay {
                churn.relays_down
            } else {
                churn.clients_down
            };
            let away = churn.session.mul_f64(down / (1.0 - down));
            (down > 0.0).then_some((churn.session, away))
        };
        let nodes: Vec<_> = is_relay.iter().map(times).collect();
        nodes.iter().any(Option::is_some).then(|| Self {
            rng: seed.small_rng("churn", &[]),
            changes: EventQueue::new(),
            nodes,
        })
    }

    /// Begins at this time. The share of nodes that is down on average is down at once.
    pub(super) fn start(&mut self, world: &mut World, now: Instant) {
        for node in 0..self.nodes.len() {
            let Some(&Some((up, down))) = self.nodes.get(node) else {
                continue;
            };
            let (mean_up, mean_down) = (up.as_secs_f64(), down.as_secs_f64());
            let is_down = self.rng.unit() <= mean_down / (mean_up + mean_down);
            if is_down {
                world.kill(node);
            }
            let mean = if is_down { down } else { up };
            let due = now.after(mean.mul_f64(self.rng.exponential()));
            self.changes.push(due, node);
        }
    }

    /// When the next node fails or comes back.
    pub(super) fn due(&self) -> Option<Instant> {
        self.changes.next_due()
    }

    /// The node that is due fails, or comes back.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the node cannot start, which its first start would have shown.
    pub(super) fn change(&mut self, world: &mut World) -> Result<(), Refusal> {
        let Some((at, node)) = self.due().and_then(|due| self.changes.pop_until(due)) else {
            return Ok(());
        };
        let Some(&Some((up, down))) = self.nodes.get(node) else {
            return Ok(());
        };
        let mean = if world.is_running(node) {
            world.kill(node);
            down
        } else {
            world.restart(node).map_err(|error| Refusal {
                kind: RefusalKind::Usage,
                cause: error.to_string(),
                remedy: "choose another seed".to_owned(),
            })?;
            up
        };
        let due = at.after(mean.mul_f64(self.rng.exponential()));
        self.changes.push(due, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::world::WorldConfig;
    use super::*;

    #[test]
    fn given_share_of_nodes_is_down_and_every_node_comes_back() {
        let mut world = World::new(WorldConfig::plain(Duration::from_millis(1)), Box::new(()));
        let relays = [true; 12];
        for _ in relays {
            world.add_node(true, &[], Instant::ZERO, |_| {}).unwrap();
        }
        let churn = Churn {
            relays_down: 0.25,
            clients_down: 0.0,
            session: Duration::from_secs(300),
        };
        let seed = WorldSeed::from_number(1);
        assert!(ChurnSource::new(&seed, &churn, &[false; 3]).is_none());
        let mut source = ChurnSource::new(&seed, &churn, &relays).unwrap();
        source.start(&mut world, Instant::ZERO);
        let mut down = [Duration::ZERO; 12];
        let mut last = Instant::ZERO;
        let end = Instant::ZERO.after(Duration::from_secs(40_000));
        while let Some(due) = source.due().filter(|due| *due < end) {
            for (node, down) in down.iter_mut().enumerate() {
                if !world.is_running(node) {
                    *down += due.since(last);
                }
            }
            last = due;
            source.change(&mut world).unwrap();
        }
        let all = down.iter().sum::<Duration>().as_secs_f64();
        let share = all / (12.0 * 40_000.0);
        assert!((0.2..0.3).contains(&share), "{share}");
        assert!(down.iter().all(|down| !down.is_zero()));
    }
}
