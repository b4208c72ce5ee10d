//! The bounds of circuits at one node (spec F9).

use core::time::Duration;

use crate::rate_limit::Quota;

/// Maximum number of circuits of this node as an origin.
pub const MAX_OWN: usize = 8;
/// Maximum number of circuits that one peer may open, if it is not a relay of the directory.
pub const MAX_PER_CLIENT_LINK: usize = 8;
/// Maximum number of circuits that one relay of the directory may open, and that this node opens to it.
pub const MAX_PER_RELAY_LINK: usize = 64;
/// Maximum number of circuits.
pub const MAX_CIRCUITS: usize = 1_024;
/// Maximum number of circuits that came from peers outside the directory: the other half is left to
/// relays.
pub const MAX_FROM_CLIENTS: usize = 512;
/// Maximum number of circuits of one link that wait for the other one of their cookie.
pub const MAX_UNPAIRED_PER_LINK: usize = 4;
/// Maximum number of circuits that wait for the other one of their cookie.
pub const MAX_UNPAIRED: usize = 256;
/// Maximum number of cells of a circuit that wait for a link in one direction. One more ends the circuit.
pub const MAX_QUEUE_CELLS: usize = 256;
/// Maximum number of cells of a circuit that wait for its next hop or its other half. One more ends the
/// circuit.
pub const MAX_WAITING_CELLS: usize = 32;
/// Maximum number of queued cells of all circuits, of 908 bytes each. Beyond it the circuit with most
/// cells ends.
pub const MAX_CELLS: usize = 32_768;
/// Maximum number of cells of an own circuit that wait for the guard.
pub const MAX_OWN_QUEUE_CELLS: usize = 64;
/// Number of waiting cells of an own circuit at which it takes more.
pub const OWN_QUEUE_LOW_CELLS: usize = 16;

/// Lifetime of a circuit.
pub const CIRCUIT_TIMEOUT: Duration = Duration::from_secs(600);
/// How long an answered circuit may be without a cell.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a circuit waits at its last relay for the other one of its cookie.
pub const UNPAIRED_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a circuit may be without any cell to its origin: longer than it may wait at its last relay.
pub const UNANSWERED_TIMEOUT: Duration = Duration::from_secs(150);
/// How long a circuit waits for a link to its next relay.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Cells of one circuit in one direction.
pub const CIRCUIT_QUOTA: Quota = Quota::per_second(200, 32);
/// Circuit cells on one link in one direction.
pub const LINK_QUOTA: Quota = Quota::per_second(1_000, 64);
