//! The record of a file: what was offered, how far it is, and which chunks are durable.
//!
//! A file has a row for its record and one for the list of its chunk hashes, which changes once. A further
//! row has the last number that was used, so that no number names two files. Nothing here decides.

use std::sync::Arc;

use circuits::ids::RelayId;
use circuits::secret::Secret;
use circuits::time::UnixSecs;

use super::views::FileDirection;
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::conversation::ConversationId;
use crate::sealed_file::{FileKey, StoredFileId};
use crate::state::{StateChange, StateRow, StateTable};
use crate::transfer::chunk::{ChunkList, ChunkRoot, FileSize};
use crate::transfer::chunk_set::ChunkSet;
use crate::transfer::offer::{FileName, FileOffer};
use crate::transfer::schedule::{AttemptId, AttemptSchedule, RelayPlaces};
use crate::transfer::secret::FileSecret;
use crate::transfer::{FileId, MAX_MEETING_RELAYS};

/// Takes relays that the receiving end names in place of the others.
pub(super) fn take_proposal(file: &mut FileRecord, relays: Vec<RelayId>) {
    // The same list once more: its message, or the answer to it, was lost.
    if file.proposals == 0 || file.relays != relays {
        file.proposals = file.proposals.saturating_add(1);
    }
    file.relays = relays;
    file.is_in_vain = false;
}

/// A file of this node.
pub(super) struct FileRecord {
    /// Whether it goes out or comes in.
    pub(super) direction: FileDirection,
    /// How the user named the other end, of a file that goes out.
    pub(super) to: String,
    /// The conversation; `None` until a file that goes out is offered.
    pub(super) conversation: Option<ConversationId>,
    /// Names the file at both ends.
    pub(super) id: FileId,
    /// The secret that cookies and keys derive from.
    pub(super) secret: FileSecret,
    /// Its name, as its sender gives it.
    pub(super) name: FileName,
    /// Its size.
    pub(super) size: FileSize,
    /// The hash over its list of chunks; `None` until all of a file that goes out is brought in.
    pub(super) root: Option<ChunkRoot>,
    /// Where circuits may meet.
    pub(super) relays: Vec<RelayId>,
    /// Its name in the store of this node.
    pub(super) stored: StoredFileId,
    /// Its key in the store of this node.
    pub(super) key: Arc<FileKey>,
    /// When this node erases it.
    pub(super) until: UnixSecs,
    /// How far it is.
    pub(super) step: FileStep,
    /// The chunks that are durable at the receiving end, as far as this node knows.
    pub(super) verified: ChunkSet,
    /// Number of lists of relays that the receiving end has proposed. `relays` is the last one.
    pub(super) proposals: u8,
    /// Whether all windows of the last answer passed without a meeting. The next answer names other relays.
    pub(super) is_in_vain: bool,
    /// Whether the next message has to say that the file has arrived.
    pub(super) is_unreported: bool,
}

/// How far a file is, as it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum FileStep {
    /// It is being brought in.
    Storing,
    /// It is offered.
    Offered,
    /// The receiving side does not want it.
    Declined,
    /// It is accepted.
    Accepted {
        /// When and where the ends meet.
        schedule: AttemptSchedule,
        /// The last attempt that was begun.
        last: Option<AttemptId>,
    },
    /// In: it is accepted, and other relays than those of the offer are named. The sender sets the start.
    Proposed,
    /// No attempt is running, and none follows by itself, for this reason.
    Paused(String),
    /// The receiving end has all of it.
    Complete,
    /// It cannot be completed, for this reason.
    Failed(String),
}

impl FileStep {
    /// Whether the file will not reach another step by itself.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::Declined | Self::Complete | Self::Failed(_))
    }

    /// Whether both users want the file, and its ends are to meet.
    pub(super) const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted { .. } | Self::Proposed)
    }
}

impl FileRecord {
    /// A file that another person offers.
    pub(super) fn offered(
        conversation: ConversationId,
        offer: FileOffer,
        (stored, key): (StoredFileId, FileKey),
        until: UnixSecs,
    ) -> Self {
        Self {
            direction: FileDirection::In,
            to: String::new(),
            conversation: Some(conversation),
            id: offer.id,
            secret: offer.secret,
            name: offer.name,
            size: offer.size,
            root: Some(offer.root),
            relays: offer.relays,
            stored,
            key: Arc::new(key),
            until,
            step: FileStep::Offered,
            verified: ChunkSet::new(offer.size),
            proposals: 0,
            is_in_vain: false,
            is_unreported: false,
        }
    }

