//! Programs made for go-ethereum, talking through nodes in simulated time: every call is JSON in and
//! JSON out, as a client would see it.
//!
//! What was recorded from go-ethereum is held against real doors in tests/rpc.rs. Here is what takes
//! several nodes, or time, or more keys than anybody has.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[path = "support/sim.rs"]
mod sim;

#[path = "whisper/bounds.rs"]
mod bounds;
#[path = "whisper/client.rs"]
mod client;
#[path = "whisper/delivery.rs"]
mod delivery;
#[path = "whisper/posts.rs"]
mod posts;
#[path = "whisper/tools.rs"]
mod tools;
