//! What whisht nodes tell each other and nobody else: status, relay descriptors, cells, stems.
//!
//! The first message on a link must be a status naming our own network; before it nothing else is
//! listened to, and a peer of another network keeps `shh` and no more (spec F8).

use core::time::Duration;

use circuits::cell::Cell;
use circuits::directory::DescriptorRequest;
use circuits::ids::{Epoch, LinkId};
use circuits::time::Now;

use super::Node;
use super::peers::bans::BanScope;
use super::peers::table::{LinkPurpose, OnionHandshake};
use crate::link::{Capability, DisconnectReason, Priority};
use crate::onion_wire::OnionMessage;

impl Node {
    /// Says who we are, as soon as the handshake is over.
    pub(super) fn start_onion_handshake(&mut self, now: Now, id: LinkId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.onion_handshake =
                OnionHandshake::AwaitingStatus(now.mono.after(STATUS_TIMEOUT));
        }
        let network = self.local.requirements.network;
        let status = OnionMessage::Status {
            network,
            epoch: Epoch::at(now.unix),
        };
        self.send_onion(id, Priority::Control, &status);
    }

    pub(super) fn on_onion_packet(&mut self, now: Now, id: LinkId, code: u16, payload: &[u8]) {
        let Some(state) = self
            .connections
            .get(id)
            .map(|connection| connection.onion_handshake)
        else {
            return;
        };
        let message = u8::try_from(code).map(|code| OnionMessage::decode(code, payload));
        let message = match message {
            Ok(Ok(Some(message))) => message,
            // Reserved: a later version may know it.
            Ok(Ok(None)) => return,
            Ok(Err(_)) | Err(_) => {
                self.counters.malformed += 1;
                self.strike(now, id, BanScope::KeyAndAddress);
                self.disconnect(now, id, DisconnectReason::SubprotocolError);
                return;
            }
        };
        match (state, message) {
            (OnionHandshake::AwaitingStatus(_), OnionMessage::Status { network, .. }) => {
                self.on_onion_status(now, id, network == self.local.requirements.network);
            }
            (OnionHandshake::Ready, message) => self.on_onion_message(now, id, message),
            (OnionHandshake::Off | OnionHandshake::AwaitingStatus(_), _) => {}
        }
    }

    fn on_onion_status(&mut self, now: Now, id: LinkId, ours: bool) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if !ours {
            connection.onion_handshake = OnionHandshake::Off;
            self.gossip.decide_delivery(id, false);
            if connection.purpose == LinkPurpose::Cells {
                self.disconnect(now, id, DisconnectReason::UselessPeer);
            } else if let Some(relay) = self.connections.relay_at(id) {
                self.cells_undeliverable(now, relay);
            }
            return;
        }
        connection.onion_handshake = OnionHandshake::Ready;
        self.gossip.decide_delivery(id, true);
        self.peers_changed(now);
        if let Some(relay) = self.connections.relay_at(id) {
            self.guard_answered(relay);
        }
        self.request_descriptors(now, id);
        self.send_awaiting_cells(now, id);
    }

    fn on_onion_message(&mut self, now: Now, id: LinkId, message: OnionMessage) {
        match message {
            OnionMessage::Descriptors(descriptors) => self.on_descriptors(now, id, &descriptors),
            OnionMessage::GetDescriptors {
                epoch,
                bucket,
                have,
            } => {
                self.on_get_descriptors(
                    now,
                    id,
                    &DescriptorRequest {
                        epoch,
                        bucket,
                        have,
                    },
                );
            }
            OnionMessage::Cell(bytes) => match Cell::parse(bytes.as_slice()) {
                Ok(cell) => self.on_cell(now, id, cell),
                Err(_) => self.counters.cells_dropped += 1,
            },
            OnionMessage::Stem(envelope) => self.on_stem(now, id, envelope),
            OnionMessage::Announce(envelopes) => self.on_announce(now, id, envelopes),
            OnionMessage::GetEnvelopes(envelopes) => self.gossip.on_requested(id, envelopes),
            // A second status says nothing new.
            OnionMessage::Status { .. } => {}
        }
    }

    /// Queues one `onion/1` message; `false` if it cannot be sent.
    pub(super) fn send_onion(
        &mut self,
        id: LinkId,
        priority: Priority,
        message: &OnionMessage,
    ) -> bool {
        let Ok(payload) = message.encode() else {
            return false;
        };
        self.queue(
            id,
            priority,
            Capability::ONION_1,
            u16::from(message.code()),
            payload,
        )
    }
}

/// How long a peer may take to say which network it belongs to.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
