//! Emission: the cells of this node at the levels with cover traffic, one per slot of a fixed stream.
//!
//! The stream decides when a cell leaves, from start to exit. This component decides which cell
//! leaves: a cell of the queue if one is ready, and cover otherwise. All of them go to the mixing
//! guard.
//!
//! Invariants, which `tests` and tests/emission.rs hold:
//!
//! 1. Instant, length and link of the cells towards the guard are a function of the start, the seed
//!    of the stream, and of whether the link to the guard is up.
//! 2. A loop is never displaced.
//! 3. A slot sends at most one cell, and no cell leaves outside a slot.
//! 4. No message, arrival, retry, command, change of the directory or turn of an epoch draws from the
//!    generators of the stream or of cover.
//! 5. While the link to the guard is down, slots send nothing: cover is lost, cells of messages wait,
//!    and nothing is made up for.
//! 6. While the link is up, every slot sends a cell. If no route exists in this epoch, because the guard
//!    is not in the snapshot or a layer is empty, the cell is filler that the guard drops.
//!
//! The component seals no cell in the turn of a slot unless the workers are behind, draws no path of a
//! message, and does not dial: `directory` keeps the link to the guard.

mod client_loops;
mod cover;
mod queue;
mod routes;
mod seal;
#[cfg(feature = "sim")]
mod synthetic;

use core::time::Duration;

use circuits::arithmetic::Arithmetic;
use circuits::cell::Cell;
use circuits::cell_builder::Hop;
use circuits::erasing_rng::ErasingRng;
use circuits::ids::{Epoch, LinkId, ShortId};
use circuits::loops::{LoopCounts, LoopFault, LoopLedger, LoopNonce};
use circuits::stream::{EmissionStream, StreamSlot};
use circuits::time::{Instant, Now};

pub(super) use self::cover::CoverRoutes;
pub(super) use self::queue::{CellOwner, EmissionQueueFull, QueuedCell};
pub(super) use self::routes::MixRoutes;
pub(super) use self::seal::SealJob;
#[cfg(feature = "sim")]
pub(super) use self::synthetic::synthetic_cells;

use self::client_loops::ClientLoops;
use self::cover::{CoverScope, CoverStock, SealedCover};
use self::queue::{DisplacedCover, EmissionQueue};
use super::action::Action;
use super::config::Cover;
use super::effects::{Counter, Effects};
use super::event::MessageId;
use super::jobs::{JobId, JobResult};
use super::timers::TimerId;
use super::views::{EmissionView, LoopAlarmView};

/// The cells of this node at the levels with cover traffic.
pub(super) struct Emission {
    cover: Cover,
    /// `None` without cover traffic: then no cell leaves.
    stream: Option<EmissionStream>,
    stock: CoverStock,
    queue: EmissionQueue,
    /// The end of the loops of a client, while the link to its guard is up.
    end: Option<ClientLoops>,
    ledger: LoopLedger,
    counts: SlotCounts,
    arithmetic: Arithmetic,
}

/// What the slots so far did.
#[derive(Default)]
struct SlotCounts {
    /// Cells that left.
    sent: u64,
    /// Slots that passed while the link to the guard was down.
    guard_down: u64,
    /// Slots without a route, with filler or without.
    no_route: u64,
}

/// What a slot needs to know of the rest of the node.
#[derive(Clone, Copy)]
pub(super) struct SlotContext<'a> {
    /// The routes of cover; `None` if the directory has too few relays.
    pub(super) routes: Option<&'a dyn CoverRoutes>,
    /// The mixing guard, if it is chosen.
    pub(super) guard: Option<ShortId>,
    /// The link to it, if it is up.
    pub(super) link: Option<GuardLink>,
    /// This node as a relay, with its key of the epoch of the routes; `None` for a client.
    pub(super) own: Option<Hop>,
}

/// The link to the mixing guard.
#[derive(Clone, Copy)]
pub(super) struct GuardLink {
    pub(super) link: LinkId,
    /// The name by which the guard sends cells over it.
    pub(super) handle: ShortId,
}

impl Emission {
    /// The stream begins at `now`. `rng` is used for its instants alone.
    pub(super) fn new(cover: Cover, arithmetic: Arithmetic, rng: ErasingRng, now: Instant) -> Self {
        let rate = cover.rate();
        Self {
            cover,
            stream: rate.map(|rate| EmissionStream::new(rng, rate, now)),
            stock: CoverStock::default(),
            queue: EmissionQueue::default(),
            end: None,
            ledger: LoopLedger::new(),
            counts: SlotCounts::default(),
            arithmetic,
        }
    }

    /// How much cover traffic this node sends.
    pub(super) const fn cover(&self) -> Cover {
        self.cover
    }

