//! Actions: what one component asks of another.
//!
//! A component never calls another one that it would change. It requests an action
//! ([`Effects::request`](super::effects::Effects::request)), and `routing` carries it out within the
//! same turn, in order. This list therefore shows all coupling between components; reading another
//! component is not in it.

use circuits::cell::Cell;
use circuits::circuit::{CircuitCell, MeetCookie};
use circuits::ids::{Epoch, LinkId, RelayId, RelayKey, ShortId};
use circuits::level::Level;
use circuits::loops::LoopNonce;

use super::circuits::{
    CircuitEnding, CircuitHandle, CircuitPayload, CircuitSetupCell, PeeledCircuit,
};
use super::command::SendRequest;
use super::contacts::AttemptOwner;
use super::emission::{CellOwner, QueuedCell};
use super::event::{MessageId, Stage};
use super::peers::LinkPurpose;
use super::relay::OnionKey;
use super::send::{AttemptEnd, LaneRelays};
use super::talks::TalkMessage;
use super::transfers::{ArrivedPart, FileMessage};
use crate::contact::conversation::{ConversationId, Part};
use crate::endpoint::PeerAddr;
use crate::envelope::{Envelope, EnvelopeHash};
use crate::gossip::OutboundPacket;
use crate::link::{DisconnectReason, Priority};
use crate::onion_wire::OnionMessage;

/// A request to another component, or a report of what happened in one.
pub(super) enum Action {
    // -- to peers
    /// Dial a peer unless it is connected.
    Dial(PeerAddr, LinkPurpose),
    /// Treat the link to a relay that is not our guard any more like any link for cells.
    ReleaseGuard(ShortId),
    /// End a link.
    Disconnect(LinkId, DisconnectReason),
    /// Send a packet.
    SendPacket(OutboundPacket),
    /// Send an `onion/1` message.
    SendOnion(LinkId, Priority, OnionMessage),
    /// Send a cell over a link.
    SendCellOver(LinkId, Cell),

    // -- from peers
    /// A link is closed.
    LinkClosed {
        /// The link.
        link: LinkId,
        /// The peer, if its handshake was complete.
        peer: Option<RelayKey>,
        /// The peer's id in cells, if no other link leads to it.
        unreachable: Option<ShortId>,
    },
    /// No link to this relay can be established, or it takes no cells.
    RelayUnreachable(ShortId),
    /// This relay is not dialled for the cells that wait for it: there are too many links for cells.
    CellsUndeliverable(ShortId),

    // -- to sending
    /// Send one attempt of another component; the result goes to contacts.
    BeginAttempt(AttemptOwner, Box<SendRequest>),
    /// Give up a single attempt, whose message is not sent any more.
    CancelAttempt(MessageId),

    // -- to transfers
    /// About files that are handed over.
    Transfer(TransferAction),

    // -- to talk lines
    /// About talk lines.
    Talk(TalkAction),

    // -- from sending
    /// A single attempt has reached another stage, and has not ended.
    AttemptProgress(MessageId, Stage),
    /// All envelopes of a single attempt have left this node.
    AttemptLeft(MessageId),
    /// A single attempt has ended. Its component decides whether there is another one.
    AttemptEnded(MessageId, AttemptEnd),

    // -- to the relay role
    /// Send a cell of ours to a relay.
    SendCell(ShortId, Cell),
    /// Require these bits of tickets in an epoch, as a descriptor of ours states.
    RestoreTicketBits(Epoch, u8),
    /// Install one of our onion keys.
    InstallOnionKey(Box<OnionKey>),

    // -- to and from circuits
    /// Something about circuits.
    Circuit(CircuitAction),

    // -- to the emission
    /// Queue cells of messages or dummies, all or none.
    QueueCells(Vec<QueuedCell>),
    /// Remove the cells of a message that have not left.
    WithdrawCells(MessageId),
    /// A loop of this node came back.
    LoopReturned(LoopNonce),

    // -- from the emission
    /// A queued cell has left for the guard.
    CellLeft(CellOwner),
    /// A queued cell can leave no more: its epoch is over, or the guard is another one.
    CellExpired(CellOwner),

    // -- to the stem
    /// Send an envelope on its way along the stem.
    InsertByStem(Envelope, StemSource),
    /// Stop passing on the envelope of a message that has ended.
    WithdrawStem(EnvelopeHash),

    // -- from the stem
    /// All successors have the envelope of this message, and none made it public.
    StemBlocked(MessageId),
    /// The stem gives up the envelope of this message.
    StemFailed(MessageId),

    // -- to gossip
    /// Make an envelope public here.
    Diffuse(Envelope),
    /// Trust a peer until its link closes, or no longer.
    Trust(LinkId, bool),

    // -- to the directory
    /// Draw the lanes of a message; the result goes to the sender.
    PlanLanes(MessageId, Level),
    /// An echo came of an envelope that left through this guard.
    GuardProven(ShortId),
    /// No echo came of an envelope that took these relays, while gossip of others arrived.
    LanesSilent(LaneRelays),
}

/// What concerns files that are handed over.
pub(super) enum TransferAction {
    /// A part about a file arrived, and is durable.
    PartArrived(Box<ArrivedPart>),
    /// A message reports the files that arrived in its conversation.
    Reported(ConversationId),
    /// A conversation is erased.
    ConversationErased(ConversationId),
    /// Write a message about a file into a conversation; the result goes to transfers.
    Write(Box<FileMessage>),
    /// Let the session of a file run.
    Run(u64),
}

/// What concerns talk lines.
pub(super) enum TalkAction {
    /// A part about a line arrived.
    PartArrived(ConversationId, Box<Part>),
    /// A conversation is erased.
    ConversationErased(ConversationId),
    /// Let the session of a line run.
    Run(ConversationId),
    /// Write a message about a line into a conversation; the result goes to talk lines.
    Write(Box<TalkMessage>),
}

/// A request about circuits, or a report of what happened to one.
pub(super) enum CircuitAction {
    // -- to circuits, from the owner of a handle
    /// Open a circuit that meets another one at this relay.
    Open(CircuitHandle, RelayId, MeetCookie),
    /// Send a payload. The circuit has to have room:
    /// [`Circuits::room`](super::circuits::Circuits::room).
    Send(CircuitHandle, CircuitPayload),
    /// Close a circuit. Nothing follows.
    Close(CircuitHandle),

    // -- from circuits, to the owner of a handle
    /// A payload of the other end arrived.
    Received(CircuitHandle, CircuitPayload),
    /// A circuit that had no room has room again.
    Ready(CircuitHandle),
    /// A circuit could not be opened, or has ended. Nothing follows.
    Ended(CircuitHandle, CircuitEnding),

    // -- circuits of other nodes
    /// A setup cell has been peeled here. The cell is for this next hop.
    Extend(Box<PeeledCircuit>, ShortId, Cell),
    /// A circuit ends here, and is joined with the other one of its cookie.
    Meet(Box<PeeledCircuit>, MeetCookie),
    /// Send a setup cell to its next hop.
    ForwardSetup(ShortId, CircuitSetupCell),
    /// A setup cell leaves over this link.
    Connect(LinkId, CircuitSetupCell),

    // -- to peers
    /// Send a cell over a link that has room for it.
    SendCell(LinkId, CircuitCell),
}

/// Where an envelope for the stem comes from. It is told if there is no stem.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum StemSource {
    /// A message of this node.
    Message(MessageId),
    /// Rebuilt here as a rendezvous.
    Rendezvous,
}
