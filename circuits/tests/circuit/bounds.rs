//! Floods of setup cells and of cells without a circuit: what a relay keeps of them is bounded.
//!
//! The table alone: a peer that has peeled its own setup cells chooses ids, cookies and links freely.

use core::time::Duration;

use circuits::cell::Cell;
use circuits::circuit::{
    CircuitCell, CircuitIds, CircuitRef, CircuitRefusal, CircuitTable, HopKeys, MeetCookie,
    SetupSource, limits,
};
use circuits::erasing_rng::ErasingRng;
use circuits::geometry::{CELL_LEN, CIRCUIT_BODY_LEN};
use circuits::ids::{LinkClass, LinkId};
use circuits::secret::Secret;
use circuits::time::Instant;

use crate::network::LISTED;

/// A relay under attack.
struct Target {
    table: CircuitTable,
    now: Instant,
    setups: u32,
}

impl Target {
    fn new() -> Self {
        Self {
            table: CircuitTable::new(ErasingRng::from_seed(&[1; 32])),
            now: Instant::from_micros(1_000_000),
            setups: 0,
        }
    }

    /// The ids of the next setup cell.
    fn draw_ids(&mut self) -> CircuitIds {
        self.setups += 1;
        let mut setup = [0; CELL_LEN];
        setup[..4].copy_from_slice(&self.setups.to_be_bytes());
        CircuitIds::of(&setup)
    }

    /// A setup cell for another relay.
    fn extend(&mut self, link: u64, class: LinkClass) -> Result<CircuitRef, CircuitRefusal> {
        let ids = self.draw_ids();
        self.extend_with(link, class, ids)
    }

    fn extend_with(
        &mut self,
        link: u64,
        class: LinkClass,
        ids: CircuitIds,
    ) -> Result<CircuitRef, CircuitRefusal> {
        let link = LinkId(link);
        let source = SetupSource { link, class, ids };
        self.table.extend(self.now, source, keys())
    }

    /// A setup cell that ends here, with this cookie.
    fn meet(&mut self, link: u64, cookie: u32) -> Result<CircuitRef, CircuitRefusal> {
        let source = SetupSource {
            link: LinkId(link),
            class: LISTED,
            ids: self.draw_ids(),
        };
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&cookie.to_be_bytes());
        self.table.meet(self.now, source, MeetCookie(bytes), keys())
    }

    /// The circuits without a link to the next relay end.
    fn end_all(&mut self) {
        self.now = self.now.after(limits::CONNECT_TIMEOUT);
        self.table.expire(self.now);
        assert_eq!(self.table.stats().circuits, 0);
    }

    /// The cells that leave over a link within ten seconds.
    fn pop_all(&mut self, link: u64) -> Vec<CircuitCell> {
        let mut cells = Vec::new();
        for _ in 0..1_000 {
            self.now = self.now.after(Duration::from_millis(10));
            cells.extend(core::iter::from_fn(|| {
                self.table.pop(self.now, LinkId(link))
            }));
        }
        cells
    }
}

fn keys() -> HopKeys {
    let [forward, backward] = [1, 2].map(|byte| Secret::init_with(|key| key.fill(byte)));
    HopKeys::of(forward, backward)
}

/// A cell that no layer opens.
fn junk(ids: CircuitIds) -> CircuitCell {
    CircuitCell::new(ids.forward, &[0x55; CIRCUIT_BODY_LEN])
}

#[test]
fn attack_with_setup_cells_over_one_relay_link_makes_64_circuits() {
    let mut target = Target::new();
    for _ in 0..limits::MAX_PER_RELAY_LINK {
        target.extend(1, LISTED).unwrap();
    }
    let refused = target.extend(1, LISTED);
    assert_eq!(refused, Err(CircuitRefusal::TooManyOnLink));
    assert!(target.extend(2, LISTED).is_ok());
}

#[test]
fn attack_with_setup_cells_over_many_client_links_leaves_places_to_relays() {
    let mut target = Target::new();
    for number in 0..limits::MAX_FROM_CLIENTS {
        let link = u64::try_from(number / limits::MAX_PER_CLIENT_LINK).unwrap();
        target.extend(link, LinkClass::Unlisted).unwrap();
    }
    let refused = target.extend(1_000, LinkClass::Unlisted);
    assert_eq!(refused, Err(CircuitRefusal::TooMany));
    assert!(target.extend(1_000, LISTED).is_ok());
}

#[test]
fn attack_with_setup_cells_over_many_relay_links_makes_1024_circuits() {
    let mut target = Target::new();
    for number in 0..limits::MAX_CIRCUITS {
        let link = u64::try_from(number / limits::MAX_PER_RELAY_LINK).unwrap();
        target.extend(link, LISTED).unwrap();
    }
    let refused = target.extend(1_000, LISTED);
    assert_eq!(refused, Err(CircuitRefusal::TooMany));
    assert_eq!(target.table.stats().circuits, limits::MAX_CIRCUITS);
}

