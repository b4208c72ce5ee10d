//! Errors of the Tor client.
//!
//! Arti distinguishes about sixty kinds of failure. A node acts on four groups: retry, ask the
//! operator for a key, give up the address, or wait until Tor is ready.

use std::path::PathBuf;

use arti_client::{ErrorKind, HasKind};
use thiserror::Error;

/// Reason why Tor cannot start. No traffic was sent.
#[derive(Debug, Error)]
pub enum TorStartError {
    /// A bridge line that arti cannot read.
    #[error("bridge line {number} of tor.bridges: {cause}; copy the whole line again")]
    Bridge {
        /// Its number in the list, from 1.
        number: usize,
        /// What arti says about it.
        cause: String,
    },
    /// The directory of keys does not exist.
    #[error("tor.keys: there is no directory {}; create it, or leave tor.keys out", .0.display())]
    NoKeys(PathBuf),
    /// A pluggable transport that cannot be started.
    #[error(
        "tor.transports: {} is not an executable file; install it, or correct the path", .0.display()
    )]
    NoProgram(PathBuf),
    /// A reader of the onion service whose name or key arti cannot read.
    #[error("reader `{name}` of tor.readers: {cause}; copy the key again")]
    Reader {
        /// The name that the operator gave.
        name: String,
        /// What arti says about it.
        cause: String,
    },
    /// Arti refuses the value of a setting.
    #[error("invalid Tor setting: {0}")]
    Setting(String),
    /// Arti does not know a setting. Ignoring it could disable a protection.
    #[error("unknown Tor setting {}; section [tor] of docs/operating.md lists the known ones", .0.join(", "))]
    Unknown(Vec<String>),
    /// Another process uses the same directory.
    #[error("another process uses the Tor directory {}; stop that process or choose another data directory", .0.display())]
    Locked(PathBuf),
    /// The client or the service cannot be created.
    #[error("{0}")]
    System(String),
}

/// Reason why a connection failed.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ConnectError {
    /// The address is not published, or not yet.
    #[error("the onion service does not exist or is not published yet")]
    NotFound,
    /// The service accepts authorised clients only, and this node is not one of them.
    #[error(
        "the onion service requires a client key that this node does not have; see tor.keys in docs/operating.md"
    )]
    Unauthorised,
    /// The service does not listen on this port, or closed the stream.
    #[error("the remote side refused the connection")]
    Refused,
    /// Tor cannot reach its network: no network, no guard or no bridge.
    #[error("Tor cannot reach its network")]
    NoTor,
    /// Any other failure, which is usually temporary.
    #[error("the Tor circuit failed")]
    Circuit,
}

impl TorStartError {
    /// Whether the settings are wrong, rather than the system.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        match self {
            Self::Bridge { .. }
            | Self::NoKeys(_)
            | Self::NoProgram(_)
            | Self::Reader { .. }
            | Self::Setting(_)
            | Self::Unknown(_) => true,
            Self::Locked(_) | Self::System(_) => false,
        }
    }
}

impl ConnectError {
    pub(crate) fn of(error: &arti_client::Error) -> Self {
        match error.kind() {
            ErrorKind::OnionServiceNotFound => Self::NotFound,
            ErrorKind::OnionServiceMissingClientAuth | ErrorKind::OnionServiceWrongClientAuth => {
                Self::Unauthorised
            }
            ErrorKind::RemoteStreamClosed | ErrorKind::RemoteConnectionRefused => Self::Refused,
            ErrorKind::TorAccessFailed
            | ErrorKind::BootstrapRequired
            | ErrorKind::DirectoryExpired
            | ErrorKind::ClockSkew => Self::NoTor,
            _ => Self::Circuit,
        }
    }
}

/// The message of an error and of all its causes. Arti redacts the addresses.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    message
}
