//! Emission: the shards of an envelope leave for the guard, each in a cell of its own, each lane at
//! its own pace.
//!
//! All messages together keep below the rate that a relay accepts from one link. Cells above it would be
//! dropped, and cost each message another attempt.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use circuits::arithmetic::Arithmetic;
use circuits::cell::HopDelay;
use circuits::cell_builder::{Hop, LayerSpec, seal_with};
use circuits::dispersal::{Payload, Shard, Ticket, disperse};
use circuits::distributions::{self, exponential};
use circuits::erasing_rng::ErasingRng;
use circuits::ids::{Epoch, ShortId};
use circuits::level::{EmissionSchedule, LevelRules};
use circuits::mixing::DelayClass;
use circuits::rate_limit::{Quota, TokenBucket};
use circuits::time::{Instant, Now};

use super::attempt::LaneRelays;
use super::message::{Departure, EchoWatch, PlanOutline, PlannedEnvelope, SendState};
use super::{SendContext, Sender};
use crate::latency_model::{DEFAULT_LINK, PathModel};
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
    /// Whether the next cell has its place in the guard's rate.
    reserved: bool,
}

/// The rate of our own cells towards each guard.
#[derive(Default)]
pub(super) struct CellPace(BTreeMap<ShortId, TokenBucket>);

impl CellPace {
    /// The bucket of a guard. Full buckets are dropped.
    fn of(&mut self, guard: ShortId, now: Instant) -> &mut TokenBucket {
        self.0.retain(|_, bucket| bucket.full_at() > now);
        self.0.entry(guard).or_default()
    }
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
                reserved: false,
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
            // Only mixing levels have the delay of the epoch, and no schedule on demand.
            delay: rules.delay.mean(DelayClass::default()),
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

    /// Sends the cells that are due, as far as the pace of the guard permits; the others become due
    /// later.
    fn send_due(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        arithmetic: Arithmetic,
        pace: &mut CellPace,
    ) {
        let pace = pace.of(self.guard, now);
        for lane in &mut self.lanes {
            while lane.next <= now && !lane.shards.is_empty() {
                if !core::mem::replace(&mut lane.reserved, true) {
                    lane.next = lane.next.max(pace.reserve(CELL_QUOTA, 1, now));
                    continue;
                }
                let Some(shard) = lane.shards.pop_front() else {
                    break;
                };
                lane.reserved = false;
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

    /// The time after the last cell in which 999 of 1,000 echoes arrive, if the links of the path are
    /// like ours; `one_way` is the measured delay of these. A random time is added, so that a
    /// rendezvous that withholds an envelope cannot predict the retry.
    fn echo_timeout(&self, rng: &mut ErasingRng, one_way: Option<Duration>) -> Duration {
        let lanes = self.outline.lanes().to_vec();
        let shards = lanes.len();
        let model = PathModel {
            lanes,
            shards,
            needed: shards,
            gap: Duration::ZERO,
            link: one_way.unwrap_or_default().clamp(DEFAULT_LINK, MAX_LINK),
            delay: self.delay,
            hold: self.hold.as_duration(),
            stem: true,
        };
        let floor = match one_way {
            Some(delay) if delay < SLOW_LINK => Duration::ZERO,
            _ => SLOW_TIMEOUT,
        };
        let patience = model.latency().p999.max(floor);
        patience.saturating_add(distributions::jitter(rng, patience))
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
        message.set_relays(LaneRelays::of(&planned.plan));
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
    pub(super) fn emit_cells(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        context: SendContext<'_>,
    ) {
        let arithmetic = self.arithmetic;
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let before = message.stage();
        let SendState::Emitting(emission, watch) = message.state_mut() else {
            return;
        };
        emission.send_due(fx, now.mono, arithmetic, &mut self.pace);
        if emission.sent == emission.total {
            let one_way = context.peers.one_way_delay();
            let patience = emission.echo_timeout(fx.path_rng(), one_way);
            let watch = watch.until(now.mono.after(patience));
            let departure = Departure::Cells(emission.total);
            self.replace_state(fx, id, SendState::Confirming(watch, departure));
        }
        self.settle(fx, id, before.as_ref());
    }
}

/// The rate of our own cells to one guard, below the 20 cells a second that a relay accepts from a link.
const CELL_QUOTA: Quota = Quota::per_second(15, 6);

/// Longest delay of a link that is waited for.
const MAX_LINK: Duration = Duration::from_secs(5);

/// Delay one way from which our links are like those through Tor, whose delays vary by the minute.
const SLOW_LINK: Duration = Duration::from_millis(150);

/// Shortest patience over slow or unmeasured links, without its random part.
const SLOW_TIMEOUT: Duration = Duration::from_secs(30);
