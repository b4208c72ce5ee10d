//! What is kept: rows of the state, chunks in the store for files, and when both are erased.

use circuits::secret::Redacted;
use circuits::time::Now;

use super::arrived::ArrivedPart;
use super::command::FileReply;
use super::disk::DiskPurpose;
use super::record::{FileRow, FileStep, delete_leaves, delete_record};
use super::{TransferContext, Transfers};
use crate::contact::conversation::ConversationId;
use crate::node::action::{Action, CircuitAction, TransferAction};
use crate::node::command::{Refusal, Reply};
use crate::node::effects::Effects;
use crate::node::file_storage::{FileFault, FileRequest, FileRequestId, FileResponse};
use crate::node::input::CommandId;
use crate::node::timers::TimerId;
use crate::state::{StateChange, StateRows, StateTable};
use crate::transfer::chunk::{Chunk, ChunkList};

impl Transfers {
    /// Takes what the last run left. A file that was being brought in is erased.
    pub(in crate::node) fn open_state(&mut self, fx: &mut Effects, now: Now, rows: &mut StateRows) {
        let mut bad = 0_usize;
        let mut leaves = Vec::new();
        for row in rows.take(StateTable::File) {
            match self.offers.restore(&row) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(_) => {
                    bad = bad.saturating_add(1);
                    continue;
                }
            }
            match ArrivedPart::restore(&row) {
                Ok(Some(part)) => fx.request(Action::Transfer(TransferAction::PartArrived(
                    Box::new(part),
                ))),
                Ok(None) => match FileRow::restore(&row) {
                    Ok(FileRow::Record(number, file)) => {
                        self.last = self.last.max(number);
                        self.files.insert(number, *file);
                    }
                    Ok(FileRow::Leaves(number, bytes)) => leaves.push((number, bytes)),
                    Ok(FileRow::LastNumber(last)) => self.last = self.last.max(last),
                    Err(_) => bad = bad.saturating_add(1),
                },
                Err(_) => bad = bad.saturating_add(1),
            }
        }
        for (number, bytes) in leaves {
            let file = self.files.get(&number);
            let list = file.and_then(|file| ChunkList::from_leaves(file.id, file.size, &bytes));
            match list {
                Some(list) => drop(self.leaves.insert(number, list)),
                None => bad = bad.saturating_add(1),
            }
        }
        if bad > 0 {
            tracing::error!(
                rows = bad,
                "rows of files cannot be read and are left out; restore a backup"
            );
        }
        let unfinished = self.files.iter();
        let unfinished = unfinished.filter(|(_, file)| file.step == FileStep::Storing);
        let unfinished: Vec<u64> = unfinished.map(|(number, _)| *number).collect();
        for number in unfinished {
            let changes = self.forget(number);
            fx.store_state(changes);
        }
        let kept = self.files.values().map(|file| file.stored).collect();
        self.disk
            .ask(fx, FileRequest::EraseOthers(kept), DiskPurpose::Erase);
        fx.expedite(TimerId::Transfers, now.mono);
    }

    /// Forgets all files until the state is opened again. An attempt ends as if this node had been killed:
    /// the next one goes on from the chunks that are durable.
    pub(in crate::node) fn lock(&mut self, fx: &mut Effects) {
        self.leaving.close_all(fx);
        for circuit in self.by_circuit.keys().copied() {
            fx.request(Action::Circuit(CircuitAction::Close(circuit)));
        }
        for command in self.disk.forget_all() {
            fx.reply(command, Err(Refusal::locked(LOCKED)));
        }
        *self = Self {
            last_session: self.last_session,
            offers: core::mem::take(&mut self.offers),
            ..Self::new(self.max_size)
        };
        fx.arm(TimerId::Transfers, None);
    }

    // -- the store for files

    /// The store answered.
    pub(in crate::node) fn on_file_response(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: FileRequestId,
        response: Result<FileResponse, FileFault>,
        context: TransferContext<'_>,
    ) {
        let Some(purpose) = self.disk.take(id) else {
            return;
        };
        match (purpose, response) {
            (DiskPurpose::Begin(command, file), Ok(_)) => {
                self.on_begin_room(fx, now, command, *file, context);
            }
            (DiskPurpose::Accept(command, number), Ok(_)) => {
                let accepted = self.on_accept_room(fx, now, command, number, context);
                if let Err(refusal) = accepted {
                    fx.reply(command, Err(refusal));
                }
            }
            (DiskPurpose::Begin(command, _) | DiskPurpose::Accept(command, _), Err(fault)) => {
                refuse(fx, command, &fault);
            }
            (DiskPurpose::Bring(command, _), Ok(_)) => {
                fx.reply(command, Ok(Reply::File(Box::new(FileReply::Done))));
            }
            (DiskPurpose::Bring(command, number), Err(fault)) => {
                let changes = self.erase(fx, now, number, context);
                fx.store_state(changes);
                refuse(fx, command, &fault);
            }
            (DiskPurpose::ReadOut(command, len), Ok(FileResponse::Chunk(mut bytes))) => {
                bytes.truncate(len);
                let reply = FileReply::Chunk(Redacted(bytes));
                fx.reply(command, Ok(Reply::File(Box::new(reply))));
            }
            (DiskPurpose::ReadOut(command, _), Err(fault)) => refuse(fx, command, &fault),
            (DiskPurpose::Fetch(id, chunk), Ok(FileResponse::Chunk(bytes))) => {
                let bytes = Chunk::padded(&bytes);
                self.on_fetched(fx, (id, chunk), bytes.as_ref());
            }
            (DiskPurpose::Keep(id, chunk), Ok(_)) => self.mark_chunk(fx, now, id, chunk, context),
            (DiskPurpose::Fetch(id, _) | DiskPurpose::Keep(id, _), Err(fault)) => {
                self.on_disk_fault(fx, now, id, &fault, context);
            }
            (DiskPurpose::ReadOut(..) | DiskPurpose::Fetch(..), Ok(_)) => {
                fx.bug("the store for files answers another question");
            }
            (DiskPurpose::Erase, _) => {}
        }
    }

    // -- erasure

    /// Erases the stored chunks of a file; its record stays.
    pub(super) fn erase_content(&mut self, fx: &mut Effects, number: u64) {
        if let Some(file) = self.files.get(&number) {
            let request = FileRequest::Erase(file.stored);
            self.disk.ask(fx, request, DiskPurpose::Erase);
        }
        if self.leaves.remove(&number).is_some() {
            fx.store_state(vec![delete_leaves(number)]);
        }
    }

    /// Erases a file: its attempt, its chunks, its record.
    pub(super) fn erase(
        &mut self,
        fx: &mut Effects,
        now: Now,
        number: u64,
        context: TransferContext<'_>,
    ) -> Vec<StateChange> {
        if let Some(live) = self.live.get_mut(&number) {
            live.stop(crate::transfer::frame::StopReason::Cancelled);
        }
        self.end_attempt(fx, now.mono, number, context);
        if let Some(file) = self.files.get(&number) {
            let request = FileRequest::Erase(file.stored);
            self.disk.ask(fx, request, DiskPurpose::Erase);
        }
        self.forget(number)
    }

    fn forget(&mut self, number: u64) -> Vec<StateChange> {
        self.files.remove(&number);
        self.leaves.remove(&number);
        self.opening.remove(&number);
        self.met.remove(&number);
        self.faults.remove(&number);
        vec![delete_record(number), delete_leaves(number)]
    }

    /// Erases the files whose time is over.
    pub(super) fn erase_old(&mut self, fx: &mut Effects, now: Now, context: TransferContext<'_>) {
        let old = self.files.iter().filter(|(_, file)| file.until <= now.unix);
        let old: Vec<u64> = old.map(|(number, _)| *number).collect();
        for number in old {
            let changes = self.erase(fx, now, number, context);
            fx.store_state(changes);
        }
    }

    /// A conversation is erased, and its files with it.
    pub(in crate::node) fn on_conversation_erased(
        &mut self,
        fx: &mut Effects,
        now: Now,
        conversation: ConversationId,
        context: TransferContext<'_>,
    ) {
        let of_it = self.files.iter();
        let of_it = of_it.filter(|(_, file)| file.conversation == Some(conversation));
        let of_it: Vec<u64> = of_it.map(|(number, _)| *number).collect();
        for number in of_it {
            let changes = self.erase(fx, now, number, context);
            fx.store_state(changes);
        }
        if let Some(forgotten) = self.offers.forget(conversation) {
            fx.store_state(vec![forgotten]);
        }
    }
}

fn refuse(fx: &mut Effects, command: CommandId, fault: &FileFault) {
    let remedy = match fault {
        FileFault::NoRoom { .. } => "free the room, or erase files (`whisht file erase`)",
        FileFault::Missing | FileFault::Damaged => "erase the file, and ask for it again",
        FileFault::Disk(_) => "check the disk of the data directory",
    };
    fx.reply(command, Err(Refusal::policy(fault.to_string(), remedy)));
}

const LOCKED: &str = "files and conversations are locked";
