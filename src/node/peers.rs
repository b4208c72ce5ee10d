//! Peers: the connections of this node, who may connect, and who is dialled.
//!
//! The component turns bytes into messages and messages into bytes, dials wanted peers, resolves
//! two links to one peer, and bans peers that violate the protocol. It does not know what messages
//! mean: `routing` polls [`Peers::poll_event`] and hands each to its component. An input costs work
//! on its own link only: links with something to send or a changed deadline are in `dirty`, and
//! [`Peers::flush`] visits those.

mod admission;
mod bans;
mod buffer_budget;
mod connection;
mod dialer;
mod discovery;
mod inbound_places;
mod onion_handshake;
mod send_budget;
mod sending;
mod table;
mod traffic;
mod view;

use core::time::Duration;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use circuits::directory::Subnet;
use circuits::ids::{LinkId, RelayKey, ShortId};
use circuits::time::{Instant, Now};

pub use self::inbound_places::MAX_INBOUND_LINKS;

pub(super) use self::admission::PeerKnowledge;
pub(super) use self::bans::BanScope;
pub(super) use self::connection::{LinkPurpose, OnionHandshake, PeerConnection, RemotePeer};
pub(super) use self::discovery::discovery;
pub(super) use self::onion_handshake::OnionOutcome;

use self::bans::BanList;
use self::buffer_budget::BufferBudget;
use self::dialer::Dialer;
use self::inbound_places::{InboundPlaces, SHORT_OF_PLACES};
use self::send_budget::SendBudget;
use self::table::ConnectionTable;
use self::traffic::LinkTraffic;
use super::action::Action;
use super::config::NodeConfig;
use super::effects::Effects;
use super::local_peer::LocalPeer;
use super::output::Output;
use super::timers::TimerId;
use crate::discovery::Discovery;
use crate::endpoint::{Endpoint, PeerAddr};
use crate::link::{DisconnectReason, Link, LinkEvent, LinkFault};

/// The connections of this node.
pub(super) struct Peers {
    local: Arc<LocalPeer>,
    max_peers: usize,
    /// Peers whose direct messages are accepted at every connection.
    trusted: BTreeSet<RelayKey>,
    table: ConnectionTable,
    dialer: Dialer,
    bans: BanList,
    places: InboundPlaces,
    /// Frames that links have begun and not finished.
    unfinished: BufferBudget,
    /// Messages that peers have not read yet.
    unread: BufferBudget,
    listener: ListenerHealth,
    discovery: Option<Discovery>,
    traffic: LinkTraffic,
    budget: SendBudget,
    /// Links that may have bytes to send, or a changed deadline.
    dirty: BTreeSet<LinkId>,
}

impl Peers {
    /// No connections yet; the peers of the configuration are dialled first.
    pub(super) fn new(
        config: &NodeConfig,
        local: Arc<LocalPeer>,
        discovery: Option<Discovery>,
        now: Instant,
    ) -> Self {
        let wanted = config.peers.iter().chain(&config.trusted_peers);
        Self {
            local,
            max_peers: config.max_peers,
            trusted: config.trusted_peers.iter().map(|peer| peer.key).collect(),
            table: ConnectionTable::default(),
            dialer: Dialer::new(wanted, now),
            bans: BanList::default(),
            places: InboundPlaces::default(),
            unfinished: BufferBudget::new(MAX_UNFINISHED_BYTES),
            unread: BufferBudget::new(MAX_UNREAD_BYTES),
            listener: ListenerHealth::default(),
            discovery,
            traffic: LinkTraffic::default(),
            budget: SendBudget::new(&config.bandwidth, now),
            dirty: BTreeSet::new(),
        }
    }

    /// A link id for a connection to our listener.
    pub(super) fn new_link(&mut self) -> LinkId {
        self.table.new_id()
    }

    // -- connections come

