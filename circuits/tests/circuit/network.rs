//! Nodes with circuit tables, and links between them that a test can delay, alter and cut.

use core::time::Duration;

use circuits::cell::Cell;
use circuits::cell_builder::Hop;
use circuits::circuit::{
    CircuitCell, CircuitEnd, CircuitEvent, CircuitRef, CircuitRefusal, CircuitSetup, CircuitTable,
    MeetCookie, SetupSource,
};
use circuits::erasing_rng::ErasingRng;
use circuits::ids::{Epoch, LinkClass, LinkId, RelayId};
use circuits::keys::OnionSecret;
use circuits::relay::{OnionRelay, Peeled, RelayLimits, ReplaySet};
use circuits::secret::Secret;
use circuits::time::{Instant, Now};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub(crate) const EPOCH: Epoch = Epoch(41_007);
pub(crate) const LISTED: LinkClass = LinkClass::Listed { relays: 20 };
pub(crate) type Payload = [u8; 812];

/// What a test puts on a link in place of a cell.
pub(crate) type Tamper = Box<dyn FnMut(usize, usize, CircuitCell) -> Vec<CircuitCell>>;

/// One node: a relay, and an origin.
pub(crate) struct NetNode {
    pub(crate) table: CircuitTable,
    onion: OnionRelay,
    hop: Hop,
    pub(crate) received: Vec<(CircuitRef, Payload)>,
    pub(crate) ended: Vec<(CircuitRef, CircuitEnd)>,
    pub(crate) ready: usize,
    pub(crate) refused: Vec<CircuitRefusal>,
}

/// Nodes with a link between any two of them.
pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<NetNode>,
    pub(crate) tamper: Option<Tamper>,
    /// What a relay knows of a node with a lower number than this: that it is a client.
    pub(crate) clients: usize,
    /// Number of circuit cells that have crossed a link.
    pub(crate) crossed: usize,
    rng: ChaCha20Rng,
}

impl Net {
    pub(crate) fn new(nodes: usize) -> Self {
        let rng = ChaCha20Rng::from_seed([8; 32]);
        let node = |number: usize| {
            let number = u8::try_from(number + 1).unwrap();
            let onion = || OnionSecret::from_secret(Secret::init_with(|key| key.fill(number)));
            let id = RelayId([number; 32]);
            let limits = RelayLimits {
                link_rate: 1_000_000,
                link_burst: 1_000_000,
                peel_rate: 1_000_000,
                waiting: 1_000_000,
            };
            let mut relay = OnionRelay::new(id, limits);
            let installed = relay.install_key(EPOCH, onion(), ReplaySet::default());
            installed.unwrap();
            NetNode {
                table: CircuitTable::new(ErasingRng::from_seed(&[number; 32])),
                onion: relay,
                hop: Hop {
                    id,
                    onion: *onion().public(),
                },
                received: Vec::new(),
                ended: Vec::new(),
                ready: 0,
                refused: Vec::new(),
            }
        };
        let nodes = (0..nodes).map(node).collect();
        Self {
            now: Instant::from_micros(1_000_000),
            nodes,
            tamper: None,
            clients: 0,
            crossed: 0,
            rng,
        }
    }

    /// The number of a link is that of its nodes.
    pub(crate) fn link(one: usize, other: usize) -> LinkId {
        LinkId(u64::try_from(one.min(other) * 1_000 + one.max(other)).unwrap())
    }

    fn at(&self) -> Now {
        Now {
            mono: self.now,
            unix: EPOCH.start().after(Epoch::SECS / 2),
        }
    }

    /// A setup cell for a path, which has not left.
    pub(crate) fn setup(&mut self, path: &[usize], cookie: u8) -> CircuitSetup {
        let hops: Vec<_> = path.iter().map(|node| self.nodes[*node].hop).collect();
        let cookie = MeetCookie([cookie; 20]);
        CircuitSetup::build(&mut self.rng, EPOCH, &hops, &cookie).unwrap()
    }

    /// Opens a circuit from `origin` along `path`; the setup cell arrives at once.
    pub(crate) fn open(&mut self, origin: usize, path: &[usize], cookie: u8) -> CircuitRef {
        let CircuitSetup { cell, keys } = self.setup(path, cookie);
        let link = Self::link(origin, path[0]);
        let now = self.now;
        let table = &mut self.nodes[origin].table;
        let circuit = table.originate(now, link, &cell, keys).unwrap();
        self.on_setup(origin, path[0], cell);
        circuit
    }

