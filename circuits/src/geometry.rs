//! Sizes of the onion layer.
//!
//! The size of a cell is fixed, so it is defined in one place. The assertions below fail the build
//! if the parts do not add up (docs/wire.md, section "Cell").

/// A cell on the link, before RLPx framing.
pub const CELL_LEN: usize = VERSION_LEN + ALPHA_LEN + GAMMA_LEN + BETA_LEN + DELTA_LEN;
/// The version byte: format in the upper half, hint of the key epoch in the lower.
pub const VERSION_LEN: usize = 1;
/// The blinded Diffie-Hellman element.
pub const ALPHA_LEN: usize = 32;
/// The authentication tag over header and body.
pub const GAMMA_LEN: usize = 16;
/// The encrypted routing slots.
pub const BETA_LEN: usize = SLOTS * SLOT_LEN;
/// The body, which the last hop decrypts.
pub const DELTA_LEN: usize = PAYLOAD_HEADER_LEN + SHARD_LEN;

/// Maximum number of layers of a cell: five relays and the rendezvous.
pub const MAX_LAYERS: usize = SLOTS;
/// Slots in a header.
pub const SLOTS: usize = 6;
/// Next relay 16, delay 2, flags 1, reserved 1, tag of the next layer 16.
pub const SLOT_LEN: usize = 16 + 2 + 1 + 1 + GAMMA_LEN;
/// Data that the header cipher of one layer covers: the slots and the slot that shifts in.
pub const HEADER_STREAM_LEN: usize = BETA_LEN + SLOT_LEN;

/// Cookie 16, index 1, k 1, n 1, flags 1, package length 4, ticket 8.
const PAYLOAD_HEADER_LEN: usize = 16 + 1 + 1 + 1 + 1 + 4 + 8;
/// One shard of a package, carried by one cell.
pub const SHARD_LEN: usize = 615;

/// Bytes that the all-or-nothing transform adds to an envelope: length 4, canary 16, key 32.
pub const PACKAGE_OVERHEAD: usize = 4 + CANARY_LEN + AONT_KEY_LEN;
/// Zero bytes that prove that a package is intact.
pub const CANARY_LEN: usize = 16;
/// The masked key at the end of a package.
pub const AONT_KEY_LEN: usize = 32;

/// The id of a circuit on a link, in front of every cell of the circuit.
pub const CIRCUIT_ID_LEN: usize = 4;
/// The body of a circuit cell: a tag and what it covers. A circuit cell has the length of a cell.
pub const CIRCUIT_BODY_LEN: usize = CELL_LEN - CIRCUIT_ID_LEN;
/// The tag of one layer of a circuit cell.
pub const CIRCUIT_TAG_LEN: usize = 16;
/// What one end of a pair of circuits sends to the other in one cell: the body without the tags of
/// [`MAX_LAYERS`] layers, whatever the number of layers is.
pub const CIRCUIT_PAYLOAD_LEN: usize = CIRCUIT_BODY_LEN - MAX_LAYERS * CIRCUIT_TAG_LEN;
/// The payload without the tag by which the ends authenticate it to each other.
pub const CIRCUIT_FRAME_LEN: usize = CIRCUIT_PAYLOAD_LEN - CIRCUIT_TAG_LEN;

const _: () = assert!(CELL_LEN == 912);
const _: () = assert!(CIRCUIT_PAYLOAD_LEN == 812 && CIRCUIT_FRAME_LEN == 796);
const _: () = assert!(DELTA_LEN == 647);
const _: () = assert!(HEADER_STREAM_LEN == 252);
