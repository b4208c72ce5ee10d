//! Sending: packets and cells into the send queues of links. Nothing leaves here; the queues are flushed
//! at the end of a turn.

use circuits::cell::Cell;
use circuits::circuit::CircuitCell;
use circuits::ids::{LinkId, RelayKey};
use circuits::time::{Instant, Now};

use super::{PeerConnection, Peers};
use crate::bandwidth::BandwidthLimits;
use crate::envelope::{Envelope, ProtocolVersion};
use crate::gossip::packet::{P2pKind, outgoing, v5};
use crate::gossip::{Gossip, OutboundPacket};
use crate::link::{Capability, Priority};
use crate::node::command::Refusal;
use crate::node::effects::{Counter, Effects};
use crate::node::output::Output;
use crate::node::timers::TimerId;
use crate::onion_wire::OnionMessage;

impl Peers {
    /// Queues a packet of gossip; `false` if the link has no room for it.
    ///
    /// Announcements and requests travel with envelopes, not with control messages: many hashes must
    /// not take the room of a stem. A full queue loses the packet, and a link whose peer reads too
    /// slowly is closed by its own timeout.
    pub(in crate::node) fn send_packet(
        &mut self,
        fx: &mut Effects,
        packet: OutboundPacket,
    ) -> bool {
        let (link, code) = (packet.link, u16::from(packet.code));
        let sent = self.send(
            link,
            Priority::Gossip,
            packet.capability,
            code,
            packet.payload,
        );
        self.count_packet(fx, link, sent);
        sent
    }

    /// Sends an envelope to the peer with this key, without gossip. The peer accepts it if it trusts us.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if no such peer gossips, if it speaks another version, or if it takes nothing now.
    pub(in crate::node) fn send_direct(
        &mut self,
        fx: &mut Effects,
        key: RelayKey,
        envelope: &Envelope,
        gossip: &Gossip,
    ) -> Result<(), Refusal> {
        let link = self.to_key(key).ok_or_else(Refusal::no_such_peer)?;
        let protocol = gossip.protocol(link).ok_or_else(Refusal::no_such_peer)?;
        if protocol != envelope.protocol() {
            return Err(Refusal::usage(
                format!(
                    "the peer speaks {protocol}, and this is an envelope of {}",
                    envelope.protocol()
                ),
                "send it to a peer that speaks the same",
            ));
        }
        let (capability, code) = match protocol {
            ProtocolVersion::V5 => (Capability::SHH_5, v5::code::P2P_MESSAGE),
            ProtocolVersion::V6 => (Capability::SHH_6, P2pKind::Message.code()),
        };
        let payload = outgoing::p2p_message(envelope);
        let packet = OutboundPacket {
            link,
            capability,
            code,
            payload,
        };
        if self.send_packet(fx, packet) {
            return Ok(());
        }
        let queued = self.queued_bytes(link).ok_or_else(Refusal::no_such_peer)?;
        Err(Refusal::usage(
            format!("the peer takes nothing now: {queued} bytes wait for it"),
            "try again in a moment",
        ))
    }

    /// Hands queued bytes of a link to the shell as far as its window allows. With a limit of bandwidth, its
    /// gossip waits for a turn.
    pub(super) fn transmit(&mut self, fx: &mut Effects, now: Now, id: LinkId) {
        let gossip = !self.budget.is_on();
        let Some(connection) = self.table.get_mut(id) else {
            return;
        };
        while let Some(bytes) = connection.poll_transmit(now.mono, gossip) {
            self.budget.charge(now.mono, bytes.len());
            self.traffic.on_sent(bytes.len());
            fx.emit(Output::Send(id, bytes));
        }
        if !gossip && connection.has_gossip() {
            self.budget.wait(id);
        }
    }

    /// Goes on with other limits of bandwidth.
    pub(in crate::node) fn set_bandwidth(&mut self, now: Instant, limits: &BandwidthLimits) {
        self.budget.set_limits(limits, now);
    }

    /// Gives each link that has gossip to send a turn of one frame while the limit of bandwidth admits it, and
    /// sets the timer for the next turn.
    pub(super) fn send_gossip_in_turns(&mut self, fx: &mut Effects, now: Now) {
        while let Some(id) = self.budget.next(now.mono) {
            let Some(connection) = self.table.get_mut(id) else {
                continue;
            };
            // Without room in its window the link waits again once the system has taken bytes.
            let Some(bytes) = connection.poll_frame(now.mono) else {
                continue;
            };
            self.budget.charge(now.mono, bytes.len());
            self.traffic.on_sent(bytes.len());
            fx.emit(Output::Send(id, bytes));
            if connection.has_gossip() {
                self.budget.wait(id);
            }
        }
        fx.arm(TimerId::Bandwidth, self.budget.due(now.mono));
    }

    /// Queues one `onion/1` message.
    pub(in crate::node) fn send_onion(
        &mut self,
        fx: &mut Effects,
        id: LinkId,
        priority: Priority,
        message: &OnionMessage,
    ) {
        let sent = self.send_message(id, priority, message);
        self.count_packet(fx, id, sent);
    }

    /// Queues one cell. It keeps a link for cells open.
    pub(in crate::node) fn send_cell(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        id: LinkId,
        cell: Cell,
    ) {
        self.note_cell(now, id);
        self.traffic.on_cell_sent();
        let message = OnionMessage::Cell(cell.into_box());
        if !self.send_message(id, Priority::Cell, &message) {
            fx.count(Counter::CellsDropped);
        }
    }

    /// Queues one cell of a circuit on a link that has room for it. It keeps a link for cells open. A
    /// link that was closed in the same turn has ended the circuit.
    pub(in crate::node) fn send_circuit_cell(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        id: LinkId,
        cell: CircuitCell,
    ) {
        self.note_cell(now, id);
        let message = OnionMessage::CircuitCell(cell.into_bytes());
        let sent = self.send_message(id, Priority::Circuit, &message);
        self.count_packet(fx, id, sent);
    }

    /// Number of cells of circuits that a link takes now.
    pub(in crate::node) fn circuit_room(&self, id: LinkId) -> usize {
        self.get(id).map_or(0, PeerConnection::circuit_room)
    }

    /// Records that a cell crossed the link, which keeps a link for cells open.
    pub(in crate::node) fn note_cell(&mut self, now: Instant, id: LinkId) {
        if let Some(connection) = self.table.get_mut(id) {
            connection.note_cell(now);
        }
    }

    /// Records that a cell arrived over the link.
    pub(in crate::node) fn note_received_cell(&mut self, now: Instant, id: LinkId) {
        self.traffic.on_cell_received();
        self.note_cell(now, id);
    }

    /// Counts a packet that a link had no room for. A packet to a link that closed in the same turn
    /// is not lost by us.
    fn count_packet(&self, fx: &mut Effects, link: LinkId, sent: bool) {
        if !sent && self.get(link).is_some() {
            fx.count(Counter::PacketsDropped);
        }
    }

    fn send_message(&mut self, id: LinkId, priority: Priority, message: &OnionMessage) -> bool {
        let Ok(payload) = message.encode() else {
            return false;
        };
        let code = u16::from(message.code());
        self.send(id, priority, Capability::ONION_1, code, payload)
    }

    fn send(
        &mut self,
        id: LinkId,
        priority: Priority,
        capability: Capability,
        code: u16,
        payload: Vec<u8>,
    ) -> bool {
        let Some(connection) = self.table.get_mut(id) else {
            return false;
        };
        self.dirty.insert(id);
        connection.send(priority, capability, code, payload)
    }
}
