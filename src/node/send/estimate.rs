//! Estimates: what a message would cost, and how long it would take, without sending it.

mod mixing;

use core::time::Duration;

use circuits::dispersal::Class;
use circuits::level::{EmissionSchedule, Insertion, Level, LevelRules};
use circuits::time::Now;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::compose::{draft_whole, life_of, with_content};
use super::content::MessageContent;
use super::{SendContext, Sender};
use crate::envelope_builder::{SealedShape, ShapedMessage};
use crate::latency_model::{DEFAULT_LINK, PathModel};
use crate::message::CopyTag;
use crate::node::command::{ReaderKind, Refusal, SendRequest};
use crate::node::event::MessageId;
use crate::node::views::{EstimateView, PriceView};

/// The cells of one message.
struct CellPlan {
    /// Number of relays before the rendezvous, per lane.
    lanes: Vec<usize>,
    /// Number of shards sent, and needed.
    shards: usize,
    needed: usize,
    /// Number of cells over all hops.
    cell_hops: usize,
}

impl Sender {
    /// Estimates the cost of a message. Draws nothing from the node's generator.
    ///
    /// # Errors
    ///
    /// [`Refusal`] for which [`send`](Self::send) would refuse the message.
    pub(in crate::node) fn estimate(
        &self,
        now: Now,
        request: &SendRequest,
        context: SendContext<'_>,
    ) -> Result<EstimateView, Refusal> {
        let level = request.level.unwrap_or(self.default_level);
        self.estimate_at(now, level, request, context)
    }

    fn estimate_at(
        &self,
        now: Now,
        level: Level,
        request: &SendRequest,
        context: SendContext<'_>,
    ) -> Result<EstimateView, Refusal> {
        context.check_level(now, level)?;
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let tag = CopyTag::draw(&mut rng);
        with_content(request, now, level, tag, context, |content| {
            let content = content.without_key();
            self.estimate_content(&mut rng, now, level, request.reader, &content, context)
        })
    }

    /// Estimates the price of a message of a user, unless it has one or cannot be sent now.
    pub(super) fn set_price(&mut self, now: Now, id: MessageId, context: SendContext<'_>) {
        let message = self.messages.get(&id);
        let unpriced = message
            .filter(|message| message.price().is_none() && !message.is_single_attempt())
            .and_then(|message| Some((message.level(), message.request()?)));
        let estimate = unpriced
            .and_then(|(level, request)| self.estimate_at(now, level, request, context).ok());
        if let (Some(estimate), Some(message)) = (estimate, self.messages.get_mut(&id)) {
            message.set_price(PriceView::of(&estimate));
        }
    }

    /// Estimates the cost of a body of a conversation, of which only length and form are known.
    ///
    /// # Errors
    ///
    /// [`Refusal`] for which [`send`](Self::send) would refuse the body.
    pub(in crate::node) fn estimate_shape(
        &self,
        now: Now,
        shape: SealedShape,
        (level, life): (Level, Duration),
        context: SendContext<'_>,
    ) -> Result<EstimateView, Refusal> {
        context.check_level(now, level)?;
        let content = MessageContent::Shaped(ShapedMessage {
            shape,
            life: life_of(now, level, life, context),
            pow_minimum: context.gossip.configured_min_pow(),
        });
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        self.estimate_content(&mut rng, now, level, ReaderKind::Whisht, &content, context)
    }

    fn estimate_content(
        &self,
        rng: &mut ChaCha20Rng,
        now: Now,
        level: Level,
        reader: ReaderKind,
        content: &MessageContent<'_>,
        context: SendContext<'_>,
    ) -> Result<EstimateView, Refusal> {
        let (draft, job) = draft_whole(rng, now, level, content, context)?;
        if level.is_mixing() {
            let plan = mixing::plan(content, reader, level, draft.size.len())?;
            return Ok(self.estimate_mixing(now, &plan, level, (&draft, &job), context));
        }
        let envelope_bytes = draft.size.len();
        let rules = level.rules();
        let plan = plan_cells(now, rules, envelope_bytes, context)?;
        let model = PathModel {
            lanes: plan.lanes,
            shards: plan.shards,
            needed: plan.needed,
            gap: match rules.emission {
                EmissionSchedule::OnDemand { gap } => gap,
                EmissionSchedule::None | EmissionSchedule::Stream { .. } => Duration::ZERO,
            },
            link: DEFAULT_LINK,
            delay: rules.delay.mean(context.directory.mix_network(now).class()),
            hold: rules.hold,
            stem: rules.insertion != Insertion::Gossip,
        };
        let latency = model.latency();
        let seconds = context.gossip.expected_seconds(&job);
        let mining = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(EstimateView {
            level,
            envelope_bytes,
            envelopes: 1,
            expected_hashes: job.expected_hashes(),
            sealing_ms: mining.map(millis),
            cells: plan.shards,
            own_bytes: if plan.shards == 0 {
                whole(envelope_bytes)
            } else {
                whole(plan.shards).saturating_mul(CELL_FRAME_LEN)
            },
            network_bytes: whole(plan.cell_hops).saturating_mul(CELL_FRAME_LEN),
            flood_bytes: whole(envelope_bytes),
            wait_ms: 0,
            median_ms: millis(latency.median),
            p95_ms: millis(latency.p95),
            first_attempt: None,
            profile: self.profile,
        })
    }
}

fn plan_cells(
    now: Now,
    rules: &LevelRules,
    envelope_bytes: usize,
    context: SendContext<'_>,
) -> Result<CellPlan, Refusal> {
    if rules.insertion != Insertion::HeldStem {
        return Ok(CellPlan {
            lanes: Vec::new(),
            shards: 0,
            needed: 0,
            cell_hops: 0,
        });
    }
    let lanes = context.directory.preview_lanes(now, rules, context.peers);
    let plan = lanes
        .map_err(|error| Refusal::policy(error.to_string(), "wait until more relays are known"))?;
    let class = Class::converge(envelope_bytes).unwrap_or_else(Class::whole);
    let hops: Vec<usize> = plan.lanes.iter().map(|lane| lane.hops.len()).collect();
    let shards = usize::from(class.n());
    let all_hops = shards.saturating_mul(hops.iter().sum());
    Ok(CellPlan {
        lanes: hops.iter().map(|hops| hops.saturating_sub(1)).collect(),
        shards,
        needed: usize::from(class.k()),
        cell_hops: all_hops.checked_div(hops.len()).unwrap_or(0),
    })
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Bytes of one cell on a link, RLPx framing included.
const CELL_FRAME_LEN: u64 = 976;
