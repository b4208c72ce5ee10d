//! Sessions: what the running attempt of a file asks of the store, and what follows from its end.
//!
//! A chunk is marked when the store has it, and reported to the session when the mark is durable. Nothing here
//! decides when an attempt begins.

use std::sync::Arc;

use circuits::time::{Instant, Now};
use zeroize::Zeroizing;

use super::disk::{DiskPurpose, SessionId};
use super::live::SessionStep;
use super::record::FileStep;
use super::views::FileDirection;
use super::{TransferContext, TransferContinuation, Transfers, limits};
use crate::node::durability::StateContinuation;
use crate::node::effects::Effects;
use crate::node::file_storage::{FileFault, FileRequest};
use crate::sealed_file::FILE_CHUNK;
use crate::transfer::chunk::Chunk;
use crate::transfer::fault::TransferFault;
use crate::transfer::frame::StopReason;

impl Transfers {
    /// Does what the session of a file needs.
    pub(super) fn run_steps(
        &mut self,
        fx: &mut Effects,
        now: Now,
        number: u64,
        context: TransferContext<'_>,
    ) {
        while let Some(live) = self.live.get_mut(&number) {
            let id = live.id();
            match live.poll_step() {
                None => return,
                Some(SessionStep::Fetch(chunk)) => self.fetch_chunk(fx, id, chunk),
                Some(SessionStep::Keep(chunk, bytes)) => self.keep_chunk(fx, id, chunk, &bytes),
                Some(SessionStep::Mark(chunk)) => {
                    self.mark_chunk(fx, now, id, chunk, context);
                }
                Some(SessionStep::Done) => self.complete(fx, now, number, context),
                Some(SessionStep::Failed(fault)) => {
                    self.on_session_failed(fx, now, number, fault, context);
                }
            }
        }
    }

    fn fetch_chunk(&mut self, fx: &mut Effects, id: SessionId, chunk: u32) {
        if let Some(file) = self.files.get(&id.file) {
            let request = FileRequest::Read {
                file: file.stored,
                key: Arc::clone(&file.key),
                chunk,
            };
            self.disk.ask(fx, request, DiskPurpose::Fetch(id, chunk));
        }
    }

    fn keep_chunk(&mut self, fx: &mut Effects, id: SessionId, chunk: u32, bytes: &Chunk) {
        if let Some(file) = self.files.get(&id.file) {
            let mut copy = Zeroizing::new(Vec::with_capacity(FILE_CHUNK));
            copy.extend_from_slice(bytes.as_bytes());
            let request = FileRequest::Store {
                file: file.stored,
                key: Arc::clone(&file.key),
                chunk,
                bytes: copy,
            };
            self.disk.ask(fx, request, DiskPurpose::Keep(id, chunk));
        }
    }

    /// The store gave a chunk that a session sends.
    pub(super) fn on_fetched(
        &mut self,
        fx: &mut Effects,
        (id, number): (SessionId, u32),
        chunk: Option<&Chunk>,
    ) {
        let live = self.live.get_mut(&id.file);
        let Some(live) = live.filter(|live| live.id() == id) else {
            return;
        };
        match chunk {
            Some(chunk) => live.fetched(number, chunk),
            None => live.stop(StopReason::Disk),
        }
        self.request_run(fx, id.file);
    }

    /// The store has a chunk, or padding needs none: marks it.
    pub(super) fn mark_chunk(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: SessionId,
        chunk: u32,
        context: TransferContext<'_>,
    ) {
        let Some(file) = self.files.get_mut(&id.file) else {
            return;
        };
        file.verified.insert(chunk);
        let then = TransferContinuation::Marked(id, chunk);
        fx.store_state_then(vec![file.put(id.file)], StateContinuation::Transfer(then));
        let live = self.live.get_mut(&id.file);
        if live.is_some_and(|live| live.take_report(now.mono)) {
            self.notify(fx, now, id.file, context);
        }
    }

    /// The mark of a chunk is durable.
    pub(in crate::node) fn on_marked(&mut self, fx: &mut Effects, id: SessionId, chunk: u32) {
        let live = self.live.get_mut(&id.file);
        if let Some(live) = live.filter(|live| live.id() == id) {
            live.stored(chunk);
            self.request_run(fx, id.file);
        }
    }

    /// The store refused a chunk of a session.
    pub(super) fn on_disk_fault(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: SessionId,
        fault: &FileFault,
        context: TransferContext<'_>,
    ) {
        let live = self.live.get_mut(&id.file);
        let Some(live) = live.filter(|live| live.id() == id) else {
            return;
        };
        live.stop(StopReason::Disk);
        self.request_run(fx, id.file);
        let is_lost = matches!(fault, FileFault::Missing | FileFault::Damaged);
        if let Some(file) = self.files.get_mut(&id.file) {
            file.step = if is_lost {
                FileStep::Failed(fault.to_string())
            } else {
                FileStep::Paused(fault.to_string())
            };
            fx.store_state(vec![file.put(id.file)]);
        }
        self.notify(fx, now, id.file, context);
    }

    /// Both ends have the whole file.
    fn complete(&mut self, fx: &mut Effects, now: Now, number: u64, context: TransferContext<'_>) {
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        let is_sender = file.direction == FileDirection::Out;
        file.step = FileStep::Complete;
        file.until = now.unix.after(limits::RETENTION_SECS);
        file.is_unreported = !is_sender;
        fx.store_state(vec![file.put(number)]);
        if is_sender {
            // The receiver closes nothing: its last frame may still be on its way.
            self.end_attempt(fx, now.mono, number, context);
            self.erase_content(fx, number);
        } else if let Some(live) = self.live.remove(&number) {
            self.by_circuit.remove(&live.circuit());
        }
        self.faults.remove(&number);
        self.notify(fx, now, number, context);
        self.schedule(fx, now);
    }

    fn on_session_failed(
        &mut self,
        fx: &mut Effects,
        now: Now,
        number: u64,
        fault: TransferFault,
        context: TransferContext<'_>,
    ) {
        self.end_attempt(fx, now.mono, number, context);
        self.faults.insert(number, fault.to_string());
        if let Some(file) = self.files.get_mut(&number)
            && matches!(file.step, FileStep::Accepted { .. })
            && let Some(step) = step_after(&fault)
        {
            file.step = step;
            fx.store_state(vec![file.put(number)]);
        }
        self.begin_attempt(fx, now, number, context);
        self.notify(fx, now, number, context);
        self.schedule(fx, now);
    }

    /// Ends the attempt of a file, if one runs. What its session has to say leaves first.
    pub(super) fn end_attempt(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        number: u64,
        context: TransferContext<'_>,
    ) {
        let Some(mut live) = self.live.remove(&number) else {
            return;
        };
        let circuit = live.circuit();
        self.by_circuit.remove(&circuit);
        let has_room = context.circuits.room(circuit) > 0;
        let farewell = live.poll_payload().filter(|_| has_room);
        self.leaving.leave(fx, now, circuit, farewell);
    }
}

/// The step of a file after a session that no further attempt follows; `None` if one does.
fn step_after(fault: &TransferFault) -> Option<FileStep> {
    match fault {
        TransferFault::StoppedByPeer(StopReason::Cancelled | StopReason::Gone)
        | TransferFault::Root
        | TransferFault::Chunk { .. } => Some(FileStep::Failed(fault.to_string())),
        TransferFault::StoppedByPeer(_) => Some(FileStep::Paused(fault.to_string())),
        _ => None,
    }
}
