//! Whole nodes in simulated time, attacked by peers that speak every protocol.
//!
//! The tests are ordered by target: cells in transit, links and their messages, envelopes before
//! they are public, and the directory. `sim::scripted_peer` is the attacking peer.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

#[path = "support/sim.rs"]
mod sim;

#[path = "hostile/announce.rs"]
mod announce;
#[path = "hostile/bandwidth.rs"]
mod bandwidth;
#[path = "hostile/bans.rs"]
mod bans;
#[path = "hostile/cells.rs"]
mod cells;
#[path = "hostile/dial_back.rs"]
mod dial_back;
#[path = "hostile/direct_messages.rs"]
mod direct_messages;
#[path = "hostile/envelopes.rs"]
mod envelopes;
#[path = "hostile/fixture.rs"]
mod fixture;
#[path = "hostile/geth_crashes.rs"]
mod geth_crashes;
#[path = "hostile/junk.rs"]
mod junk;
#[path = "hostile/link_rules.rs"]
mod link_rules;
#[path = "hostile/places.rs"]
mod places;
#[path = "hostile/pow_rules.rs"]
mod pow_rules;
#[path = "hostile/replay.rs"]
mod replay;
#[path = "hostile/shh5.rs"]
mod shh5;
#[path = "hostile/stem.rs"]
mod stem;
