//! The doors for other programs, by real sockets: who gets in over HTTP and WebSocket, what they
//! can make the node hold, whose messages they see, and that all of it answers as go-ethereum did.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

#[path = "rpc/attacks.rs"]
mod attacks;
#[path = "rpc/client.rs"]
mod client;
#[path = "rpc/doors.rs"]
mod doors;
#[path = "rpc/subscriptions.rs"]
mod subscriptions;
#[path = "rpc/transcript.rs"]
mod transcript;