    /// The offer of this file with these relays; `None` until it is brought in.
    pub(super) fn offer(&self, relays: Vec<RelayId>) -> Option<FileOffer> {
        let mut secret = *self.secret.expose();
        Some(FileOffer {
            id: self.id,
            secret: FileSecret::take(&mut secret),
            size: self.size,
            root: self.root?,
            name: self.name.clone(),
            relays,
        })
    }

    /// The change that stores the record.
    pub(super) fn put(&self, number: u64) -> StateChange {
        StateChange::put(StateTable::File, row_id(RECORD, number), {
            let mut writer = StateWriter::new(RECORD_VERSION);
            self.write(&mut writer);
            writer.finish()
        })
    }

    fn write(&self, writer: &mut StateWriter) {
        writer.bool(self.direction == FileDirection::Out);
        writer.bytes(self.to.as_bytes());
        writer.option(self.conversation, |writer, id| writer.array(&id.0));
        writer.array(&self.id.0);
        writer.array(self.secret.expose());
        writer.bytes(self.name.as_str().as_bytes());
        writer.u64(self.size.bytes());
        writer.option(self.root, |writer, root| writer.array(&root.0));
        writer.list(self.relays.iter(), |writer, relay| writer.array(&relay.0));
        writer.array(&self.stored.0);
        writer.array(self.key.expose());
        writer.u32(self.until.0);
        write_step(writer, &self.step);
        writer.bytes(self.verified.to_bytes());
        writer.u8(self.proposals);
        writer.bool(self.is_in_vain);
        writer.bool(self.is_unreported);
    }

    fn read(value: &[u8]) -> Result<Self, BadState> {
        let mut reader = StateReader::new(value, RECORD_VERSION)?;
        let direction = if reader.bool()? {
            FileDirection::Out
        } else {
            FileDirection::In
        };
        let to = reader.text()?.to_owned();
        let conversation = reader.option(|reader| reader.array().map(ConversationId))?;
        let id = FileId(reader.array()?);
        let secret = FileSecret::take(&mut reader.array()?);
        let name = FileName::new(reader.text()?).ok_or(BadState::Field("name of a file"))?;
        let size = FileSize::new(reader.u64()?).ok_or(BadState::Field("size of a file"))?;
        let root = reader.option(|reader| reader.array().map(ChunkRoot))?;
        let relays = reader.list(MAX_MEETING_RELAYS, |reader| reader.array().map(RelayId))?;
        let stored = StoredFileId(reader.array()?);
        let key = Arc::new(FileKey::new(Secret::take(&mut reader.array()?)));
        let until = UnixSecs(reader.u32()?);
        let step = read_step(&mut reader)?;
        let verified = ChunkSet::from_bytes(size, reader.bytes()?);
        let record = Self {
            direction,
            to,
            conversation,
            id,
            secret,
            name,
            size,
            root,
            relays,
            stored,
            key,
            until,
            step,
            verified: verified.ok_or(BadState::Field("chunks of a file"))?,
            proposals: reader.u8()?,
            is_in_vain: reader.bool()?,
            is_unreported: reader.bool()?,
        };
        reader.finish()?;
        Ok(record)
    }
}

fn write_step(writer: &mut StateWriter, step: &FileStep) {
    let code = match step {
        FileStep::Storing => 1,
        FileStep::Offered => 2,
        FileStep::Declined => 3,
        FileStep::Accepted { .. } => 4,
        FileStep::Paused(_) => 5,
        FileStep::Complete => 6,
        FileStep::Failed(_) => 7,
        FileStep::Proposed => 8,
    };
    writer.u8(code);
    match step {
        FileStep::Accepted { schedule, last } => {
            writer.u32(schedule.start().0);
            writer.array(&schedule.places().to_bytes());
            writer.option(*last, |writer, last| {
                writer.u32(last.start().0);
                writer.u8(last.number());
            });
        }
        FileStep::Paused(reason) | FileStep::Failed(reason) => writer.bytes(reason.as_bytes()),
        FileStep::Storing
        | FileStep::Offered
        | FileStep::Declined
        | FileStep::Proposed
        | FileStep::Complete => {}
    }
}

