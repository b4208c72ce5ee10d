//! A Whisper relay node that hides who is talking.
//!
//! The crate is a pure core and a thin shell. The modules down to [`node`] receive time, bytes and
//! randomness as arguments and compile without tokio. `shell` and `cli` (feature `shell`) own the
//! sockets, files, clocks and threads. Dependence runs one way:
//!
//! `cli -> shell -> node -> mail -> gossip -> {envelope_pool, subscriptions, link} -> {envelope,
//! message, pow, bloom} -> keccak -> circuits`
//!
//! docs/design.md is the map; docs/wire.md defines the formats to the byte.

pub mod bandwidth;
pub mod bloom;
#[cfg(feature = "shell")]
pub mod cli;
#[cfg(feature = "shell")]
pub mod config;
pub mod contact;
pub mod discovery;
pub mod ecies;
pub mod endpoint;
pub mod envelope;
pub mod envelope_builder;
pub mod envelope_pool;
pub mod envelope_validation;
pub mod gossip;
pub mod identity;
pub mod keccak;
pub mod keystore;
pub mod latency_model;
pub mod link;
pub mod mail;
pub mod message;
pub mod metadata;
pub mod metrics;
pub mod node;
pub mod onion_wire;
pub mod pow;
mod printable;
pub mod protection;
pub mod relay_list;
mod rlp;
pub mod rpc;
pub mod scatter;
pub mod sealed_file;
#[cfg(feature = "shell")]
pub mod shell;
#[cfg(feature = "sim")]
pub mod sim;
pub mod state;
pub mod subscriptions;
pub mod suggest;
pub mod transfer;
