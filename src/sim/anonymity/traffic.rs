//! Model traffic: cells of many senders on mixed paths, and what an observer sees of them.
//!
//! Every sender emits payload and loops in Poisson streams of constant rates. A cell passes a fixed
//! number of relays, waits at each for an exponential time, and ends at a rendezvous, or as a loop at
//! its sender. The module draws all of it from a seed, and keeps only cells that are under way.

use core::time::Duration;

use circuits::distributions;
use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::sim::event_queue::EventQueue;
use crate::sim::seed::{SmallRng, WorldSeed};

/// A network of senders and relays.
#[derive(Clone, Copy, Debug)]
pub struct MixModel {
    /// Honest senders.
    pub senders: u32,
    /// Relays, hostile ones included.
    pub relays: u32,
    /// Share of the relays that disclose which cell became which.
    pub hostile: f64,
    /// How a path is chosen.
    pub routes: Routes,
    /// First relays that each sender uses.
    pub guards: u32,
    /// Mean delay at each relay.
    pub delay: Duration,
    /// Payload cells, cover included, that a sender emits per second.
    pub payload_rate: f64,
    /// Loops that a sender emits per second.
    pub loop_rate: f64,
}

/// How a path is chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Routes {
    /// Each relay belongs to one layer; a path has one relay of each layer, in order.
    Layers(u32),
    /// A path has this many different relays of all.
    Free(u32),
}

impl MixModel {
    /// Checks that paths exist.
    ///
    /// # Errors
    ///
    /// The rule that the model breaks.
    pub fn check(&self) -> Result<(), &'static str> {
        let hops = self.routes.hops();
        let rate = self.payload_rate + self.loop_rate;
        match () {
            () if self.senders == 0 => Err("there must be a sender"),
            () if hops == 0 => Err("a path must have a relay"),
            () if self.relays < hops => Err("there must be as many relays as a path has"),
            () if self.guards == 0 => Err("a sender must have a first relay"),
            () if !(0.0..=1.0).contains(&self.hostile) => Err("a share lies between 0 and 1"),
            () if !(self.payload_rate > 0.0 && rate.is_finite()) => {
                Err("senders must emit payload")
            }
            () => Ok(()),
        }
    }
}

impl Routes {
    /// Relays on a path, without the rendezvous.
    #[must_use]
    pub const fn hops(self) -> u32 {
        match self {
            Self::Layers(hops) | Self::Free(hops) => hops,
        }
    }
}

/// The number of one crossing of one link by one cell. It says nothing of the cell.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Transfer(pub(super) u64);

/// One end of a link.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum CellPlace {
    /// The sender with this number.
    Sender(u32),
    /// The relay with this number, which passes the cell on.
    Relay(u32),
    /// The relay with this number, which is the rendezvous of the cell.
    Rendezvous(u32),
}

/// What an observer of every link sees, in order of time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CellSighting {
    /// A cell leaves.
    Departure {
        /// The crossing of the link that begins.
        transfer: Transfer,
        /// Who sends it.
        from: CellPlace,
        /// Relays that the cell has passed: zero from its sender. The model grants it.
        position: u32,
        /// The crossing by which the cell came, if the sender of this one is a hostile relay.
        disclosed: Option<Transfer>,
    },
    /// A cell arrives.
    Arrival {
        /// The crossing that ends.
        transfer: Transfer,
        /// Who receives it.
        to: CellPlace,
        /// Relays that the cell has passed.
        position: u32,
    },
}

/// What only the model knows of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Truth {
    pub(super) sender: u32,
    pub(super) is_loop: bool,
    /// Seconds since its sender's payload cell before it. A message that is composed at a uniform
    /// time takes the next payload cell, so the chance that this one carries it is proportional.
    pub(super) waited: f64,
}

/// One run of a model.
pub(super) struct Traffic {
    model: MixModel,
    rng: SmallRng,
    hostile: Vec<bool>,
    /// Relays by layer; a single list for free routes.
    layers: Vec<Vec<u32>>,
    /// First relays by sender.
    guards: Vec<Vec<u32>>,
    /// The last payload cell of each sender.
    last_payload: Vec<Instant>,
    queue: EventQueue<Step>,
    last_transfer: u64,
}

/// A cell under way.
#[derive(Debug)]
struct ModelCell {
    truth: Truth,
    /// The relays still to pass, the next one last.
    path: Vec<u32>,
    rendezvous: u32,
    position: u32,
    /// The crossing by which it came to where it waits, or that it is making.
    transfer: Option<Transfer>,
    at: CellPlace,
}

enum Step {
    Emit(u32),
    Depart(ModelCell),
    Arrive(ModelCell),
}

