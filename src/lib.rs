//! A Whisper relay node that hides who is talking.
//!
//! The crate is a pure machine with a thin shell around it. The modules down to [`node`] are told
//! the time, given bytes and seeded randomness, and compile without tokio; `shell` and `cli`
//! (feature `shell`) own the sockets, files, clocks and threads. Dependence runs one way:
//!
//! `cli -> shell -> node -> mail -> gossip -> {envelope_pool, subscriptions, link} -> {envelope, message, pow, bloom} ->
//! circuits`
//!
//! docs/design.md is the map, docs/wire.md the formats to the byte.

pub mod bloom;
#[cfg(feature = "shell")]
pub mod cli;
#[cfg(feature = "shell")]
pub mod config;
pub mod discovery;
pub mod ecies;
pub mod endpoint;
pub mod envelope;
pub mod envelope_builder;
pub mod envelope_pool;
pub mod gossip;
pub mod identity;
pub mod keystore;
pub mod latency_model;
pub mod link;
pub mod mail;
pub mod message;
pub mod node;
pub mod onion_wire;
pub mod pow;
mod rlp_reader;
pub mod rpc;
#[cfg(feature = "shell")]
pub mod shell;
#[cfg(feature = "sim")]
pub mod sim;
pub mod subscriptions;
pub mod suggest;
