//! Starts the threads of a node, which report to its driver.

use std::io;

use super::{Completion, CompletionSender, StartError};
use crate::shell::archive::{ArchiveHandle, OpenArchive};
use crate::shell::file_store::FileStore;
use crate::shell::seeded_rng;
use crate::shell::store::{Storage, Store};
use crate::shell::workers::Workers;

// The sends in the functions below fail only if the driver has ended.

pub(super) fn open_store(storage: Storage, completions: CompletionSender) -> io::Result<Store> {
    let died = on_panic("storage", completions.clone());
    let report = move |id| {
        let _ = completions.send(Completion::Stored(id));
    };
    Store::open(storage, report, died)
}

pub(super) fn start_files(
    storage: &Storage,
    completions: CompletionSender,
) -> Result<FileStore, StartError> {
    let died = on_panic("files", completions.clone());
    let report = move |id, answer| {
        let _ = completions.send(Completion::File(id, answer));
    };
    Ok(FileStore::start(storage, seeded_rng()?, report, died)?)
}

pub(super) fn report_hash_rate(workers: &Workers, completions: CompletionSender) {
    workers.when_measured(move |rate| {
        let _ = completions.send(Completion::HashRate(rate));
    });
}

pub(super) fn start_archive(
    opened: OpenArchive,
    completions: CompletionSender,
) -> io::Result<ArchiveHandle> {
    let died = on_panic("mail archive", completions.clone());
    let report = move |response| {
        let _ = completions.send(Completion::Archived(response));
    };
    ArchiveHandle::start(opened, report, died)
}

/// Reports the death of a thread.
fn on_panic(thread: &'static str, completions: CompletionSender) -> impl FnMut() {
    move || {
        let _ = completions.send(Completion::ThreadDied(thread));
    }
}
