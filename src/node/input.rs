//! Inputs: what a shell reports to the node.

use core::fmt;
use std::net::{IpAddr, SocketAddr};

use circuits::ids::LinkId;

use super::command::Command;
use super::file_storage::{FileFault, FileRequestId, FileResponse};
use super::jobs::{JobId, JobResult};
use super::views::TurnTimes;
use crate::mail::archive::ArchiveResponse;

/// One event outside the node.
#[derive(Debug)]
pub enum Input<'a> {
    /// The instant of the last `Output::Timeout` has come. An early one costs nothing.
    Timeout,
    /// A peer connected to our listener, from this address if it is known (it is not through Tor).
    /// The `LinkId` is new, from `Node::new_link`.
    Accepted(LinkId, Option<IpAddr>),
    /// A connection of `Output::Dial` is established.
    Dialed(LinkId),
    /// A connection of `Output::Dial` could not be established.
    DialFailed(LinkId, DialFailure<'a>),
    /// Bytes arrived.
    Received(LinkId, &'a [u8]),
    /// The operating system took so many bytes of earlier `Output::Send`s.
    Flushed(LinkId, usize),
    /// The connection was closed by either side. Nothing further comes from it.
    Closed(LinkId),
    /// A listener accepts no connections for the moment, for this reason. The shell tries again.
    ListenerFault(&'a str),
    /// A datagram arrived at the socket of discovery, from this address.
    Datagram(SocketAddr, &'a [u8]),
    /// Every `Output::Store` up to this one is durable.
    Stored(StoreId),
    /// A job has tried so many hashes. Optional.
    Working(JobId, u64),
    /// The archive answered an `Output::Archive`.
    Archived(ArchiveResponse),
    /// The store for files answered an `Output::File`.
    File(FileRequestId, Result<FileResponse, FileFault>),
    /// A job is done; `None` if it was stopped.
    Worked(JobId, Option<JobResult>),
    /// The hash rate of this machine in hashes per second, as measured. Optional.
    HashRate(f64),
    /// How long the turns of this node took, for its status. Optional.
    TurnTimes(TurnTimes),
    /// Entropy of the operating system. A shell passes some at the start and then at least every
    /// minute while the node draws; a simulator passes none.
    Entropy(&'a [u8; 32]),
    /// The connectivity of this machine has changed.
    Connectivity(Connectivity),
    /// A command of a user.
    Command(CommandId, Command),
}

/// Why a connection could not be established.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DialFailure<'a> {
    /// The reason, for the user who named the peer.
    pub reason: &'a str,
    /// Whether the address answered that no program listens there.
    pub is_refused: bool,
}

/// Whether this machine can establish connections.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Connectivity {
    /// It can, as far as is known.
    #[default]
    Up,
    /// Unknown: connections are tried, and none has succeeded yet. The text says what is known.
    Unverified(String),
    /// It cannot, for this reason.
    Down(String),
}

impl Connectivity {
    /// Offline for this reason.
    pub fn down(reason: impl fmt::Display) -> Self {
        Self::Down(reason.to_string())
    }

    /// Unknown, because of this.
    pub fn unverified(reason: impl fmt::Display) -> Self {
        Self::Unverified(reason.to_string())
    }

    /// Why no connection can be established, if that is known.
    #[must_use]
    pub fn down_reason(&self) -> Option<&str> {
        match self {
            Self::Down(reason) => Some(reason),
            Self::Up | Self::Unverified(_) => None,
        }
    }

    /// What is known while it is not known whether connections can be established.
    #[must_use]
    pub fn doubt(&self) -> Option<&str> {
        match self {
            Self::Unverified(reason) => Some(reason),
            Self::Up | Self::Down(_) => None,
        }
    }

    /// Whether it is known that no connection can be established.
    #[must_use]
    pub const fn is_down(&self) -> bool {
        matches!(self, Self::Down(_))
    }
}

/// The number of a record, from 1 on.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct StoreId(pub u64);

/// Names a command; the reply has the same name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CommandId {
    /// Chosen by the shell; no two commands have the same.
    pub number: u64,
    /// Who sent it.
    pub client: ClientId,
}

/// The client that sent a command: one connection of a program, or the process of the node itself. What
/// clients share is divided between them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ClientId(pub u64);

impl ClientId {
    /// The process of the node itself. No connection has this number.
    pub const OWN: Self = Self(0);
}
