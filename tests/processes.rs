//! Nodes in processes of their own, built and controlled by the program itself.
//!
//! These tests repeat on real files, signals and sockets what the library's tests show in simulated
//! time, with a relay that loses power and a peer in another implementation.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "helpers of tests may fail loudly, and wait"
)]

#[path = "../src/shell/archive/tests/cluster.rs"]
#[allow(dead_code, reason = "the unit tests use the rest")]
mod cluster;
#[path = "processes/console.rs"]
mod console;
#[path = "processes/contact.rs"]
mod contact;
#[path = "processes/devp2p.rs"]
mod devp2p;
#[path = "processes/documents.rs"]
mod documents;
#[path = "processes/emission.rs"]
mod emission;
#[path = "processes/mail.rs"]
mod mail;
#[path = "processes/mixing.rs"]
mod mixing;
#[path = "processes/network.rs"]
mod network;
#[path = "processes/node.rs"]
mod node;
#[path = "interop/peer.rs"]
mod peer;
#[path = "interop/script.rs"]
mod script;
#[path = "processes/statusim.rs"]
mod statusim;
#[path = "processes/talk.rs"]
mod talk;
#[path = "processes/transfer.rs"]
mod transfer;
