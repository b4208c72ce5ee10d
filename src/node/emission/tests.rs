//! The emission without a node.

use circuits::cell::HopDelay;
use circuits::cell_builder::LayerSpec;
use circuits::dispersal::Payload;
use circuits::geometry::{CELL_LEN, DELTA_LEN};
use circuits::ids::{Epoch, RelayId};
use circuits::keys::OnionSecret;
use circuits::relay::{DropReason, OnionRelay, Peeled, RelayLimits, ReplaySet};
use circuits::rendezvous::TicketBits;
use circuits::secret::Secret;
use rand_core::Rng;

use super::cover::CoverRoute;
use super::*;
use crate::node::fixture::START;
use crate::node::output::Output;

const GUARD_LINK: GuardLink = GuardLink {
    link: LinkId(5),
    handle: ShortId([8; 16]),
};

/// Routes over relays with the numbers 1 to 6, without chance.
struct FixedRoutes {
    epoch: Epoch,
    /// Whether the guard is in the snapshot.
    exist: bool,
}

fn secret(number: u8) -> OnionSecret {
    OnionSecret::from_secret(Secret::init_with(|key| key.fill(number)))
}

fn hop(number: u8) -> Hop {
    Hop {
        id: RelayId([number; 32]),
        onion: *secret(number).public(),
    }
}

impl CoverRoutes for FixedRoutes {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn delay(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn payload_route(&self, _: &mut ErasingRng) -> Option<CoverRoute> {
        Some(CoverRoute {
            hops: (1..=6).map(hop).collect(),
            ticket_bits: TicketBits::MIN,
        })
    }

    fn loop_relays(&self, _: &mut ErasingRng, is_relay: bool) -> Option<Vec<Hop>> {
        let last = if is_relay { 5 } else { 1 };
        Some([1, 2, 3, 4, last].map(hop).to_vec())
    }
}

/// An emission with its surroundings.
struct Scene {
    fx: Effects,
    emission: Emission,
    routes: FixedRoutes,
    link: Option<GuardLink>,
    now: Now,
    /// Whether jobs end at once.
    works: bool,
    waiting: Vec<(JobId, JobResult)>,
}

/// One action of an emission, with the time in microseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Acted {
    Cell(u64, LinkId),
    Left(CellOwner),
    Expired(CellOwner),
}

impl Scene {
    fn new() -> Self {
        let mut fx = Effects::for_test();
        let rng = fx.cover_rng().child();
        let emission = Emission::new(Cover::Full, Arithmetic::default(), rng, START.mono);
        emission.start(&mut fx);
        Self {
            fx,
            emission,
            routes: FixedRoutes {
                epoch: Epoch::at(START.unix),
                exist: true,
            },
            link: Some(GUARD_LINK),
            now: START,
            works: true,
            waiting: Vec::new(),
        }
    }

    /// Runs the slot that is due at this time.
    fn run_slot(&mut self, due: Instant) {
        self.now.mono = due;
        let routes: &dyn CoverRoutes = &self.routes;
        let context = SlotContext {
            routes: self.routes.exist.then_some(routes),
            guard: Some(hop(1).id.short()),
            link: self.link,
            own: None,
        };
        self.emission.run(&mut self.fx, self.now, context);
    }

    /// Runs all slots of the next `secs` seconds.
    fn run(&mut self, secs: u64) -> Vec<Acted> {
        let end = self.now.mono.after(Duration::from_secs(secs));
        let mut acted = Vec::new();
        loop {
            let due = self.emission.stream.as_ref().unwrap().next_due();
            if due > end {
                self.now.mono = end;
                return acted;
            }
            self.run_slot(due);
            acted.extend(self.acted());
            self.work();
        }
    }

    fn acted(&mut self) -> Vec<Acted> {
        let at = self.now.mono.as_micros();
        let actions = self.fx.take_actions().into_iter();
        let acted = actions.map(|action| match action {
            Action::SendCellOver(link, _) => Acted::Cell(at, link),
            Action::CellLeft(owner) => Acted::Left(owner),
            Action::CellExpired(owner) => Acted::Expired(owner),
            _ => panic!("an emission asks for nothing else"),
        });
        acted.collect()
    }

