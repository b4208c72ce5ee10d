//! The gossip of envelopes, seen from outside: what a node sends to whom and when, whatever its
//! peers send to it.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what does not turn out as it should is a failed test"
)]

#[path = "gossip/cost.rs"]
mod cost;
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
#[path = "gossip/v5.rs"]
mod v5;
#[path = "gossip/world.rs"]
mod world;