    /// Dials a peer unless it is connected or being dialled. A link that carries cells only does
    /// not count as a connection to a gossip peer. A link for cells becomes the link to a guard
    /// without a second dial.
    pub(super) fn dial(
        &mut self,
        fx: &mut Effects,
        now: Now,
        peer: PeerAddr,
        purpose: LinkPurpose,
    ) {
        let key = peer.key;
        let pending = match purpose {
            LinkPurpose::Peer => self.table.is_peer(key) || self.table.is_dialing_as_peer(key),
            LinkPurpose::Cells | LinkPurpose::Guard => {
                self.table.to_key(key).is_some() || self.table.is_dialing(key)
            }
        };
        if purpose == LinkPurpose::Guard {
            self.keep_cell_link(key);
        }
        if key == self.local.key() || pending {
            return;
        }
        if purpose == LinkPurpose::Cells && !self.has_room_for_cell_link(fx, now) {
            return fx.request(Action::CellsUndeliverable(key.id().short()));
        }
        let link = self.table.begin_dial(peer, purpose);
        fx.emit(Output::Dial(link, peer.endpoint));
    }

    /// The shell established a connection that we asked for.
    pub(super) fn on_dialed(&mut self, fx: &mut Effects, now: Now, id: LinkId) {
        let Some((peer, purpose)) = self.table.end_dial(id) else {
            return fx.emit(Output::Close(id));
        };
        let hello = self.local.hello(purpose);
        let key = self.local.link_key();
        match Link::dial(hello, key, peer.key, fx.key_rng(), now.mono) {
            Ok(link) => {
                let subnet = peer.endpoint.subnet();
                let connection = PeerConnection::outbound(link, purpose, peer, subnet, now.mono);
                self.table.insert(id, connection);
                self.dirty.insert(id);
            }
            // The address contains an invalid key, so the peer is not dialled again.
            Err(_) => fx.emit(Output::Close(id)),
        }
    }

    /// The shell could not connect, for this reason.
    pub(super) fn on_dial_failed(&mut self, fx: &mut Effects, now: Now, id: LinkId, reason: &str) {
        if let Some((peer, _)) = self.table.end_dial(id) {
            self.dialer.note_failure(peer.key, reason.to_owned());
            self.dialer.lost(now.mono, peer.key, fx.dial_rng());
            fx.request(Action::RelayUnreachable(peer.key.id().short()));
        }
    }

    /// A peer connected to our listener, from this address if it is known.
    pub(super) fn on_accepted(&mut self, now: Now, id: LinkId, from: Option<IpAddr>) {
        let hello = self.local.hello(LinkPurpose::Peer);
        let link = Link::accept(hello, self.local.link_key(), now.mono);
        let subnet = from.map_or(Subnet::Onion, Subnet::of);
        let address = from.map(|ip| Endpoint::Tcp((ip, 0).into()));
        let connection = PeerConnection::inbound(link, address, subnet, now.mono);
        self.table.insert(id, connection);
        self.dirty.insert(id);
    }

    // -- bytes and messages

    /// Reads bytes of a link. Returns the fault that ends it, after all events have been polled.
    pub(super) fn on_received(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: LinkId,
        bytes: &[u8],
    ) -> Option<LinkFault> {
        let connection = self.table.get_mut(id)?;
        self.dirty.insert(id);
        self.traffic.on_received(bytes.len());
        let fault = connection.receive(now.mono, fx.key_rng(), bytes).err();
        if self.budget.is_on() {
            connection.note_heard(now.mono);
        }
        let unfinished = connection.unfinished_bytes();
        self.unfinished.update(now.mono, id, unfinished, true);
        if let Some(victim) = self.unfinished.take_victim(now.mono) {
            fx.request(Action::Disconnect(victim, DisconnectReason::ReadTimeout));
        }
        fault
    }

    /// The next event of a link.
    pub(super) fn poll_event(&mut self, id: LinkId) -> Option<LinkEvent> {
        self.table.get_mut(id)?.poll_event()
    }

    /// The operating system took bytes of a link.
    pub(super) fn on_flushed(&mut self, id: LinkId, bytes: usize) {
        if let Some(connection) = self.table.get_mut(id) {
            connection.flushed(bytes);
            self.dirty.insert(id);
        }
    }

