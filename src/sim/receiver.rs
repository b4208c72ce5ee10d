//! The recipient among bystanders: does a node treat an envelope for itself as it treats others?
//!
//! One node of a small network is watched by all its peers. Others send envelopes at level `open`,
//! half of them for the watched node. An adversary that reads all frames to and from it learns to tell
//! the two halves apart on one half of the envelopes, and is scored on the other. It reads times,
//! order and bytes; which envelope was for the node is used to teach and to score alone.

mod classifier;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use circuits::level::Level;
use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::Serialize;

pub use self::classifier::Advantage;

use self::classifier::{Example, advantage};
use self::watch::ForwardWatch;
use super::mining::MiningModel;
use super::network::NetworkModel;
use super::observer::{Observation, Observer};
use super::seed::{SmallRng, WorldSeed};
use super::spies::parse_hash;
use super::world::{World, WorldConfig};
use crate::envelope::{EnvelopeHash, Topic};
use crate::message::{ClientPublic, ClientSecret};
use crate::node::{
    Command, Event, Identity, ReaderKind, Recipient, Refusal, RefusalKind, SendRequest, Stage,
};

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverStudy {
    /// Nodes, at least 4.
    pub nodes: usize,
    /// Envelopes, at least 100.
    pub envelopes: usize,
    /// Envelopes per second, of all senders together.
    pub per_second: f64,
    /// Seed of the world.
    pub seed: u64,
}

/// What the adversary achieved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReceiverReport {
    /// Nodes.
    pub nodes: usize,
    /// Seed of the world.
    pub seed: u64,
    /// Envelopes that were not sent, because their sender had too many under way.
    pub refused: usize,
    /// Envelopes that the watched node received and forwarded.
    pub envelopes: usize,
    /// Those of them that it could decrypt.
    pub own: usize,
    /// Messages that it decrypted.
    pub decrypted: usize,
    /// The advantage on the half that the adversary had not learned from.
    pub advantage: Advantage,
}

impl ReceiverStudy {
    /// Runs the study while `go_on` returns true, which it is asked after every envelope with the
    /// number of envelopes so far.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the network is too small, or the first message is refused.
    pub fn run(&self, mut go_on: impl FnMut(usize) -> bool) -> Result<ReceiverReport, Refusal> {
        if self.nodes < 4 || self.envelopes < 100 {
            return Err(Refusal {
                kind: RefusalKind::Usage,
                cause: format!("{} nodes, {} envelopes", self.nodes, self.envelopes),
                remedy: "watch at least 4 nodes and 100 envelopes".to_owned(),
            });
        }
        let seed = WorldSeed::from_number(self.seed);
        let mut world = self.world(&seed)?;
        let secret = client(&seed, 0);
        let own = secret.public();
        let identity = Identity::KeyPair(secret);
        world.command(WATCHED, Command::AddIdentity("reader".to_owned(), identity))?;
        world.run(WARM_UP);
        let mut rng = seed.small_rng("receiver", &[]);
        let mut due = world.clock().mono;
        let mut refused = 0;
        for number in 0..self.envelopes {
            if !go_on(number) {
                break;
            }
            due = due.after(Duration::from_secs_f64(rng.exponential() / self.per_second));
            world.run_to(due);
            let is_own = rng.below(2) == 0;
            let others = u64::try_from(number).unwrap_or(u64::MAX).saturating_add(1);
            let to = if is_own {
                own
            } else {
                client(&seed, others).public()
            };
            match self.send(&mut world, to, is_own, &mut rng) {
                Err(refusal) if number == 0 => return Err(refusal),
                // The sender waits for echoes of too many others.
                Err(_) => refused += 1,
                Ok(()) => {}
            }
        }
        world.run(TAIL);
        self.report(&world, refused)
    }

    /// Nodes of which each dials three others; the first one is watched.
    fn world(&self, seed: &WorldSeed) -> Result<World, Refusal> {
        let rate = MiningModel::CORE_HASHES_PER_SECOND;
        let config = WorldConfig {
            fast: true,
            ..WorldConfig::timed(*seed, NetworkModel::worldwide(), rate)
        };
        let mut world = World::new(config, Box::new(Watchers::default()));
        for number in 0..self.nodes {
            let peers = [1, 2, self.nodes / 2].map(|step| (number + step) % self.nodes);
            let added = world.add_node(false, &peers, Instant::ZERO, |config| {
                config.danger_reveal_paths = false;
            });
            added.map_err(|error| Refusal {
                kind: RefusalKind::Usage,
                cause: error.to_string(),
                remedy: "choose another seed".to_owned(),
            })?;
        }
        Ok(world)
    }

