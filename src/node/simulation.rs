//! What a simulated world asks of a node beside the inputs of a shell: load without users.
//!
//! Everything here goes through the same components as the traffic of users. Nothing here is reachable
//! in a program without the feature `sim`.

use circuits::cell::Cell;
use circuits::circuit::MeetCookie;
use circuits::directory::DescriptorMemo;
use circuits::geometry::CIRCUIT_PAYLOAD_LEN;
use circuits::ids::{RelayId, ShortId};
use circuits::time::Now;

use super::action::{Action, CircuitAction};
use super::circuits::{CircuitEnding, CircuitHandle, CircuitOwner, CircuitPayload};
use super::emission;
use super::event::MessageId;
use super::input::Input;
use super::{Drain, Node, emission_routing};

/// What happened to a circuit that a simulated world has opened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CircuitNews {
    /// The other end sent this payload.
    Payload(CircuitPayload),
    /// The circuit may send again.
    Ready,
    /// The circuit has ended, for this reason.
    Ended(String),
}

/// The circuits that a simulated world has opened at a node.
#[derive(Default)]
pub(super) struct SimulatedCircuits(Vec<(u64, CircuitNews)>);

impl SimulatedCircuits {
    /// A payload arrived by a circuit.
    pub(super) fn on_payload(&mut self, handle: CircuitHandle, payload: CircuitPayload) {
        self.0
            .push((handle.number(), CircuitNews::Payload(payload)));
    }

    /// A circuit that was full may send again.
    pub(super) fn on_ready(&mut self, handle: CircuitHandle) {
        self.0.push((handle.number(), CircuitNews::Ready));
    }

    /// A circuit has ended.
    pub(super) fn on_ended(&mut self, handle: CircuitHandle, ending: &CircuitEnding) {
        self.0
            .push((handle.number(), CircuitNews::Ended(ending.to_string())));
    }
}

/// Opens a circuit with a number that the caller chooses.
pub(crate) fn open_circuit(node: &mut Node, number: u64, relay: RelayId, cookie: MeetCookie) {
    let handle = CircuitHandle::new(CircuitOwner::Simulation, number);
    let open = CircuitAction::Open(handle, relay, cookie);
    node.fx.request(Action::Circuit(open));
}

/// Sends a payload through a circuit, unless its queue is full.
pub(crate) fn send_payload(
    node: &mut Node,
    number: u64,
    payload: &[u8; CIRCUIT_PAYLOAD_LEN],
) -> bool {
    let handle = CircuitHandle::new(CircuitOwner::Simulation, number);
    let has_room = node.circuits.room(handle) > 0;
    if has_room {
        let payload = Box::new(*payload);
        let send = CircuitAction::Send(handle, payload);
        node.fx.request(Action::Circuit(send));
    }
    has_room
}

/// Closes a circuit.
pub(crate) fn close_circuit(node: &mut Node, number: u64) {
    let handle = CircuitHandle::new(CircuitOwner::Simulation, number);
    let close = CircuitAction::Close(handle);
    node.fx.request(Action::Circuit(close));
}

/// What happened to the circuits since the last call.
pub(crate) fn take_circuit_news(node: &mut Node) -> Vec<(u64, CircuitNews)> {
    core::mem::take(&mut node.simulated.0)
}

/// Takes verified descriptors from the other nodes of a simulated world.
pub(crate) fn share_descriptors(node: &mut Node, memo: DescriptorMemo) {
    node.directory.share(memo);
}

/// Sends a cell to a relay as if this node had built it, to create load in a simulated world.
pub(crate) fn send_cell(node: &mut Node, now: Now, next: ShortId, cell: Cell) -> Drain<'_> {
    node.fx.request(Action::SendCell(next, cell));
    node.handle(now, Input::Timeout)
}

/// Queues cells for the emission stream, as those of a message of a simulated world, in place of those
/// of the message that have not left. Returns their number.
pub(crate) fn queue_cells(node: &mut Node, now: Now, message: MessageId, count: u8) -> usize {
    node.emission.withdraw(message);
    let Some(routes) = emission_routing::mix_routes(node, now) else {
        return 0;
    };
    let cells = emission::synthetic_cells(&mut node.fx, &routes, message, count);
    let number = cells.len();
    let queued = node.emission.enqueue(&mut node.fx, now, cells);
    queued.map_or(0, |()| number)
}
