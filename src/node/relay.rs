//! The relay role: cells arrive, lose a layer, wait, and leave; shards meet and become envelopes.
//!
//! Cells take this way: ingress queue, peeling and replay tags (`replay`), the mix, then either the
//! next hop (`egress`) or the rendezvous (`rendezvous`), which holds a rebuilt envelope before it
//! enters the network along a stem.
//!
//! The relay answers no cell and punishes no peer for a cell: the sender of a cell can make it
//! valid for one hop and worthless for the next, and would use a punishment to frame an honest
//! relay.

mod arrivals;
mod egress;
mod insertions;
mod rendezvous;
mod replay;

use std::collections::BTreeMap;

use circuits::arithmetic::Arithmetic;
use circuits::cell::Cell;
use circuits::cell_builder::Hop;
use circuits::ids::{Epoch, LinkClass, LinkId, RelayId, ShortId};
use circuits::mix::Mix;
use circuits::mixing::{ArrivalRate, DelayClass};
use circuits::rate_limit::KeyedLimiter;
use circuits::relay::{OnionRelay, RelayLimits, ReplayLog};
use circuits::rendezvous::{Rendezvous, RendezvousLimits, TicketBits};
use circuits::time::Now;

pub(super) use self::replay::{OnionKey, PeeledCell};

use self::arrivals::ArrivalMeter;
use self::egress::AwaitingLink;
use self::insertions::DelayedInsertions;
use super::directory::RelayDirectory;
use super::effects::{Counter, Effects};
use super::event::RelayLabel;
use super::peers::Peers;
use super::timers::TimerId;

/// The state of the relay role.
pub(super) struct Relay {
    /// Whether cells of other nodes are accepted.
    enabled: bool,
    onion: OnionRelay,
    /// The replay-tag log of each onion key.
    logs: BTreeMap<Epoch, ReplayLog>,
    mix: Mix<MixedCell>,
    arrivals: ArrivalMeter,
    rendezvous: Rendezvous,
    delayed: DelayedInsertions,
    awaiting_link: AwaitingLink,
    /// How many relays each link may make this node dial.
    dials: KeyedLimiter<LinkId>,
}

/// A cell in the mix.
struct MixedCell {
    /// The link that brought it.
    from: LinkId,
    next: ShortId,
    cell: Cell,
}

impl Relay {
    /// A relay without onion keys. `enabled` is false on a node that relays nothing for others.
    pub(super) fn new(id: RelayId, enabled: bool, arithmetic: Arithmetic) -> Self {
        Self {
            enabled,
            onion: OnionRelay::new(id, RelayLimits::default()).with_arithmetic(arithmetic),
            logs: BTreeMap::new(),
            mix: Mix::default(),
            arrivals: ArrivalMeter::default(),
            rendezvous: Rendezvous::new(id, RendezvousLimits::default()),
            delayed: DelayedInsertions::default(),
            awaiting_link: AwaitingLink::default(),
            dials: KeyedLimiter::new(egress::DIAL_QUOTA, egress::MAX_DIAL_BUCKETS),
        }
    }

    /// A peer sent a cell. Returns whether this node accepts cells; the peer learns nothing of the
    /// cell's fate.
    ///
    /// Every peer may send cells, whether it is in the directory or not: clients are not. A limit on
    /// the number of clients would let idle links keep new ones out, so the ingress queue serves
    /// links in turn instead. Relays of the directory forward the cells of many senders, so they have
    /// a higher rate and a turn of their own.
    pub(super) fn on_cell(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        cell: Cell,
        context: RelayContext<'_>,
    ) -> bool {
        let class = context.link_class(from);
        if !self.enabled || self.onion.accept_from(now, from, class, cell).is_err() {
            fx.count(Counter::CellsDropped);
        }
        self.arm(fx);
        self.enabled
    }

    /// Whether cells of other nodes are accepted.
    pub(super) const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// This relay as the last hop of a loop of its own; `None` without a key of this epoch.
    pub(super) fn hop(&self, epoch: Epoch) -> Option<Hop> {
        let key = self.onion.key(epoch).filter(|_| self.enabled)?;
        Some(Hop {
            id: self.onion.id(),
            onion: *key.secret.public(),
        })
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        self.onion.on_link_closed(link);
        self.dials.forget(&link);
        self.delayed.on_link_closed(link);
    }

    /// Number of cells that wait in the mix.
    pub(super) fn waiting_cells(&self) -> usize {
        self.mix.len()
    }

    /// The rate at which mixing cells arrived in the epoch before, for the descriptor.
    pub(super) const fn arrivals(&self) -> ArrivalRate {
        self.arrivals.last()
    }

    /// The delay class of the network, from which the rate is measured.
    pub(super) fn set_delay_class(&mut self, now: Now, class: DelayClass) {
        self.arrivals.set_class(now, class);
    }

    /// Requires these bits of tickets in an epoch, as a descriptor of an earlier run states.
    pub(super) fn restore_ticket_bits(&mut self, epoch: Epoch, bits: u8) {
        if let Some(bits) = TicketBits::new(bits) {
            self.rendezvous.restore_difficulty(epoch, bits);
        }
    }

    /// The difficulty of tickets, for the descriptor.
    pub(super) fn ticket_bits(&self) -> u8 {
        self.rendezvous.required_bits().get()
    }

    /// Number of cells and envelopes that this relay would lose if it stopped now. Shards that wait for
    /// others of their set do not count: they may wait in vain, and any client can send such shards.
    pub(super) fn held(&self, fx: &Effects) -> usize {
        self.onion.waiting()
            + fx.awaiting_disk()
            + self.mix.len()
            + self.delayed.len()
            + self.awaiting_link.len()
    }

    fn arm(&self, fx: &mut Effects) {
        // If the disk is behind, peeling more cells would only move them to another queue.
        let peel = self.onion.next_due();
        let peel = peel.filter(|_| fx.awaiting_disk() < replay::MAX_AWAITING_DISK);
        fx.arm(TimerId::Peel, peel);
        fx.arm(TimerId::Mix, self.mix.next_due());
        fx.arm(TimerId::ShardSets, self.rendezvous.next_due());
        fx.arm(TimerId::Insertion, self.delayed.next_due());
    }
}

/// What the relay role needs to know about other nodes: the links, and which peers are relays.
#[derive(Clone, Copy)]
pub(super) struct RelayContext<'a> {
    /// The connections.
    pub(super) peers: &'a Peers,
    /// The known relays.
    pub(super) directory: &'a RelayDirectory,
}

impl RelayContext<'_> {
    /// The label of the peer on a link, if it is a relay of the directory.
    fn relay_label(self, link: LinkId) -> Option<RelayLabel> {
        let relay = self.peers.relay_at(link)?;
        self.directory.contains(relay).then_some(RelayLabel(relay))
    }

    /// What the ingress queue has to know of a link.
    pub(super) fn link_class(self, link: LinkId) -> LinkClass {
        match self.relay_label(link) {
            Some(_) => LinkClass::Listed {
                relays: self.directory.len(),
            },
            None => LinkClass::Unlisted,
        }
    }
}

#[cfg(test)]
mod tests;