#[test]
fn attack_with_unpaired_circuits_over_many_links_makes_256() {
    let mut target = Target::new();
    let unpaired = u32::try_from(limits::MAX_UNPAIRED).unwrap();
    for cookie in 0..unpaired {
        let link = usize::try_from(cookie).unwrap() / limits::MAX_UNPAIRED_PER_LINK;
        target.meet(u64::try_from(link).unwrap(), cookie).unwrap();
    }
    let refused = target.meet(1_000, unpaired);
    assert_eq!(refused, Err(CircuitRefusal::TooManyUnpaired));
    // The other half of one that waits still finds it.
    assert!(target.meet(1_000, 0).is_ok());
    assert_eq!(target.table.stats().unpaired, limits::MAX_UNPAIRED - 1);
}

#[test]
fn attack_with_the_ids_of_a_circuit_on_the_same_link_makes_no_circuit() {
    let mut target = Target::new();
    let ids = target.draw_ids();
    target.extend_with(1, LISTED, ids).unwrap();
    let refused = target.extend_with(1, LISTED, ids);
    assert_eq!(refused, Err(CircuitRefusal::IdInUse));
    assert!(target.extend_with(2, LISTED, ids).is_ok());
}

/// No queue of a circuit is full, and all of them together are. Cells from ahead get a layer unseen.
#[test]
fn attack_with_cells_for_many_stalled_origins_ends_a_circuit_with_the_longest_queue() {
    let mut target = Target::new();
    let circuits: u64 = 130;
    let ahead = (0..circuits).map(|number| {
        let circuit = target.extend(number, LISTED).unwrap();
        let mut setup = [0; CELL_LEN];
        setup[..9].copy_from_slice(&[&[0x10][..], &number.to_be_bytes()].concat());
        let link = LinkId(1_000 + number);
        let cell = Cell::parse(&setup).unwrap();
        target
            .table
            .connect(target.now, circuit, link, &cell)
            .unwrap();
        (link, CircuitIds::of(&setup).backward)
    });
    let ahead: Vec<_> = ahead.collect();
    for (link, id) in ahead {
        for _ in 0..limits::MAX_QUEUE_CELLS - 3 {
            let cell = CircuitCell::new(id, &[7; CIRCUIT_BODY_LEN]);
            target.table.receive(target.now, link, cell);
        }
        let queued = target.table.stats().queued;
        assert!(queued <= limits::MAX_CELLS, "{queued} cells");
    }
    assert_eq!(target.table.stats().circuits, 129);
    let waiting = target.table.stats().queued;
    assert_eq!(
        waiting,
        129 * (limits::MAX_QUEUE_CELLS - 3),
        "the last one has all"
    );
}

#[test]
fn attack_with_circuits_that_end_on_a_link_that_takes_nothing_leaves_128_last_cells() {
    let mut target = Target::new();
    for _ in 0..3 {
        for _ in 0..limits::MAX_PER_RELAY_LINK {
            target.extend(1, LISTED).unwrap();
        }
        target.end_all();
    }
    assert_eq!(target.pop_all(1).len(), 128);
}

#[test]
fn attack_with_third_cookies_over_a_link_that_takes_nothing_leaves_128_last_cells() {
    let mut target = Target::new();
    for cookie in 0..150 {
        target.meet(1, cookie).unwrap();
        target.meet(2, cookie).unwrap();
        assert_eq!(target.meet(9, cookie), Err(CircuitRefusal::CookieUsed));
    }
    assert_eq!(target.pop_all(9).len(), 128);
}

#[test]
fn last_cell_of_a_circuit_is_random_like_any_other() {
    let mut target = Target::new();
    for _ in 0..64 {
        target.extend(1, LISTED).unwrap();
    }
    target.end_all();
    let cells = target.pop_all(1);
    let bytes = cells.iter().flat_map(|cell| cell.body());
    let mut counts = [0_u32; 256];
    bytes.for_each(|byte| counts[usize::from(*byte)] += 1);
    let expected = f64::from(counts.iter().sum::<u32>()) / 256.0;
    let terms = counts.map(|count| (f64::from(count) - expected).powi(2) / expected);
    // 255 +- 22.6. The seed is fixed, and six standard deviations are far from chance.
    let chi_square = terms.iter().sum::<f64>();
    assert!((120.0..390.0).contains(&chi_square), "{chi_square}");
    assert_eq!(cells.len(), 64);
}

#[test]
fn cells_that_come_after_the_end_of_their_circuit_wait_for_no_other() {
    let mut target = Target::new();
    let ids = target.draw_ids();
    target.extend_with(1, LISTED, ids).unwrap();
    target.end_all();
    target.table.receive(target.now, LinkId(1), junk(ids));
    target.extend_with(1, LISTED, ids).unwrap();
    assert_eq!(target.table.stats().circuits, 1, "a junk cell was kept");
}

#[test]
fn cells_without_a_circuit_are_dropped_with_their_link() {
    let mut target = Target::new();
    let ids = target.draw_ids();
    target.table.receive(target.now, LinkId(1), junk(ids));
    target.table.on_link_closed(target.now, LinkId(1));
    target.extend_with(1, LISTED, ids).unwrap();
    assert_eq!(target.table.stats().circuits, 1, "a junk cell was kept");
}
