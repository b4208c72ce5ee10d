//! Attempts: when a file that is accepted is tried, and what its session asks of the disk and the circuit.
//!
//! The number of an attempt is durable before its circuit is opened: a node that is killed does not come
//! back to a meeting that it has used. A chunk is marked when the store has it, and reported to the session
//! when the mark is durable. A session that fails is followed by the next attempt of the schedule; after the
//! last one the file waits for a new answer of its receiver.

use core::time::Duration;
use std::sync::Arc;

use circuits::circuit::MeetCookie;
use circuits::ids::RelayId;
use circuits::time::{Instant, Now, UnixSecs};
use zeroize::Zeroizing;

use super::disk::{DiskPurpose, SessionId};
use super::live::{EndSession, LiveAttempt, SessionStep};
use super::record::FileStep;
use super::views::FileDirection;
use super::{MAX_LIVE, TransferContext, TransferContinuation, Transfers, limits};
use crate::node::action::{Action, CircuitAction, TransferAction};
use crate::node::circuits::{CircuitEnding, CircuitHandle, CircuitOwner};
use crate::node::durability::StateContinuation;
use crate::node::effects::Effects;
use crate::node::file_storage::{FileFault, FileRequest};
use crate::node::timers::TimerId;
use crate::sealed_file::FILE_CHUNK;
use crate::transfer::chunk::Chunk;
use crate::transfer::fault::TransferFault;
use crate::transfer::frame::{PAYLOAD_LEN, StopReason};
use crate::transfer::receive::{ExpectedFile, ReceiveSession};
use crate::transfer::schedule::AttemptId;
use crate::transfer::send::SendSession;

impl Transfers {
    // -- the schedule

    /// Does what is due: erases what is old, begins attempts, ends sessions that wait in vain.
    pub(in crate::node) fn upkeep(
        &mut self,
        fx: &mut Effects,
        now: Now,
        context: TransferContext<'_>,
    ) {
        if !fx.state_is_open() {
            return;
        }
        self.erase_old(fx, now, context);
        let live: Vec<u64> = self.live.keys().copied().collect();
        for number in live {
            if let Some(live) = self.live.get_mut(&number) {
                live.on_time(now.mono);
            }
            self.request_run(fx, number);
        }
        self.close_left(fx, now.mono);
        self.begin_attempts(fx, now, context);
        self.schedule(fx, now);
    }

    fn begin_attempts(&mut self, fx: &mut Effects, now: Now, context: TransferContext<'_>) {
        let waiting = self.files.iter().filter(|(number, file)| {
            matches!(file.step, FileStep::Accepted { .. }) && !self.live.contains_key(number)
        });
        let waiting: Vec<u64> = waiting.map(|(number, _)| *number).collect();
        for number in waiting {
            if self.live.len().saturating_add(self.opening.len()) >= MAX_LIVE {
                return;
            }
            self.begin_attempt(fx, now, number, context);
        }
    }

    /// Begins the next attempt of a file if its time has come.
    fn begin_attempt(
        &mut self,
        fx: &mut Effects,
        now: Now,
        number: u64,
        context: TransferContext<'_>,
    ) {
        if self.opening.contains(&number) {
            return;
        }
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        let FileStep::Accepted { schedule, last } = &mut file.step else {
            return;
        };
        let Some(attempt) = schedule.next(now.unix, *last) else {
            let reason = self.faults.remove(&number);
            let reason = reason.unwrap_or_else(|| NOT_MET.to_owned());
            file.step = FileStep::Paused(reason);
            fx.store_state(vec![file.put(number)]);
            return self.notify(fx, now, number, context);
        };
        if attempt.begins() > now.unix {
            return;
        }
        *last = Some(attempt);
        let schedule = *schedule;
        let relay = schedule
            .relay(attempt, file.relays.len())
            .and_then(|place| file.relays.get(place));
        let relay = relay
            .copied()
            .filter(|relay| may_meet_at(now, *relay, context));
        let change = vec![file.put(number)];
        match relay {
            Some(relay) => {
                self.opening.insert(number);
                let then = TransferContinuation::Open(number, attempt, relay);
                fx.store_state_then(change, StateContinuation::Transfer(then));
            }
            // The other end tries this relay alone; the next attempt names another one.
            None => {
                fx.store_state(change);
                self.faults.insert(number, NOT_ALLOWED.to_owned());
            }
        }
        self.notify(fx, now, number, context);
    }

