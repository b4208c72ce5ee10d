//! Whole nodes in simulated time, attacked by neighbours that speak every protocol.
//!
//! The tests are ordered by what is attacked: cells that pass through, links and the messages on
//! them, envelopes before they are public, and the directory. `sim::scripted_peer` is the attacking peer.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[path = "sim/world.rs"]
mod sim;

#[path = "hostile/announce.rs"]
mod announce;
#[path = "hostile/cells.rs"]
mod cells;
#[path = "hostile/direct.rs"]
mod direct;
#[path = "hostile/envelopes.rs"]
mod envelopes;
#[path = "hostile/generations.rs"]
mod generations;
#[path = "hostile/geth.rs"]
mod geth;
#[path = "hostile/links.rs"]
mod links;
#[path = "hostile/old.rs"]
mod old;
#[path = "hostile/replay.rs"]
mod replay;
#[path = "hostile/scene.rs"]
mod scene;
#[path = "hostile/strangers.rs"]
mod strangers;
