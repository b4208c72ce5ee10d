//! Cover traffic of nodes, and how well it hides a sender: the node's own code in place of the model.
//!
//! Clients and relays run with cover and send no message: a message takes the place of a payload cell,
//! so every payload cell stands for one. An observer writes down dials, ends of links and frames, and
//! what an adversary of every line is granted beside: the position of each cell on its path, every
//! rendezvous, and which cell became which at hostile relays. The adversary of
//! [`anonymity`](super::anonymity) reads that log. The sender of a cell is kept apart, for scoring.

mod adversaries;
mod crossings;

use core::time::Duration;

use circuits::time::Instant;
use serde::Serialize;

use self::adversaries::Adversaries;
use self::crossings::{Crossings, Roles};
use super::anonymity::ScoreReport;
use super::gossip_meter::exact;
use super::mining::MiningModel;
use super::network::NetworkModel;
use super::observer::{Observation, Observer};
use super::scenario::Topology;
use super::seed::WorldSeed;
use super::world::{World, WorldConfig};
use crate::node::{Cover, Refusal, RefusalKind};

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct CoverStudy {
    /// Clients, at least 2.
    pub clients: usize,
    /// Relays, at least 6.
    pub relays: usize,
    /// Time to simulate after the warm-up.
    pub time: Duration,
    /// Share of the relays that disclose which cell became which.
    pub hostile: f64,
    /// Choices of the hostile relays, for the same traffic; without one no cell is traced.
    pub choices: u32,
    /// Seed of the world.
    pub seed: u64,
}

/// A study that runs.
pub struct CoverSimulation {
    study: CoverStudy,
    world: World,
    begun: Instant,
}

/// What was measured in one world.
#[derive(Clone, Debug, Serialize)]
pub struct CoverReport {
    /// Clients.
    pub clients: usize,
    /// Relays, hostile ones included.
    pub relays: usize,
    /// Seed of the world.
    pub seed: u64,
    /// Measured time.
    pub simulated_seconds: f64,
    /// Choices of the hostile relays. The intervals below are the spread over these.
    pub choices: u32,
    /// Share of the relays that are hostile.
    pub hostile: f64,
    /// Cells per second that a client emits.
    pub cells_per_client: f64,
    /// Mean time in seconds from the emission of a payload cell to its rendezvous.
    pub mean_transit: f64,
    /// Bytes per second that a client sends on all its links.
    pub client_sends: f64,
    /// Bytes per second that a client receives.
    pub client_receives: f64,
    /// Bytes per second that a relay sends.
    pub relay_sends: f64,
    /// Bytes per second that a relay receives.
    pub relay_receives: f64,
    /// An adversary that knows positions; none if no cell was traced.
    pub known: Option<ScoreReport>,
    /// The same if it also recognises loops: an upper bound for every passive adversary.
    pub strict: Option<ScoreReport>,
}

impl CoverStudy {
    /// Adds the nodes, and lets them connect and fill the mixes.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the network is too small.
    pub fn start(self, mut go_on: impl FnMut() -> bool) -> Result<CoverSimulation, Refusal> {
        if self.clients < 2 || self.relays < 6 {
            return Err(Refusal {
                kind: RefusalKind::Usage,
                cause: format!("{} clients, {} relays", self.clients, self.relays),
                remedy: "simulate at least 2 clients and 6 relays".to_owned(),
            });
        }
        let seed = WorldSeed::from_number(self.seed);
        let nodes = self.clients.saturating_add(self.relays);
        let topology = Topology::draw(&seed, nodes, Some(self.relays), true);
        let roles = Roles::new(nodes, &topology.relays());
        let warm = Instant::ZERO.after(WARM_UP);
        let log = CoverLog {
            adversaries: Adversaries::new(&self, &seed, &roles, warm),
            crossings: Crossings::new(roles),
            warm,
        };
        let mut world = World::new(world_config(seed), Box::new(log));
        topology.build(&mut world, |config| {
            config.cover = Cover::Full;
            config.min_pow = MIN_POW;
        })?;
        while world.clock().mono < warm && go_on() {
            world.run(WARM_UP / 100);
        }
        Ok(CoverSimulation {
            study: self,
            begun: world.clock().mono,
            world,
        })
    }
}

