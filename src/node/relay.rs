//! The node as a relay: cells come in, lose a layer, wait and go on; pieces meet and become
//! envelopes again.
//!
//! Nothing here answers, and nothing here punishes a neighbour for a cell: whoever made a cell can
//! make it valid for one hop and worthless for the next, and would frame an honest relay that way.

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::arithmetic::Arithmetic;
use circuits::cell::Cell;
use circuits::dispersal::Payload;
use circuits::geometry::DELTA_LEN;
use circuits::ids::{Epoch, LinkId, RelayId, ShortId};
use circuits::mix::Mix;
use circuits::relay::{OnionRelay, PeelResult, Peeled, RelayLimits, ReplayLog, ReplayTag};
use circuits::rendezvous::{Rendezvous, RendezvousLimits, ShardOutcome};
use circuits::time::{Instant, Now};

use super::durability::Continuation;
use super::event::{RelayLabel, Trace};
use super::output::Record;
use super::peers::table::{LinkPurpose, OnionHandshake, PeerConnection};
use super::{Node, hex};
use crate::envelope::{Envelope, SizeClass};
use crate::link::{DisconnectReason, Priority};
use crate::onion_wire::OnionMessage;

/// What a relay keeps while cells pass through it.
pub(super) struct RelayRole {
    pub(super) onion: OnionRelay,
    pub(super) mix: Mix<MixedCell>,
    pub(super) rendezvous: Rendezvous,
    pub(super) delayed: DelayedInsertions,
    /// Where the tag log of each key ends.
    pub(super) logs: BTreeMap<Epoch, ReplayLog>,
    /// Cells whose next hop is being dialled.
    pub(super) awaiting_link: BTreeMap<ShortId, Vec<Cell>>,
}

impl RelayRole {
    pub(super) fn new(id: RelayId, arithmetic: Arithmetic) -> Self {
        Self {
            onion: OnionRelay::new(id, RelayLimits::default()).with_arithmetic(arithmetic),
            mix: Mix::default(),
            rendezvous: Rendezvous::new(id, RendezvousLimits::default()),
            delayed: DelayedInsertions::default(),
            logs: BTreeMap::new(),
            awaiting_link: BTreeMap::new(),
        }
    }

