//! Model traffic: cells of many senders on mixed paths, with the truth about each.
//!
//! Every sender emits payload and loops in Poisson streams of constant rates. A cell passes a fixed
//! number of relays, waits at each for an exponential time, and ends at a rendezvous, or as a loop at
//! its sender. The module draws all of it from a seed, and keeps only cells that are under way.

use core::time::Duration;

use circuits::time::Instant;

use super::latency::LINK_LATENCY;
use super::model::{MixModel, RendezvousTrust, Routes};
use super::network::DrawnNetwork;
use super::truth::Truth;
use crate::sim::anonymity::sighting::{CellPlace, CellSighting, Transfer, index};
use crate::sim::event_queue::EventQueue;
use crate::sim::seed::{SmallRng, WorldSeed};

/// One run of a model.
pub(super) struct ModelTraffic {
    model: MixModel,
    rng: SmallRng,
    network: DrawnNetwork,
    payloads: Vec<PayloadStream>,
    /// When each sender goes offline.
    session_ends: Vec<Instant>,
    queue: EventQueue<Step>,
    last_transfer: u64,
}

/// What is remembered of the payload cells of one sender.
#[derive(Clone, Copy, Debug)]
struct PayloadStream {
    last: Instant,
    sent: u32,
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
    Connect(u32),
    ReplaceRelays,
    Emit(u32),
    Depart(ModelCell),
    Arrive(ModelCell),
    Insert(u32, Truth),
}

impl ModelTraffic {
    pub(super) fn new(model: MixModel, seed: WorldSeed) -> Self {
        let mut traffic = Self {
            model,
            rng: seed.small_rng("mix model, cells", &[]),
            network: DrawnNetwork::new(&model, seed),
            payloads: vec![
                PayloadStream {
                    last: Instant::ZERO,
                    sent: 0,
                };
                index(model.senders)
            ],
            session_ends: vec![Instant::ZERO; index(model.senders)],
            queue: EventQueue::new(),
            last_transfer: 0,
        };
        for sender in 0..model.senders {
            let is_online = model
                .churn
                .is_none_or(|churn| traffic.rng.unit() <= churn.online);
            let away = if is_online {
                Duration::ZERO
            } else {
                traffic.time_offline()
            };
            let connects = Instant::ZERO.after(away);
            traffic.queue.push(connects, Step::Connect(sender));
        }
        if let Some(churn) = model.churn {
            let day = Instant::ZERO.after(churn.day);
            traffic.queue.push(day, Step::ReplaceRelays);
        }
        traffic
    }

    /// The next event until `end`, with its time and the truth about its cell.
    pub(super) fn next(&mut self, end: Instant) -> Option<(Instant, CellSighting, Truth)> {
        let (at, step) = loop {
            match self.queue.pop_until(end)? {
                (at, Step::ReplaceRelays) => self.replace_relays(at),
                step => break step,
            }
        };
        Some(match step {
            Step::Connect(sender) => {
                let truth = self.connect(at, sender);
                (at, CellSighting::Online { sender }, truth)
            }
            Step::Emit(sender) => {
                self.plan_emission(at, sender);
                let cell = self.cell(at, sender);
                self.depart(at, cell)
            }
            Step::Depart(cell) => self.depart(at, cell),
            Step::Arrive(cell) => self.arrive(at, cell),
            Step::Insert(rendezvous, truth) => (at, CellSighting::Insertion { rendezvous }, truth),
            Step::ReplaceRelays => return None,
        })
    }

    fn connect(&mut self, now: Instant, sender: u32) -> Truth {
        let end = match self.model.churn {
            Some(churn) => now.after(self.wait(churn.session)),
            None => Instant::from_micros(u64::MAX),
        };
        if let Some(own) = self.session_ends.get_mut(index(sender)) {
            *own = end;
        }
        let mut truth = Truth {
            sender,
            is_loop: false,
            payload_number: 0,
            waited: 0.0,
        };
        if let Some(payloads) = self.payloads.get_mut(index(sender)) {
            payloads.last = now;
            truth.payload_number = payloads.sent;
        }
        self.plan_emission(now, sender);
        truth
    }

    fn plan_emission(&mut self, now: Instant, sender: u32) {
        let at = now.after(self.wait(Duration::from_secs(1).div_f64(self.model.rate())));
        match self.session_ends.get(index(sender)) {
            Some(end) if at > *end => {
                let connects = end.after(self.time_offline());
                self.queue.push(connects, Step::Connect(sender));
            }
            _ => self.queue.push(at, Step::Emit(sender)),
        }
    }

    fn time_offline(&mut self) -> Duration {
        let Some(churn) = self.model.churn else {
            return Duration::ZERO;
        };
        let online = churn.online.clamp(1e-3, 1.0);
        self.wait(churn.session.mul_f64((1.0 - online) / online))
    }

