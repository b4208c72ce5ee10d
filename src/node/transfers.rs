//! Files that are handed over within conversations.
//!
//! The component owns which files there are and how far each is (`record`). Offers and answers travel as parts
//! of messages (`offers`, `messages`); the bytes travel through circuits in attempts (`attempts`, `sessions`, `live`) and
//! rest in the shell's store for files, sealed (`disk`). The formats and the sessions are in
//! `crate::transfer`.
//!
//! Nothing is received before the user has accepted it, and nothing is sent by itself but what an answer
//! asks for. A chunk counts when it and its mark are durable, so that a kill at either end costs the chunks
//! that were on their way. Nothing here opens, executes or shows the content of a file.

mod accept;
mod arrived;
mod attempts;
mod command;
mod commands;
mod disk;
mod limits;
mod live;
mod messages;
mod offers;
mod offers_today;
mod record;
mod sessions;
mod show;
mod store;
mod views;

use std::collections::{BTreeMap, BTreeSet};

use circuits::ids::RelayId;
use circuits::time::{Instant, Now};

pub use command::{FileCommand, FileOutgoing, FileReply};
pub use views::{FileDirection, FilePriceView, FileStage, FileView};

pub(super) use self::arrived::ArrivedPart;
pub(super) use self::messages::FileMessage;

use self::disk::{DiskRequests, SessionId};
use self::live::LiveAttempt;
use self::offers_today::OffersToday;
use self::record::FileRecord;
use super::circuits::{CircuitHandle, Circuits};
use super::contacts::Contacts;
use super::effects::Effects;
use super::meetings::LeavingCircuits;
use super::send::{SendContext, Sender};
use crate::transfer::chunk::ChunkList;
use crate::transfer::schedule::AttemptId;

/// The files of the user.
pub(super) struct Transfers {
    files: BTreeMap<u64, FileRecord>,
    /// The hashes of the chunks of files that go out.
    leaves: BTreeMap<u64, ChunkList>,
    /// The last number that was used.
    last: u64,
    disk: DiskRequests,
    /// The running attempt of each file that has one.
    live: BTreeMap<u64, LiveAttempt>,
    by_circuit: BTreeMap<CircuitHandle, u64>,
    leaving: LeavingCircuits,
    /// Files whose next attempt is being made durable.
    opening: BTreeSet<u64>,
    /// Files whose ends have met under the schedule that is stored.
    met: BTreeSet<u64>,
    /// When attempts that could not begin are looked at again.
    retry: Instant,
    last_session: u64,
    /// Why the last attempt of a file ended.
    faults: BTreeMap<u64, String>,
    offers: OffersToday,
    /// The largest file that is brought in or accepted, in bytes.
    max_size: u64,
}

/// What continues when a change of a file is durable.
pub(super) enum TransferContinuation {
    /// Open the circuit of an attempt at this relay.
    Open(u64, AttemptId, RelayId),
    /// Tell a session that a chunk and its mark are durable.
    Marked(SessionId, u32),
}

/// What transfers need to know about the other components.
#[derive(Clone, Copy)]
pub(super) struct TransferContext<'a> {
    /// The conversations.
    pub(super) contacts: &'a Contacts,
    /// The circuits.
    pub(super) circuits: &'a Circuits,
    /// The messages in flight.
    pub(super) send: &'a Sender,
    /// What sending knows about the others.
    pub(super) others: SendContext<'a>,
}

impl Transfers {
    /// No files yet. Those that are brought in or accepted have at most `max_size` bytes.
    pub(super) fn new(max_size: u64) -> Self {
        Self {
            files: BTreeMap::new(),
            leaves: BTreeMap::new(),
            last: 0,
            disk: DiskRequests::default(),
            live: BTreeMap::new(),
            by_circuit: BTreeMap::new(),
            leaving: LeavingCircuits::default(),
            opening: BTreeSet::new(),
            met: BTreeSet::new(),
            retry: Instant::ZERO,
            last_session: 0,
            faults: BTreeMap::new(),
            offers: OffersToday::default(),
            max_size,
        }
    }

    /// A change is durable.
    pub(super) fn on_stored(
        &mut self,
        fx: &mut Effects,
        now: Now,
        continuation: TransferContinuation,
        context: TransferContext<'_>,
    ) {
        match continuation {
            TransferContinuation::Open(number, attempt, relay) => {
                self.on_attempt_stored(fx, now, (number, attempt, relay), context);
            }
            TransferContinuation::Marked(id, chunk) => self.on_marked(fx, id, chunk),
        }
    }
}

/// Maximum number of files of a node.
const MAX_FILES: usize = 256;
/// Maximum number of files of one contact in one direction that are not at their end.
const MAX_LIVE_PER_CONTACT: usize = 3;
/// Maximum number of lists of relays that the receiving end of a file proposes. Each costs the sender a message
/// that its node writes by itself, and names two relays that this node can use.
const MAX_PROPOSALS: u8 = 4;
/// Maximum number of attempts that run at a time: relays take 8 circuits of a link.
const MAX_LIVE: usize = 6;

#[cfg(test)]
mod tests;
