//! Commands about files: each is refused, answered at once, or answered when its effect is durable.

use std::sync::Arc;

use circuits::level::Level;
use circuits::time::Now;
use zeroize::Zeroizing;

use super::command::{FileCommand, FileOutgoing, FileReply};
use super::disk::DiskPurpose;
use super::messages::FileMessage;
use super::record::{FileRecord, FileStep, put_last_number};
use super::views::{FileDirection, FilePriceView};
use super::{MAX_FILES, MAX_LIVE_PER_CONTACT, TransferContext, Transfers, limits};
use crate::node::action::{Action, TransferAction};
use crate::node::command::{Refusal, Reply};
use crate::node::durability::StateContinuation;
use crate::node::effects::Effects;
use crate::node::file_storage::FileRequest;
use crate::node::input::CommandId;
use crate::node::meetings::pick_relays;
use crate::sealed_file::{FileKey, StoredFileId};
use crate::state::StateChange;
use crate::transfer::FileId;
use crate::transfer::chunk::{CHUNK_LEN, Chunk, ChunkList, FileSize};
use crate::transfer::chunk_set::ChunkSet;
use crate::transfer::offer::{FileName, MAX_FILE_NAME_LEN};
use crate::transfer::secret::FileSecret;

impl Transfers {
    /// Carries out a command.
    pub(in crate::node) fn on_command(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: CommandId,
        command: FileCommand,
        context: TransferContext<'_>,
    ) {
        if !fx.state_is_open() {
            let refusal = Refusal::locked("files and conversations are locked");
            return fx.reply(id, Err(refusal));
        }
        let done = match command {
            FileCommand::Begin(outgoing) => self.begin(fx, now, id, &outgoing, context),
            FileCommand::Chunk { file, chunk, bytes } => {
                self.bring_chunk(fx, id, (file, chunk), bytes)
            }
            FileCommand::End(file) => self.offer(fx, now, id, file, context),
            FileCommand::Accept { file, level } => self.accept(fx, id, (file, level), context),
            FileCommand::Decline(file) => self.decline(fx, id, file, context),
            FileCommand::Read { file, chunk } => self.read(fx, id, file, chunk),
            FileCommand::Erase(file) => self.erase_by_user(fx, now, id, file, context),
            query => self.answer(now, &query, context).map(|reply| {
                fx.reply(id, Ok(Reply::File(Box::new(reply))));
            }),
        };
        if let Err(refusal) = done {
            fx.reply(id, Err(refusal));
        }
    }

    /// Answers a query; it changes nothing.
    fn answer(
        &self,
        now: Now,
        query: &FileCommand,
        context: TransferContext<'_>,
    ) -> Result<FileReply, Refusal> {
        Ok(match query {
            FileCommand::List => {
                let files = self.files.iter();
                let views = files.map(|(number, file)| self.view(now, *number, file, context));
                FileReply::Files(views.collect())
            }
            FileCommand::Show(number) => {
                let file = self.file(*number)?;
                FileReply::File(self.view(now, *number, file, context))
            }
            FileCommand::Price(outgoing) => {
                let (size, _) = self.check_outgoing(now, outgoing, context)?;
                FileReply::Price(FilePriceView {
                    level: Level::Normal.word().to_owned(),
                    size: size.bytes(),
                    sent_bytes: limits::sent_bytes(size),
                    seconds: limits::least_seconds(size),
                })
            }
            _ => FileReply::Done,
        })
    }

    // -- files that go out

    /// Checks what can be checked before a file is brought in.
    fn check_outgoing(
        &self,
        now: Now,
        outgoing: &FileOutgoing,
        context: TransferContext<'_>,
    ) -> Result<(FileSize, FileName), Refusal> {
        let size = FileSize::new(outgoing.size).filter(|size| size.bytes() <= self.max_size);
        let size = size.ok_or_else(|| {
            Refusal::usage(
                format!("the file has {} bytes", outgoing.size),
                format!(
                    "hand over 1 to {} bytes, or raise `contact.max-file-mb`",
                    self.max_size
                ),
            )
        })?;
        let name = match outgoing.name.as_str() {
            "" => FileName::new(DEFAULT_NAME),
            name => FileName::new(name),
        };
        let name = name.ok_or_else(|| {
            Refusal::usage(
                format!(
                    "the name of the file has {} bytes, or a character that a file name must not have",
                    outgoing.name.len()
                ),
                format!("name it with at most {MAX_FILE_NAME_LEN} bytes, without `/` and `\\`"),
            )
        })?;
        let default = context.send.default_level();
        let command = format!("whisht send --to {} --attach FILE", outgoing.to);
        limits::check_level(outgoing.level, default, size, &command)?;
        context.contacts.check_file_recipient(now, &outgoing.to)?;
        let live = self.files.values().filter(|file| {
            file.direction == FileDirection::Out && file.to == outgoing.to && !file.step.is_final()
        });
        limits::check_live(live.count(), &outgoing.to)?;
        Ok((size, name))
    }