    /// When there is something to pass on or to insert, or to open if opened cells are stored.
    pub(super) fn next_due(&self, waiting: usize) -> Option<Instant> {
        [
            // While the disk is behind there is nothing to do about cells that wait to be opened.
            self.onion
                .next_due()
                .filter(|_| waiting < MAX_AWAITING_DISK),
            self.mix.next_due(),
            self.delayed.next_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The base-2 logarithm of the number of cells that wait here, for the descriptor.
    pub(super) fn load(&self) -> u8 {
        u8::try_from(self.mix.len().checked_ilog2().unwrap_or(0)).unwrap_or(u8::MAX)
    }
}

/// A cell that waits in the mix.
pub(super) struct MixedCell {
    next: ShortId,
    cell: Cell,
}

/// A cell that was opened and waits for its replay tag to be durable.
pub(super) struct PeeledCell {
    from: LinkId,
    at: Instant,
    peeled: Peeled,
}

/// Envelopes that were rebuilt here and wait before they enter the network.
#[derive(Default)]
pub(super) struct DelayedInsertions {
    waiting: BTreeMap<(Instant, u64), Envelope>,
    last: u64,
    bytes: usize,
}

impl DelayedInsertions {
    fn push(&mut self, due: Instant, envelope: Envelope) -> bool {
        let bytes = self.bytes.saturating_add(envelope.size());
        if bytes > MAX_DELAYED_BYTES {
            return false;
        }
        self.bytes = bytes;
        self.last = self.last.saturating_add(1);
        self.waiting.insert((due, self.last), envelope);
        true
    }

    fn pop_due(&mut self, now: Instant) -> Option<Envelope> {
        let entry = self
            .waiting
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        let envelope = entry.remove();
        self.bytes = self.bytes.saturating_sub(envelope.size());
        Some(envelope)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }
}

/// Envelopes held at once, in bytes; as much as the open sets may take.
const MAX_DELAYED_BYTES: usize = 16 * 1024 * 1024;

impl Node {
    /// A neighbour brought a cell. It is queued; the neighbour learns nothing of what becomes of it.
    pub(super) fn on_cell(&mut self, now: Now, from: LinkId, cell: Cell) {
        if !self.config.relay || !self.may_send_cells(from) {
            self.counters.cells_dropped += 1;
            return;
        }
        if let Some(connection) = self.connections.get_mut(from) {
            connection.last_cell = now.mono;
        }
        if self.relay.onion.accept(now, from, cell).is_err() {
            self.counters.cells_dropped += 1;
        }
    }

    /// Opens queued cells, as far as the work budget allows, and asks for their tags to be kept.
    pub(super) fn peel_cells(&mut self, now: Now) {
        let mut peeled_cells = Vec::new();
        let mut tags: BTreeMap<Epoch, Vec<ReplayTag>> = BTreeMap::new();
        while peeled_cells.len() + self.durability.waiting() < MAX_AWAITING_DISK {
            let Some(PeelResult { from, outcome }) = self.relay.onion.next_peel(now) else {
                break;
            };
            match &outcome {
                Peeled::Forward { mark, .. } | Peeled::Terminal { mark, .. } => {
                    tags.entry(mark.epoch).or_default().push(mark.tag);
                    peeled_cells.push(PeeledCell {
                        from,
                        at: now.mono,
                        peeled: outcome,
                    });
                }
                Peeled::Dropped(_) => self.counters.cells_dropped += 1,
            }
        }
        for (epoch, tags) in tags {
            if let Some(log) = self.relay.logs.get_mut(&epoch) {
                let block = log.append(&tags);
                let store = self.durability.store(Record::ReplayTags(epoch, block));
                self.outputs.push_back(store);
            }
        }
        for cell in peeled_cells {
            self.durability.defer(Continuation::ForwardCell(cell));
        }
    }

    /// An opened cell cannot be replayed any more: it goes on.
    pub(super) fn forward_durable(&mut self, now: Now, cell: PeeledCell) {
        let PeeledCell { from, at, peeled } = cell;
        match peeled {
            Peeled::Forward {
                next, delay, cell, ..
            } => {
                self.trace_peeled(from, next);
                let mixed = MixedCell { next, cell };
                if self
                    .relay
                    .mix
                    .push(&mut self.rng, at.after(delay), from, mixed)
                    .is_some()
                {
                    self.counters.cells_dropped += 1;
                }
            }
            Peeled::Terminal {
                hold,
                bulletin,
                delta,
                mark,
            } => {
                let arrival = PayloadSource {
                    from,
                    epoch: mark.epoch,
                    hold,
                    bulletin,
                };
                self.on_payload(now, arrival, &delta);
            }
            Peeled::Dropped(_) => {}
        }
    }

    /// Cells that have waited long enough go to their next hop.
    pub(super) fn release_cells(&mut self, now: Now) {
        while let Some(MixedCell { next, cell }) = self.relay.mix.pop_due(now.mono) {
            self.counters.cells_forwarded += 1;
            self.send_cell(now, next, cell);
        }
    }

    /// Sends a cell to a relay, over a link made for it if there is none.
    pub(super) fn send_cell(&mut self, now: Now, next: ShortId, cell: Cell) {
        if let Some(link) = self.connections.to_relay(next) {
            self.send_cell_over(now, link, cell);
            return;
        }
        let waiting: usize = self.relay.awaiting_link.values().map(Vec::len).sum();
        let for_relay = self.relay.awaiting_link.get(&next).map_or(0, Vec::len);
        let room = waiting < MAX_AWAITING_LINK && for_relay < MAX_AWAITING_PER_RELAY;
        let Some(peer) = self.relays.address_of(next).filter(|_| room) else {
            self.counters.cells_dropped += 1;
            return;
        };
        self.relay.awaiting_link.entry(next).or_default().push(cell);
        if self.connections.refuses_cells(next) {
            self.cells_undeliverable(now, next);
            return;
        }
        self.make_room_for_a_cell_link(now);
        self.dial(peer, LinkPurpose::Cells);
    }

    fn send_cell_over(&mut self, now: Now, link: LinkId, cell: Cell) {
        if let Some(connection) = self.connections.get_mut(link) {
            connection.last_cell = now.mono;
        }
        let message = OnionMessage::Cell(Box::new(*cell.as_bytes()));
        if !self.send_onion(link, Priority::Cell, &message) {
            self.counters.cells_dropped += 1;
        }
    }

    /// A link is ready: what waited for its other end leaves.
    pub(super) fn send_awaiting_cells(&mut self, now: Now, link: LinkId) {
        let Some(relay) = self.connections.relay_at(link) else {
            return;
        };
        for cell in self.relay.awaiting_link.remove(&relay).unwrap_or_default() {
            self.send_cell_over(now, link, cell);
        }
    }

    /// A relay cannot be reached: its cells are lost, as cells may be.
    pub(super) fn cells_undeliverable(&mut self, now: Now, relay: ShortId) {
        if let Some(cells) = self.relay.awaiting_link.remove(&relay) {
            self.counters.cells_dropped += u64::try_from(cells.len()).unwrap_or(u64::MAX);
            self.guard_failed(now, relay);
        }
    }

    /// What the last layer said.
    fn on_payload(&mut self, now: Now, arrival: PayloadSource, delta: &[u8; DELTA_LEN]) {
        let Ok(payload) = Payload::parse(delta) else {
            self.counters.cells_dropped += 1;
            return;
        };
        let Payload::Shard(shard) = payload else {
            return;
        };
        let (k, n) = (shard.class.k(), shard.class.n());
        let verdict = self.relay.rendezvous.accept(
            now,
            arrival.from,
            arrival.epoch,
            arrival.hold,
            arrival.bulletin,
            shard,
        );
        let counts = matches!(
            verdict,
            ShardOutcome::Opened | ShardOutcome::Counted | ShardOutcome::Complete { .. }
        );
        if counts {
            let from = self.relay_label(arrival.from);
            self.trace(|| Trace::Terminal { from, k, n });
        }
        match verdict {
            ShardOutcome::Complete { envelope, hold } => self.on_rebuilt(now, &envelope, hold),
            ShardOutcome::Opened | ShardOutcome::Counted | ShardOutcome::Ignored => {}
            ShardOutcome::Poisoned | ShardOutcome::Rejected(_) => self.counters.cells_dropped += 1,
        }
    }

    fn trace_peeled(&mut self, from: LinkId, next: ShortId) {
        let from = self.relay_label(from);
        self.trace(|| Trace::Peeled {
            from,
            next: RelayLabel(next),
        });
    }

    /// What a neighbour is called in the directory, if it stands there.
    fn relay_label(&self, link: LinkId) -> Option<RelayLabel> {
        self.connections
            .relay_at(link)
            .filter(|id| self.relays.contains(*id))
            .map(RelayLabel)
    }

    /// The pieces made an envelope. It must pass what any envelope must, and then waits.
    fn on_rebuilt(&mut self, now: Now, bytes: &[u8], hold: Duration) {
        let envelope = Envelope::decode(bytes).ok().filter(|envelope| {
            SizeClass::of(bytes.len()).is_some_and(|class| class.len() == bytes.len())
                && self.check_envelope(now, envelope).is_some()
        });
        let Some(envelope) = envelope else {
            self.counters.malformed += 1;
            return;
        };
        self.counters.rebuilt += 1;
        self.trace(|| Trace::Rebuilt {
            envelope: hex(&envelope.hash().0),
            hold_ms: u64::try_from(hold.as_millis()).unwrap_or(u64::MAX),
        });
        if !self.relay.delayed.push(now.mono.after(hold), envelope) {
            self.counters.cells_dropped += 1;
        }
    }

    /// Envelopes that were held long enough set out, along the stem like our own. One that finds
    /// no stem waits on: flooding it from here would tell where it was rebuilt.
    pub(super) fn release_delayed(&mut self, now: Now) {
        while let Some(envelope) = self.relay.delayed.pop_due(now.mono) {
            let alive = self.check_envelope(now, &envelope).is_some();
            if alive && !self.insert_by_stem(now, &envelope) {
                self.relay
                    .delayed
                    .push(now.mono.after(STEM_RETRY_INTERVAL), envelope);
            }
        }
    }

    /// Neighbours that stand in the directory may bring cells, and so may a bounded number of
    /// others: clients do not stand in it.
    fn may_send_cells(&self, from: LinkId) -> bool {
        let listed = |id| {
            self.connections
                .relay_at(id)
                .is_some_and(|id| self.relays.contains(id))
        };
        if listed(from) {
            return true;
        }
        let unlisted = self
            .connections
            .iter()
            .filter(|(id, link)| {
                *id < from && link.onion_handshake == OnionHandshake::Ready && !listed(*id)
            })
            .count();
        unlisted < MAX_UNLISTED_PEERS
    }

    /// Closes the link for cells that was idle longest, if there are as many as there may be.
    fn make_room_for_a_cell_link(&mut self, now: Now) {
        let cells = |(id, link): (LinkId, &PeerConnection)| {
            (link.purpose == LinkPurpose::Cells).then_some((link.last_cell, id))
        };
        let links: Vec<_> = self.connections.iter().filter_map(cells).collect();
        if links.len() >= MAX_CELL_LINKS
            && let Some((_, oldest)) = links.iter().min()
        {
            self.disconnect(now, *oldest, DisconnectReason::Requested);
        }
    }
}

/// How long an envelope without a stem waits before it tries again.
const STEM_RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// How a payload came.
struct PayloadSource {
    from: LinkId,
    epoch: Epoch,
    hold: Duration,
    bulletin: bool,
}

/// Opened cells that wait for the disk at once; beyond it cells wait in the intake.
const MAX_AWAITING_DISK: usize = 1024;

/// Cells that wait for a connection at once.
const MAX_AWAITING_LINK: usize = 1024;

/// The same for one relay, so that one that lets us wait costs the others no room.
const MAX_AWAITING_PER_RELAY: usize = MAX_AWAITING_LINK / 4;

/// Links made for cells at once (anonymity W6).
const MAX_CELL_LINKS: usize = 64;

/// Neighbours outside the directory that may bring cells at once (anonymity 3.11).
const MAX_UNLISTED_PEERS: usize = 32;
