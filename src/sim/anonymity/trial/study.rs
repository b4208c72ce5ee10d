//! A study: many worlds of one model, and the success of an adversary that traces single cells, or
//! adds up the evidence of messages that it knows to have one sender.

use core::time::Duration;

use circuits::time::Instant;
use serde::Serialize;

use super::model::MixModel;
use super::score::{Interval, Score, ScoreReport, best_of};
use super::traffic::ModelTraffic;
use super::truth::Truth;
use super::view::Knowledge;
use crate::sim::anonymity::adversary::{BlindFilter, ForwardFilter, log_posterior, posterior_of};
use crate::sim::anonymity::sighting::{CellSighting, index};
use crate::sim::seed::{SmallRng, WorldSeed};

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Study {
    /// The network.
    pub model: MixModel,
    /// What the adversary knows beside all links.
    pub knowledge: Knowledge,
    /// Messages that are traced in each world.
    pub targets: u32,
    /// Messages of one sender that the adversary knows to belong together; 1 for single messages.
    pub linked: u32,
    /// The seed of everything random.
    pub seed: u64,
}

/// The adversary's success in one world.
#[derive(Clone, Debug)]
pub struct WorldScore {
    /// By the number of linked messages, ascending.
    linked: Vec<LinkedScore>,
}

#[derive(Clone, Debug)]
struct LinkedScore {
    messages: u32,
    score: Score,
    senders: Vec<SenderGuesses>,
}

/// The best guesses about the messages of one sender. Every other one ranks the senders, and the rest
/// measures them, so that chance cannot make a sender unlucky.
#[derive(Clone, Copy, Debug, Default)]
struct SenderGuesses {
    halves: [(f64, f64); 2],
    added: u32,
}

/// The result of a study.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AnonymityReport {
    /// Worlds that were simulated.
    pub worlds: u32,
    /// The adversary's success with the greatest number of linked messages.
    #[serde(flatten)]
    pub most: LinkedReport,
    /// Its success with fewer.
    pub fewer: Vec<LinkedReport>,
}

/// The adversary's success with some number of linked messages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LinkedReport {
    /// Messages of one sender that the adversary knows to belong together.
    pub linked: u32,
    /// The figures.
    #[serde(flatten)]
    pub score: ScoreReport,
    /// The mean best guess about the tenth of the senders about whom it is greatest, if the messages
    /// suffice to find them.
    pub unluckiest_tenth: Option<Interval>,
}

/// An adversary that reads sightings and names senders.
enum LinkObserver {
    Forward(ForwardFilter),
    Blind(BlindFilter),
}

impl LinkObserver {
    fn new(knowledge: Knowledge, model: &MixModel) -> Self {
        let rules = knowledge.rules(model);
        match knowledge {
            Knowledge::Links => Self::Blind(BlindFilter::new(rules)),
            Knowledge::Positions | Knowledge::Loops => Self::Forward(ForwardFilter::new(rules)),
        }
    }

    fn observe(&mut self, at: Instant, event: CellSighting) -> Option<Vec<f64>> {
        match self {
            Self::Forward(filter) => filter.observe(at, event),
            Self::Blind(filter) => filter.observe(at, event),
        }
    }
}

impl Study {
    /// The adversary's success in the world with this number.
    #[must_use]
    pub fn world(&self, number: u32) -> WorldScore {
        let seed = world_seed(self.seed, number);
        let mut traffic = ModelTraffic::new(self.model, seed);
        let mut adversary = LinkObserver::new(self.knowledge, &self.model);
        let mut tracing = Tracing::new(self, seed.small_rng("messages", &[]));
        while let Some((at, event, truth)) = traffic.next(tracing.end) {
            let Some(event) = self.knowledge.sees(event, truth) else {
                continue;
            };
            if let Some(probabilities) = adversary.observe(at, event) {
                tracing.add(at, &probabilities, truth);
                if tracing.is_complete() {
                    break;
                }
            }
        }
        tracing.world
    }
}

/// The seed of one world of a study.
pub(super) fn world_seed(study: u64, number: u32) -> WorldSeed {
    let seed = WorldSeed::from_number(study);
    WorldSeed(seed.derive("anonymity", &[number.into()]))
}

impl AnonymityReport {
    /// The figures of these worlds; none if no message was traced.
    #[must_use]
    pub fn of(worlds: &[WorldScore]) -> Option<Self> {
        let numbers = worlds.first()?.linked.iter().map(|linked| linked.messages);
        let mut reports: Vec<LinkedReport> = numbers
            .filter_map(|messages| LinkedReport::of(worlds, messages))
            .collect();
        Some(Self {
            worlds: u32::try_from(worlds.len()).unwrap_or(u32::MAX),
            most: reports.pop()?,
            fewer: reports,
        })
    }
}

impl LinkedReport {
    fn of(worlds: &[WorldScore], messages: u32) -> Option<Self> {
        let linked = worlds.iter().flat_map(|world| &world.linked);
        let linked: Vec<&LinkedScore> = linked.filter(|one| one.messages == messages).collect();
        let scores: Vec<Score> = linked.iter().map(|one| one.score).collect();
        let unlucky: Vec<f64> = linked
            .iter()
            .filter_map(|one| unluckiest_tenth(&one.senders))
            .collect();
        Some(Self {
            linked: messages,
            score: ScoreReport::of(&scores)?,
            unluckiest_tenth: (!unlucky.is_empty()).then(|| Interval::of(&unlucky)),
        })
    }
}

