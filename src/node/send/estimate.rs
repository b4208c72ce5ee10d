//! Estimates: what a message would cost, and how long it would take, without sending it.

use core::time::Duration;

use circuits::dispersal::Class;
use circuits::level::{EmissionSchedule, Insertion, LevelRules};
use circuits::time::Now;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::compose::compose;
use super::{SendContext, Sender};
use crate::latency_model::{DEFAULT_LINK, PathModel};
use crate::message::CopyTag;
use crate::node::command::{Refusal, SendRequest};
use crate::node::views::EstimateView;

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
        context.check_level(now, level)?;
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let tag = CopyTag::draw(&mut rng);
        let (draft, job) = compose(&mut rng, now, request, level, tag, context)?;
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
            expected_hashes: job.expected_hashes(),
            sealing_ms: mining.map(millis),
            cells: plan.shards,
            network_bytes: u64::try_from(plan.cell_hops)
                .unwrap_or(u64::MAX)
                .saturating_mul(CELL_FRAME_LEN),
            median_ms: millis(latency.median),
            p95_ms: millis(latency.p95),
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

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Bytes of one cell on a link, RLPx framing included.
const CELL_FRAME_LEN: u64 = 976;
