//! Emission: the shards of an envelope leave for the guard, each in a cell of its own, each lane at
//! its own pace.

use core::time::Duration;
use std::collections::VecDeque;

use circuits::arithmetic::Arithmetic;
use circuits::cell::HopDelay;
use circuits::cell_builder::{Hop, LayerSpec, seal_with};
use circuits::dispersal::{Payload, Shard, Ticket, disperse};
use circuits::distributions::{self, exponential};
use circuits::erasing_rng::ErasingRng;
use circuits::ids::{Epoch, ShortId};
use circuits::level::{EmissionSchedule, LevelRules};
use circuits::time::{Instant, Now};

use super::Sender;
use super::message::{Departure, EchoWatch, PlanOutline, PlannedEnvelope, SendState};
use crate::latency_model::PathModel;
use crate::node::action::Action;
use crate::node::effects::{Counter, Effects};
use crate::node::event::MessageId;

/// The shards of one envelope that have not left yet.
pub(super) struct CellEmission {
    guard: ShortId,
    /// The epoch of the onion keys of all layers.
    epoch: Epoch,
    /// Mean delay at each relay.
    delay: Duration,
    /// Delay at the rendezvous, the same for all shards.
    hold: HopDelay,
    /// Mean time between two shards of one lane.
    gap: Duration,
    lanes: Vec<LaneQueue>,
    sent: usize,
    total: usize,
    outline: PlanOutline,
}

/// The shards that remain for one lane.
struct LaneQueue {
    /// Guard, middles, rendezvous.
    hops: Vec<Hop>,
    shards: VecDeque<Shard>,
    next: Instant,
}

impl CellEmission {
    /// Disperses a planned envelope over its lanes; `None` if it does not fit its class.
    fn new(
        rng: &mut ErasingRng,
        now: Instant,
        rules: &LevelRules,
        planned: PlannedEnvelope,
        ticket: Ticket,
    ) -> Option<Self> {
        let EmissionSchedule::OnDemand { gap } = rules.emission else {
            return None;
        };
        let PlannedEnvelope {
            envelope,
            epoch,
            plan,
            class,
            cookie,
            outline,
        } = planned;
        let shards = disperse(rng, class, envelope.as_rlp()).ok()?;
        let hold = HopDelay::from_duration(rules.sample_hold(rng)).ok()?;
        let mut lanes: Vec<LaneQueue> = Vec::with_capacity(plan.lanes.len());
        for lane in &plan.lanes {
            lanes.push(LaneQueue {
                hops: lane.hops.clone(),
                shards: VecDeque::new(),
                next: now.after(exponential(rng, gap)),
            });
        }
        let total = shards.len();
        for (index, bytes) in (0_u8..).zip(shards) {
            let lane = usize::from(index).checked_rem(lanes.len())?;
            lanes.get_mut(lane)?.shards.push_back(Shard {
                cookie,
                class,
                index,
                ticket,
                bytes,
            });
        }
        Some(Self {
            guard: plan.guard.id.short(),
            epoch,
            delay: rules.delay,
            hold,
            gap,
            lanes,
            sent: 0,
            total,
            outline,
        })
    }

    /// Number of cells that have left.
    pub(super) const fn sent(&self) -> usize {
        self.sent
    }

    /// Number of all cells.
    pub(super) const fn total(&self) -> usize {
        self.total
    }

    /// What users see of the lanes.
    pub(super) const fn outline(&self) -> &PlanOutline {
        &self.outline
    }

    /// When the next cell leaves.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let lanes = self.lanes.iter().filter(|lane| !lane.shards.is_empty());
        lanes.map(|lane| lane.next).min()
    }

    /// Sends the cells that are due.
    fn send_due(&mut self, fx: &mut Effects, now: Instant, arithmetic: Arithmetic) {
        for lane in &mut self.lanes {
            while lane.next <= now {
                let Some(shard) = lane.shards.pop_front() else {
                    break;
                };
                lane.next = lane.next.after(exponential(fx.path_rng(), self.gap));
                self.sent = self.sent.saturating_add(1);
                let layers = layers(fx.path_rng(), &lane.hops, self.delay, self.hold);
                let delta = Payload::Shard(shard).emit(fx.key_rng());
                match seal_with(arithmetic, fx.key_rng(), self.epoch, &layers, &delta) {
                    Ok(cell) => fx.request(Action::SendCell(self.guard, cell)),
                    Err(_) => fx.count(Counter::CellsDropped),
                }
            }
        }
    }

    /// The time after the last cell in which 999 of 1,000 echoes arrive. A random time is added, so
    /// that a rendezvous that withholds an envelope cannot predict the retry.
    fn echo_timeout(&self, rng: &mut ErasingRng) -> Duration {
        let lanes = self.outline.lanes().to_vec();
        let shards = lanes.len();
        let model = PathModel {
            lanes,
            shards,
            needed: shards,
            gap: Duration::ZERO,
            delay: self.delay,
            hold: self.hold.as_duration(),
            stem: true,
        };
        let p999 = model.latency().p999;
        p999.saturating_add(distributions::jitter(rng, p999))
    }
}

/// The layers of one cell: a random delay at each relay, the common hold at the rendezvous.
fn layers(rng: &mut ErasingRng, hops: &[Hop], delay: Duration, hold: HopDelay) -> Vec<LayerSpec> {
    let last = hops.len().saturating_sub(1);
    let layer = |(at, hop): (usize, &Hop)| LayerSpec {
        hop: *hop,
        delay: if at == last {
            hold
        } else {
            HopDelay::sample(rng, delay)
        },
    };
    hops.iter().enumerate().map(layer).collect()
}

impl Sender {
    /// The ticket of a message is found: its shards start to leave.
    pub(in crate::node) fn on_ticket(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        ticket: Ticket,
    ) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let before = message.stage();
        let rules = message.level().rules();
        let Some(planned) = message.take_planned() else {
            return;
        };
        let hash = planned.envelope.hash();
        match CellEmission::new(fx.path_rng(), now.mono, rules, planned, ticket) {
            Some(emission) => {
                let watch = EchoWatch::new(hash, Some(emission.guard), None);
                self.replace_state(fx, id, SendState::Emitting(emission, watch));
                self.settle(fx, id, before.as_ref());
            }
            None => self.fail(fx, id, "the envelope does not fit its planned shards"),
        }
    }

    /// Sends the cells of a message that are due.
    pub(super) fn emit_cells(&mut self, fx: &mut Effects, now: Now, id: MessageId) {
        let arithmetic = self.arithmetic;
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let before = message.stage();
        let SendState::Emitting(emission, watch) = message.state_mut() else {
            return;
        };
        emission.send_due(fx, now.mono, arithmetic);
        if emission.sent == emission.total {
            let watch = watch.until(now.mono.after(emission.echo_timeout(fx.path_rng())));
            let departure = Departure::Cells(emission.total);
            self.replace_state(fx, id, SendState::Confirming(watch, departure));
        }
        self.settle(fx, id, before.as_ref());
    }
}
