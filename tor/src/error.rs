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