fn read_step(reader: &mut StateReader<'_>) -> Result<FileStep, BadState> {
    Ok(match reader.u8()? {
        1 => FileStep::Storing,
        2 => FileStep::Offered,
        3 => FileStep::Declined,
        4 => {
            let start = UnixSecs(reader.u32()?);
            let places = RelayPlaces::new(reader.array()?);
            let places = places.ok_or(BadState::Field("places of relays"))?;
            let schedule = AttemptSchedule::new(start, places);
            let last = reader.option(|reader| {
                let last = AttemptId::new(UnixSecs(reader.u32()?), reader.u8()?);
                last.ok_or(BadState::Field("attempt"))
            })?;
            FileStep::Accepted {
                schedule: schedule.ok_or(BadState::Field("start of attempts"))?,
                last,
            }
        }
        5 => FileStep::Paused(reader.text()?.to_owned()),
        6 => FileStep::Complete,
        7 => FileStep::Failed(reader.text()?.to_owned()),
        8 => FileStep::Proposed,
        _ => return Err(BadState::Field("step of a file")),
    })
}

/// A row of a file.
pub(super) enum FileRow {
    /// The record of the file of this number.
    Record(u64, Box<FileRecord>),
    /// The hashes of its chunks.
    Leaves(u64, Vec<u8>),
    /// The last number that was used.
    LastNumber(u64),
}

impl FileRow {
    /// Reads a row.
    ///
    /// # Errors
    ///
    /// [`BadState`] if this version did not write it.
    pub(super) fn restore(row: &StateRow) -> Result<Self, BadState> {
        let (kind, number) = row.id.as_bytes().split_first().ok_or(BadState::Length)?;
        let number = number.try_into().map_err(|_| BadState::Length)?;
        let number = u64::from_be_bytes(number);
        match *kind {
            RECORD => Ok(Self::Record(
                number,
                Box::new(FileRecord::read(&row.value)?),
            )),
            LEAVES => {
                let mut reader = StateReader::new(&row.value, VERSION)?;
                let leaves = reader.bytes()?.to_vec();
                reader.finish()?;
                Ok(Self::Leaves(number, leaves))
            }
            LAST_NUMBER => {
                let mut reader = StateReader::new(&row.value, VERSION)?;
                let last = reader.u64()?;
                reader.finish()?;
                Ok(Self::LastNumber(last))
            }
            _ => Err(BadState::Field("kind of row")),
        }
    }
}

/// The change that stores the hashes of the chunks of a file.
pub(super) fn put_leaves(number: u64, leaves: &ChunkList) -> StateChange {
    let mut writer = StateWriter::new(VERSION);
    writer.bytes(leaves.leaves());
    StateChange::put(StateTable::File, row_id(LEAVES, number), writer.finish())
}

/// The change that erases them.
pub(super) fn delete_leaves(number: u64) -> StateChange {
    StateChange::delete(StateTable::File, row_id(LEAVES, number))
}

/// The change that erases a record.
pub(super) fn delete_record(number: u64) -> StateChange {
    StateChange::delete(StateTable::File, row_id(RECORD, number))
}

/// The change that stores the last number that was used.
pub(super) fn put_last_number(last: u64) -> StateChange {
    let mut writer = StateWriter::new(VERSION);
    writer.u64(last);
    StateChange::put(StateTable::File, row_id(LAST_NUMBER, 0), writer.finish())
}

fn row_id(kind: u8, number: u64) -> Vec<u8> {
    [&[kind][..], &number.to_be_bytes()].concat()
}

/// The first bytes of the names of rows.
const RECORD: u8 = b'f';
const LEAVES: u8 = b'l';
const LAST_NUMBER: u8 = b'n';
const VERSION: u8 = 1;
/// Version 1 named one relay of an answer, and counted no proposals.
const RECORD_VERSION: u8 = 2;

#[cfg(test)]
mod tests;