    /// Runs the jobs.
    fn work(&mut self) {
        for output in self.fx.take_outputs() {
            if let Output::Work(id, mut job) = output {
                let result = core::iter::repeat_with(|| job.step()).find_map(|done| done);
                self.waiting.push((id, result.unwrap()));
            }
        }
        if self.works {
            for (id, result) in core::mem::take(&mut self.waiting) {
                self.emission.on_sealed(&mut self.fx, id, Some(result));
            }
        }
    }

    fn enqueue(&mut self, cells: Vec<QueuedCell>) -> Result<(), EmissionQueueFull> {
        let done = self.emission.enqueue(&mut self.fx, self.now, cells);
        self.work();
        done
    }

    fn queued(&self, shard: u8) -> QueuedCell {
        let layers = (1..=6).map(|number| LayerSpec {
            hop: hop(number),
            delay: HopDelay::ZERO,
        });
        QueuedCell {
            owner: owner(1, shard),
            epoch: self.routes.epoch,
            layers: layers.collect(),
            body: Box::new([shard; DELTA_LEN]),
            spread: false,
        }
    }
}

const fn owner(message: u64, shard: u8) -> CellOwner {
    CellOwner::Message {
        id: MessageId(message),
        attempt: 0,
        shard,
    }
}

fn cells(acted: &[Acted]) -> Vec<Acted> {
    let is_cell = |act: &&Acted| matches!(act, Acted::Cell(..));
    acted.iter().filter(is_cell).copied().collect()
}

#[test]
fn queued_cells_leave_in_order_in_place_of_cover() {
    let (mut idle, mut busy) = (Scene::new(), Scene::new());
    let queued = (0..10).map(|shard| busy.queued(shard)).collect();
    busy.enqueue(queued).unwrap();
    let (quiet, loud) = (idle.run(120), busy.run(120));
    let left: Vec<Acted> = loud
        .iter()
        .filter(|act| !cells(&[**act]).contains(act))
        .copied()
        .collect();
    let expected: Vec<Acted> = (0..10).map(|shard| Acted::Left(owner(1, shard))).collect();
    assert_eq!(left, expected);
    assert!(quiet.len() > 40, "{}", quiet.len());
    assert_eq!(quiet, cells(&loud));
}

#[test]
fn busy_queue_changes_no_draw_of_cover() {
    let (mut idle, mut busy) = (Scene::new(), Scene::new());
    let queued = (0..20).map(|shard| busy.queued(shard)).collect();
    busy.enqueue(queued).unwrap();
    idle.run(100);
    busy.run(100);
    busy.emission.withdraw(MessageId(1));
    assert_eq!(
        idle.fx.cover_rng().next_u64(),
        busy.fx.cover_rng().next_u64()
    );
}

#[test]
fn guard_that_is_down_swallows_cover_and_keeps_messages() {
    let mut scene = Scene::new();
    scene.link = None;
    let queued = vec![scene.queued(0), scene.queued(1)];
    scene.enqueue(queued).unwrap();
    assert_eq!(scene.run(300), []);
    assert!(scene.emission.view().guard_down > 100);
    scene.link = Some(GUARD_LINK);
    let mut reference = Scene::new();
    reference.run(300);
    // Nothing is made up for.
    assert_eq!(cells(&scene.run(60)), cells(&reference.run(60)));
    assert_eq!(scene.emission.queue.len(), 0);
}

/// The mixing guard can be missing in the snapshot of an epoch, because its descriptor came late.
#[test]
fn epoch_without_a_route_changes_no_instant_and_ends_the_queued_cells() {
    let (mut routed, mut lost) = (Scene::new(), Scene::new());
    let queued = (0..3).map(|shard| lost.queued(shard)).collect();
    lost.enqueue(queued).unwrap();
    lost.routes.exist = false;
    lost.now.unix = Epoch::at(START.unix).next().start();
    let acted = lost.run(300);
    assert_eq!(cells(&acted), cells(&routed.run(300)));
    let expired = acted.iter().filter(|act| matches!(act, Acted::Expired(_)));
    assert_eq!(expired.count(), 3, "they are sealed for the epoch before");
    assert!(lost.emission.view().no_route > 100);
    // The routes are back: cover again, at the same instants.
    lost.routes.exist = true;
    lost.now.unix = routed.now.unix;
    assert_eq!(cells(&lost.run(60)), cells(&routed.run(60)));
    // A guard that is down takes no filler.
    lost.routes.exist = false;
    lost.link = None;
    lost.run(30);
    lost.emission.stock = CoverStock::default();
    assert_eq!(lost.run(60), []);
}

