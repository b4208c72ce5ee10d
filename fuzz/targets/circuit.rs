//! Arbitrary bytes as a circuit cell for a relay with a known circuit, and as a script of what two
//! origins, the relay between them and an adversary on their links do.
//!
//! Whatever happens, each origin receives a prefix of what the other one sent, tables keep their
//! bounds, and nothing is left when all links are closed.

use core::time::Duration;

use circuits::cell::Cell;
use circuits::circuit::{
    CircuitCell, CircuitEvent, CircuitIds, CircuitKeys, CircuitRef, CircuitTable, HopKeys,
    MeetCookie, SetupSource, limits,
};
use circuits::erasing_rng::ErasingRng;
use circuits::ids::{LinkClass, LinkId};
use circuits::secret::Secret;
use circuits::time::Instant;

/// Reads, forwards and plays. Panics if a rule is broken.
pub fn circuit(data: &[u8]) {
    if let Ok(cell) = CircuitCell::parse(data) {
        assert_eq!(cell.as_bytes()[..], *data);
        assert_eq!(CircuitCell::new(cell.id(), cell.body()), cell);
        ends_the_circuit_or_is_unknown(&cell);
    }
    let mut play = Play::new();
    for step in data.iter().take(200) {
        play.step(*step);
        play.check();
    }
    play.finish();
}

/// No input is the first cell that the origin of the known circuit sealed.
fn ends_the_circuit_or_is_unknown(cell: &CircuitCell) {
    let mut play = Play::new();
    let is_known = cell.id() == CircuitIds::of(setup(0).as_bytes()).forward;
    play.relay.receive(play.now, LinkId(0), cell.clone());
    let left = if is_known { 0 } else { 2 };
    assert_eq!(play.relay.stats().circuits, left);
    let forged = CircuitCell::new(CircuitIds::of(setup(0).as_bytes()).forward, cell.body());
    play.relay.receive(play.now, LinkId(0), forged);
    assert_eq!(play.relay.stats().circuits, 0);
}

/// Two origins, and the relay that joins their circuits.
struct Play {
    now: Instant,
    origins: [CircuitTable; 2],
    circuits: [CircuitRef; 2],
    relay: CircuitTable,
    sent: [u8; 2],
    received: [u8; 2],
    /// What happens to the next cell on a link.
    attack: u8,
    kept: Option<(usize, bool, CircuitCell)>,
}

impl Play {
    fn new() -> Self {
        let now = Instant::from_micros(1_000_000);
        let table = |seed: u8| CircuitTable::new(ErasingRng::from_seed(&[seed; 32]));
        let mut relay = table(9);
        let mut origins = [table(1), table(2)];
        let circuits = [0, 1].map(|origin| {
            let keys = CircuitKeys::of(vec![keys(origin)]);
            let setup = setup(origin);
            let opened = origins[usize::from(origin)].originate(now, LinkId(7), &setup, keys);
            meet(&mut relay, now, origin, 5);
            opened.unwrap()
        });
        Self {
            now,
            origins,
            circuits,
            relay,
            sent: [0; 2],
            received: [0; 2],
            attack: 0,
            kept: None,
        }
    }

    fn step(&mut self, step: u8) {
        let (kind, value) = (step % 8, step / 8);
        let origin = usize::from(value % 2);
        match kind {
            0 | 1 => {
                let payload = [self.sent[usize::from(kind)]; 812];
                let at = usize::from(kind);
                let circuit = self.circuits[at];
                if self.origins[at].send(self.now, circuit, &payload).is_ok() {
                    self.sent[at] = self.sent[at].wrapping_add(1);
                }
            }
            2 | 3 => self.carry(),
            4 => self.attack = value,
            5 => {
                self.now = self.now.after(Duration::from_secs(u64::from(value)));
                for table in self.origins.iter_mut().chain([&mut self.relay]) {
                    table.expire(self.now);
                }
            }
            6 if value % 4 == 0 => meet(&mut self.relay, self.now, 2 + value, 5),
            6 if value % 4 == 1 => self.origins[origin].close(self.now, self.circuits[origin]),
            6 => meet(&mut self.relay, self.now, 2 + value, value),
            _ => {
                let link = LinkId(u64::from(value % 2));
                self.relay.set_blocked(self.now, link, value & 2 == 0);
            }
        }
    }

    /// Carries the cells that may leave now.
    fn carry(&mut self) {
        for origin in [0, 1] {
            let link = LinkId(u64::try_from(origin).unwrap());
            while let Some(cell) = self.origins[origin].pop(self.now, LinkId(7)) {
                self.deliver(origin, true, cell);
            }
            while let Some(cell) = self.relay.pop(self.now, link) {
                self.deliver(origin, false, cell);
            }
        }
    }

    /// Delivers a cell between an origin and the relay, as the adversary wants.
    fn deliver(&mut self, origin: usize, to_relay: bool, mut cell: CircuitCell) {
        match core::mem::take(&mut self.attack) {
            0 => {}
            1 => return,
            2 => {
                self.kept = Some((origin, to_relay, cell));
                return;
            }
            3 => self.receive(origin, to_relay, cell.clone()),
            bit => {
                let mut body = *cell.body();
                body[usize::from(bit) * 28] ^= 1 << (bit % 8);
                cell = CircuitCell::new(cell.id(), &body);
            }
        }
        self.receive(origin, to_relay, cell);
        if let Some((origin, to_relay, cell)) = self.kept.take() {
            self.receive(origin, to_relay, cell);
        }
    }

    fn receive(&mut self, origin: usize, to_relay: bool, cell: CircuitCell) {
        if to_relay {
            let link = LinkId(u64::try_from(origin).unwrap());
            self.relay.receive(self.now, link, cell);
            return;
        }
        self.origins[origin].receive(self.now, LinkId(7), cell);
        while let Some(event) = self.origins[origin].poll_event() {
            if let CircuitEvent::Received(_, payload) = event {
                assert_eq!(*payload, [self.received[origin]; 812], "not a prefix");
                self.received[origin] = self.received[origin].wrapping_add(1);
            }
        }
    }

    fn check(&self) {
        let stats = self.relay.stats();
        assert!(stats.circuits <= limits::MAX_CIRCUITS);
        assert!(stats.unpaired <= stats.circuits);
        assert!(stats.queued <= stats.circuits * (limits::MAX_QUEUE_CELLS + 32));
    }

    fn finish(mut self) {
        for link in 0..64 {
            self.relay.on_link_closed(self.now, LinkId(link));
        }
        let stats = self.relay.stats();
        assert_eq!((stats.circuits, stats.queued, stats.unpaired), (0, 0, 0));
        assert_eq!(self.relay.next_due(), None);
    }
}

/// The circuit of an origin arrives at the relay where it is joined, over a link of its own.
fn meet(relay: &mut CircuitTable, now: Instant, origin: u8, cookie: u8) {
    let source = SetupSource {
        link: LinkId(u64::from(origin)),
        class: LinkClass::Unlisted,
        ids: CircuitIds::of(setup(origin).as_bytes()),
    };
    let _refused = relay.meet(now, source, MeetCookie([cookie; 20]), keys(origin));
}

fn keys(origin: u8) -> HopKeys {
    let key = |part: u8| Secret::init_with(|key| key.fill(origin ^ part));
    HopKeys::of(key(0x40), key(0x80))
}

fn setup(origin: u8) -> Cell {
    let mut bytes = [origin; 912];
    bytes[0] = 0x10;
    Cell::parse(&bytes).unwrap()
}