    /// Begins to bring in a file, if there is room for it.
    fn begin(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        outgoing: &FileOutgoing,
        context: TransferContext<'_>,
    ) -> Result<(), Refusal> {
        let (size, name) = self.check_outgoing(now, outgoing, context)?;
        self.check_room()?;
        let rng = fx.key_rng();
        let mut id = [0; 16];
        rand_core::Rng::fill_bytes(rng, &mut id);
        let file = FileRecord {
            direction: FileDirection::Out,
            to: outgoing.to.clone(),
            conversation: None,
            id: FileId(id),
            secret: FileSecret::draw(rng),
            name,
            size,
            root: None,
            relays: Vec::new(),
            stored: StoredFileId::draw(rng),
            key: Arc::new(FileKey::draw(rng)),
            until: now.unix.after(limits::RETENTION_SECS),
            step: FileStep::Storing,
            verified: ChunkSet::new(size),
            proposals: 0,
            is_in_vain: false,
            is_unreported: false,
        };
        let purpose = DiskPurpose::Begin(command, Box::new(file));
        self.disk
            .ask(fx, FileRequest::CheckRoom(size.bytes()), purpose);
        Ok(())
    }

    /// There is room for a file that is to be brought in.
    pub(super) fn on_begin_room(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        file: FileRecord,
        context: TransferContext<'_>,
    ) {
        let (number, changes) = self.add(file);
        self.reply_file(fx, now, command, (number, changes), context);
    }

    /// Adds a file under a new number.
    pub(super) fn add(&mut self, file: FileRecord) -> (u64, Vec<StateChange>) {
        self.last = self.last.saturating_add(1);
        let number = self.last;
        let changes = vec![put_last_number(number), file.put(number)];
        if file.step == FileStep::Storing {
            self.leaves
                .insert(number, ChunkList::new(file.id, file.size));
        }
        self.files.insert(number, file);
        (number, changes)
    }

    /// Brings in the next chunk of a file, or the last one once more.
    fn bring_chunk(
        &mut self,
        fx: &mut Effects,
        command: CommandId,
        (number, chunk): (u64, u32),
        bytes: Zeroizing<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let file = self.file(number)?;
        let list = self.leaves.get(&number);
        let next = list.map_or(0, ChunkList::len);
        let is_storing = file.step == FileStep::Storing;
        let is_repeated = chunk.checked_add(1) == Some(next);
        if !is_storing || !(chunk == next || is_repeated) || chunk >= file.size.chunks() {
            return Err(Refusal::usage(
                format!("chunk {chunk} of file {number} is not the next one, which is {next}"),
                "bring in the chunks of a new file in their order",
            ));
        }
        let expected = limits::chunk_len(file.size, chunk);
        if bytes.len() != expected {
            return Err(Refusal::usage(
                format!("chunk {chunk} has {} bytes", bytes.len()),
                format!("bring in {expected} bytes"),
            ));
        }
        let Some(padded) = Chunk::padded(&bytes) else {
            return Err(Refusal::usage("the chunk is too long", "divide it"));
        };
        if is_repeated {
            // A reply was lost. The chunk must be the same one: its hash is in the list.
            if !list.is_some_and(|list| list.verifies(chunk, &padded)) {
                return Err(Refusal::usage(
                    format!("chunk {chunk} of file {number} was brought in with other bytes"),
                    "erase the file, and begin again",
                ));
            }
        } else if let Some(list) = self.leaves.get_mut(&number) {
            list.push(&padded);
        }
        let file = self.file(number)?;
        let request = FileRequest::Store {
            file: file.stored,
            key: Arc::clone(&file.key),
            chunk,
            bytes,
        };
        self.disk
            .ask(fx, request, DiskPurpose::Bring(command, number));
        Ok(())
    }