#[test]
fn filler_is_dropped_by_the_guard_as_forged() {
    let mut scene = Scene::new();
    let epoch = scene.routes.epoch;
    let filler = Cell::filler(epoch, scene.fx.cover_rng());
    let mut relay = OnionRelay::new(hop(1).id, RelayLimits::default());
    relay
        .install_key(epoch, secret(1), ReplaySet::default())
        .unwrap();
    relay.accept(scene.now, LinkId(1), filler).unwrap();
    let peeled = relay.next_peel(scene.now).unwrap().outcome;
    assert!(
        matches!(peeled, Peeled::Dropped(DropReason::Forged)),
        "{peeled:?}"
    );
}

#[test]
fn workers_that_are_behind_change_no_instant() {
    let (mut punctual, mut slow) = (Scene::new(), Scene::new());
    slow.works = false;
    let expected = cells(&punctual.run(200));
    assert!(expected.len() > 70);
    assert_eq!(cells(&slow.run(200)), expected);
}

#[test]
fn cell_of_a_past_epoch_leaves_only_in_place_of_cover_of_that_epoch() {
    let mut scene = Scene::new();
    scene.run(60);
    let queued = (0..40).map(|shard| scene.queued(shard)).collect();
    scene.enqueue(queued).unwrap();
    scene.routes.epoch = scene.routes.epoch.next();
    let acted = scene.run(60);
    let left = acted
        .iter()
        .filter(|act| matches!(act, Acted::Left(_)))
        .count();
    let expired = acted
        .iter()
        .filter(|act| matches!(act, Acted::Expired(_)))
        .count();
    // Four cells of cover of the old epoch were ready.
    assert!((1..=5).contains(&left), "{left}");
    assert_eq!(left + expired, 40);
}

#[test]
fn queue_takes_all_cells_or_none_and_states_the_wait() {
    let mut scene = Scene::new();
    let many =
        |scene: &Scene, count: usize| (0..count).map(|_| scene.queued(0)).collect::<Vec<_>>();
    let first = many(&scene, 500);
    scene.enqueue(first).unwrap();
    let more = many(&scene, 13);
    let full = scene.enqueue(more).unwrap_err();
    assert_eq!(full.wait, Duration::from_millis(2_200) * 501);
    let more = many(&scene, 12);
    scene.enqueue(more).unwrap();
    assert_eq!(scene.emission.queue.len(), 512);
    scene.emission.withdraw(MessageId(1));
    assert_eq!(scene.emission.wait(), Duration::from_millis(2_200));
}

#[test]
fn at_most_18_scattered_shards_leave_in_ten_minutes() {
    let mut scene = Scene::new();
    let mut queued: Vec<QueuedCell> = (0..30).map(|shard| scene.queued(shard)).collect();
    for cell in &mut queued {
        cell.spread = true;
    }
    let mut dummy = scene.queued(99);
    dummy.owner = CellOwner::Dummy;
    queued.push(dummy);
    scene.enqueue(queued).unwrap();
    assert_eq!(scene.emission.wait(), Duration::from_secs(600));
    let left = |acted: &[Acted]| {
        acted
            .iter()
            .filter(|act| matches!(act, Acted::Left(_)))
            .count()
    };
    assert_eq!(left(&scene.run(500)), 19, "18 shards and the dummy");
    assert_eq!(left(&scene.run(300)), 12);
}

#[test]
fn without_cover_nothing_leaves_and_nothing_is_queued() {
    let mut fx = Effects::for_test();
    let rng = fx.cover_rng().child();
    let mut emission = Emission::new(Cover::Off, Arithmetic::default(), rng, START.mono);
    emission.start(&mut fx);
    let scene = Scene::new();
    let queued = vec![scene.queued(0)];
    assert!(emission.enqueue(&mut fx, START, queued).is_err());
    assert_eq!(emission.wait(), Duration::MAX);
    assert_eq!(
        fx.pop_due(
            START.mono.after(Duration::from_secs(3_600)),
            Some(TimerId::GuardLinks)
        ),
        Some(TimerId::Resume)
    );
}