    /// Hands queued bytes to the shell as far as the windows allow, and sets the deadlines of the
    /// links concerned. Returns these links.
    pub(super) fn flush(&mut self, fx: &mut Effects, now: Now) -> BTreeSet<LinkId> {
        let dirty = core::mem::take(&mut self.dirty);
        for id in &dirty {
            self.transmit(fx, now, *id);
            let link = self.table.get(*id);
            fx.arm(
                TimerId::Link(*id),
                link.and_then(PeerConnection::poll_timeout),
            );
            let unread = link.map_or(0, PeerConnection::unread_bytes);
            let progressed = unread < self.unread.held_by(*id);
            self.unread.update(now.mono, *id, unread, progressed);
        }
        self.send_gossip_in_turns(fx, now);
        if let Some(victim) = self.unread.take_victim(now.mono) {
            fx.request(Action::Disconnect(victim, DisconnectReason::ReadTimeout));
        }
        dirty
    }

    // -- connections go

    /// Records why a link ends, for the user who named the peer.
    pub(super) fn note_failure(&mut self, id: LinkId, reason: impl core::fmt::Display) {
        let link = self.table.get(id);
        if let Some(key) = link.and_then(|link| link.key().or_else(|| link.dialed())) {
            self.dialer.note_failure(key, reason.to_string());
        }
    }

    /// The connection is gone: removes all its state.
    pub(super) fn on_closed(&mut self, fx: &mut Effects, now: Now, id: LinkId) {
        let Some(connection) = self.table.remove(id) else {
            return;
        };
        fx.arm(TimerId::Link(id), None);
        fx.arm(TimerId::Status(id), None);
        self.unfinished.forget(id);
        self.unread.forget(id);
        self.budget.forget(id);
        let peer = connection.key();
        let mut unreachable = None;
        // If another link to this peer remains, its state stays.
        if let Some(key) = peer.or_else(|| connection.dialed()) {
            if !self.table.is_peer(key) {
                self.dialer.lost(now.mono, key, fx.dial_rng());
            }
            unreachable = Some(key)
                .filter(|key| self.table.to_key(*key).is_none())
                .map(|key| key.id().short());
        }
        fx.request(Action::LinkClosed {
            link: id,
            peer,
            unreachable,
        });
    }

    /// Closes a connection without a reason.
    pub(super) fn close(&mut self, fx: &mut Effects, now: Now, id: LinkId) {
        self.transmit(fx, now, id);
        fx.emit(Output::Close(id));
        self.on_closed(fx, now, id);
    }

    /// Closes a connection and tells the peer the reason.
    pub(super) fn disconnect(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: LinkId,
        reason: DisconnectReason,
    ) {
        if let Some(connection) = self.table.get_mut(id) {
            connection.disconnect(reason);
            self.close(fx, now, id);
        }
    }

    /// Closes all connections because the node stops.
    pub(super) fn shut_down(&mut self, fx: &mut Effects, now: Now) {
        let links: Vec<LinkId> = self.table.iter().map(|(id, _)| id).collect();
        for link in links {
            self.disconnect(fx, now, link, DisconnectReason::Quitting);
        }
    }

    /// Handles a due deadline of a link.
    pub(super) fn on_link_timeout(&mut self, fx: &mut Effects, now: Now, id: LinkId) {
        let Some(connection) = self.table.get_mut(id) else {
            return;
        };
        self.dirty.insert(id);
        if connection.handle_timeout(now.mono).is_err() {
            self.close(fx, now, id);
        }
    }

    /// This node did not listen for some time: no peer is blamed for its silence meanwhile.
    pub(super) fn excuse_absence(&mut self, fx: &mut Effects, absence: Duration) {
        for (id, connection) in self.table.iter_mut() {
            connection.excuse_absence(absence);
            fx.arm(TimerId::Link(id), connection.poll_timeout());
            fx.postpone(TimerId::Status(id), absence);
        }
    }

    /// Closes links that have carried no cell for ten minutes: those that were dialled for cells, and
    /// while inbound places run short, those of peers that carry nothing else.
    pub(super) fn close_idle_cell_links(&mut self, fx: &mut Effects, now: Now) {
        let is_short = self.inbound_links() > SHORT_OF_PLACES;
        let idle = |link: &PeerConnection| {
            let is_useless = link.purpose() == LinkPurpose::Cells
                || is_short
                    && link.is_kept_inbound()
                    && link.shh_version().is_none()
                    && !link.key().is_some_and(|key| self.is_named(key));
            is_useless && now.mono.since(link.last_cell()) > CELL_LINK_IDLE_TIMEOUT
        };
        let links = self.table.iter().filter(|(_, link)| idle(link));
        let idle: Vec<LinkId> = links.map(|(id, _)| id).collect();
        for id in idle {
            self.disconnect(fx, now, id, DisconnectReason::Requested);
        }
    }

