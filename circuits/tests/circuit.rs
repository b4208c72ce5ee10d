//! Circuits under attack, over whole paths of relays.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

#[path = "circuit/attacks.rs"]
mod attacks;
#[path = "circuit/bounds.rs"]
mod bounds;
#[path = "circuit/limits.rs"]
mod limits;
#[path = "circuit/network.rs"]
mod network;
#[path = "circuit/paths.rs"]
mod paths;
#[path = "support/scripted_rng.rs"]
mod scripted_rng;
#[path = "circuit/streams.rs"]
mod streams;
#[path = "circuit/vectors.rs"]
mod vectors;
