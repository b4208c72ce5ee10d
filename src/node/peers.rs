//! Connections come, speak and go.
//!
//! This file turns bytes into messages and hands each to the part of the node that it is for. It
//! decides who is dialled, which of two links to one peer stays, and what a fault costs; what the
//! messages mean is said elsewhere (`gossip` for `shh`, `onion_wire` for `onion/1`).

pub(super) mod bans;
pub(super) mod dialer;
mod discovery;
pub(super) mod table;

use core::time::Duration;
use std::net::IpAddr;
use std::sync::Arc;

use circuits::directory::Subnet;
use circuits::ids::{LinkId, RelayKey};
use circuits::time::{Instant, Now};

use self::bans::BanScope;
use self::table::{LinkPurpose, OnionHandshake, PeerConnection, PendingDial, RemotePeer};
use super::output::Output;
use super::timers::Timer;
use super::{Event, Node};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::envelope::ProtocolVersion;
use crate::link::{
    Capability, DisconnectReason, Link, LinkConfig, LinkEvent, LinkFault, Packing, Priority,
};

impl Node {
    /// Connects to a peer unless that is done or under way. A link that carries cells only, which
    /// the other side may have made, does not do for a peer.
    pub(super) fn dial(&mut self, peer: PeerAddr, purpose: LinkPurpose) {
        let key = peer.key;
        let done = match purpose {
            LinkPurpose::Peer => {
                self.connections.is_peer(key) || self.connections.is_dialing_as_peer(key)
            }
            LinkPurpose::Cells => {
                self.connections.to_key(key).is_some() || self.connections.is_dialing(key)
            }
        };
        if key == self.local.key || done {
            return;
        }
        let link = self.connections.begin_dial(peer, purpose);
        self.outputs.push_back(Output::Dial(link, peer.endpoint));
    }

    pub(super) fn on_dialed(&mut self, now: Now, id: LinkId) {
        let Some(PendingDial { peer, purpose }) = self.connections.end_dial(id) else {
            self.outputs.push_back(Output::Close(id));
            return;
        };
        let config = self.link_config(purpose);
        let key = Arc::clone(&self.local.link);
        match Link::dial(config, key, peer.key, &mut self.rng, now.mono) {
            Ok(link) => {
                let subnet = peer.endpoint.subnet();
                let mut connection =
                    PeerConnection::new(link, purpose, Some(peer.key), subnet, now.mono);
                connection.address = Some(peer.endpoint);
                self.connections.insert(id, connection);
            }
            // The address names a key that is none: no use to try again.
            Err(_) => self.outputs.push_back(Output::Close(id)),
        }
    }

    pub(super) fn on_dial_failed(&mut self, now: Now, id: LinkId) {
        if let Some(PendingDial { peer, .. }) = self.connections.end_dial(id) {
            self.dialer.lost(now.mono, peer.key, &mut self.rng);
            self.cells_undeliverable(now, peer.key.id().short());
        }
    }

    pub(super) fn on_accepted(&mut self, now: Now, id: LinkId, from: Option<IpAddr>) {
        let config = self.link_config(LinkPurpose::Peer);
        let link = Link::accept(config, Arc::clone(&self.local.link), now.mono);
        let subnet = from.map_or(Subnet::Onion, Subnet::of);
        let mut connection = PeerConnection::new(link, LinkPurpose::Peer, None, subnet, now.mono);
        connection.address = from.map(|ip| Endpoint::Tcp((ip, 0).into()));
        self.connections.insert(id, connection);
    }

    pub(super) fn on_received(&mut self, now: Now, id: LinkId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        let fault = connection
            .link
            .receive(now.mono, &mut self.rng, bytes)
            .err();
        self.take_link_events(now, id);
        if let Some(fault) = fault {
            self.counters.link_faults += 1;
            if matches!(fault, LinkFault::Peer(fault) if fault.is_strike()) {
                self.strike(now, id, BanScope::KeyAndAddress);
            }
            self.close(now, id);
        }
    }

