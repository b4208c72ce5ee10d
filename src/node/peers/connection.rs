//! One connection: its link, the peer at the other end, and the bytes in flight.
//!
//! Bytes are handed to the shell only while fewer than [`WINDOW`] of them wait in the operating
//! system. A cell that is queued now therefore leaves before gossip that was queued earlier. The
//! meaning of the messages is not known here.

use core::time::Duration;

use circuits::directory::Subnet;
use circuits::erasing_rng::ErasingRng;
use circuits::ids::{RelayKey, ShortId};
use circuits::time::Instant;

use crate::endpoint::{Endpoint, PeerAddr};
use crate::envelope::ProtocolVersion;
use crate::link::{
    CELL_PAYLOAD, Capability, DisconnectReason, Link, LinkEvent, LinkFault, Packing, Priority,
};

/// Why a connection exists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) enum LinkPurpose {
    /// Gossip, and every other capability that both sides share.
    Peer,
    /// Cells only, dialled because a cell has to reach this relay; offers only `onion/1`.
    Cells,
    /// Cells only, to our guard. Open whether cells cross it or not, so that a dial does not show a
    /// send.
    Guard,
}

impl LinkPurpose {
    /// Whether such a link exists for nothing but cells.
    pub(super) const fn is_cells_only(self) -> bool {
        matches!(self, Self::Cells | Self::Guard)
    }
}

/// The progress of `onion/1` on a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) enum OnionHandshake {
    /// Not spoken on this link, or the peer belongs to another network.
    Off,
    /// Our status is sent; the peer's is awaited.
    AwaitingStatus,
    /// Both sides belong to one network.
    Ready,
}

/// An established connection.
pub(in crate::node) struct PeerConnection {
    link: Link,
    purpose: LinkPurpose,
    /// The key that we dialled; the handshake must prove it.
    dialed: Option<RelayKey>,
    subnet: Subnet,
    /// The dialled endpoint, or the remote address with port 0, if it is known.
    address: Option<Endpoint>,
    /// `None` until the handshake is complete.
    remote: Option<RemotePeer>,
    onion_handshake: OnionHandshake,
    /// Bytes handed to the shell that the operating system has not taken yet.
    in_flight: usize,
    /// When the connection was established.
    opened: Instant,
    /// When a cell last crossed the link, in either direction; the start before the first one.
    last_cell: Instant,
}

/// The peer at the other end, as the handshake proved it.
pub(in crate::node) struct RemotePeer {
    key: RelayKey,
    short: ShortId,
    client: String,
    shared: Vec<Capability>,
}

impl RemotePeer {
    /// A peer that proved `key` and shares these capabilities.
    pub(in crate::node) fn new(key: RelayKey, client: String, shared: Vec<Capability>) -> Self {
        Self {
            key,
            short: key.id().short(),
            client,
            shared,
        }
    }

    /// Its public key.
    pub(in crate::node) const fn key(&self) -> RelayKey {
        self.key
    }

    /// Its id in cells.
    pub(in crate::node) const fn short(&self) -> ShortId {
        self.short
    }

    /// Its client name.
    pub(in crate::node) fn client(&self) -> &str {
        &self.client
    }

    /// The capabilities that both sides speak.
    pub(in crate::node) fn shared(&self) -> &[Capability] {
        &self.shared
    }
}

impl PeerConnection {
    /// A connection that we dialled.
    pub(super) const fn outbound(
        link: Link,
        purpose: LinkPurpose,
        peer: PeerAddr,
        subnet: Subnet,
        now: Instant,
    ) -> Self {
        let mut connection = Self::new(link, purpose, subnet, now);
        connection.dialed = Some(peer.key);
        connection.address = Some(peer.endpoint);
        connection
    }

    /// A connection to our listener.
    pub(super) const fn inbound(
        link: Link,
        address: Option<Endpoint>,
        subnet: Subnet,
        now: Instant,
    ) -> Self {
        let mut connection = Self::new(link, LinkPurpose::Peer, subnet, now);
        connection.address = address;
        connection
    }

