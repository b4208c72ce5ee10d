//! Programs made for go-ethereum, communicating through nodes in simulated time: every call is JSON
//! in and JSON out, as a client sees it.
//!
//! tests/rpc.rs compares real sockets with a recording of go-ethereum. This file tests what
//! requires several nodes, or time, or many keys.

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
