//! The table of connections: who is at the other end, and how much is on its way to them.
//!
//! It knows nothing of what the messages mean. Bytes go out only while fewer than [`WINDOW`] of
//! them wait in the operating system, so that a cell that is queued now leaves before gossip that
//! was queued earlier.

use std::collections::BTreeMap;

use circuits::directory::Subnet;
use circuits::ids::{LinkId, RelayKey, ShortId};
use circuits::time::Instant;

use crate::endpoint::{Endpoint, PeerAddr};
use crate::envelope::ProtocolVersion;
use crate::link::{Capability, Link};

/// All connections, from the dial on.
#[derive(Default)]
pub(in crate::node) struct ConnectionTable {
    dialing: BTreeMap<LinkId, PendingDial>,
    links: BTreeMap<LinkId, PeerConnection>,
    /// Finished handshakes, by the key that the other side proved.
    by_key: BTreeMap<RelayKey, LinkId>,
    /// The same, by what cells call it.
    by_relay: BTreeMap<ShortId, LinkId>,
    last: u64,
}

/// Why a connection exists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) enum LinkPurpose {
    /// Gossip, and whatever else both sides speak.
    Peer,
    /// Cells only, dialled because a cell has to go there; offers nothing but `onion/1`.
    Cells,
}

/// A connection that the shell is making.
#[derive(Clone, Copy)]
pub(in crate::node) struct PendingDial {
    pub(in crate::node) peer: PeerAddr,
    pub(in crate::node) purpose: LinkPurpose,
}

/// A connection that stands.
pub(in crate::node) struct PeerConnection {
    pub(in crate::node) link: Link,
    pub(in crate::node) purpose: LinkPurpose,
    /// Whom we dialled, if we did; the handshake has to prove it.
    pub(in crate::node) dialed: Option<RelayKey>,
    pub(in crate::node) subnet: Subnet,
    /// Where it was reached, or came from (then with port 0), if that shows.
    pub(in crate::node) address: Option<Endpoint>,
    /// What the other side proved to be; `None` until the handshake is over.
    pub(in crate::node) remote: Option<RemotePeer>,
    pub(in crate::node) onion_handshake: OnionHandshake,
    /// Bytes given to the shell and not yet to the operating system.
    pub(in crate::node) in_flight: usize,
    /// When a cell last went either way.
    pub(in crate::node) last_cell: Instant,
}

/// The other side, as its handshake showed it.
pub(in crate::node) struct RemotePeer {
    pub(in crate::node) key: RelayKey,
    pub(in crate::node) short: ShortId,
    pub(in crate::node) client: String,
    pub(in crate::node) shared: Vec<Capability>,
}

/// How far `onion/1` is on a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) enum OnionHandshake {
    /// Not spoken here, or the other side belongs to another network.
    Off,
    /// Our status is out, theirs is due by this instant.
    AwaitingStatus(Instant),
    /// Both sides belong to one network.
    Ready,
}

impl ConnectionTable {
    /// A number never used before.
    pub(in crate::node) fn new_id(&mut self) -> LinkId {
        self.last = self.last.saturating_add(1);
        LinkId(self.last)
    }

    pub(in crate::node) fn begin_dial(&mut self, peer: PeerAddr, purpose: LinkPurpose) -> LinkId {
        let id = self.new_id();
        self.dialing.insert(id, PendingDial { peer, purpose });
        id
    }

    pub(in crate::node) fn end_dial(&mut self, id: LinkId) -> Option<PendingDial> {
        self.dialing.remove(&id)
    }

    /// Dials that the shell has not answered yet.
    pub(in crate::node) fn dialing(&self) -> impl Iterator<Item = &PendingDial> {
        self.dialing.values()
    }

    /// Whether a link to this peer is being made: dialled, or not through its handshake.
    pub(in crate::node) fn is_dialing(&self, key: RelayKey) -> bool {
        self.is_pending(key, |_| true)
    }

    /// The same of a link that is to be more than one for cells.
    pub(in crate::node) fn is_dialing_as_peer(&self, key: RelayKey) -> bool {
        self.is_pending(key, |purpose| purpose == LinkPurpose::Peer)
    }

    fn is_pending(&self, key: RelayKey, suits: impl Fn(LinkPurpose) -> bool) -> bool {
        let dialed = |dialing: &PendingDial| dialing.peer.key == key && suits(dialing.purpose);
        let handshaking = |link: &PeerConnection| {
            link.dialed == Some(key) && !link.is_connected() && suits(link.purpose)
        };
        self.dialing.values().any(dialed) || self.links.values().any(handshaking)
    }

    /// Whether there is a link to this peer that is more than one for cells: it carries gossip, or
    /// would if the other side spoke any.
    pub(in crate::node) fn is_peer(&self, key: RelayKey) -> bool {
        let link = self.to_key(key).and_then(|id| self.get(id));
        link.is_some_and(|link| {
            let ours = link.outbound() && link.purpose == LinkPurpose::Peer && link.is_connected();
            ours || link.shh_version().is_some()
        })
    }

    pub(in crate::node) fn insert(&mut self, id: LinkId, connection: PeerConnection) {
        self.links.insert(id, connection);
    }