    const fn new(link: Link, purpose: LinkPurpose, subnet: Subnet, now: Instant) -> Self {
        Self {
            link,
            purpose,
            dialed: None,
            subnet,
            address: None,
            remote: None,
            onion_handshake: OnionHandshake::Off,
            in_flight: 0,
            opened: now,
            last_cell: now,
        }
    }

    // -- the link

    /// Reads bytes from the socket.
    ///
    /// # Errors
    ///
    /// The first fault. Events from before the fault can still be polled.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        rng: &mut ErasingRng,
        bytes: &[u8],
    ) -> Result<(), LinkFault> {
        self.link.receive(now, rng, bytes)
    }

    /// The next event of the link.
    pub(super) fn poll_event(&mut self) -> Option<LinkEvent> {
        self.link.poll_event()
    }

    /// Queues a message; `false` if the queue is full or the capability is not shared.
    pub(super) fn send(
        &mut self,
        priority: Priority,
        capability: Capability,
        code: u16,
        payload: Vec<u8>,
    ) -> bool {
        // Cells and envelopes are ciphertext, which compression cannot shorten.
        let is_cell = matches!(priority, Priority::Cell | Priority::Circuit);
        let packing = if capability == Capability::ONION_1 && !is_cell {
            Packing::Snappy
        } else {
            Packing::Literal
        };
        let sent = self.link.send(priority, capability, code, payload, packing);
        sent.is_ok()
    }

    /// Number of cells of circuits that fit into the queue of the link.
    pub(super) fn circuit_room(&self) -> usize {
        self.link.circuit_room(CELL_PAYLOAD)
    }

    /// The next bytes for the socket, while the window has room. Without `gossip` only other messages.
    pub(super) fn poll_transmit(&mut self, now: Instant, gossip: bool) -> Option<Vec<u8>> {
        let window = WINDOW.saturating_sub(self.in_flight);
        let bytes = self.link.poll_transmit_of(now, window, gossip)?;
        self.in_flight = self.in_flight.saturating_add(bytes.len());
        Some(bytes)
    }

    /// The next frame for the socket, gossip included, while the window has room.
    pub(super) fn poll_frame(&mut self, now: Instant) -> Option<Vec<u8>> {
        let room = WINDOW.saturating_sub(self.in_flight).min(1);
        let bytes = self.link.poll_transmit_of(now, room, true)?;
        self.in_flight = self.in_flight.saturating_add(bytes.len());
        Some(bytes)
    }

    /// Counts received bytes as a sign of life, whole frame or not.
    pub(super) fn note_heard(&mut self, now: Instant) {
        self.link.note_heard(now);
    }

    /// Whether gossip waits.
    pub(super) fn has_gossip(&self) -> bool {
        self.link.has_gossip()
    }

    /// Records that the operating system took bytes.
    pub(super) const fn flushed(&mut self, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// The name of this link in cells, once its secrets are agreed.
    pub(in crate::node) fn handle(&self) -> Option<ShortId> {
        self.link.handle()
    }

    /// The key that the other end names, once secrets are agreed.
    pub(super) fn named_key(&self) -> Option<RelayKey> {
        self.link.remote()
    }

    /// Ends the link and tells the peer the reason.
    pub(super) fn disconnect(&mut self, reason: DisconnectReason) {
        self.link.disconnect(reason);
    }

    /// Handles a due deadline of the link.
    ///
    /// # Errors
    ///
    /// The link's fault if a timeout has expired.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), LinkFault> {
        match self.link.poll_timeout() {
            Some(due) if due <= now => self.link.handle_timeout(now),
            _ => Ok(()),
        }
    }

    /// Does not count the time of an absence of this node against the peer.
    pub(super) fn excuse_absence(&mut self, absence: Duration) {
        self.link.excuse_absence(absence);
    }

    /// The next deadline of the link.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.link.poll_timeout()
    }

    /// Bytes queued in the link.
    pub(in crate::node) fn queued_bytes(&self) -> usize {
        self.link.queued_bytes()
    }

    /// Smoothed round-trip time of the link, once it is connected.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.link.round_trip()
    }

    /// Bytes in memory of a frame that is not finished.
    pub(super) const fn unfinished_bytes(&self) -> usize {
        self.link.unfinished_bytes()
    }

    /// Bytes in memory that the peer has not read, as far as is known.
    pub(super) fn unread_bytes(&self) -> usize {
        self.queued_bytes().saturating_add(self.in_flight)
    }

    // -- state

    /// Records the peer that the handshake proved.
    pub(super) fn identify(&mut self, remote: RemotePeer) {
        self.remote = Some(remote);
    }

    /// Sets the progress of `onion/1`.
    pub(super) const fn set_onion_handshake(&mut self, state: OnionHandshake) {
        self.onion_handshake = state;
    }

    /// Changes why the connection exists.
    pub(super) const fn set_purpose(&mut self, purpose: LinkPurpose) {
        self.purpose = purpose;
    }

    /// Records that a cell crossed the link.
    pub(super) const fn note_cell(&mut self, now: Instant) {
        self.last_cell = now;
    }

    /// Why the connection exists.
    pub(in crate::node) const fn purpose(&self) -> LinkPurpose {
        self.purpose
    }

    /// The key that we dialled, if we dialled.
    pub(super) const fn dialed(&self) -> Option<RelayKey> {
        self.dialed
    }

    /// Whether we dialled.
    pub(in crate::node) const fn is_outbound(&self) -> bool {
        self.dialed.is_some()
    }

    /// The subnet of the other end.
    pub(in crate::node) const fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// The address of the other end, if it is known.
    pub(in crate::node) const fn address(&self) -> Option<Endpoint> {
        self.address
    }

    /// The peer, once the handshake is complete.
    pub(in crate::node) const fn remote(&self) -> Option<&RemotePeer> {
        self.remote.as_ref()
    }

    /// The peer's key, once the handshake is complete.
    pub(in crate::node) fn key(&self) -> Option<RelayKey> {
        self.remote.as_ref().map(RemotePeer::key)
    }

    /// Whether the handshake is complete.
    pub(in crate::node) const fn is_connected(&self) -> bool {
        self.remote.is_some()
    }

    /// The progress of `onion/1`.
    pub(in crate::node) const fn onion_handshake(&self) -> OnionHandshake {
        self.onion_handshake
    }

    /// Whether the peer takes cells and stems.
    pub(in crate::node) fn is_onion_ready(&self) -> bool {
        self.onion_handshake == OnionHandshake::Ready
    }

    /// When the connection was established.
    pub(super) const fn opened(&self) -> Instant {
        self.opened
    }

    /// When a cell last crossed the link.
    pub(super) const fn last_cell(&self) -> Instant {
        self.last_cell
    }

    /// Whether a cell crossed the link within this time.
    pub(super) fn carried_cell_since(&self, now: Instant, within: Duration) -> bool {
        self.last_cell > self.opened && now.since(self.last_cell) <= within
    }

    /// Whether the peer dialled, and the handshake is complete.
    pub(super) const fn is_kept_inbound(&self) -> bool {
        !self.is_outbound() && self.is_connected()
    }

    /// Whether both sides speak this capability.
    pub(in crate::node) fn speaks(&self, capability: Capability) -> bool {
        let remote = self.remote.as_ref();
        remote.is_some_and(|remote| remote.shared.contains(&capability))
    }

    /// The version of Whisper on this link, if any.
    pub(in crate::node) fn shh_version(&self) -> Option<ProtocolVersion> {
        if self.speaks(Capability::SHH_6) {
            return Some(ProtocolVersion::V6);
        }
        self.speaks(Capability::SHH_5)
            .then_some(ProtocolVersion::V5)
    }
}

/// Maximum number of bytes handed to the operating system ahead of need. It keeps a line of
/// 100 Mbit/s and 5 ms busy, and lets a cell overtake all but this much gossip.
const WINDOW: usize = 64 * 1024;
