//! Cells on their way: each crossing of each link, with the path so far.
//!
//! In fast mode a cell keeps its body through all hops, so its crossings can be joined. Only the
//! position, and at hostile relays the crossing before, are granted to an adversary; the sender serves
//! to score.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use circuits::time::Instant;

use super::super::frames::frames;
use super::super::gossip_meter::exact;
use super::super::plain_cell::{CellName, PlainCell};

/// What the nodes of a world are.
#[derive(Clone, Debug)]
pub(super) struct Roles {
    /// By node: its number among the relays, if it is one.
    relays: Vec<Option<u32>>,
}

impl Roles {
    pub(super) fn new(nodes: usize, relays: &[usize]) -> Self {
        let number = |node: usize| {
            let place = relays.binary_search(&node).ok()?;
            u32::try_from(place).ok()
        };
        Self {
            relays: (0..nodes).map(number).collect(),
        }
    }

    /// The number of a node among the relays.
    pub(super) fn relay(&self, node: usize) -> Option<u32> {
        self.relays.get(node).copied().flatten()
    }

    /// Nodes; every one of them sends cells.
    pub(super) fn senders(&self) -> u32 {
        u32::try_from(self.relays.len()).unwrap_or(u32::MAX)
    }

    /// Relays.
    pub(super) fn relays(&self) -> usize {
        self.relays.iter().flatten().count()
    }
}

/// One cell that crosses one link.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crossing {
    /// The number among the relays of the node that sends it, or receives it.
    pub(super) relay: Option<u32>,
    /// Whether the link leads to a client.
    pub(super) to_client: bool,
    /// The number of this crossing, and of the one before.
    pub(super) transfer: u64,
    pub(super) before: Option<u64>,
    /// Relays that the cell has passed.
    pub(super) position: u32,
    /// Whether the path ends where the cell arrives.
    pub(super) ends: bool,
    pub(super) truth: CellTruth,
}

/// What no adversary sees of a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct CellTruth {
    pub(super) sender: u32,
    /// The relay that sent it first, if it is a relay.
    pub(super) sending_relay: Option<u32>,
    pub(super) is_loop: bool,
    /// Time, in seconds, for which a message may have waited for the cell.
    pub(super) waited: f64,
}

/// Cells that are under way, and what they cost.
pub(super) struct Crossings {
    roles: Roles,
    underway: BTreeMap<CellKey, Underway>,
    /// By sender: its last payload cell.
    payload: Vec<Option<Instant>>,
    transfers: u64,
    traffic: CoverTraffic,
}

/// The name of a cell as two numbers, which are compared faster.
type CellKey = (u128, u8);

fn key([start @ .., index]: CellName) -> CellKey {
    (u128::from_be_bytes(start), index)
}

#[derive(Clone, Copy, Debug)]
struct Underway {
    emitted: Instant,
    truth: CellTruth,
    position: u32,
    transfer: u64,
}

/// Bytes on the links of some nodes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkBytes {
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// What was counted since the warm-up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CoverTraffic {
    pub(super) clients: LinkBytes,
    pub(super) relays: LinkBytes,
    /// Cells that clients emitted.
    pub(super) client_cells: u64,
    /// Payload cells that arrived, and the sum of their times in seconds.
    arrived: u64,
    transit: f64,
}

impl CoverTraffic {
    /// Mean time from the emission of a payload cell to its rendezvous, in seconds.
    pub(super) fn mean_transit(&self) -> f64 {
        self.transit / exact(self.arrived.max(1))
    }

    const fn of_role(&mut self, is_relay: bool) -> &mut LinkBytes {
        if is_relay {
            &mut self.relays
        } else {
            &mut self.clients
        }
    }
}

impl Crossings {
    pub(super) fn new(roles: Roles) -> Self {
        Self {
            payload: vec![None; roles.relays.len()],
            roles,
            underway: BTreeMap::new(),
            transfers: 0,
            traffic: CoverTraffic::default(),
        }
    }

    pub(super) const fn traffic(&self) -> &CoverTraffic {
        &self.traffic
    }

    /// A node sent bytes to another. `each` is called for every cell in them.
    pub(super) fn sent(
        &mut self,
        at: Instant,
        (node, to): (usize, usize),
        bytes: &[u8],
        measured: bool,
        mut each: impl FnMut(Crossing),
    ) {
        let relay = self.roles.relay(node);
        if measured {
            self.traffic.of_role(relay.is_some()).sent += length(bytes);
        }
        for sighted in cells(bytes) {
            self.transfers += 1;
            let transfer = self.transfers;
            let (before, cell) = match self.underway.entry(key(sighted.name)) {
                Entry::Occupied(known) => {
                    let cell = known.into_mut();
                    let before = core::mem::replace(&mut cell.transfer, transfer);
                    (Some(before), *cell)
                }
                Entry::Vacant(vacant) => {
                    if measured && relay.is_none() {
                        self.traffic.client_cells += 1;
                    }
                    let last = self.payload.get_mut(node).filter(|_| !sighted.is_loop);
                    let truth = emitted(at, (node, relay), sighted.is_loop, last);
                    let cell = Underway {
                        emitted: at,
                        truth,
                        position: 0,
                        transfer,
                    };
                    (None, *vacant.insert(cell))
                }
            };
            each(Crossing {
                relay,
                to_client: self.roles.relay(to).is_none(),
                transfer,
                before,
                position: cell.position,
                ends: false,
                truth: cell.truth,
            });
        }
    }

    /// A node received bytes. `each` is called for every cell in them.
    pub(super) fn received(
        &mut self,
        at: Instant,
        node: usize,
        bytes: &[u8],
        measured: bool,
        mut each: impl FnMut(Crossing),
    ) {
        let relay = self.roles.relay(node);
        if measured {
            self.traffic.of_role(relay.is_some()).received += length(bytes);
        }
        for sighted in cells(bytes) {
            let name = key(sighted.name);
            let Some(cell) = self.underway.get_mut(&name) else {
                continue;
            };
            let (position, transfer) = (cell.position, cell.transfer);
            cell.position += 1;
            let cell = *cell;
            if sighted.ends {
                self.underway.remove(&name);
                if measured && !cell.truth.is_loop {
                    self.traffic.arrived += 1;
                    self.traffic.transit += at.since(cell.emitted).as_secs_f64();
                }
            }
            each(Crossing {
                relay,
                to_client: relay.is_none(),
                transfer,
                before: None,
                position,
                ends: sighted.ends,
                truth: cell.truth,
            });
        }
    }
}

/// What is true of a cell that a node emits. `last` is when the node emitted its last payload cell.
fn emitted(
    at: Instant,
    (node, relay): (usize, Option<u32>),
    is_loop: bool,
    last: Option<&mut Option<Instant>>,
) -> CellTruth {
    let before = last.and_then(|last| last.replace(at));
    CellTruth {
        sender: u32::try_from(node).unwrap_or(u32::MAX),
        sending_relay: relay,
        is_loop,
        waited: before.map_or(0.0, |before| at.since(before).as_secs_f64()),
    }
}

/// The cells of one write.
fn cells(bytes: &[u8]) -> impl Iterator<Item = PlainCell> {
    frames(bytes).filter_map(|frame| PlainCell::in_frame(&frame))
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