    /// Notes who is at the other end. Gives the link that the same key already had, if any.
    pub(in crate::node) fn identify(&mut self, id: LinkId, remote: RemotePeer) -> Option<LinkId> {
        let connection = self.links.get_mut(&id)?;
        let (key, short) = (remote.key, remote.short);
        connection.remote = Some(remote);
        self.by_relay.insert(short, id);
        self.by_key.insert(key, id).filter(|older| *older != id)
    }

    /// Makes `id` the link to its key again, after a younger one lost to it.
    pub(in crate::node) fn prefer(&mut self, id: LinkId) {
        if let Some(remote) = self
            .links
            .get(&id)
            .and_then(|connection| connection.remote.as_ref())
        {
            self.by_key.insert(remote.key, id);
            self.by_relay.insert(remote.short, id);
        }
    }

    pub(in crate::node) fn remove(&mut self, id: LinkId) -> Option<PeerConnection> {
        let connection = self.links.remove(&id)?;
        if let Some(remote) = &connection.remote {
            if self.by_key.get(&remote.key) == Some(&id) {
                self.by_key.remove(&remote.key);
            }
            if self.by_relay.get(&remote.short) == Some(&id) {
                self.by_relay.remove(&remote.short);
            }
        }
        Some(connection)
    }

    pub(in crate::node) fn get(&self, id: LinkId) -> Option<&PeerConnection> {
        self.links.get(&id)
    }

    pub(in crate::node) fn get_mut(&mut self, id: LinkId) -> Option<&mut PeerConnection> {
        self.links.get_mut(&id)
    }

    pub(in crate::node) fn iter(&self) -> impl Iterator<Item = (LinkId, &PeerConnection)> {
        self.links.iter().map(|(id, connection)| (*id, connection))
    }

    pub(in crate::node) fn iter_mut(
        &mut self,
    ) -> impl Iterator<Item = (LinkId, &mut PeerConnection)> {
        self.links
            .iter_mut()
            .map(|(id, connection)| (*id, connection))
    }

    /// When a link wants to be called, or a status is overdue.
    pub(in crate::node) fn next_due(&self) -> Option<Instant> {
        let links = self.links.values();
        links
            .flat_map(|connection| {
                let status = match connection.onion_handshake {
                    OnionHandshake::AwaitingStatus(due) => Some(due),
                    OnionHandshake::Off | OnionHandshake::Ready => None,
                };
                [connection.link.poll_timeout(), status]
            })
            .flatten()
            .min()
    }

    pub(in crate::node) fn to_key(&self, key: RelayKey) -> Option<LinkId> {
        self.by_key.get(&key).copied()
    }

    /// The link over which a relay takes cells, if there is one.
    pub(in crate::node) fn to_relay(&self, relay: ShortId) -> Option<LinkId> {
        let id = *self.by_relay.get(&relay)?;
        self.links
            .get(&id)
            .filter(|connection| connection.onion_handshake == OnionHandshake::Ready)
            .map(|_| id)
    }

    /// Whether a relay is a neighbour that takes no cells and will not.
    pub(in crate::node) fn refuses_cells(&self, relay: ShortId) -> bool {
        let link = self.by_relay.get(&relay).and_then(|id| self.links.get(id));
        link.is_some_and(|link| link.onion_handshake == OnionHandshake::Off)
    }

    /// What cells call the other end of a link.
    pub(in crate::node) fn relay_at(&self, id: LinkId) -> Option<ShortId> {
        Some(self.links.get(&id)?.remote.as_ref()?.short)
    }
}

impl PeerConnection {
    pub(in crate::node) const fn new(
        link: Link,
        purpose: LinkPurpose,
        dialed: Option<RelayKey>,
        subnet: Subnet,
        now: Instant,
    ) -> Self {
        Self {
            link,
            purpose,
            dialed,
            subnet,
            address: None,
            remote: None,
            onion_handshake: OnionHandshake::Off,
            in_flight: 0,
            last_cell: now,
        }
    }

    /// Whether we dialled it.
    pub(in crate::node) const fn outbound(&self) -> bool {
        self.dialed.is_some()
    }

    /// Whether both sides speak this capability.
    pub(in crate::node) fn speaks(&self, capability: Capability) -> bool {
        self.remote
            .as_ref()
            .is_some_and(|remote| remote.shared.contains(&capability))
    }

    /// The version of Whisper that both sides speak, if any.
    pub(in crate::node) fn shh_version(&self) -> Option<ProtocolVersion> {
        if self.speaks(Capability::SHH_6) {
            return Some(ProtocolVersion::V6);
        }
        self.speaks(Capability::SHH_5)
            .then_some(ProtocolVersion::V5)
    }

    /// Whether the handshake is over.
    pub(in crate::node) fn is_connected(&self) -> bool {
        self.remote.is_some()
    }

    /// How many more bytes the shell may be given now.
    pub(in crate::node) fn window(&self) -> usize {
        WINDOW.saturating_sub(self.in_flight)
    }
}

/// Bytes given to the operating system ahead of need: keeps the line busy at 100 Mbit/s and 5 ms,
/// and lets a cell overtake all but this much gossip.
const WINDOW: usize = 64 * 1024;
