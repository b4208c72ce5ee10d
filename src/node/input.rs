//! What a shell tells the node.

use core::fmt;
use std::net::{IpAddr, SocketAddr};

use circuits::ids::LinkId;

use super::command::Command;
use super::jobs::{JobId, JobResult};
use crate::mail::archive::ArchiveResponse;

/// One thing that happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// The instant of the last `Output::Timeout` has come (or has not: it costs nothing).
    Timeout,
    /// Somebody connected to our listener, from this address if the connection shows one (it does
    /// not through Tor); `LinkId` is fresh from `Node::new_link`.
    Accepted(LinkId, Option<IpAddr>),
    /// A connection that `Output::Dial` asked for stands.
    Dialed(LinkId),
    /// A connection that `Output::Dial` asked for cannot be had.
    DialFailed(LinkId),
    /// Bytes arrived.
    Received(LinkId, &'a [u8]),
    /// This many bytes of earlier `Output::Send`s were handed to the operating system.
    Flushed(LinkId, usize),
    /// The connection ended, by whichever side. Nothing more comes from it.
    Closed(LinkId),
    /// A datagram arrived at the socket of discovery, from this address.
    Datagram(SocketAddr, &'a [u8]),
    /// Every `Output::Store` up to this one would survive a crash.
    Stored(StoreId),
    /// A job goes on, and has tried so many hashes in all. Costs nothing; may never come.
    Working(JobId, u64),
    /// The archive did what `Output::Archive` asked, or found it.
    Archived(ArchiveResponse),
    /// A job is done, or was stopped.
    Worked(JobId, Option<JobResult>),
    /// How many hashes a second the shell tries, measured on this machine. May never come.
    HashRate(f64),
    /// Whether links can be had has changed.
    Connectivity(Connectivity),
    /// The user wants something.
    Command(CommandId, Command),
}

/// Whether the machine can make links at all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Connectivity {
    /// As far as is known.
    #[default]
    Up,
    /// Not now, and this is why.
    Down(String),
}

impl Connectivity {
    /// Not now, and this is why.
    pub fn down(reason: impl fmt::Display) -> Self {
        Self::Down(reason.to_string())
    }
}

/// Numbers the records handed to the shell, upwards from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct StoreId(pub u64);

/// Chosen by the shell; comes back with the reply.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CommandId(pub u64);