impl LinkedScore {
    fn new(messages: u32, senders: usize) -> Self {
        Self {
            messages,
            score: Score::default(),
            senders: vec![SenderGuesses::default(); senders],
        }
    }

    fn add(&mut self, probabilities: &[f64], sender: usize, weight: f64) {
        self.score.add(probabilities, sender, weight);
        if let Some(own) = self.senders.get_mut(sender) {
            let [ranking, measuring] = &mut own.halves;
            let half = if own.added.is_multiple_of(2) {
                ranking
            } else {
                measuring
            };
            half.0 += weight * best_of(probabilities);
            half.1 += weight;
            own.added += 1;
        }
    }
}

/// The mean best guess about the tenth of the senders about whom it is greatest; none if there are
/// too few messages to rank them.
fn unluckiest_tenth(senders: &[SenderGuesses]) -> Option<f64> {
    let mean = |(sum, weight): (f64, f64)| (weight > 0.0).then(|| sum / weight);
    let mut ranked: Vec<(f64, f64)> = senders
        .iter()
        .filter_map(|sender| Some((mean(sender.halves[0])?, mean(sender.halves[1])?)))
        .collect();
    if ranked.len() < senders.len() / 2 {
        return None;
    }
    ranked.sort_by(|one, other| other.0.total_cmp(&one.0));
    ranked.truncate(ranked.len().div_ceil(10));
    let count = f64::from(u32::try_from(ranked.len()).ok()?);
    Some(ranked.iter().map(|(_, measured)| measured).sum::<f64>() / count)
}

/// The messages that are traced in one world.
struct Tracing {
    world: WorldScore,
    targets: u32,
    /// Cells that arrive before this left while the pools were still filling.
    start: Instant,
    end: Instant,
    /// Time between two messages of one sender: the traffic that hides the next one is fresh.
    spacing: Duration,
    /// Time after its due time in which a message must leave, else its sender was offline and it is left
    /// out: a message that waits for its sender would not be written at a uniform time.
    patience: Option<Duration>,
    linked: u32,
    senders: Vec<LinkedMessages>,
    rng: SmallRng,
    /// The weight of a cell that always counts; 3 in 1,000 have more.
    most_weight: f64,
}

/// The evidence on the messages of one sender so far.
#[derive(Clone, Debug)]
struct LinkedMessages {
    count: u32,
    due: Instant,
    /// Logarithms of the products of probabilities, by suspect.
    evidence: Vec<f64>,
}

impl Tracing {
    fn new(study: &Study, rng: SmallRng) -> Self {
        let model = &study.model;
        let start = Instant::ZERO.after(model.settling_time());
        let path = model.delay.saturating_mul(model.routes.hops());
        // Over a day, senders have come and gone.
        let spacing = model
            .churn
            .map_or_else(|| path.saturating_mul(2), |churn| churn.day);
        let per_sender = f64::from(study.targets) / f64::from(model.senders) + 2.0;
        let rounds = Duration::from_secs(20).div_f64(model.payload_rate);
        let spaced = spacing.saturating_add(rounds).saturating_mul(study.linked);
        let missed = if model.churn.is_some() { 6.0 } else { 1.0 };
        let senders = index(model.senders);
        let linked = checkpoints(study.linked);
        Self {
            world: WorldScore {
                linked: linked
                    .map(|messages| LinkedScore::new(messages, senders))
                    .collect(),
            },
            targets: study.targets,
            start,
            end: start.after(spaced.mul_f64(per_sender * missed)),
            spacing,
            patience: model.churn.map(|_| path.saturating_mul(2)),
            linked: study.linked,
            rng,
            // With a patience, most cells of the window must have a chance, not only its first ones.
            most_weight: if model.churn.is_some() { 24.0 } else { 6.0 } / model.payload_rate,
            senders: vec![
                LinkedMessages {
                    count: 0,
                    due: start,
                    evidence: Vec::new(),
                };
                senders
            ],
        }
    }

    fn is_complete(&self) -> bool {
        let most = self.world.linked.last();
        most.is_some_and(|linked| linked.score.targets() >= self.targets)
    }

    fn add(&mut self, at: Instant, probabilities: &[f64], truth: Truth) {
        if at < self.start || truth.is_loop {
            return;
        }
        let sender = index(truth.sender);
        if self.linked <= 1 {
            if let Some(single) = self.world.linked.first_mut() {
                single.add(probabilities, sender, truth.waited);
            }
            return;
        }
        let Some(messages) = self.senders.get_mut(sender) else {
            return;
        };
        // Cells are messages in proportion to their weight, as in a single trace.
        if let Some(patience) = self.patience {
            while at >= messages.due.after(patience) {
                messages.due = messages.due.after(self.spacing);
            }
        }
        if at < messages.due || self.rng.unit() * self.most_weight > truth.waited {
            return;
        }
        messages.due = match self.patience {
            Some(_) => messages.due.after(self.spacing),
            None => at.after(self.spacing),
        };
        log_posterior(&mut messages.evidence, probabilities);
        messages.count += 1;
        let mut linked = self.world.linked.iter_mut();
        if let Some(linked) = linked.find(|linked| linked.messages == messages.count) {
            linked.add(&posterior_of(&messages.evidence), sender, 1.0);
        }
        if messages.count == self.linked {
            messages.count = 0;
            messages.evidence.clear();
        }
    }
}

/// The numbers of linked messages that are scored on the way to `linked`.
fn checkpoints(linked: u32) -> impl Iterator<Item = u32> {
    let fewer = [1, 3, 10, 30, 100].into_iter();
    fewer.filter(move |number| *number < linked).chain([linked])
}

#[cfg(test)]
mod tests;