    /// Whether one more link for cells may be dialled. If there are as many as allowed, dials under
    /// way included, the open one that was idle longest is closed; links to our guards are spared.
    fn has_room_for_cell_link(&mut self, fx: &mut Effects, now: Now) -> bool {
        if self.table.cell_links() < MAX_CELL_LINKS {
            return true;
        }
        let links = self.table.iter();
        let idlest = links
            .filter(|(_, link)| link.purpose() == LinkPurpose::Cells && link.is_connected())
            .map(|(id, link)| (link.last_cell(), id))
            .min();
        if let Some((_, idlest)) = idlest {
            self.disconnect(fx, now, idlest, DisconnectReason::Requested);
        }
        idlest.is_some()
    }

    /// Makes the link to this key, if it exists for cells, a guard link.
    fn keep_cell_link(&mut self, key: RelayKey) {
        let link = self.table.to_key(key);
        let connection = link.and_then(|link| self.table.get_mut(link));
        if let Some(connection) = connection
            && connection.purpose() == LinkPurpose::Cells
        {
            connection.set_purpose(LinkPurpose::Guard);
        }
    }

    /// A relay is not our guard any more: its link may be closed like any link for cells. If there is
    /// no link, none will be dialled for the cells that wait for it.
    pub(super) fn release_guard(&mut self, fx: &mut Effects, relay: ShortId) {
        let Some(link) = self.table.to_relay(relay) else {
            return fx.request(Action::CellsUndeliverable(relay));
        };
        if let Some(connection) = self.table.get_mut(link)
            && connection.purpose() == LinkPurpose::Guard
        {
            connection.set_purpose(LinkPurpose::Cells);
        }
    }

    /// A listener does not accept connections, for this reason.
    pub(super) fn on_listener_fault(&mut self, now: Instant, reason: &str) {
        self.listener = ListenerHealth {
            faults: self.listener.faults.saturating_add(1),
            last: Some((now, reason.to_owned())),
        };
    }

    // -- wanted peers

    /// Adds a peer to stay connected to, and dials it.
    pub(super) fn add_static(&mut self, fx: &mut Effects, now: Now, peer: PeerAddr) {
        self.dialer.add(peer, now.mono);
        self.redial(fx, now);
    }

    /// Removes a peer of [`add_static`](Self::add_static), and disconnects it.
    pub(super) fn remove_static(&mut self, fx: &mut Effects, now: Now, key: RelayKey) {
        self.dialer.remove(key);
        if let Some(link) = self.table.to_key(key) {
            self.disconnect(fx, now, link, DisconnectReason::Requested);
        }
    }

    /// Admits a peer above the maximum number of peers, or no longer.
    pub(super) fn always_admit(&mut self, key: RelayKey, always: bool) {
        self.dialer.always_admit(key, always);
    }

    /// Dials wanted peers whose wait is over.
    pub(super) fn redial(&mut self, fx: &mut Effects, now: Now) {
        for peer in self.dialer.due(now.mono) {
            self.dial(fx, now, peer, LinkPurpose::Peer);
        }
    }

    /// Ends all waits before the next dial: this machine is online again.
    pub(super) fn expedite_redials(&mut self, now: Instant) {
        self.dialer.expedite(now);
    }
}

/// The faults of the listeners.
#[derive(Default)]
struct ListenerHealth {
    faults: u64,
    last: Option<(Instant, String)>,
}

/// Bytes that all links together may hold of frames that are not finished. The allocator and the
/// copies while buffers grow take about as much again.
const MAX_UNFINISHED_BYTES: usize = 48 << 20;
/// Bytes that all links together may hold of messages that their peers do not read.
const MAX_UNREAD_BYTES: usize = 64 << 20;

/// Idle time after which a link that was dialled for cells is closed.
const CELL_LINK_IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Maximum number of links that are or will be dialled for cells (anonymity W6).
const MAX_CELL_LINKS: usize = 64;

#[cfg(test)]
mod tests;
