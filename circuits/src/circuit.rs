//! Circuits: what a setup cell leaves behind at the relays of its path, for many cells both ways.
//!
//! An origin builds a setup cell with [`CircuitSetup`]. Every relay that peels it keeps [`HopKeys`];
//! the last one joins the circuit with that of another origin which sent the same [`MeetCookie`].
//! What one origin [seals](CircuitKeys::seal), the other one [opens](CircuitKeys::open). The circuits
//! of one node, with their queues and limits, are in its [`CircuitTable`].
//!
//! A circuit cell has the length of every other cell: the id of the circuit on this link, and a body
//! in nested authenticated encryption whose length never changes (spec F9, docs/wire/circuit.md).
//! Nothing on the wire says which cell of a circuit it is: the counters of both ends are the nonces. A
//! cell that is lost, repeated, reordered or altered therefore fails, and a failed cell ends the
//! circuit.
//!
//! This module does not authenticate the two origins to each other, and repeats nothing that is lost.

mod cell;
mod early;
mod hop_keys;
mod layer_cipher;
mod origin_keys;
mod setup;
mod table;

pub use self::cell::{BadCircuitCell, CircuitCell, CircuitId, CircuitIds};
pub use self::hop_keys::{Broken, HopKeys};
pub use self::origin_keys::CircuitKeys;
pub use self::setup::{CircuitSetup, MeetCookie};
pub use self::table::{
    CircuitEnd, CircuitEvent, CircuitFull, CircuitRef, CircuitRefusal, CircuitStats, CircuitTable,
    SetupSource, limits,
};
