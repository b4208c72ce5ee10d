//! Routing of `onion/1`: a message of a peer goes to the component that it concerns, and so does the end of
//! the handshake.
//!
//! This module decides nothing, as `routing`.

use circuits::cell::{Cell, CellError};
use circuits::ids::LinkId;
use circuits::time::Now;

use super::clock_skew::ShownTime;
use super::effects::Counter;
use super::peers::{BanScope, OnionHandshake, OnionOutcome, PeerConnection};
use super::{Node, circuit_routing, dial_back, emission_routing};
use crate::envelope::Envelope;
use crate::envelope_validation::StemRejected;
use crate::onion_wire::OnionMessage;

/// A peer sent a packet of `onion/1`. Before the handshake has ended, only a status is accepted.
pub(super) fn on_packet(node: &mut Node, now: Now, link: LinkId, code: u16, payload: &[u8]) {
    let Some(state) = node.peers.get(link).map(PeerConnection::onion_handshake) else {
        return;
    };
    let message = u8::try_from(code).map(|code| OnionMessage::decode(code, payload));
    let message = match message {
        Ok(Ok(Some(message))) => message,
        // A reserved code: a later version may use it.
        Ok(Ok(None)) => return node.peers.on_unread(&mut node.fx, now, link),
        Ok(Err(_)) | Err(_) => return node.peers.on_malformed(&mut node.fx, now, link),
    };
    match (state, message) {
        (OnionHandshake::Ready, message) => on_message(node, now, link, message),
        // Also after the timeout: over Tor a pause may last longer.
        (
            _,
            OnionMessage::Status {
                network,
                epoch,
                time,
            },
        ) => {
            node.compare_clock(now, link, ShownTime::Status(epoch, time));
            let outcome = node.peers.on_onion_status(&mut node.fx, now, link, network);
            on_handshake_outcome(node, now, link, outcome);
        }
        // Before the handshake, no other message is accepted.
        (OnionHandshake::Off | OnionHandshake::AwaitingStatus, _) => {
            node.peers.on_unread(&mut node.fx, now, link);
        }
    }
}

/// An `onion/1` handshake ended, or timed out.
pub(super) fn on_handshake_outcome(
    node: &mut Node,
    now: Now,
    link: LinkId,
    outcome: Option<OnionOutcome>,
) {
    let fx = &mut node.fx;
    match outcome {
        Some(OnionOutcome::Ready(relay)) => {
            node.gossip.decide_delivery(fx, link, true);
            node.directory.guard_answered(relay);
            node.directory.on_onion_peer(fx, now, link, &node.peers);
            node.relay.send_awaiting_cells(fx, link, relay);
            node.on_peers_changed(now);
        }
        Some(OnionOutcome::Refused(relay)) => {
            node.gossip.decide_delivery(fx, link, false);
            node.on_relay_unreachable(now, relay);
        }
        None => {}
    }
}

fn on_message(node: &mut Node, now: Now, from: LinkId, message: OnionMessage) {
    let fx = &mut node.fx;
    match message {
        OnionMessage::Descriptors(_)
        | OnionMessage::GetDescriptors(_)
        | OnionMessage::RelayList(_)
        | OnionMessage::RelayListPart(_) => {
            let (directory, peers) = (&mut node.directory, &node.peers);
            directory.on_message(fx, now, from, message, peers);
        }
        OnionMessage::Cell(bytes) => on_cell(node, now, from, Cell::from_box(bytes)),
        OnionMessage::Stem(envelope) => on_stem(node, now, from, &envelope),
        OnionMessage::Announce(hashes) => {
            let known = node.gossip.on_announced(fx, now, from, hashes);
            let (send, fx, context) = node.sending();
            send.on_echoes(fx, known, context);
        }
        OnionMessage::GetEnvelopes(hashes) => node.gossip.on_requested(fx, now, from, hashes),
        OnionMessage::DialBack(message) => dial_back::on_message(node, now, from, message),
        OnionMessage::CircuitCell(cell) => circuit_routing::on_cell(node, now, from, &cell),
        // A second status carries no information.
        OnionMessage::Status { .. } => node.peers.on_unread(fx, now, from),
    }
}

fn on_stem(node: &mut Node, now: Now, from: LinkId, envelope: &Envelope) {
    let Some(peer) = node.peers.stem_peer(from) else {
        return;
    };
    let fx = &mut node.fx;
    let passed_on = node.stem.on_stem(fx, now, peer, envelope, &node.gossip);
    if passed_on.is_err_and(StemRejected::is_strike) {
        node.peers
            .end_for_violation(fx, now, from, Some(BanScope::KeyAndAddress));
    }
}

fn on_cell(node: &mut Node, now: Now, from: LinkId, cell: Result<Cell, CellError>) {
    let Ok(cell) = cell else {
        return node.fx.count(Counter::CellsDropped);
    };
    let taken = if node.relay.is_enabled() {
        let (relay, fx, context, _) = node.relaying();
        relay.on_cell(fx, now, from, cell, context)
    } else {
        let (emission, fx, context) = emission_routing::emitting(node, now, None);
        emission.on_cell(fx, now, from, context.link, cell)
    };
    if taken {
        node.peers.note_received_cell(now.mono, from);
    }
}
