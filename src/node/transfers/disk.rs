//! Requests to the store for files, and what each is for.

use std::collections::BTreeMap;

use super::record::FileRecord;
use crate::node::effects::Effects;
use crate::node::file_storage::{FileRequest, FileRequestId};
use crate::node::input::CommandId;

/// What a request to the store is for.
pub(super) enum DiskPurpose {
    /// Room for a file that is to be brought in.
    Begin(CommandId, Box<FileRecord>),
    /// Room for a file that the user accepts.
    Accept(CommandId, u64),
    /// A chunk of a file that is brought in.
    Bring(CommandId, u64),
    /// A chunk that the user reads, of this length.
    ReadOut(CommandId, usize),
    /// A chunk that a session sends: the file, its session and the number of the chunk.
    Fetch(SessionId, u32),
    /// A chunk that a session has received.
    Keep(SessionId, u32),
    /// An erasure, which nothing waits for.
    Erase,
}

/// Names a session of a file: no other session of this run has the same number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) struct SessionId {
    /// The file.
    pub(super) file: u64,
    /// The number of the session.
    pub(super) session: u64,
}

/// The requests that are not answered.
#[derive(Default)]
pub(super) struct DiskRequests(BTreeMap<FileRequestId, DiskPurpose>);

impl DiskRequests {
    /// Asks the store.
    pub(super) fn ask(&mut self, fx: &mut Effects, request: FileRequest, purpose: DiskPurpose) {
        let id = fx.ask_file_store(request);
        self.0.insert(id, purpose);
    }

    /// Forgets all requests. Returns the commands that wait for one.
    pub(super) fn forget_all(&mut self) -> Vec<CommandId> {
        let purposes = core::mem::take(&mut self.0).into_values();
        let commands = purposes.filter_map(|purpose| match purpose {
            DiskPurpose::Begin(command, _)
            | DiskPurpose::Accept(command, _)
            | DiskPurpose::Bring(command, _)
            | DiskPurpose::ReadOut(command, _) => Some(command),
            DiskPurpose::Fetch(..) | DiskPurpose::Keep(..) | DiskPurpose::Erase => None,
        });
        commands.collect()
    }

    /// What an answered request was for.
    pub(super) fn take(&mut self, id: FileRequestId) -> Option<DiskPurpose> {
        self.0.remove(&id)
    }
}