/// The cells of the next `secs` seconds that are loops, as the guard returns them.
fn loops(scene: &mut Scene, secs: u64) -> Vec<Cell> {
    let end = scene.now.mono.after(Duration::from_secs(secs));
    let mut loops = Vec::new();
    while scene.now.mono < end {
        let due = scene.emission.stream.as_ref().unwrap().next_due();
        scene.run_slot(due);
        for action in scene.fx.take_actions() {
            if let Action::SendCellOver(_, cell) = action {
                loops.extend(peeled_by(scene, [1, 2, 3, 4, 1], cell));
            }
        }
        scene.work();
    }
    loops
}

#[test]
fn client_takes_its_loops_from_the_guard_alone() {
    let mut scene = Scene::new();
    let mut found = loops(&mut scene, 200);
    assert!(found.len() > 4, "{}", found.len());
    let (first, second) = (found.pop().unwrap(), found.pop().unwrap());
    let (fx, now) = (&mut scene.fx, scene.now);
    let emission = &mut scene.emission;
    assert!(!emission.on_cell(fx, now, LinkId(6), scene.link, first.clone()));
    assert_eq!(emission.ledger.counts().returned, 0);
    assert!(emission.on_cell(fx, now, LinkId(5), scene.link, first.clone()));
    assert_eq!(emission.ledger.counts().returned, 1);
    // A replay does not count.
    emission.on_cell(fx, now, LinkId(5), scene.link, first);
    assert_eq!(emission.ledger.counts().returned, 1);
    // Neither is a cell for another key.
    let mut bytes = [7; CELL_LEN];
    bytes[0] = *second.as_bytes().first().unwrap();
    emission.on_cell(fx, now, LinkId(5), scene.link, Cell::parse(&bytes).unwrap());
    assert_eq!(emission.ledger.counts().returned, 1);
    assert_eq!(fx.counted(Counter::CellsDropped), 3);
    // With another link the keys are gone.
    let other = GuardLink {
        link: LinkId(9),
        handle: ShortId([9; 16]),
    };
    emission.on_cell(fx, now, LinkId(9), Some(other), second);
    assert_eq!(emission.ledger.counts().returned, 1);
    assert_eq!(emission.ledger.counts().away, 0);
}

#[test]
fn one_payload_cell_in_ten_is_a_dangling_shard_with_a_valid_ticket() {
    let mut scene = Scene::new();
    let (mut drops, mut shards) = (0, 0);
    for _ in 0..400 {
        let epoch = scene.routes.epoch;
        let due = scene.emission.stream.as_ref().unwrap().next_due();
        scene.run_slot(due);
        for action in scene.fx.take_actions() {
            let Action::SendCellOver(_, cell) = action else {
                continue;
            };
            let Some(cell) = peeled_by(&scene, [1, 2, 3, 4, 5], cell) else {
                continue;
            };
            let mut relay = OnionRelay::new(hop(6).id, RelayLimits::default());
            relay
                .install_key(epoch, secret(6), ReplaySet::default())
                .unwrap();
            relay.accept(scene.now, LinkId(1), cell).unwrap();
            let Peeled::Terminal { delta, .. } = relay.next_peel(scene.now).unwrap().outcome else {
                panic!("the rendezvous is the last hop");
            };
            match Payload::parse(&delta).unwrap() {
                Payload::Drop => drops += 1,
                Payload::Shard(shard) => {
                    let bits = TicketBits::MIN.for_class(shard.class);
                    let (id, cookie, ticket) = (hop(6).id, shard.cookie, shard.ticket);
                    assert!(circuits::rendezvous::verify_ticket(
                        &id, epoch, cookie, ticket, bits
                    ));
                    shards += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        scene.work();
    }
    // About 360 payload slots, so 36 shards with a standard deviation of 6.
    assert!(
        drops > 280 && (12..60).contains(&shards),
        "{drops} and {shards}"
    );
}

/// The cell after these relays have peeled it; `None` if its way is another.
fn peeled_by(scene: &Scene, relays: [u8; 5], cell: Cell) -> Option<Cell> {
    let mut cell = cell;
    for number in relays {
        let mut relay = OnionRelay::new(hop(number).id, RelayLimits::default());
        relay
            .install_key(scene.routes.epoch, secret(number), ReplaySet::default())
            .unwrap();
        relay.accept(scene.now, LinkId(1), cell).ok()?;
        match relay.next_peel(scene.now)?.outcome {
            Peeled::Forward { cell: next, .. } => cell = next,
            _ => return None,
        }
    }
    Some(cell)
}
