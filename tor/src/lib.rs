//! Tor through arti: dial, listen, and report the progress of the bootstrap.
//!
//! Only this crate uses arti. Nothing here is generic over arti's runtime and every future is
//! boxed, so that a change in the node does not recompile arti. Some features of arti are excluded
//! on purpose: the crate resolves no clear-net names, no stream shares a circuit with another, and
//! an unknown setting is an error.
//!
//! The crate fails closed. A [`Tor`] that cannot reach the network connects to nothing. No
//! configuration falls back to the public network, or to a connection without the configured
//! bridges.

mod client;
mod entry_addresses;
mod error;
mod progress;
mod service;
mod settings;

pub use client::{DialFuture, DialTarget, StartFuture, Tor};
pub use entry_addresses::EntryAddresses;
pub use error::{ConnectError, TorStartError};
pub use progress::BootstrapProgress;
pub use service::{IncomingStreams, OnionService};
pub use settings::{ArtiSettings, AuthorizedClient, ServiceSettings, TransportProgram};

/// A stream through Tor. Written bytes are sent at the next flush.
pub type Stream = arti_client::DataStream;