impl Traffic {
    pub(super) fn new(model: MixModel, seed: WorldSeed) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed.derive("mix model, network", &[]));
        let mut relays: Vec<u32> = (0..model.relays).collect();
        distributions::shuffle(&mut rng, &mut relays);
        let hostile = hostile_relays(&mut rng, &model);
        let layers = match model.routes {
            Routes::Free(_) => vec![relays],
            Routes::Layers(count) => {
                let every = index(count.max(1));
                let layer = |first| relays.iter().skip(first).step_by(every).copied().collect();
                (0..every).map(layer).collect()
            }
        };
        let first = layers.first().map_or(&[][..], Vec::as_slice);
        let guards = (0..model.senders)
            .map(|_| sample(&mut rng, first, model.guards))
            .collect();
        let mut traffic = Self {
            model,
            rng: seed.small_rng("mix model, cells", &[]),
            hostile,
            layers,
            guards,
            last_payload: vec![Instant::ZERO; index(model.senders)],
            queue: EventQueue::new(),
            last_transfer: 0,
        };
        for sender in 0..model.senders {
            traffic.plan_emission(Instant::ZERO, sender);
        }
        traffic
    }

    /// The relays that disclose, by number.
    pub(super) fn hostile(&self) -> &[bool] {
        &self.hostile
    }

    /// The next event of a link until `end`, with its time and the truth about its cell.
    pub(super) fn next(&mut self, end: Instant) -> Option<(Instant, CellSighting, Truth)> {
        let (at, step) = self.queue.pop_until(end)?;
        Some(match step {
            Step::Emit(sender) => {
                self.plan_emission(at, sender);
                let cell = self.cell(at, sender);
                self.depart(at, cell)
            }
            Step::Depart(cell) => self.depart(at, cell),
            Step::Arrive(cell) => self.arrive(at, cell),
        })
    }

    fn plan_emission(&mut self, now: Instant, sender: u32) {
        let rate = self.model.payload_rate + self.model.loop_rate;
        let at = now.after(self.wait(Duration::from_secs(1).div_f64(rate)));
        self.queue.push(at, Step::Emit(sender));
    }

    /// An exponential time of this mean.
    fn wait(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.rng.exponential())
    }

    /// One element of a list.
    fn pick(&mut self, of: impl Fn(&Self) -> Option<&Vec<u32>>) -> Option<u32> {
        let count = of(self)?.len();
        let drawn = self.rng.below(u64::try_from(count).unwrap_or(u64::MAX));
        of(self)?.get(usize::try_from(drawn).ok()?).copied()
    }

    /// A new cell, at its sender.
    fn cell(&mut self, now: Instant, sender: u32) -> ModelCell {
        let rate = self.model.payload_rate + self.model.loop_rate;
        let is_loop = self.rng.unit() * rate <= self.model.loop_rate;
        let last = self.last_payload.get_mut(index(sender));
        let last = last.filter(|_| !is_loop);
        let waited = last.map_or(0.0, |last| {
            let waited = now.since(*last).as_secs_f64();
            *last = now;
            waited
        });
        let guard = self.pick(|this| this.guards.get(index(sender)));
        let mut path: Vec<u32> = guard.into_iter().collect();
        while path.len() < index(self.model.routes.hops()) {
            let layer = match self.model.routes {
                Routes::Layers(_) => path.len(),
                Routes::Free(_) => 0,
            };
            match self.pick(|this| this.layers.get(layer)) {
                Some(relay) if !path.contains(&relay) => path.push(relay),
                Some(_) => {}
                None => break,
            }
        }
        path.reverse();
        ModelCell {
            truth: Truth {
                sender,
                is_loop,
                waited,
            },
            path,
            rendezvous: u32::try_from(self.rng.below(self.model.relays.into())).unwrap_or(0),
            position: 0,
            transfer: None,
            at: CellPlace::Sender(sender),
        }
    }

    fn depart(&mut self, at: Instant, mut cell: ModelCell) -> (Instant, CellSighting, Truth) {
        self.last_transfer += 1;
        let transfer = Transfer(self.last_transfer);
        let is_hostile = match cell.at {
            CellPlace::Relay(relay) => self.hostile.get(index(relay)).copied().unwrap_or(false),
            CellPlace::Sender(_) | CellPlace::Rendezvous(_) => false,
        };
        let event = CellSighting::Departure {
            transfer,
            from: cell.at,
            position: cell.position,
            disclosed: cell.transfer.filter(|_| is_hostile),
        };
        let truth = cell.truth;
        cell.transfer = Some(transfer);
        cell.at = match cell.path.pop() {
            Some(relay) => CellPlace::Relay(relay),
            None if truth.is_loop => CellPlace::Sender(truth.sender),
            None => CellPlace::Rendezvous(cell.rendezvous),
        };
        self.queue.push(at.after(LINK_LATENCY), Step::Arrive(cell));
        (at, event, truth)
    }

    fn arrive(&mut self, at: Instant, mut cell: ModelCell) -> (Instant, CellSighting, Truth) {
        let truth = cell.truth;
        let event = CellSighting::Arrival {
            transfer: cell.transfer.unwrap_or(Transfer(0)),
            to: cell.at,
            position: cell.position,
        };
        if matches!(cell.at, CellPlace::Relay(_)) {
            cell.position += 1;
            let wait = self.wait(self.model.delay);
            self.queue.push(at.after(wait), Step::Depart(cell));
        }
        (at, event, truth)
    }
}

/// Exactly the share of relays that the model states, rounded, drawn at random.
fn hostile_relays(rng: &mut ChaCha20Rng, model: &MixModel) -> Vec<bool> {
    let share = f64::from(model.relays) * model.hostile;
    let mut hostile: Vec<bool> = (0..model.relays)
        .map(|relay| f64::from(relay) + 0.5 < share)
        .collect();
    distributions::shuffle(rng, &mut hostile);
    hostile
}

/// `count` different elements, or all if there are fewer.
fn sample(rng: &mut ChaCha20Rng, of: &[u32], count: u32) -> Vec<u32> {
    let mut shuffled = of.to_vec();
    distributions::shuffle(rng, &mut shuffled);
    shuffled.truncate(index(count));
    shuffled
}

/// A number as an index.
pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// One-way latency of every link (docs/simulator.md, section "Anonymity").
const LINK_LATENCY: Duration = Duration::from_millis(62);
