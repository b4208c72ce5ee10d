//! The stock of sealed cover: cells that are ready before their slot.
//!
//! Each slot takes one cell of cover out of the stock and has another sealed in its place, whether the
//! cell leaves or a cell of a message leaves instead. The work of the processor and the draws of the
//! generator are then the same for a busy node and an idle one. One payload slot in ten uses a dangling
//! shard, which a rendezvous cannot tell from a shard of a message whose other shards are late.

use std::collections::{BTreeMap, VecDeque};

use circuits::arithmetic::Arithmetic;
use circuits::cell::{Cell, HopDelay};
use circuits::cell_builder::{Hop, LayerSpec};
use circuits::dispersal::{Class, Cookie, Payload};
use circuits::distributions::{index, one_in};
use circuits::erasing_rng::ErasingRng;
use circuits::ids::{Epoch, ShortId};
use circuits::loops::{DepartingLoop, LoopNonce};
use circuits::rendezvous::{TicketBits, TicketSearch};
use core::time::Duration;
use rand_core::Rng;

use super::queue::DisplacedCover;
use super::seal::{DanglingShard, SealBody, SealJob};
use crate::node::effects::Effects;
use crate::node::jobs::{Job, JobId, JobOwner};

/// The routes that cells may take now, as the directory gives them.
pub(in crate::node) trait CoverRoutes {
    /// The epoch of the onion keys.
    fn epoch(&self) -> Epoch;
    /// Mean delay at each relay.
    fn delay(&self) -> Duration;
    /// Draws guard, middles and rendezvous; `None` if no route satisfies the rules.
    fn payload_route(&self, rng: &mut ErasingRng) -> Option<CoverRoute>;
    /// Draws the relays of a loop of this node, which is a relay or not; `None` if no route satisfies
    /// the rules.
    fn loop_relays(&self, rng: &mut ErasingRng, is_relay: bool) -> Option<Vec<Hop>>;
}

/// The route of one cell of cover that ends at a rendezvous.
pub(in crate::node) struct CoverRoute {
    /// Guard, middles, rendezvous.
    pub(in crate::node) hops: Vec<Hop>,
    /// The difficulty of tickets at the rendezvous.
    pub(in crate::node) ticket_bits: TicketBits,
}

/// What a cell of cover is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum CoverKind {
    /// Ends at a rendezvous, which drops it.
    Drop,
    /// One shard of a set that is never complete.
    Dangling,
    /// Returns to this node.
    Loop,
}

impl CoverKind {
    /// Number of cells that are kept ready. Slots follow one another within the time of a job now
    /// and then; the next dangling shard is ten slots away.
    const fn stock(self) -> usize {
        match self {
            Self::Drop => 4,
            Self::Dangling => 1,
            Self::Loop => 2,
        }
    }
}

/// A sealed cell of cover.
pub(super) struct SealedCover {
    pub(super) cell: Cell,
    pub(super) draft: CoverDraft,
}

impl SealedCover {
    /// What the guard can see of the cell.
    pub(super) const fn displaced(&self) -> DisplacedCover {
        DisplacedCover {
            epoch: self.draft.epoch,
            guard: self.draft.guard,
        }
    }
}

/// A cell of cover that is being sealed.
pub(super) struct CoverDraft {
    kind: CoverKind,
    epoch: Epoch,
    guard: ShortId,
    /// The mark and the route of a loop, and the name of the hop at which it ends.
    pub(super) departing: Option<(DepartingLoop, ShortId)>,
}

/// Where cover can go now.
#[derive(Clone, Copy)]
pub(super) struct CoverScope<'a> {
    pub(super) routes: Option<&'a dyn CoverRoutes>,
    /// The relay that all cells of this node are sent to.
    pub(super) guard: ShortId,
    /// Where loops end; `None` if they cannot return now.
    pub(super) end: Option<Hop>,
    /// Whether they end at this node as a relay.
    pub(super) is_relay: bool,
    pub(super) arithmetic: Arithmetic,
}

/// The cells that are ready or being sealed.
#[derive(Default)]
pub(super) struct CoverStock {
    ready: BTreeMap<CoverKind, VecDeque<SealedCover>>,
    sealing: BTreeMap<JobId, CoverDraft>,
    /// Whether a payload slot owes a dangling shard, because none was ready at its own.
    owes_dangling: bool,
}

impl CoverStock {
    /// The cover of a payload slot; `None` if there is no route.
    pub(super) fn take_payload(
        &mut self,
        fx: &mut Effects,
        scope: CoverScope<'_>,
    ) -> Option<SealedCover> {
        self.remove_misdirected(scope);
        self.owes_dangling |= one_in(fx.cover_rng(), DANGLING_ODDS);
        if self.owes_dangling
            && let Some(dangling) = self.pop(CoverKind::Dangling)
        {
            self.owes_dangling = false;
            return Some(dangling);
        }
        self.take(fx, scope, CoverKind::Drop)
    }

    /// The cell of a loop slot; `None` if there is no route.
    pub(super) fn take_loop(
        &mut self,
        fx: &mut Effects,
        scope: CoverScope<'_>,
    ) -> Option<SealedCover> {
        self.remove_misdirected(scope);
        self.take(fx, scope, CoverKind::Loop)
    }

    /// A cell that is ready. If the workers are behind, the cell is sealed here, because a slot
    /// without a cell would show that they are.
    fn take(
        &mut self,
        fx: &mut Effects,
        scope: CoverScope<'_>,
        kind: CoverKind,
    ) -> Option<SealedCover> {
        if let Some(ready) = self.pop(kind) {
            return Some(ready);
        }
        let (draft, mut job) = draw(fx.cover_rng(), scope, kind)?;
        let cell = job.seal_now()?;
        Some(SealedCover { cell, draft })
    }

