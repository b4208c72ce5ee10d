//! Routing of circuits: actions and cells go to the component that they are for, and what happens to a
//! circuit goes to its owner.
//!
//! This module decides nothing, as `routing`.

use circuits::geometry::CELL_LEN;
use circuits::ids::LinkId;
use circuits::time::Now;

use super::Node;
use super::action::CircuitAction;
use super::circuits::{CircuitEnding, CircuitOwner};

/// Carries out one action about circuits.
pub(super) fn run_action(node: &mut Node, now: Now, action: CircuitAction) {
    let fx = &mut node.fx;
    match action {
        CircuitAction::Open(handle, rendezvous, cookie) => {
            let (directory, peers) = (&mut node.directory, &node.peers);
            let path = directory.pick_circuit(fx, now, &rendezvous, peers);
            let opened = node.circuits.open(fx, now, handle, &cookie, path, peers);
            if let Err(why) = opened {
                report(
                    node,
                    now,
                    CircuitAction::Ended(handle, CircuitEnding::Refused(why)),
                );
            }
        }
        CircuitAction::Send(handle, payload) => node.circuits.send(fx, now, handle, &payload),
        CircuitAction::Close(handle) => node.circuits.close(now, handle),
        CircuitAction::Extend(peeled, next, cell) => {
            node.circuits.extend(fx, now, *peeled, next, cell);
        }
        CircuitAction::Meet(peeled, cookie) => node.circuits.meet(fx, now, *peeled, cookie),
        CircuitAction::ForwardSetup(next, setup) => {
            let (relay, fx, context, _) = node.relaying();
            relay.forward_setup(fx, now, next, setup, context);
        }
        CircuitAction::Connect(link, setup) => node.circuits.connect(fx, now, link, setup),
        CircuitAction::SendCell(link, cell) => {
            node.peers.send_circuit_cell(fx, now.mono, link, cell);
        }
        CircuitAction::Received(..) | CircuitAction::Ready(_) | CircuitAction::Ended(..) => {
            report(node, now, action);
        }
    }
}

/// Tells the owner of a circuit what happened to it.
fn report(node: &mut Node, now: Now, report: CircuitAction) {
    match report {
        CircuitAction::Received(handle, payload) => match handle.owner() {
            CircuitOwner::Transfers => {
                let (transfers, fx, context) = node.transferring();
                transfers.on_payload(fx, now, handle, &payload, context);
            }
            #[cfg(feature = "sim")]
            CircuitOwner::Simulation => node.simulated.on_payload(handle, payload),
        },
        CircuitAction::Ready(handle) => match handle.owner() {
            CircuitOwner::Transfers => node.transfers.on_circuit_ready(&mut node.fx, handle),
            #[cfg(feature = "sim")]
            CircuitOwner::Simulation => node.simulated.on_ready(handle),
        },
        CircuitAction::Ended(handle, ending) => match handle.owner() {
            CircuitOwner::Transfers => {
                let (transfers, fx, context) = node.transferring();
                transfers.on_circuit_ended(fx, now, handle, &ending, context);
            }
            #[cfg(feature = "sim")]
            CircuitOwner::Simulation => node.simulated.on_ended(handle, &ending),
        },
        _ => {}
    }
}

/// A peer sent a cell of a circuit.
pub(super) fn on_cell(node: &mut Node, now: Now, from: LinkId, bytes: &[u8; CELL_LEN]) {
    let (_, _, context, _) = node.relaying();
    let class = context.link_class(from);
    if node.circuits.on_cell(&mut node.fx, now, from, class, bytes) {
        node.peers.note_cell(now.mono, from);
    } else {
        node.peers.on_malformed(&mut node.fx, now, from);
    }
}
