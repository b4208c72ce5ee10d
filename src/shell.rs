//! The tokio shell around a node: sockets, files, clocks, threads.
//!
//! [`start`] gives a [`Node`](crate::node::Node) a task of its own (`driver`), which turns events
//! of the operating system into inputs and applies the outputs. The node makes every decision; the
//! shell only bounds the resources that a remote peer can use: connections, half-open connections,
//! bytes in flight. A [`Handle`] is the interface of this process to a running node; [`rpc`] is the
//! interface of other processes. Several nodes can run in one process and share one pool of
//! [`Workers`].
//!
//! The shell prints nothing, and logs no address, topic or hash.

mod accept_limiter;
mod accept_loop;
pub mod archive;
pub mod clock;
pub mod config_file;
mod connector;
pub mod console;
pub mod data_dir;
mod descriptor_reserve;
pub mod doctor;
mod driver;
mod entropy;
mod file_store;
mod handle;
pub mod identity_files;
pub mod identity_service;
pub mod identity_set;
mod idle_lock;
mod link_gates;
pub mod listen;
pub mod log_output;
mod log_throttle;
pub mod mail;
pub mod metrics;
pub mod notify;
mod panic_alarm;
pub mod panic_erase;
pub mod password;
pub mod prepared_file;
mod private_dir;
pub mod process;
pub mod relay_list_file;
pub mod rpc;
pub mod runtime;
pub mod sealed_spool;
pub mod signal;
pub mod state_store;
pub mod store;
mod tcp;
mod transport;
pub mod udp;
mod workers;

pub use driver::{Setup, StartError, start};
pub use handle::{EventItem, Events, Handle, Stopped};
pub use transport::{LinkTransport, TorEntryAddresses, TransportError};
pub use workers::Workers;

use circuits::erasing_rng::ErasingRng;
use zeroize::Zeroizing;

/// Fills an array from the operating system's generator.
///
/// # Errors
///
/// [`NoRandomness`] if the system has none to give. No secret can be generated then.
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// A generator seeded by the operating system, for one operation.
///
/// # Errors
///
/// [`NoRandomness`], as [`random`].
pub fn seeded_rng() -> Result<ErasingRng, NoRandomness> {
    let seed = Zeroizing::new(random()?);
    Ok(ErasingRng::from_seed(&seed))
}

/// The operating system's random generator does not answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the operating system provides no random numbers; check that /dev/urandom can be read")]
pub struct NoRandomness;
