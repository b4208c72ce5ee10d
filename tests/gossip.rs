//! The gossip of envelopes, observed from outside: which packets a node sends to which peer and
//! when, for all behaviours of its peers.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an unexpected result is a failed test, and figures are for the terminal"
)]

#[path = "gossip/cost.rs"]
mod cost;
#[path = "gossip/flood.rs"]
mod flood;
#[path = "gossip/inbound.rs"]
mod inbound;
#[path = "gossip/invariants.rs"]
mod invariants;
#[path = "gossip/outbound.rs"]
mod outbound;
#[path = "gossip/privacy.rs"]
mod privacy;
#[path = "gossip/pull.rs"]
mod pull;
#[path = "gossip/rate.rs"]
mod rate;
#[path = "gossip/v5.rs"]
mod v5;
#[path = "gossip/waste.rs"]
mod waste;
#[path = "gossip/world.rs"]
mod world;
