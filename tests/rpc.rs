//! The RPC endpoints over real sockets: authentication over HTTP and WebSocket, bounds on the
//! resources of clients, subscriptions, and go-ethereum's answers.

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
#[path = "rpc/endpoints.rs"]
mod endpoints;
#[path = "rpc/subscriptions.rs"]
mod subscriptions;
#[path = "rpc/transcript.rs"]
mod transcript;
