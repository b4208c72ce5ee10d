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
pub(super) struct Connections {
    dialing: BTreeMap<LinkId, Dialing>,
    open: BTreeMap<LinkId, Connection>,
    /// Finished handshakes, by the key that the other side proved.
    by_key: BTreeMap<RelayKey, LinkId>,
    /// The same, by what cells call it.
    by_relay: BTreeMap<ShortId, LinkId>,
    last: u64,
}

/// Why a connection exists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// Gossip, and whatever else both sides speak.
    Peer,
    /// Cells only, dialled because a cell has to go there; offers nothing but `onion/1`.
    Cells,
}

/// A connection that the shell is making.
#[derive(Clone, Copy)]
pub(super) struct Dialing {
    pub(super) peer: PeerAddr,
    pub(super) purpose: Purpose,
}

/// A connection that stands.
pub(super) struct Connection {
    pub(super) link: Link,
    pub(super) purpose: Purpose,
    /// Whom we dialled, if we did; the handshake has to prove it.
    pub(super) dialed: Option<RelayKey>,
    pub(super) subnet: Subnet,
    /// Where it was reached, or came from (then with port 0), if that shows.
    pub(super) address: Option<Endpoint>,
    /// What the other side proved to be; `None` until the handshake is over.
    pub(super) remote: Option<Remote>,
    pub(super) dark: Dark,
    /// Bytes given to the shell and not yet to the operating system.
    pub(super) in_flight: usize,
    /// When a cell last went either way.
    pub(super) last_cell: Instant,
}

/// The other side, as its handshake showed it.
pub(super) struct Remote {
    pub(super) key: RelayKey,
    pub(super) short: ShortId,
    pub(super) client: String,
    pub(super) shared: Vec<Capability>,
}

/// How far `onion/1` is on a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dark {
    /// Not spoken here, or the other side belongs to another network.
    Off,
    /// Our status is out, theirs is due by this instant.
    AwaitingStatus(Instant),
    /// Both sides belong to one network.
    Ready,
}

impl Connections {
    /// A number never used before.
    pub(super) fn new_id(&mut self) -> LinkId {
        self.last = self.last.saturating_add(1);
        LinkId(self.last)
    }

    pub(super) fn begin_dial(&mut self, peer: PeerAddr, purpose: Purpose) -> LinkId {
        let id = self.new_id();
        self.dialing.insert(id, Dialing { peer, purpose });
        id
    }

    pub(super) fn end_dial(&mut self, id: LinkId) -> Option<Dialing> {
        self.dialing.remove(&id)
    }

    /// Dials that the shell has not answered yet.
    pub(super) fn dialing(&self) -> impl Iterator<Item = &Dialing> {
        self.dialing.values()
    }

    /// Whether a link to this peer is being made: dialled, or not through its handshake.
    pub(super) fn is_dialing(&self, key: RelayKey) -> bool {
        self.makes(key, |_| true)
    }

    /// The same of a link that is to be more than one for cells.
    pub(super) fn is_dialing_as_peer(&self, key: RelayKey) -> bool {
        self.makes(key, |purpose| purpose == Purpose::Peer)
    }

    fn makes(&self, key: RelayKey, suits: impl Fn(Purpose) -> bool) -> bool {
        let dialed = |dialing: &Dialing| dialing.peer.key == key && suits(dialing.purpose);
        let shaking =
            |link: &Connection| link.dialed == Some(key) && !link.is_open() && suits(link.purpose);
        self.dialing.values().any(dialed) || self.open.values().any(shaking)
    }

    /// Whether there is a link to this peer that is more than one for cells: it carries gossip, or
    /// would if the other side spoke any.
    pub(super) fn is_peer(&self, key: RelayKey) -> bool {
        let link = self.to_key(key).and_then(|id| self.get(id));
        link.is_some_and(|link| {
            let ours = link.outbound() && link.purpose == Purpose::Peer && link.is_open();
            ours || link.gossips().is_some()
        })
    }