    /// Sets the timer for what is due next.
    pub(super) fn schedule(&self, fx: &mut Effects, now: Now) {
        let mut due: Option<Instant> = None;
        let mut at = |instant: Instant| due = Some(due.map_or(instant, |due| due.min(instant)));
        for live in self.live.values() {
            live.deadline().into_iter().for_each(&mut at);
        }
        self.leaving.iter().for_each(|(due, _)| at(*due));
        for (number, file) in &self.files {
            let next = match &file.step {
                FileStep::Accepted { .. } if self.live.contains_key(number) => None,
                FileStep::Accepted { schedule, last } => {
                    let next = schedule.next(now.unix, *last).map(AttemptId::begins);
                    Some(next.unwrap_or_else(|| now.unix.after(1)))
                }
                _ => None,
            };
            let next = next.map_or(file.until, |next| next.min(file.until));
            at(now.mono.after(wait_until(now.unix, next)));
        }
        fx.arm(TimerId::Transfers, due);
    }

    // -- circuits

    /// The number of an attempt is durable: its circuit is opened, and its session begins.
    pub(super) fn on_attempt_stored(
        &mut self,
        fx: &mut Effects,
        now: Now,
        (number, attempt, relay): (u64, AttemptId, RelayId),
        context: TransferContext<'_>,
    ) {
        self.opening.remove(&number);
        let Some(session) = self.new_session(fx, now.mono, number, attempt) else {
            return self.schedule(fx, now);
        };
        let Some(file) = self.files.get(&number) else {
            return;
        };
        let cookie = MeetCookie(file.secret.attempt(attempt).cookie());
        self.last_session = self.last_session.saturating_add(1);
        let circuit = CircuitHandle::new(CircuitOwner::Transfers, self.last_session);
        let id = SessionId {
            file: number,
            session: self.last_session,
        };
        fx.request(Action::Circuit(CircuitAction::Open(circuit, relay, cookie)));
        let live = LiveAttempt::new(id, attempt, circuit, session, now.mono);
        self.live.insert(number, live);
        self.by_circuit.insert(circuit, number);
        self.request_run(fx, number);
        self.notify(fx, now, number, context);
        self.schedule(fx, now);
    }

    fn new_session(
        &self,
        fx: &mut Effects,
        now: Instant,
        number: u64,
        attempt: AttemptId,
    ) -> Option<EndSession> {
        let file = self.files.get(&number)?;
        if !matches!(file.step, FileStep::Accepted { .. }) {
            return None;
        }
        let keys = file.secret.attempt(attempt);
        let rng = fx.key_rng();
        Some(match file.direction {
            FileDirection::Out => {
                let list = self.leaves.get(&number)?.clone();
                EndSession::Send(Box::new(SendSession::start(rng, now, keys, list)))
            }
            FileDirection::In => {
                let expected = ExpectedFile {
                    id: file.id,
                    size: file.size,
                    root: file.root?,
                };
                let session = ReceiveSession::start(rng, now, keys, expected, &file.verified);
                EndSession::Receive(Box::new(session))
            }
        })
    }

    /// A payload arrived.
    pub(in crate::node) fn on_payload(
        &mut self,
        fx: &mut Effects,
        now: Now,
        circuit: CircuitHandle,
        payload: &[u8; PAYLOAD_LEN],
        context: TransferContext<'_>,
    ) {
        let Some(number) = self.by_circuit.get(&circuit).copied() else {
            return;
        };
        let Some(live) = self.live.get_mut(&number) else {
            return;
        };
        let had_met = live.has_met();
        live.receive(now.mono, payload);
        if !had_met && live.has_met() {
            self.faults.remove(&number);
            self.notify(fx, now, number, context);
        }
        self.request_run(fx, number);
    }