    /// Offers a file that is complete, or offers it again.
    fn offer(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        number: u64,
        context: TransferContext<'_>,
    ) -> Result<(), Refusal> {
        let file = self.file(number)?;
        let list = self.leaves.get(&number);
        let root = list.and_then(ChunkList::root);
        let can_offer = matches!(
            file.step,
            FileStep::Storing | FileStep::Offered | FileStep::Paused(_)
        );
        let (FileDirection::Out, true, Some(root)) = (file.direction, can_offer, root) else {
            return Err(Refusal::usage(
                format!("file {number} is not complete, or not one to offer"),
                "bring in all chunks of a file first",
            ));
        };
        let relays = if file.proposals > 0 && !file.is_in_vain {
            // The other end can use these, and perhaps no others.
            file.relays.clone()
        } else {
            let reach = (context.others.directory, context.others.peers);
            pick_relays(fx, now, &file.relays, reach)?
        };
        let file = self.file_mut(number)?;
        file.root = Some(root);
        let Some(offer) = file.offer(relays) else {
            return Err(Refusal::usage("the file is not complete", "bring it in"));
        };
        let message = FileMessage::offer(command, number, file, &offer);
        fx.request(Action::Transfer(TransferAction::Write(Box::new(message))));
        Ok(())
    }

    // -- files that come in

    /// Reads a chunk of a complete file.
    fn read(
        &mut self,
        fx: &mut Effects,
        command: CommandId,
        number: u64,
        chunk: u32,
    ) -> Result<(), Refusal> {
        let file = self.file(number)?;
        let is_complete = file.direction == FileDirection::In && file.step == FileStep::Complete;
        if !is_complete || chunk >= file.size.chunks() {
            return Err(Refusal::usage(
                format!("there is no chunk {chunk} of a complete file {number}"),
                "wait until the file has arrived (`whisht file list`)",
            ));
        }
        let len = limits::chunk_len(file.size, chunk);
        let request = FileRequest::Read {
            file: file.stored,
            key: Arc::clone(&file.key),
            chunk,
        };
        self.disk
            .ask(fx, request, DiskPurpose::ReadOut(command, len));
        Ok(())
    }

    fn erase_by_user(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        number: u64,
        context: TransferContext<'_>,
    ) -> Result<(), Refusal> {
        self.file(number)?;
        let changes = self.erase(fx, now, number, context);
        let reply = Ok(Reply::File(Box::new(FileReply::Done)));
        fx.store_state_then(changes, StateContinuation::Reply(command, reply));
        Ok(())
    }

    // -- shared

    /// Stores changes of a file, and answers a command with its view when they are durable.
    pub(super) fn reply_file(
        &self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        (number, changes): (u64, Vec<StateChange>),
        context: TransferContext<'_>,
    ) {
        let reply = self.file(number).map(|file| {
            let view = self.view(now, number, file, context);
            Reply::File(Box::new(FileReply::File(view)))
        });
        fx.store_state_then(changes, StateContinuation::Reply(command, reply));
    }

    /// The file of a number.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is none.
    pub(super) fn file(&self, number: u64) -> Result<&FileRecord, Refusal> {
        self.files.get(&number).ok_or_else(|| no_file(number))
    }

    /// The file of this number, to be changed.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is none.
    pub(super) fn file_mut(&mut self, number: u64) -> Result<&mut FileRecord, Refusal> {
        self.files.get_mut(&number).ok_or_else(|| no_file(number))
    }

    /// Refuses a further file if there are too many.
    pub(super) fn check_room(&self) -> Result<(), Refusal> {
        if self.files.len() >= MAX_FILES {
            return Err(Refusal::policy(
                format!("there are {MAX_FILES} files, the most that a node keeps"),
                "erase some first (`whisht file erase`)",
            ));
        }
        Ok(())
    }
}

fn no_file(number: u64) -> Refusal {
    Refusal::usage(
        format!("there is no file {number}"),
        "`whisht file list` lists them",
    )
}

/// The name of a file to which its user gives none.
const DEFAULT_NAME: &str = "file";

const _: () = assert!(CHUNK_LEN == crate::sealed_file::FILE_CHUNK);
const _: () = assert!(MAX_LIVE_PER_CONTACT > 0);
