//! Outputs: what the node asks of a shell.

use core::fmt;
use std::net::SocketAddr;

use circuits::ids::{Epoch, LinkId};
use circuits::secret::Secret;
use circuits::time::Instant;

use super::Node;
use super::command::{Refusal, Reply};
use super::event::Event;
use super::file_storage::{FileRequest, FileRequestId};
use super::input::{CommandId, StoreId};
use super::jobs::{Job, JobId};
use crate::bandwidth::BandwidthLimits;
use crate::endpoint::Endpoint;
use crate::mail::archive::ArchiveRequest;
use crate::state::StateChange;

/// One task of the shell.
#[derive(Debug)]
pub enum Output {
    /// Connect; answer with `Input::Dialed` or `Input::DialFailed`.
    Dial(LinkId, Endpoint),
    /// Write these bytes, in order; answer with `Input::Flushed`.
    Send(LinkId, Vec<u8>),
    /// Keep this inbound connection: its handshake is complete, and it has one of the
    /// [`MAX_INBOUND_LINKS`](super::MAX_INBOUND_LINKS) places. A shell may drop others if it has
    /// too many.
    Keep(LinkId),
    /// Write the remaining bytes (for a second at most), then close.
    Close(LinkId),
    /// Send this datagram from the socket of discovery. It may be lost.
    Datagram(SocketAddr, Vec<u8>),
    /// Make this record durable; answer with `Input::Stored`.
    Store(StoreId, Record),
    /// Pass this to the archive of the mail server; answer with `Input::Archived`. Only a mail server
    /// emits it.
    Archive(ArchiveRequest),
    /// Pass this to the store for files; answer with `Input::File`.
    File(FileRequestId, FileRequest),
    /// Run this job on other threads, at most until its limit; answer with `Input::Worked`, and
    /// report progress with `Input::Working`.
    Work(JobId, Job),
    /// Stop this job; answer with `Input::Worked(.., None)` unless it is done already.
    CancelWork(JobId),
    /// The reply to a command.
    Reply(CommandId, Result<Reply, Refusal>),
    /// A report to users.
    Notify(Event),
    /// Let no more than this cross the sockets of all links together.
    LimitBandwidth(BandwidthLimits),
    /// Call again at this instant at the latest. Always the last output.
    Timeout(Instant),
}

/// The outputs of one [`Node::handle`], in order; borrows the node until they are taken.
#[must_use]
pub struct Drain<'a> {
    pub(super) node: &'a mut Node,
}

impl Iterator for Drain<'_> {
    type Item = Output;

    fn next(&mut self) -> Option<Output> {
        self.node.fx.pop_output()
    }
}

/// State that must survive a crash.
///
/// An onion key and the tags of the cells that it peeled are kept together or not at all
/// (docs/wire.md, "Replay"): a key without its tags would peel a replayed cell.
pub enum Record {
    /// A new onion key, with an empty tag log.
    OnionKey(Epoch, Secret<32>),
    /// Replay tags to append to the log of this epoch's key.
    ReplayTags(Epoch, Vec<u8>),
    /// Erase an expired key and its log.
    EraseOnionKey(Epoch),
    /// Our descriptor for this epoch. A second, different one would be equivocation.
    OwnDescriptor(Epoch, Vec<u8>),
    /// The whole directory; replaces the stored one.
    Directory(Vec<Vec<u8>>),
    /// Our guards; replaces the stored ones.
    Guards(Vec<u8>),
    /// The held relay lists; replaces the stored ones.
    RelayLists(Vec<u8>),
    /// Changes of the user's state, which become durable together or not at all.
    State(Vec<StateChange>),
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnionKey(..) => "OnionKey(..)",
            Self::ReplayTags(..) => "ReplayTags(..)",
            Self::EraseOnionKey(..) => "EraseOnionKey(..)",
            Self::OwnDescriptor(..) => "OwnDescriptor(..)",
            Self::Directory(..) => "Directory(..)",
            Self::Guards(..) => "Guards(..)",
            Self::RelayLists(..) => "RelayLists(..)",
            Self::State(..) => "State(..)",
        })
    }
}
