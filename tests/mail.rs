//! Mail servers and their clients as whole nodes in simulated time, honest and not.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[path = "support/sim.rs"]
mod sim;

#[path = "mail/client.rs"]
mod client;
#[path = "mail/fixture.rs"]
mod fixture;
#[path = "mail/server.rs"]
mod server;