impl CoverSimulation {
    /// Lets so much time pass; `false` at the end of the study.
    pub fn advance(&mut self, time: Duration) -> bool {
        let end = self.begun.after(self.study.time);
        let until = self.world.clock().mono.after(time).min(end);
        self.world.run_to(until);
        until < end
    }

    /// The measured time so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.world.clock().mono.since(self.begun)
    }

    /// The figures so far; none if the world lost its observer.
    #[must_use]
    pub fn report(&self) -> Option<CoverReport> {
        let log = self.world.observer::<CoverLog>()?;
        let seconds = self.elapsed().as_secs_f64().max(1e-6);
        let study = &self.study;
        let number = |count: usize| exact(u64::try_from(count).unwrap_or(u64::MAX));
        let traffic = log.crossings.traffic();
        let each = |bytes: u64, nodes: usize| exact(bytes) / seconds / number(nodes);
        Some(CoverReport {
            clients: study.clients,
            relays: study.relays,
            seed: study.seed,
            simulated_seconds: seconds,
            choices: study.choices,
            hostile: study.hostile,
            cells_per_client: each(traffic.client_cells, study.clients),
            mean_transit: traffic.mean_transit(),
            client_sends: each(traffic.clients.sent, study.clients),
            client_receives: each(traffic.clients.received, study.clients),
            relay_sends: each(traffic.relays.sent, study.relays),
            relay_receives: each(traffic.relays.received, study.relays),
            known: log.adversaries.known(),
            strict: log.adversaries.strict(),
        })
    }
}

/// Writes down crossings and shows them to the adversaries.
struct CoverLog {
    crossings: Crossings,
    adversaries: Adversaries,
    warm: Instant,
}

impl Observer for CoverLog {
    fn observe(&mut self, at: Instant, node: usize, what: &Observation<'_>) {
        let measured = at >= self.warm;
        match what {
            Observation::Sent(to, bytes) => {
                let (crossings, adversaries) = (&mut self.crossings, &mut self.adversaries);
                crossings.sent(at, (node, *to), bytes, measured, |crossing| {
                    adversaries.departure(at, crossing);
                });
            }
            Observation::Received(_, bytes) => {
                let (crossings, adversaries) = (&mut self.crossings, &mut self.adversaries);
                crossings.received(at, node, bytes, measured, |crossing| {
                    adversaries.arrival(at, crossing);
                });
            }
            _ => {}
        }
    }
}

fn world_config(seed: WorldSeed) -> WorldConfig {
    let rate = MiningModel::CORE_HASHES_PER_SECOND;
    WorldConfig {
        fast: true,
        ..WorldConfig::timed(seed, NetworkModel::worldwide(), rate)
    }
}

/// A hundredth of the minimum of other simulated networks. The proof of work of dummies takes part in nothing that
/// is measured, and was a fifth of the processor time.
const MIN_POW: f64 = 0.000_02;

/// Time in which the nodes meet, choose guards, and fill the mixes.
const WARM_UP: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests {
    use super::*;

    fn run(choices: u32) -> CoverReport {
        let study = CoverStudy {
            clients: 10,
            relays: 15,
            time: Duration::from_secs(120),
            hostile: 0.2,
            choices,
            seed: 5,
        };
        let mut simulation = study.start(|| true).unwrap();
        while simulation.advance(Duration::from_secs(10)) {}
        simulation.report().unwrap()
    }

    #[test]
    fn cover_of_nodes_flows_at_the_published_rate_and_is_traced() {
        let report = run(2);
        // 0.505 cells per second: 600 cells of ten clients, give or take three deviations.
        assert!(
            (0.44..0.57).contains(&report.cells_per_client),
            "{report:?}"
        );
        let (known, strict) = (report.known.unwrap(), report.strict.unwrap());
        assert!(known.targets > 1_000 && known.targets == strict.targets);
        // 25 senders; the adversary is better than a blind guess and not certain.
        assert!((0.04..0.9).contains(&known.best_guess.mean), "{known:?}");
        assert!(strict.best_guess.mean >= known.best_guess.mean - 0.02);
        // Five delays of a second, and six links.
        assert!((4.5..6.5).contains(&report.mean_transit), "{report:?}");
        assert_eq!(run(0).cells_per_client, report.cells_per_client);
        assert!(run(0).known.is_none());
    }
}
