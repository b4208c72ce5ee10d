//! Mail servers and their clients as whole nodes in simulated time, honest and not.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[path = "sim/world.rs"]
mod sim;

#[path = "mail/client.rs"]
mod client;
#[path = "mail/scene.rs"]
mod scene;
#[path = "mail/server.rs"]
mod server;
