//! Discovery: nodes that find each other from one bootnode, in simulated time, on real sockets and
//! with another implementation; and two peers behind NAT.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may fail loudly"
)]

#[path = "discovery/devp2p.rs"]
mod devp2p;
#[path = "discovery/friends.rs"]
mod friends;
#[path = "interop/script.rs"]
mod script;
#[path = "support/sim.rs"]
mod sim;
#[path = "discovery/sockets.rs"]
mod sockets;
#[path = "discovery/worlds.rs"]
mod worlds;