    /// Arms the timer of the first slot.
    pub(super) fn start(&self, fx: &mut Effects) {
        let due = self.stream.as_ref().map(EmissionStream::next_due);
        fx.arm(TimerId::Emission, due);
    }

    /// Mixes entropy into the generator of the stream.
    pub(super) fn reseed(&mut self, entropy: &[u8; 32]) {
        if let Some(stream) = &mut self.stream {
            stream.reseed(entropy);
        }
    }

    // -- the queue

    /// Queues cells for the next payload slots, all of them or none.
    ///
    /// # Errors
    ///
    /// [`EmissionQueueFull`] with the expected time until there is room; never without cover traffic.
    pub(super) fn enqueue(
        &mut self,
        fx: &mut Effects,
        now: Now,
        cells: Vec<QueuedCell>,
    ) -> Result<(), EmissionQueueFull> {
        if self.stream.is_none() || !self.queue.push(cells) {
            return Err(EmissionQueueFull { wait: self.wait() });
        }
        self.queue.seal_next(fx, now.mono, self.arithmetic);
        Ok(())
    }

    /// Removes the cells of a message that have not left.
    pub(super) fn withdraw(&mut self, message: MessageId) {
        self.queue.withdraw(message);
    }

    /// Expected time until a cell that is queued now leaves.
    pub(super) fn wait(&self) -> Duration {
        let stream = self.stream.as_ref();
        stream.map_or(Duration::MAX, |stream| {
            self.queue.wait(stream.rate().payload())
        })
    }

    /// Number of cells that can be queued now; none without cover traffic.
    pub(super) fn room(&self) -> usize {
        match self.stream {
            Some(_) => queue::MAX_QUEUED.saturating_sub(self.queue.len()),
            None => 0,
        }
    }

    /// Mean time between two payload slots; zero without cover traffic.
    pub(super) fn slot_time(&self) -> Duration {
        let stream = self.stream.as_ref();
        stream.map_or(Duration::ZERO, |stream| stream.rate().payload())
    }

    /// Expected time until the cells that are queued now have left.
    pub(super) fn queue_time(&self) -> Duration {
        match self.stream {
            Some(_) => self.wait().saturating_sub(self.slot_time()),
            None => Duration::ZERO,
        }
    }

    /// Whether cells of messages can leave at all.
    pub(super) const fn has_cover(&self) -> bool {
        self.stream.is_some()
    }

    // -- slots

    /// Sends the cell of each slot that is due.
    pub(super) fn run(&mut self, fx: &mut Effects, now: Now, context: SlotContext<'_>) {
        self.follow_link(context.link);
        while let Some(slot) = self.stream.as_mut().and_then(|stream| stream.pop(now.mono)) {
            match slot {
                StreamSlot::Payload => self.payload_slot(fx, now, context),
                StreamSlot::Loop => self.loop_slot(fx, now, context),
            }
        }
        self.ledger.expire(now.mono);
        if let Some(end) = &mut self.end {
            end.expire(now);
        }
        self.start(fx);
    }

    /// One cell of a message if one is ready, and cover otherwise.
    fn payload_slot(&mut self, fx: &mut Effects, now: Now, context: SlotContext<'_>) {
        let scope = self.scope(fx, context);
        let cover = scope.and_then(|scope| {
            let cover = self.stock.take_payload(fx, scope);
            self.stock.refill(fx, scope);
            cover
        });
        let Some(cover) = cover else {
            self.expire_queued(fx, now, context);
            return self.fill(fx, now, context.link);
        };
        for owner in self.queue.remove_outdated(now.mono, cover.displaced()) {
            fx.request(Action::CellExpired(owner));
        }
        let Some(GuardLink { link, .. }) = context.link else {
            self.counts.guard_down = self.counts.guard_down.saturating_add(1);
            return;
        };
        match self.queue.take(now.mono, cover.displaced()) {
            Some(taken) => {
                self.send(fx, link, taken.cell);
                fx.request(Action::CellLeft(taken.owner));
            }
            None => self.send(fx, link, cover.cell),
        }
        self.queue.seal_next(fx, now.mono, self.arithmetic);
    }

    /// One loop.
    fn loop_slot(&mut self, fx: &mut Effects, now: Now, context: SlotContext<'_>) {
        let Some(GuardLink { link, .. }) = context.link else {
            self.counts.guard_down = self.counts.guard_down.saturating_add(1);
            return;
        };
        let scope = self.scope(fx, context);
        let cover = scope.and_then(|scope| {
            let cover = self.stock.take_loop(fx, scope);
            self.stock.refill(fx, scope);
            cover
        });
        let Some(SealedCover { cell, draft }) = cover else {
            return self.fill(fx, now, context.link);
        };
        if let Some((departing, _)) = draft.departing {
            self.ledger.departed(now.mono, departing);
        }
        self.send(fx, link, cell);
    }

