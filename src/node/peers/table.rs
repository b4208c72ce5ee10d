//! The table of connections, from the dial on, with indexes by key and by relay id.
//!
//! It sends nothing and decides nothing; `peers` does.

use std::collections::BTreeMap;

use circuits::ids::{LinkId, RelayKey, ShortId};

use super::connection::{LinkPurpose, OnionHandshake, PeerConnection, RemotePeer};
use crate::endpoint::PeerAddr;

/// All connections.
#[derive(Default)]
pub(super) struct ConnectionTable {
    dialing: BTreeMap<LinkId, PendingDial>,
    links: BTreeMap<LinkId, PeerConnection>,
    /// Links with a complete handshake, by the key that the peer proved.
    by_key: BTreeMap<RelayKey, LinkId>,
    /// The same links, by the peer's id in cells.
    by_relay: BTreeMap<ShortId, LinkId>,
    /// The same links, by the handle that both ends derived.
    by_handle: BTreeMap<ShortId, LinkId>,
    last: u64,
}

/// A dial that the shell has not answered yet.
pub(super) type PendingDial = (PeerAddr, LinkPurpose);

impl ConnectionTable {
    /// Number of links for cells that are being dialled or open, without those to our guards.
    pub(super) fn cell_links(&self) -> usize {
        let dialing = self.dialing.values().map(|(_, purpose)| *purpose);
        let open = self.links.values().map(PeerConnection::purpose);
        let cells = dialing
            .chain(open)
            .filter(|purpose| *purpose == LinkPurpose::Cells);
        cells.count()
    }

    /// A new link id.
    pub(super) fn new_id(&mut self) -> LinkId {
        self.last = self.last.saturating_add(1);
        LinkId(self.last)
    }

    /// Records a dial; returns the id of the link to be.
    pub(super) fn begin_dial(&mut self, peer: PeerAddr, purpose: LinkPurpose) -> LinkId {
        let id = self.new_id();
        self.dialing.insert(id, (peer, purpose));
        id
    }

    /// Removes an answered dial.
    pub(super) fn end_dial(&mut self, id: LinkId) -> Option<PendingDial> {
        self.dialing.remove(&id)
    }

    /// Dials that the shell has not answered yet.
    pub(super) fn dialing(&self) -> impl Iterator<Item = &PendingDial> {
        self.dialing.values()
    }

    /// Whether a link to this peer is being dialled, or in its handshake.
    pub(super) fn is_dialing(&self, key: RelayKey) -> bool {
        self.is_pending(key, |_| true)
    }

    /// Whether a gossip link to this peer is being dialled, or in its handshake.
    pub(super) fn is_dialing_as_peer(&self, key: RelayKey) -> bool {
        self.is_pending(key, |purpose| purpose == LinkPurpose::Peer)
    }

    fn is_pending(&self, key: RelayKey, suits: impl Fn(LinkPurpose) -> bool) -> bool {
        let dialed = |(peer, purpose): &PendingDial| peer.key == key && suits(*purpose);
        let in_handshake = |link: &PeerConnection| {
            link.dialed() == Some(key) && !link.is_connected() && suits(link.purpose())
        };
        self.dialing.values().any(dialed) || self.links.values().any(in_handshake)
    }

    /// Whether a link to this peer carries gossip, or would if the peer spoke Whisper.
    pub(super) fn is_peer(&self, key: RelayKey) -> bool {
        let link = self.to_key(key).and_then(|id| self.get(id));
        link.is_some_and(|link| {
            let ours =
                link.is_outbound() && link.purpose() == LinkPurpose::Peer && link.is_connected();
            ours || link.shh_version().is_some()
        })
    }

    /// Adds an established connection.
    pub(super) fn insert(&mut self, id: LinkId, connection: PeerConnection) {
        self.links.insert(id, connection);
    }

    /// Records the peer of a link. Returns the older link to the same key, if any.
    pub(super) fn identify(&mut self, id: LinkId, remote: RemotePeer) -> Option<LinkId> {
        let connection = self.links.get_mut(&id)?;
        let (key, short) = (remote.key(), remote.short());
        connection.identify(remote);
        if let Some(handle) = connection.handle() {
            self.by_handle.insert(handle, id);
        }
        self.by_relay.insert(short, id);
        self.by_key.insert(key, id).filter(|older| *older != id)
    }

    /// Makes `id` the link to its peer again, before a younger link is closed.
    pub(super) fn prefer(&mut self, id: LinkId) {
        let remote = self.links.get(&id).and_then(PeerConnection::remote);
        if let Some((key, short)) = remote.map(|remote| (remote.key(), remote.short())) {
            self.by_key.insert(key, id);
            self.by_relay.insert(short, id);
        }
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, id: LinkId) -> Option<PeerConnection> {
        let connection = self.links.remove(&id)?;
        if let Some(handle) = connection.handle() {
            self.by_handle.remove(&handle);
        }
        if let Some(remote) = connection.remote() {
            if self.by_key.get(&remote.key()) == Some(&id) {
                self.by_key.remove(&remote.key());
            }
            if self.by_relay.get(&remote.short()) == Some(&id) {
                self.by_relay.remove(&remote.short());
            }
        }
        Some(connection)
    }

    /// A connection.
    pub(super) fn get(&self, id: LinkId) -> Option<&PeerConnection> {
        self.links.get(&id)
    }

    /// A connection, to change it.
    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut PeerConnection> {
        self.links.get_mut(&id)
    }

    /// All connections, to change them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (LinkId, &mut PeerConnection)> {
        let links = self.links.iter_mut();
        links.map(|(id, connection)| (*id, connection))
    }

    /// All connections.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, &PeerConnection)> {
        self.links.iter().map(|(id, connection)| (*id, connection))
    }

    /// The link to a peer.
    pub(super) fn to_key(&self, key: RelayKey) -> Option<LinkId> {
        self.by_key.get(&key).copied()
    }

    /// The link over which a relay takes cells, if there is one.
    pub(super) fn to_relay(&self, relay: ShortId) -> Option<LinkId> {
        self.if_ready(*self.by_relay.get(&relay)?)
    }

    /// The link with this handle, if its peer takes cells.
    pub(super) fn to_handle(&self, handle: ShortId) -> Option<LinkId> {
        self.if_ready(*self.by_handle.get(&handle)?)
    }

    fn if_ready(&self, id: LinkId) -> Option<LinkId> {
        let link = self.links.get(&id)?;
        link.is_onion_ready().then_some(id)
    }

    /// Whether a relay is a peer that takes no cells.
    pub(super) fn refuses_cells(&self, relay: ShortId) -> bool {
        let link = self.by_relay.get(&relay).and_then(|id| self.links.get(id));
        link.is_some_and(|link| link.onion_handshake() == OnionHandshake::Off)
    }
}
