//! Tor, by arti: dial, listen, and say how far the bootstrap is.
//!
//! The one place that names arti. Nothing here is generic over arti's runtime and every future is
//! boxed, so that a change in the node does not compile arti again. What arti can do and this
//! crate does not offer is left out on purpose: no clear name is ever resolved here, no stream
//! shares a circuit with another, and a setting that arti does not know is an error.
//!
//! Failing closed is the point. A [`Tor`] that cannot reach the network connects to nothing; there
//! is no way round it, and no configuration in which it falls back to the public network or to a
//! connection without the bridges that were asked for.

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

/// A stream through Tor. Written bytes leave at the next flush.
pub type Stream = arti_client::DataStream;