    /// A setup cell arrives at a node, and travels on.
    pub(crate) fn on_setup(&mut self, from: usize, to: usize, cell: Cell) {
        let (now, at) = (self.now, self.at());
        let link = Self::link(from, to);
        let class = if from < self.clients {
            LinkClass::Unlisted
        } else {
            LISTED
        };
        let node = &mut self.nodes[to];
        node.onion.accept_from(at, link, class, cell).unwrap();
        let source = |ids| SetupSource { link, class, ids };
        match node.onion.next_peel(at).unwrap().outcome {
            Peeled::Extend {
                next,
                cell,
                ids,
                keys,
                ..
            } => match node.table.extend(now, source(ids), keys) {
                Ok(circuit) => {
                    let position = |node: &NetNode| node.hop.id.short() == next;
                    let next = self.nodes.iter().position(position).unwrap();
                    let table = &mut self.nodes[to].table;
                    let link = Self::link(to, next);
                    match table.connect(now, circuit, link, &cell) {
                        Ok(()) => self.on_setup(to, next, cell),
                        Err(why) => self.nodes[to].refused.push(why),
                    }
                }
                Err(why) => node.refused.push(why),
            },
            Peeled::Meet {
                cookie, ids, keys, ..
            } => {
                if let Err(why) = node.table.meet(now, source(ids), cookie, keys) {
                    node.refused.push(why);
                }
            }
            Peeled::Dropped(_) => {}
            other => panic!("not a setup cell: {other:?}"),
        }
    }

    /// A setup cell arrives at a relay, which finds no link to the next one.
    pub(crate) fn extend_only(&mut self, from: usize, to: usize, cell: Cell) {
        let (now, at, link) = (self.now, self.at(), Self::link(from, to));
        let node = &mut self.nodes[to];
        node.onion.accept_from(at, link, LISTED, cell).unwrap();
        let Peeled::Extend { ids, keys, .. } = node.onion.next_peel(at).unwrap().outcome else {
            panic!("no setup cell for another relay");
        };
        let source = SetupSource {
            link,
            class: LISTED,
            ids,
        };
        node.table.extend(now, source, keys).unwrap();
    }

    pub(crate) fn send(&mut self, origin: usize, circuit: CircuitRef, payload: &Payload) {
        let now = self.now;
        let sent = self.nodes[origin].table.send(now, circuit, payload);
        sent.unwrap();
    }

    /// Carries cells until none may leave now.
    pub(crate) fn pump(&mut self) {
        loop {
            let mut moved = false;
            for from in 0..self.nodes.len() {
                for link in self.nodes[from].table.due_links(self.now) {
                    let to = other_end(from, link);
                    while let Some(cell) = self.nodes[from].table.pop(self.now, link) {
                        moved = true;
                        self.carry(from, to, cell);
                    }
                }
                self.take_events(from);
            }
            if !moved {
                return;
            }
        }
    }

    fn carry(&mut self, from: usize, to: usize, cell: CircuitCell) {
        self.crossed += 1;
        let cells = match &mut self.tamper {
            Some(tamper) => tamper(from, to, cell),
            None => vec![cell],
        };
        for cell in cells {
            let table = &mut self.nodes[to].table;
            table.receive(self.now, Self::link(from, to), cell);
        }
    }

    fn take_events(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        while let Some(event) = node.table.poll_event() {
            match event {
                CircuitEvent::Received(circuit, payload) => {
                    node.received.push((circuit, *payload));
                }
                CircuitEvent::Ended(circuit, why) => node.ended.push((circuit, why)),
                CircuitEvent::Ready(_) => node.ready += 1,
            }
        }
    }

    /// Lets time pass in steps of 50 ms, and carries what may leave.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.now < end {
            self.now = self.now.after(Duration::from_millis(50)).min(end);
            for node in 0..self.nodes.len() {
                self.nodes[node].table.expire(self.now);
            }
            self.pump();
        }
    }

    /// Cuts a link.
    pub(crate) fn cut(&mut self, one: usize, other: usize) {
        for node in [one, other] {
            let table = &mut self.nodes[node].table;
            table.on_link_closed(self.now, Self::link(one, other));
        }
    }

    /// Number of circuits at a node.
    pub(crate) fn circuits(&self, node: usize) -> usize {
        self.nodes[node].table.stats().circuits
    }
}

fn other_end(node: usize, link: LinkId) -> usize {
    let number = usize::try_from(link.0).unwrap();
    let (low, high) = (number / 1_000, number % 1_000);
    if low == node { high } else { low }
}

/// A payload that its number determines.
pub(crate) fn payload(number: u8) -> Payload {
    core::array::from_fn(|place| {
        u8::try_from((place * 7 + usize::from(number) * 31) % 256).unwrap()
    })
}

/// Two origins (nodes 0 and 1) whose circuits are joined at node 2, each over relays of its own.
pub(crate) fn joined(one: usize, other: usize) -> (Net, [CircuitRef; 2], [Vec<usize>; 2]) {
    let mut net = Net::new(2 + one + other - 1);
    let relays: Vec<_> = (3..net.nodes.len()).collect();
    let (first, second) = relays.split_at(one - 1);
    let paths = [first, second].map(|relays| [relays, &[2]].concat());
    let a = net.open(0, &paths[0], 1);
    let b = net.open(1, &paths[1], 1);
    (net, [a, b], paths)
}