    fn send(&mut self, fx: &mut Effects, link: LinkId, cell: Cell) {
        self.counts.sent = self.counts.sent.saturating_add(1);
        fx.request(Action::SendCellOver(link, cell));
    }

    /// The cell of a slot without a route. A slot without a cell would show the observer of the line
    /// that the guard is not in the snapshot, and would end the stream for an epoch.
    fn fill(&mut self, fx: &mut Effects, now: Now, link: Option<GuardLink>) {
        self.counts.no_route = self.counts.no_route.saturating_add(1);
        if let Some(GuardLink { link, .. }) = link {
            let filler = Cell::filler(Epoch::at(now.unix), fx.cover_rng());
            self.send(fx, link, filler);
        }
    }

    /// Cells of messages for an earlier epoch cannot leave any more, although no cover shows its epoch.
    fn expire_queued(&mut self, fx: &mut Effects, now: Now, context: SlotContext<'_>) {
        let Some(guard) = context.guard else {
            return;
        };
        let epoch = Epoch::at(now.unix);
        let current = DisplacedCover { epoch, guard };
        for owner in self.queue.remove_outdated(now.mono, current) {
            fx.request(Action::CellExpired(owner));
        }
    }

    /// Where cover can go; `None` without a guard.
    fn scope<'a>(&mut self, fx: &mut Effects, context: SlotContext<'a>) -> Option<CoverScope<'a>> {
        let guard = context.guard?;
        let end = context.own.or_else(|| {
            let GuardLink { handle, .. } = context.link?;
            let epoch = context.routes?.epoch();
            let arithmetic = self.arithmetic;
            let end = self
                .end
                .get_or_insert_with(|| ClientLoops::new(fx.cover_rng(), handle, arithmetic));
            end.hop(fx.cover_rng(), epoch)
        });
        Some(CoverScope {
            routes: context.routes,
            guard,
            end,
            is_relay: context.own.is_some(),
            arithmetic: self.arithmetic,
        })
    }

    /// If the link to the guard is another one, or none, the loops of a client cannot return: their
    /// keys are wiped.
    fn follow_link(&mut self, link: Option<GuardLink>) {
        let is_current =
            |end: &ClientLoops| link.is_some_and(|GuardLink { handle, .. }| end.is_at(handle));
        if self.end.as_ref().is_some_and(|end| !is_current(end)) {
            self.end = None;
            self.ledger.forget_away();
        }
    }

    // -- what comes back

    /// A job has ended; `None` if it was stopped.
    pub(super) fn on_sealed(&mut self, fx: &mut Effects, job: JobId, result: Option<JobResult>) {
        let cell = match result {
            Some(JobResult::Cell(cell)) => cell.ok(),
            _ => None,
        };
        match self.queue.on_sealed(job, cell) {
            Ok(Some(owner)) => fx.request(Action::CellExpired(owner)),
            Ok(None) => {}
            Err(cell) => self.stock.on_sealed(job, cell),
        }
    }

    /// A cell came to a node that does not relay. Returns whether it came from the guard; every other
    /// cell is lost.
    pub(super) fn on_cell(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        guard: Option<GuardLink>,
        cell: Cell,
    ) -> bool {
        let is_guard = guard.is_some_and(|guard| guard.link == from);
        self.follow_link(guard);
        let Some(end) = self.end.as_mut().filter(|_| is_guard) else {
            fx.count(Counter::CellsDropped);
            return is_guard;
        };
        let (loops, lost) = end.accept(now, from, cell);
        fx.count_many(Counter::CellsDropped, lost);
        for nonce in loops {
            self.on_loop(fx, now, nonce);
        }
        true
    }

    /// A loop of this node came back.
    pub(super) fn on_loop(&mut self, fx: &mut Effects, now: Now, nonce: LoopNonce) {
        if !self.ledger.returned(now.mono, nonce) {
            fx.count(Counter::CellsDropped);
        }
    }

    // -- views

    /// The state of the stream and of the loops, for users.
    pub(super) fn view(&self) -> EmissionView {
        let LoopCounts { returned, lost, .. } = self.ledger.counts();
        let alarm = self.ledger.alarm().map(|alarm| LoopAlarmView {
            relay: alarm.relay.to_string(),
            fault: match alarm.fault {
                LoopFault::Loss => "drops",
                LoopFault::Delay => "delays",
            }
            .to_owned(),
            probes: alarm.probes,
            lost: alarm.lost,
            sigmas: alarm.sigmas,
        });
        EmissionView {
            cover: self.cover.word().to_owned(),
            sent: self.counts.sent,
            guard_down: self.counts.guard_down,
            no_route: self.counts.no_route,
            queued: self.queue.len(),
            loops_returned: returned,
            loops_lost: lost,
            alarm,
        }
    }
}

#[cfg(test)]
mod tests;