    /// The circuit can take more.
    pub(in crate::node) fn on_circuit_ready(&mut self, fx: &mut Effects, circuit: CircuitHandle) {
        if let Some(number) = self.by_circuit.get(&circuit).copied() {
            self.request_run(fx, number);
        }
    }

    /// A circuit has ended.
    pub(in crate::node) fn on_circuit_ended(
        &mut self,
        fx: &mut Effects,
        now: Now,
        circuit: CircuitHandle,
        end: &CircuitEnding,
        context: TransferContext<'_>,
    ) {
        let Some(number) = self.by_circuit.remove(&circuit) else {
            return;
        };
        self.live.remove(&number);
        self.faults.insert(number, end.to_string());
        self.begin_attempt(fx, now, number, context);
        self.notify(fx, now, number, context);
        self.schedule(fx, now);
    }

    /// Lets the session of a file run at the end of what the node does now, once.
    pub(super) fn request_run(&mut self, fx: &mut Effects, number: u64) {
        let live = self.live.get_mut(&number);
        if live.is_some_and(LiveAttempt::take_run) {
            fx.request(Action::Transfer(TransferAction::Run(number)));
        }
    }

    /// Does what the session of a file needs, and sends what it has to say, as far as the circuit has room.
    pub(in crate::node) fn run(
        &mut self,
        fx: &mut Effects,
        now: Now,
        number: u64,
        context: TransferContext<'_>,
    ) {
        let Some(live) = self.live.get_mut(&number) else {
            return;
        };
        live.run_begins();
        let circuit = live.circuit();
        // No payload that was requested before still waits: runs and payloads keep their order.
        let mut room = context.circuits.room(circuit);
        loop {
            self.run_steps(fx, now, number, context);
            let Some(live) = self.live.get_mut(&number).filter(|_| room > 0) else {
                return self.schedule(fx, now);
            };
            let Some(payload) = live.poll_payload() else {
                return self.schedule(fx, now);
            };
            room = room.saturating_sub(1);
            fx.request(Action::Circuit(CircuitAction::Send(circuit, payload)));
        }
    }

    // -- sessions

    /// Does what the session of a file needs.
    fn run_steps(&mut self, fx: &mut Effects, now: Now, number: u64, context: TransferContext<'_>) {
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
        match live
            .poll_payload()
            .filter(|_| context.circuits.room(circuit) > 0)
        {
            Some(farewell) => {
                fx.request(Action::Circuit(CircuitAction::Send(circuit, farewell)));
                self.leaving.push((now.after(FAREWELL_TIME), circuit));
            }
            None => fx.request(Action::Circuit(CircuitAction::Close(circuit))),
        }
    }

    /// Closes the circuits whose last payload has had its time.
    fn close_left(&mut self, fx: &mut Effects, now: Instant) {
        for (_, circuit) in self.leaving.extract_if(.., |(due, _)| *due <= now) {
            fx.request(Action::Circuit(CircuitAction::Close(circuit)));
        }
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

/// Whether this node may end a circuit at a relay now.
fn may_meet_at(now: Now, relay: RelayId, context: TransferContext<'_>) -> bool {
    let directory = context.others.directory;
    let allowed = directory.allowed_meeting_relays(now, &[relay], context.others.peers);
    !allowed.is_empty()
}

/// Time until an instant of the wall clock. Never above a minute, because that clock may be set meanwhile.
fn wait_until(now: UnixSecs, at: UnixSecs) -> Duration {
    let secs = at.0.saturating_sub(now.0);
    Duration::from_secs(secs.into()).min(MAX_WAIT)
}

/// Time that the last payload of a session has to leave before its circuit is closed.
const FAREWELL_TIME: Duration = Duration::from_secs(3);
const MAX_WAIT: Duration = Duration::from_secs(60);
const NOT_MET: &str = "the other side was not there within twenty minutes";
const NOT_ALLOWED: &str = "this node exchanges gossip with the relay of the meeting";
