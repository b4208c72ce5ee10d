//! What the node asks of a shell.

use core::fmt;
use std::net::SocketAddr;

use circuits::ids::{Epoch, LinkId};
use circuits::secret::Secret;
use circuits::time::Instant;

use super::command::{Refusal, Reply};
use super::event::Event;
use super::input::{CommandId, StoreId};
use super::jobs::{Job, JobId};
use crate::endpoint::Endpoint;
use crate::mail::archive::ArchiveRequest;

/// One thing to do outside.
#[derive(Debug)]
pub enum Output {
    /// Connect; answer with `Input::Dialed` or `Input::DialFailed`.
    Dial(LinkId, Endpoint),
    /// Write these bytes, in order; answer with `Input::Flushed`.
    Send(LinkId, Vec<u8>),
    /// Write what is still to be written (for a second at most), then close.
    Close(LinkId),
    /// Send this datagram from the socket of discovery. It may be lost.
    Datagram(SocketAddr, Vec<u8>),
    /// Make this record durable; answer with `Input::Stored`.
    Store(StoreId, Record),
    /// Put this to the archive of the mail server; answer with `Input::Archived`. Only a node that
    /// is a mail server says so.
    Archive(ArchiveRequest),
    /// Run this job on threads of its own, for no longer than its limit; answer with
    /// `Input::Worked`, and before that with `Input::Working` as often as seems right.
    Work(JobId, Job),
    /// Stop this job; answer with `Input::Worked(.., None)` unless it was done already.
    CancelWork(JobId),
    /// The answer to a command.
    Reply(CommandId, Result<Reply, Refusal>),
    /// Something a user may want to see.
    Notify(Event),
    /// Come back at this instant at the latest. Always the last output.
    Timeout(Instant),
}

/// State that must outlive a crash.
///
/// An onion key and the tags of the cells that it opened are kept together or not at all
/// (docs/wire.md, "Replay"): a key without its tags would open a replayed cell.
pub enum Record {
    /// A new onion key; begins an empty tag log.
    OnionKey(Epoch, Secret<32>),
    /// Goes to the end of the tag log of this epoch's key.
    ReplayTags(Epoch, Vec<u8>),
    /// The key has expired: erase it and its log.
    EraseOnionKey(Epoch),
    /// Our descriptor for this epoch. A second, different one would be equivocation.
    OwnDescriptor(Epoch, Vec<u8>),
    /// The whole directory, replacing what was stored before.
    Directory(Vec<Vec<u8>>),
    /// Our guards, replacing what was stored before.
    Guards(Vec<u8>),
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
        })
    }
}
