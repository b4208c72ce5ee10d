//! Views of files, and the events that report them.

use circuits::time::Now;

use super::record::{FileRecord, FileStep};
use super::views::{FileDirection, FileStage, FileView};
use super::{TransferContext, Transfers, limits};
use crate::node::effects::Effects;
use crate::node::event::Event;
use crate::node::hex;
use crate::transfer::chunk::ChunkList;

impl Transfers {
    /// Reports the stage of a file, when what was stored so far is durable.
    pub(super) fn notify(
        &self,
        fx: &mut Effects,
        now: Now,
        number: u64,
        context: TransferContext<'_>,
    ) {
        if let Some(file) = self.files.get(&number) {
            let event = Event::File(Box::new(self.view(now, number, file, context)));
            fx.notify_durable(event);
        }
    }

    /// A file.
    pub(super) fn view(
        &self,
        now: Now,
        number: u64,
        file: &FileRecord,
        context: TransferContext<'_>,
    ) -> FileView {
        let live = self.live.get(&number);
        let rate = live
            .and_then(|live| live.rate(now.mono))
            .filter(|rate| *rate > 0);
        let done = self.done_bytes(number, file);
        let left = file.size.bytes().saturating_sub(done);
        let contact = file
            .conversation
            .and_then(|id| context.contacts.name_of(id));
        let named = Some(file.to.clone()).filter(|to| !to.is_empty());
        FileView {
            number,
            direction: file.direction,
            contact: contact.or(named),
            conversation: file.conversation.map(|id| hex(&id.0)).unwrap_or_default(),
            name: file.name.as_str().to_owned(),
            size: file.size.bytes(),
            stage: self.stage(number, file),
            done,
            rate,
            left_seconds: rate.map(|rate| left.div_ceil(rate)),
            until: file.until.0.into(),
        }
    }

    fn stage(&self, number: u64, file: &FileRecord) -> FileStage {
        match &file.step {
            FileStep::Storing => FileStage::Storing,
            FileStep::Offered => FileStage::Offered,
            FileStep::Declined => FileStage::Declined,
            FileStep::Accepted { last, .. } => {
                let live = self.live.get(&number);
                let attempt = live.map(|live| live.attempt()).or(*last);
                let attempt =
                    attempt.map_or(1, |attempt| u32::from(attempt.number()).saturating_add(1));
                if live.is_some_and(|live| live.has_met()) {
                    FileStage::Transferring { attempt }
                } else {
                    FileStage::Meeting { attempt }
                }
            }
            FileStep::Proposed => FileStage::Meeting { attempt: 1 },
            FileStep::Paused(reason) => FileStage::Paused {
                reason: reason.clone(),
            },
            FileStep::Complete => FileStage::Complete,
            FileStep::Failed(reason) => FileStage::Failed {
                reason: reason.clone(),
            },
        }
    }

    /// Bytes that the receiving end has, or that are brought in.
    fn done_bytes(&self, number: u64, file: &FileRecord) -> u64 {
        let whole = |chunks: u32| {
            let bytes = u64::from(chunks).saturating_mul(CHUNK_BYTES);
            bytes.min(file.size.bytes())
        };
        match (&file.step, file.direction) {
            (FileStep::Complete, _) => file.size.bytes(),
            (FileStep::Storing, _) => whole(self.leaves.get(&number).map_or(0, ChunkList::len)),
            (_, FileDirection::In) => limits::verified_bytes(file),
            // Padding counts among the chunks that are sent; it comes last.
            (_, FileDirection::Out) => {
                whole(self.live.get(&number).map_or(0, |live| live.chunks()))
            }
        }
    }
}

const CHUNK_BYTES: u64 = 65_536;