    fn replace_relays(&mut self, now: Instant) {
        let Some(churn) = self.model.churn else {
            return;
        };
        for relay in 0..self.model.relays {
            if self.rng.unit() <= churn.relays_replaced {
                self.network
                    .replace(relay, self.model.hostile, &mut self.rng);
            }
        }
        self.queue.push(now.after(churn.day), Step::ReplaceRelays);
    }

    /// An exponential time of this mean.
    fn wait(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(self.rng.exponential())
    }

    /// A new cell, at its sender.
    fn cell(&mut self, now: Instant, sender: u32) -> ModelCell {
        let is_loop = self.rng.unit() * self.model.rate() <= self.model.loop_rate;
        let truth = self.truth(now, sender, is_loop);
        let mut path: Vec<u32> = Vec::new();
        path.extend(pick(&mut self.rng, self.network.guards(sender)));
        while path.len() < index(self.model.routes.hops()) {
            let layer = match self.model.routes {
                Routes::Layers(_) | Routes::EqualLayers(_) => path.len(),
                Routes::Free(_) => 0,
            };
            match pick(&mut self.rng, self.network.layer(layer)) {
                Some(relay) if !path.contains(&relay) => path.push(relay),
                Some(_) => {}
                None => break,
            }
        }
        path.reverse();
        ModelCell {
            truth,
            path,
            rendezvous: u32::try_from(self.rng.below(self.model.relays.into())).unwrap_or(0),
            position: 0,
            transfer: None,
            at: CellPlace::Sender(sender),
        }
    }

    fn truth(&mut self, now: Instant, sender: u32, is_loop: bool) -> Truth {
        let mut truth = Truth {
            sender,
            is_loop,
            payload_number: 0,
            waited: 0.0,
        };
        if let Some(payloads) = self.payloads.get_mut(index(sender)) {
            if !is_loop {
                truth.waited = now.since(payloads.last).as_secs_f64();
                payloads.last = now;
                payloads.sent += 1;
            }
            truth.payload_number = payloads.sent;
        }
        truth
    }

    fn depart(&mut self, at: Instant, mut cell: ModelCell) -> (Instant, CellSighting, Truth) {
        self.last_transfer += 1;
        let transfer = Transfer::new(self.last_transfer);
        let from = cell.at;
        let is_hostile = matches!(from, CellPlace::HostileRelay(_));
        let truth = cell.truth;
        let disclosed = cell.transfer.filter(|_| is_hostile);
        cell.transfer = Some(transfer);
        cell.at = match cell.path.pop() {
            Some(relay) if self.network.is_hostile(relay) => CellPlace::HostileRelay(relay),
            Some(relay) => CellPlace::Relay(relay),
            None if truth.is_loop => CellPlace::Sender(truth.sender),
            None => self.rendezvous(cell.rendezvous),
        };
        let event = CellSighting::Departure {
            transfer,
            from,
            to_sender: matches!(cell.at, CellPlace::Sender(_)),
            position: Some(cell.position),
            disclosed,
        };
        self.queue.push(at.after(LINK_LATENCY), Step::Arrive(cell));
        (at, event, truth)
    }

    fn rendezvous(&self, relay: u32) -> CellPlace {
        match self.model.rendezvous {
            RendezvousTrust::AsRelays if !self.network.is_hostile(relay) => {
                CellPlace::HonestRendezvous(relay)
            }
            RendezvousTrust::AsRelays | RendezvousTrust::AllHostile => {
                CellPlace::HostileRendezvous(relay)
            }
        }
    }

    fn arrive(&mut self, at: Instant, mut cell: ModelCell) -> (Instant, CellSighting, Truth) {
        let truth = cell.truth;
        let event = CellSighting::Arrival {
            transfer: cell.transfer.unwrap_or(Transfer::new(0)),
            to: cell.at,
            position: Some(cell.position),
        };
        match cell.at {
            CellPlace::Relay(_) | CellPlace::HostileRelay(_) => {
                let is_lost = self.model.loss > 0.0 && self.rng.unit() <= self.model.loss;
                if !is_lost {
                    cell.position += 1;
                    let wait = self.wait(self.model.delay);
                    self.queue.push(at.after(wait), Step::Depart(cell));
                }
            }
            CellPlace::HonestRendezvous(rendezvous) => {
                let hold = self.wait(self.model.hold);
                self.queue
                    .push(at.after(hold), Step::Insert(rendezvous, truth));
            }
            CellPlace::Sender(_) | CellPlace::HostileRendezvous(_) => {}
        }
        (at, event, truth)
    }
}

/// One element of a list.
fn pick(rng: &mut SmallRng, of: &[u32]) -> Option<u32> {
    let drawn = rng.below(u64::try_from(of.len()).unwrap_or(u64::MAX));
    of.get(usize::try_from(drawn).ok()?).copied()
}