    /// Has cells sealed until every kind has its stock.
    pub(super) fn refill(&mut self, fx: &mut Effects, scope: CoverScope<'_>) {
        for kind in [CoverKind::Drop, CoverKind::Dangling, CoverKind::Loop] {
            let ready = self.ready.get(&kind).map_or(0, VecDeque::len);
            let sealing = self.sealing.values().filter(|draft| draft.kind == kind);
            for _ in ready.saturating_add(sealing.count())..kind.stock() {
                let Some((draft, job)) = draw(fx.cover_rng(), scope, kind) else {
                    break;
                };
                let job = fx.start_job(JobOwner::Emission, Job::Seal(Box::new(job)));
                self.sealing.insert(job, draft);
            }
        }
    }

    /// A cell is sealed; `None` if the job was stopped.
    pub(super) fn on_sealed(&mut self, job: JobId, cell: Option<Cell>) {
        if let (Some(draft), Some(cell)) = (self.sealing.remove(&job), cell) {
            let ready = self.ready.entry(draft.kind).or_default();
            ready.push_back(SealedCover { cell, draft });
        }
    }

    fn pop(&mut self, kind: CoverKind) -> Option<SealedCover> {
        self.ready.get_mut(&kind)?.pop_front()
    }

    /// Removes cells for another guard, and loops whose end is gone.
    fn remove_misdirected(&mut self, scope: CoverScope<'_>) {
        let end = scope.end.map(|end| end.id.short());
        let leads = |draft: &CoverDraft| {
            let departing = draft.departing.as_ref();
            draft.guard == scope.guard && departing.is_none_or(|(_, own)| Some(*own) == end)
        };
        for ready in self.ready.values_mut() {
            ready.retain(|cover| leads(&cover.draft));
        }
        self.sealing.retain(|_, draft| leads(draft));
    }
}

/// Draws one cell of cover.
fn draw(
    rng: &mut ErasingRng,
    scope: CoverScope<'_>,
    kind: CoverKind,
) -> Option<(CoverDraft, SealJob)> {
    let routes = scope.routes?;
    let epoch = routes.epoch();
    let mut departing = None;
    let (hops, body) = match kind {
        CoverKind::Drop => {
            let hops = routes.payload_route(rng)?.hops;
            (hops, SealBody::Cover(Payload::Drop))
        }
        CoverKind::Dangling => {
            let route = routes.payload_route(rng)?;
            let dangling = dangling(rng, epoch, &route)?;
            (route.hops, SealBody::Dangling(Box::new(dangling)))
        }
        CoverKind::Loop => {
            let end = scope.end?;
            let mut hops = routes.loop_relays(rng, scope.is_relay)?;
            hops.push(end);
            let mut nonce = [0; 16];
            rng.fill_bytes(&mut nonce);
            departing = Some((nonce, end.id.short()));
            (hops, SealBody::Cover(Payload::Loop { nonce }))
        }
    };
    let layers = delayed(rng, &hops, routes.delay());
    let draft = CoverDraft {
        kind,
        epoch,
        guard: hops.first()?.id.short(),
        departing: departing.map(|(nonce, end)| (departing_loop(nonce, &layers), end)),
    };
    let job = SealJob::new(rng.child(), scope.arithmetic, epoch, layers, body);
    Some((draft, job))
}

/// A shard of a set that has no other shard.
fn dangling(rng: &mut ErasingRng, epoch: Epoch, route: &CoverRoute) -> Option<DanglingShard> {
    let class = Class::converge(0)?;
    let rendezvous = route.hops.last()?.id;
    let mut cookie = Cookie([0; 16]);
    rng.fill_bytes(&mut cookie.0);
    let bits = route.ticket_bits.for_class(class);
    Some(DanglingShard {
        cookie,
        class,
        index: u8::try_from(index(rng, usize::from(class.n()))?).ok()?,
        search: TicketSearch::new(rng, &rendezvous, epoch, cookie, bits),
    })
}

/// A delay for each relay, by the law of all cells of mixing levels. The last one is the hold.
fn delayed(rng: &mut ErasingRng, hops: &[Hop], mean: Duration) -> Vec<LayerSpec> {
    let last = hops.len().saturating_sub(1);
    let layer = |(at, hop): (usize, &Hop)| LayerSpec {
        hop: *hop,
        delay: HopDelay::sample(rng, if at == last { HOLD } else { mean }),
    };
    hops.iter().enumerate().map(layer).collect()
}

/// A loop with these layers. The last one is this node, which does not wait.
fn departing_loop(nonce: [u8; 16], layers: &[LayerSpec]) -> DepartingLoop {
    let relays = layers.split_last().map_or(layers, |(_, relays)| relays);
    let mut ids: Vec<ShortId> = relays.iter().map(|layer| layer.hop.id.short()).collect();
    ids.sort_unstable();
    ids.dedup();
    DepartingLoop {
        nonce: LoopNonce(nonce),
        relays: ids,
        delay: relays.iter().map(|layer| layer.delay.as_duration()).sum(),
    }
}

/// One payload cell of cover in ten is a dangling shard (spec M2).
const DANGLING_ODDS: u32 = 10;

/// Mean hold of cover, as of messages at `dark`.
const HOLD: Duration = Duration::from_secs(10);
