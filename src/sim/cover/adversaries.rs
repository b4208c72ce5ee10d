//! The adversaries of one world: each has chosen its hostile relays, and all read the same log.
//!
//! Every rendezvous is hostile. Cells of hostile relays give no cover: an adversary ignores its own.

use core::time::Duration;

use circuits::mixing::DelayClass;
use circuits::stream::StreamRate;
use circuits::time::Instant;

use super::CoverStudy;
use super::crossings::{Crossing, Roles};
use crate::sim::anonymity::{
    CellPlace, CellSighting, ForwardFilter, PublicRules, Score, ScoreReport, Transfer,
};
use crate::sim::scenario::shuffle;
use crate::sim::seed::WorldSeed;

/// All adversaries of one world.
pub(super) struct Adversaries(Vec<Adversary>);

/// One choice of the hostile relays.
struct Adversary {
    hostile: Vec<bool>,
    /// Knows positions.
    known: CellTracer,
    /// Recognises loops too.
    strict: CellTracer,
}

/// A filter and its score.
struct CellTracer {
    filter: ForwardFilter,
    score: Score,
    /// From when on it is scored.
    from: Instant,
}

impl Adversaries {
    pub(super) fn new(study: &CoverStudy, seed: &WorldSeed, roles: &Roles, from: Instant) -> Self {
        let choice = |number: u32| {
            let mut rng = seed.small_rng("hostile relays", &[number.into()]);
            let relays = roles.relays();
            let wanted = count_of(study.hostile, relays);
            let mut order: Vec<usize> = (0..relays).collect();
            shuffle(&mut order, &mut rng);
            let mut hostile = vec![false; relays];
            for relay in order.into_iter().take(wanted) {
                if let Some(hostile) = hostile.get_mut(relay) {
                    *hostile = true;
                }
            }
            Adversary {
                hostile,
                known: CellTracer::new(roles, loop_share(), from),
                strict: CellTracer::new(roles, 0.0, from),
            }
        };
        Self((0..study.choices).map(choice).collect())
    }

    /// A cell leaves a node.
    pub(super) fn departure(&mut self, at: Instant, crossing: Crossing) {
        for adversary in &mut self.0 {
            adversary.departure(at, crossing);
        }
    }

    /// A cell arrives at a node.
    pub(super) fn arrival(&mut self, at: Instant, crossing: Crossing) {
        for adversary in &mut self.0 {
            adversary.arrival(at, crossing);
        }
    }

    /// The success of those that know positions.
    pub(super) fn known(&self) -> Option<ScoreReport> {
        let scores: Vec<Score> = self.0.iter().map(|one| one.known.score).collect();
        ScoreReport::of(&scores)
    }

    /// The success of those that also recognise loops.
    pub(super) fn strict(&self) -> Option<ScoreReport> {
        let scores: Vec<Score> = self.0.iter().map(|one| one.strict.score).collect();
        ScoreReport::of(&scores)
    }
}

impl Adversary {
    fn is_hostile(&self, relay: Option<u32>) -> bool {
        let number = relay.and_then(|relay| usize::try_from(relay).ok());
        number.is_some_and(|number| self.hostile.get(number) == Some(&true))
    }

    fn departure(&mut self, at: Instant, crossing: Crossing) {
        if self.is_hostile(crossing.truth.sending_relay) {
            return;
        }
        let hostile = self.is_hostile(crossing.relay);
        let (from, disclosed) = match (crossing.before, crossing.relay) {
            (None, _) => (CellPlace::Sender(crossing.truth.sender), None),
            (before, Some(relay)) if hostile => (CellPlace::HostileRelay(relay), before),
            (_, Some(relay)) => (CellPlace::Relay(relay), None),
            // A client passes on nothing.
            (_, None) => return,
        };
        let event = CellSighting::Departure {
            transfer: Transfer::new(crossing.transfer),
            from,
            to_sender: crossing.to_client,
            position: Some(crossing.position),
            disclosed: disclosed.map(Transfer::new),
        };
        self.show(at, event, crossing);
    }

    fn arrival(&mut self, at: Instant, crossing: Crossing) {
        if self.is_hostile(crossing.truth.sending_relay) {
            return;
        }
        let to = match crossing.relay {
            _ if crossing.ends && crossing.truth.is_loop => {
                CellPlace::Sender(crossing.truth.sender)
            }
            Some(relay) if crossing.ends => CellPlace::HostileRendezvous(relay),
            Some(relay) if self.is_hostile(crossing.relay) => CellPlace::HostileRelay(relay),
            Some(relay) => CellPlace::Relay(relay),
            None => CellPlace::Sender(crossing.truth.sender),
        };
        let event = CellSighting::Arrival {
            transfer: Transfer::new(crossing.transfer),
            to,
            position: Some(crossing.position),
        };
        self.show(at, event, crossing);
    }

    fn show(&mut self, at: Instant, event: CellSighting, crossing: Crossing) {
        self.known.observe(at, event, crossing);
        if !crossing.truth.is_loop {
            self.strict.observe(at, event, crossing);
        }
    }
}

impl CellTracer {
    fn new(roles: &Roles, loop_share: f64, from: Instant) -> Self {
        let mut filter = ForwardFilter::new(PublicRules {
            senders: roles.senders(),
            hops: 5,
            delay: DelayClass::LOCAL.mean(),
            hold: Duration::from_secs(10),
            loop_share,
            loss: 0.0,
        });
        for sender in 0..roles.senders() {
            filter.observe(Instant::ZERO, CellSighting::Online { sender });
        }
        Self {
            filter,
            score: Score::default(),
            from,
        }
    }

    fn observe(&mut self, at: Instant, event: CellSighting, crossing: Crossing) {
        if let Some(probabilities) = self.filter.observe(at, event)
            && at >= self.from
            && !crossing.truth.is_loop
        {
            let sender = usize::try_from(crossing.truth.sender).unwrap_or(usize::MAX);
            self.score
                .add(&probabilities, sender, crossing.truth.waited);
        }
    }
}

/// The probability that an emission is a loop, by the published rates.
fn loop_share() -> f64 {
    let per_second = |mean: Duration| 1.0 / mean.as_secs_f64();
    let loops = per_second(StreamRate::FULL.loops());
    loops / (loops + per_second(StreamRate::FULL.payload()))
}

/// A share of a number, rounded.
fn count_of(share: f64, of: usize) -> usize {
    let wanted = share * f64::from(u32::try_from(of).unwrap_or(u32::MAX));
    (0..of)
        .take_while(|number| f64::from(u32::try_from(*number).unwrap_or(u32::MAX)) + 0.5 <= wanted)
        .count()
}