    pub(super) fn on_flushed(&mut self, id: LinkId, bytes: usize) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.in_flight = connection.in_flight.saturating_sub(bytes);
        }
    }

    /// The connection is gone, or is to be: forgets everything about it.
    pub(super) fn on_closed(&mut self, now: Now, id: LinkId) {
        let Some(connection) = self.connections.remove(id) else {
            return;
        };
        self.note_usefulness(now, id, &connection);
        self.gossip.remove_peer(now, id);
        self.mail_link_closed(id);
        self.relays.directory.forget_link(id);
        let proved = connection.remote.as_ref().map(|remote| remote.key);
        // Of two links to one peer, the one that goes takes nothing with it that the other does.
        if let Some(key) = proved.or(connection.dialed) {
            if !self.connections.is_peer(key) {
                self.dialer.lost(now.mono, key, &mut self.rng);
            }
            if self.connections.to_key(key).is_none() {
                self.cells_undeliverable(now, key.id().short());
            }
        }
        if proved.is_some() {
            self.peers_changed(now);
        }
    }

    /// Ends a connection without a word.
    pub(super) fn close(&mut self, now: Now, id: LinkId) {
        self.transmit_one(now, id);
        self.outputs.push_back(Output::Close(id));
        self.on_closed(now, id);
    }

    /// Ends a connection and says why.
    pub(super) fn disconnect(&mut self, now: Now, id: LinkId, reason: DisconnectReason) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.link.disconnect(reason);
        }
        self.close(now, id);
    }

    /// Lets links notice that time has passed; closes those that waited too long.
    pub(super) fn run_link_timeouts(&mut self, now: Now) {
        let mut over = Vec::new();
        let mut mute = Vec::new();
        for (id, connection) in self.connections.iter_mut() {
            let due = connection
                .link
                .poll_timeout()
                .is_some_and(|due| due <= now.mono);
            let silent = matches!(connection.onion_handshake, OnionHandshake::AwaitingStatus(due) if due <= now.mono);
            if silent {
                connection.onion_handshake = OnionHandshake::Off;
                self.gossip.decide_delivery(id, false);
                mute.extend(connection.remote.as_ref().map(|remote| remote.short));
            }
            let timed_out = due && connection.link.handle_timeout(now.mono).is_err();
            if timed_out || (silent && connection.purpose == LinkPurpose::Cells) {
                over.push(id);
            }
        }
        for relay in mute {
            self.cells_undeliverable(now, relay);
        }
        for id in over {
            self.close(now, id);
        }
    }

    /// Hands queued frames to the shell, as far as the windows are open.
    pub(super) fn transmit(&mut self, now: Now) {
        let ids: Vec<LinkId> = self.connections.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.transmit_one(now, id);
        }
    }

    fn transmit_one(&mut self, now: Now, id: LinkId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        while connection.window() > 0 {
            let Some(bytes) = connection.link.poll_transmit(now.mono, connection.window()) else {
                return;
            };
            connection.in_flight = connection.in_flight.saturating_add(bytes.len());
            self.outputs.push_back(Output::Send(id, bytes));
        }
    }

    /// Queues one message. A full queue loses it: gossip comes round again, cells are dropped
    /// rather than delayed, and a reader that stays slow is closed by its link's own timeout.
    pub(super) fn queue(
        &mut self,
        id: LinkId,
        priority: Priority,
        capability: Capability,
        code: u16,
        payload: Vec<u8>,
    ) -> bool {
        let packing = if priority == Priority::Cell {
            Packing::Literal
        } else {
            Packing::Snappy
        };
        self.connections.get_mut(id).is_some_and(|connection| {
            connection
                .link
                .send(priority, capability, code, payload, packing)
                .is_ok()
        })
    }

    fn take_link_events(&mut self, now: Now, id: LinkId) {
        while let Some(event) = self
            .connections
            .get_mut(id)
            .and_then(|connection| connection.link.poll_event())
        {
            match event {
                LinkEvent::Connected {
                    remote,
                    client_id,
                    shared,
                } => {
                    self.on_connected(now, id, remote, client_id, shared);
                }
                LinkEvent::Message {
                    capability,
                    code,
                    payload,
                } => {
                    if capability == Capability::ONION_1 {
                        self.on_onion_packet(now, id, code, &payload);
                    } else {
                        self.on_shh(now, id, code, &payload);
                    }
                }
                LinkEvent::Disconnected(_) => self.close(now, id),
            }
        }
    }

    fn on_connected(
        &mut self,
        now: Now,
        id: LinkId,
        key: RelayKey,
        client: String,
        shared: Vec<Capability>,
    ) {
        let short = key.id().short();
        let speaks_onion = shared.contains(&Capability::ONION_1);
        let remote = RemotePeer {
            key,
            short,
            client: client.clone(),
            shared,
        };
        let older = self.connections.identify(id, remote);
        let protocol = self
            .connections
            .get(id)
            .and_then(PeerConnection::shh_version);
        if let Some(older) = older {
            if self.keeps_older_link(older, id, key) {
                self.connections.prefer(older);
                self.disconnect(now, id, DisconnectReason::AlreadyConnected);
                return;
            }
            self.disconnect(now, older, DisconnectReason::AlreadyConnected);
        }
        if self.is_banned(now, id, key) {
            self.disconnect(now, id, DisconnectReason::UselessPeer);
            return;
        }
        if protocol.is_some() && !self.has_room_for(now, id, key) {
            self.disconnect(now, id, DisconnectReason::TooManyPeers);
            return;
        }
        if self.connections.is_peer(key) {
            self.dialer.connected(key);
        }
        if speaks_onion {
            self.start_onion_handshake(now, id);
        }
        if let Some(protocol) = protocol {
            let sends = self.gossip.add_peer_as(now, id, protocol, &client);
            if speaks_onion && protocol == ProtocolVersion::V6 {
                self.gossip.defer_delivery(id);
            }
            self.queue_shh(sends);
            if self.config.trusted_peers.iter().any(|peer| peer.key == key) {
                self.gossip.trust(id);
            }
        }
        self.peers_changed(now);
    }

    /// Of two links to one peer the one that the lower key dialled stays, so that both sides
    /// agree; but a link for gossip is never given up for one that carries cells only, or an older
    /// version.
    fn keeps_older_link(&self, older: LinkId, younger: LinkId, key: RelayKey) -> bool {
        let link = |id| self.connections.get(id);
        let (Some(older), Some(younger)) = (link(older), link(younger)) else {
            return false;
        };
        let (gossip_older, gossip_younger) = (older.shh_version(), younger.shh_version());
        if gossip_older != gossip_younger {
            return gossip_older > gossip_younger;
        }
        if older.outbound() == younger.outbound() {
            return false;
        }
        let ours_stays = self.local.key < key;
        older.outbound() == ours_stays
    }

    /// Links that carry gossip, of whichever version.
    pub(super) fn gossip_peers(&self) -> usize {
        self.connections
            .iter()
            .filter(|(_, link)| link.shh_version().is_some())
            .count()
    }

    /// Links that carry envelopes of ours, which are all of `shh/6`.
    pub(super) fn shh6_peers(&self) -> usize {
        let links = self.connections.iter();
        links
            .filter(|(_, link)| link.shh_version() == Some(ProtocolVersion::V6))
            .count()
    }

    pub(super) fn peers_changed(&mut self, now: Now) {
        // Who dialled first is chance between two peers that name each other; what matters is that
        // we chose them.
        let ours = |link: &PeerConnection| {
            let wanted = |remote: &RemotePeer| self.dialer.is_static(remote.key);
            (link.outbound() && !self.is_discovered(link))
                || link.remote.as_ref().is_some_and(wanted)
        };
        let successors: Vec<LinkId> = self
            .connections
            .iter()
            .filter(|(_, link)| {
                ours(link)
                    && link.onion_handshake == OnionHandshake::Ready
                    && link.speaks(Capability::SHH_6)
            })
            .map(|(id, _)| id)
            .collect();
        self.stem
            .stem
            .set_successor_candidates(&mut self.rng, &successors);
        if self.stem.stem.can_stem() {
            // A relay publishes its descriptor once it has a stem.
            self.timers.expedite(Timer::Epoch, now.mono);
        }
        let connected = self
            .connections
            .iter()
            .filter(|(_, link)| link.is_connected())
            .count();
        self.outputs
            .push_back(Output::Notify(Event::Peers(connected)));
    }

    fn link_config(&self, purpose: LinkPurpose) -> Arc<LinkConfig> {
        Arc::clone(match purpose {
            LinkPurpose::Peer => &self.local.as_peer,
            LinkPurpose::Cells => &self.local.as_relay,
        })
    }

    /// Dials the peers that the user named and that we do not have.
    pub(super) fn redial(&mut self, now: Instant) {
        for peer in self.dialer.due(now) {
            self.dial(peer, LinkPurpose::Peer);
        }
    }

    /// Closes links that were dialled for cells and have had none for ten minutes.
    pub(super) fn close_idle_cell_links(&mut self, now: Now) {
        let idle: Vec<LinkId> = self
            .connections
            .iter()
            .filter(|(_, link)| {
                link.purpose == LinkPurpose::Cells
                    && now.mono.since(link.last_cell) > CELL_LINK_IDLE_TIMEOUT
            })
            .map(|(id, _)| id)
            .collect();
        for id in idle {
            self.disconnect(now, id, DisconnectReason::Requested);
        }
    }
}

/// What we call ourselves in the hello message: nothing that tells one installation from another.
pub const CLIENT_ID: &str = concat!("whisht/v", env!("CARGO_PKG_VERSION"));

/// How long a link that was made for a cell is kept warm.
const CELL_LINK_IDLE_TIMEOUT: Duration = Duration::from_secs(600);
