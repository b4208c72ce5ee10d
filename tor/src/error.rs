//! What can go wrong, and what would help.
//!
//! Arti tells some sixty kinds of failure apart. A node acts on four: try again, ask the operator
//! for a key, give the address up, or wait until Tor is back.

use std::path::PathBuf;

use arti_client::{ErrorKind, HasKind};
use thiserror::Error;

/// Why Tor cannot start. Nothing was sent.
#[derive(Debug, Error)]
pub enum TorStartError {
    /// A setting is not what arti takes.
    #[error("Tor does not take this setting: {0}")]
    Setting(String),
    /// A setting that nobody knows may be the one that safety depends on.
    #[error("Tor knows no setting named {}; see the [tor] section of docs/operating.md", .0.join(", "))]
    Unknown(Vec<String>),
    /// Another process works with the same directory.
    #[error("another process uses {}; stop it, or choose another data directory", .0.display())]
    Locked(PathBuf),
    /// The client or the service cannot be made.
    #[error("{0}")]
    System(String),
}

/// Why a connection cannot be had.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ConnectError {
    /// Nobody published this address, or not yet.
    #[error("no such onion service, or it is not published yet")]
    NotFound,
    /// The service is for chosen clients, and we are not one of them.
    #[error("the onion service wants a key that we do not have; see tor.keys in docs/operating.md")]
    Unauthorised,
    /// The service is there and does not listen on this port, or hung up.
    #[error("the other side refused the connection")]
    Refused,
    /// Tor itself has no way out: no network, no guard, no bridge.
    #[error("Tor cannot reach its network")]
    NoTor,
    /// Everything else, which passes as a rule.
    #[error("the circuit failed")]
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

/// An error with everything that led to it. Addresses in it are redacted by arti.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}