    /// A random other node sends an envelope.
    fn send(
        &self,
        world: &mut World,
        to: ClientPublic,
        is_own: bool,
        rng: &mut SmallRng,
    ) -> Result<(), Refusal> {
        let senders = u64::try_from(self.nodes - 1).unwrap_or(1);
        let sender = usize::try_from(1 + rng.below(senders)).unwrap_or(1);
        let request = SendRequest {
            to: Recipient::Public(to, TOPIC),
            sign_as: None,
            payload: vec![7; 100].into(),
            level: Some(Level::Open),
            life: LIFE,
            reader: ReaderKind::Whisht,
        };
        if let Some(watchers) = world.observer_mut::<Watchers>() {
            watchers.sending.insert(sender, is_own);
        }
        world.command(sender, Command::Send(request))?;
        Ok(())
    }

    fn report(&self, world: &World, refused: usize) -> Result<ReceiverReport, Refusal> {
        let none = || Refusal {
            kind: RefusalKind::Usage,
            cause: "the watched node forwarded too few envelopes".to_owned(),
            remedy: "simulate more envelopes".to_owned(),
        };
        let watchers = world.observer::<Watchers>().ok_or_else(none)?;
        let example = |(hash, features)| {
            let is_own = *watchers.truth.get(&hash)?;
            Some(Example { is_own, features })
        };
        let examples: Vec<Example> = watchers.watch.features().filter_map(example).collect();
        Ok(ReceiverReport {
            nodes: self.nodes,
            seed: self.seed,
            refused,
            envelopes: examples.len(),
            own: examples.iter().filter(|one| one.is_own).count(),
            decrypted: watchers.decrypted,
            advantage: advantage(&examples).ok_or_else(none)?,
        })
    }
}

/// A key pair with this number; 0 is the watched node's.
fn client(seed: &WorldSeed, number: u64) -> ClientSecret {
    let mut rng = ChaCha20Rng::from_seed(seed.derive("client", &[number]));
    ClientSecret::generate(&mut rng)
}

/// The adversary's eyes, and apart from them the truth.
#[derive(Default)]
struct Watchers {
    watch: ForwardWatch,
    /// Whether the envelope that a node seals next is for the watched node.
    sending: BTreeMap<usize, bool>,
    truth: BTreeMap<EnvelopeHash, bool>,
    decrypted: usize,
}

impl Observer for Watchers {
    fn observe(&mut self, at: Instant, node: usize, what: &Observation<'_>) {
        match what {
            Observation::Notified(Event::Outgoing(_, Stage::Sealed { envelope, .. })) => {
                if let (Some(hash), Some(is_own)) = (parse_hash(envelope), self.sending.get(&node))
                {
                    self.truth.insert(hash, *is_own);
                }
            }
            Observation::Notified(Event::Message(_)) => self.decrypted += 1,
            Observation::Received(_, bytes) if node == WATCHED => self.watch.received(at, bytes),
            Observation::Sent(to, bytes) if node == WATCHED => self.watch.sent(at, *to, bytes),
            _ => {}
        }
    }
}

/// The node that is watched.
const WATCHED: usize = 0;
/// Time in which the nodes connect.
const WARM_UP: Duration = Duration::from_secs(40);
/// Time in which the last envelope is forwarded.
const TAIL: Duration = Duration::from_secs(30);
/// Life of an envelope.
const LIFE: Duration = Duration::from_secs(600);
/// The topic of all messages.
const TOPIC: Topic = Topic([0x73, 0x69, 0x6d, 0x72]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watched_node_decrypts_its_own_half_and_forwards_all() {
        let study = ReceiverStudy {
            nodes: 6,
            envelopes: 120,
            per_second: 10.0,
            seed: 3,
        };
        let report = study.run(|_| true).unwrap();
        assert_eq!((report.envelopes, report.decrypted), (120, report.own));
        assert!((40..80).contains(&report.own), "{report:?}");
        assert_eq!(study.run(|_| true).unwrap(), report);
    }
}