    pub(super) fn insert(&mut self, id: LinkId, connection: Connection) {
        self.open.insert(id, connection);
    }

    /// Notes who is at the other end. Gives the link that the same key already had, if any.
    pub(super) fn identify(&mut self, id: LinkId, remote: Remote) -> Option<LinkId> {
        let connection = self.open.get_mut(&id)?;
        let (key, short) = (remote.key, remote.short);
        connection.remote = Some(remote);
        self.by_relay.insert(short, id);
        self.by_key.insert(key, id).filter(|older| *older != id)
    }

    /// Makes `id` the link to its key again, after a younger one lost to it.
    pub(super) fn prefer(&mut self, id: LinkId) {
        if let Some(remote) = self
            .open
            .get(&id)
            .and_then(|connection| connection.remote.as_ref())
        {
            self.by_key.insert(remote.key, id);
            self.by_relay.insert(remote.short, id);
        }
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Connection> {
        let connection = self.open.remove(&id)?;
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

    pub(super) fn get(&self, id: LinkId) -> Option<&Connection> {
        self.open.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Connection> {
        self.open.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, &Connection)> {
        self.open.iter().map(|(id, connection)| (*id, connection))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (LinkId, &mut Connection)> {
        self.open
            .iter_mut()
            .map(|(id, connection)| (*id, connection))
    }

    /// When a link wants to be called, or a status is overdue.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let links = self.open.values();
        links
            .flat_map(|connection| {
                let status = match connection.dark {
                    Dark::AwaitingStatus(due) => Some(due),
                    Dark::Off | Dark::Ready => None,
                };
                [connection.link.poll_timeout(), status]
            })
            .flatten()
            .min()
    }

    pub(super) fn to_key(&self, key: RelayKey) -> Option<LinkId> {
        self.by_key.get(&key).copied()
    }

    /// The link over which a relay takes cells, if there is one.
    pub(super) fn to_relay(&self, relay: ShortId) -> Option<LinkId> {
        let id = *self.by_relay.get(&relay)?;
        self.open
            .get(&id)
            .filter(|connection| connection.dark == Dark::Ready)
            .map(|_| id)
    }

    /// Whether a relay is a neighbour that takes no cells and will not.
    pub(super) fn refuses_cells(&self, relay: ShortId) -> bool {
        let link = self.by_relay.get(&relay).and_then(|id| self.open.get(id));
        link.is_some_and(|link| link.dark == Dark::Off)
    }

    /// What cells call the other end of a link.
    pub(super) fn relay_at(&self, id: LinkId) -> Option<ShortId> {
        Some(self.open.get(&id)?.remote.as_ref()?.short)
    }
}

impl Connection {
    pub(super) const fn new(
        link: Link,
        purpose: Purpose,
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
            dark: Dark::Off,
            in_flight: 0,
            last_cell: now,
        }
    }

    /// Whether we dialled it.
    pub(super) const fn outbound(&self) -> bool {
        self.dialed.is_some()
    }

    /// Whether both sides speak this capability.
    pub(super) fn speaks(&self, capability: Capability) -> bool {
        self.remote
            .as_ref()
            .is_some_and(|remote| remote.shared.contains(&capability))
    }

    /// The version of Whisper that both sides speak, if any.
    pub(super) fn gossips(&self) -> Option<ProtocolVersion> {
        if self.speaks(Capability::SHH_6) {
            return Some(ProtocolVersion::V6);
        }
        self.speaks(Capability::SHH_5)
            .then_some(ProtocolVersion::V5)
    }

    /// Whether the handshake is over.
    pub(super) fn is_open(&self) -> bool {
        self.remote.is_some()
    }

    /// How many more bytes the shell may be given now.
    pub(super) fn window(&self) -> usize {
        WINDOW.saturating_sub(self.in_flight)
    }
}

/// Bytes given to the operating system ahead of need: keeps the line busy at 100 Mbit/s and 5 ms,
/// and lets a cell overtake all but this much gossip.
const WINDOW: usize = 64 * 1024;
