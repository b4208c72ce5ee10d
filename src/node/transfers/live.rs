//! A running attempt: one session at one end of a circuit.
//!
//! The session says what it needs; `attempts` asks the disk and the circuit for it. Nothing here decides
//! whether another attempt follows.

use circuits::time::Instant;

use super::disk::SessionId;
use crate::node::circuits::CircuitHandle;
use crate::transfer::chunk::Chunk;
use crate::transfer::fault::TransferFault;
use crate::transfer::frame::{PAYLOAD_LEN, SealedPayload, StopReason};
use crate::transfer::receive::{ReceiveSession, ReceiveStep};
use crate::transfer::schedule::AttemptId;
use crate::transfer::send::{SendSession, SendStep};

/// A running attempt of a file.
pub(super) struct LiveAttempt {
    id: SessionId,
    attempt: AttemptId,
    circuit: CircuitHandle,
    session: EndSession,
    begun: Instant,
    first_chunks: Option<u32>,
    reported: Option<Instant>,
    /// Whether the session runs at the end of what the node does now.
    is_asked: bool,
}

/// A session of either end.
pub(super) enum EndSession {
    /// The end that offers the file.
    Send(Box<SendSession>),
    /// The end that accepts it.
    Receive(Box<ReceiveSession>),
}

/// What a session needs next, or how it ended.
pub(super) enum SessionStep {
    /// A chunk from the store.
    Fetch(u32),
    /// A chunk for the store.
    Keep(u32, Chunk),
    /// A chunk of padding, which is marked only.
    Mark(u32),
    /// The receiving end has the whole file.
    Done,
    /// The attempt is over.
    Failed(TransferFault),
}

impl LiveAttempt {
    /// An attempt that begins over this circuit.
    pub(super) const fn new(
        id: SessionId,
        attempt: AttemptId,
        circuit: CircuitHandle,
        session: EndSession,
        now: Instant,
    ) -> Self {
        Self {
            id,
            attempt,
            circuit,
            session,
            begun: now,
            first_chunks: None,
            reported: None,
            is_asked: false,
        }
    }

    /// Its name.
    pub(super) const fn id(&self) -> SessionId {
        self.id
    }

    /// Which attempt of the file it is.
    pub(super) const fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// Its circuit.
    pub(super) const fn circuit(&self) -> CircuitHandle {
        self.circuit
    }

    /// A payload arrived.
    pub(super) fn receive(&mut self, now: Instant, payload: &[u8; PAYLOAD_LEN]) {
        match &mut self.session {
            EndSession::Send(session) => session.receive(now, payload),
            EndSession::Receive(session) => session.receive(now, payload),
        }
        if self.first_chunks.is_none() && self.has_met() {
            self.first_chunks = Some(self.chunks());
            self.begun = now;
        }
    }

    /// The store gave a chunk.
    pub(super) fn fetched(&mut self, number: u32, chunk: &Chunk) {
        if let EndSession::Send(session) = &mut self.session {
            session.chunk(number, chunk);
        }
    }

    /// A chunk and its mark are durable.
    pub(super) fn stored(&mut self, number: u32) {
        if let EndSession::Receive(session) = &mut self.session {
            session.stored(number);
        }
    }

    /// Ends the attempt, and tells the other end why.
    pub(super) fn stop(&mut self, reason: StopReason) {
        match &mut self.session {
            EndSession::Send(session) => session.stop(reason),
            EndSession::Receive(session) => session.stop(reason),
        }
    }

    /// When [`on_time`](Self::on_time) is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.session {
            EndSession::Send(session) => session.deadline(),
            EndSession::Receive(session) => session.deadline(),
        }
    }

    /// The deadline may have passed.
    pub(super) fn on_time(&mut self, now: Instant) {
        match &mut self.session {
            EndSession::Send(session) => session.on_time(now),
            EndSession::Receive(session) => session.on_time(now),
        }
    }

    /// What the session needs next.
    pub(super) fn poll_step(&mut self) -> Option<SessionStep> {
        match &mut self.session {
            EndSession::Send(session) => Some(match session.poll_step()? {
                SendStep::NeedChunk(number) => SessionStep::Fetch(number),
                SendStep::Done => SessionStep::Done,
                SendStep::Failed(fault) => SessionStep::Failed(fault),
            }),
            EndSession::Receive(session) => Some(match session.poll_step()? {
                ReceiveStep::StoreChunk(number, chunk) => SessionStep::Keep(number, chunk),
                ReceiveStep::MarkPadding(number) => SessionStep::Mark(number),
                ReceiveStep::Done => SessionStep::Done,
                ReceiveStep::Failed(fault) => SessionStep::Failed(fault),
            }),
        }
    }

    /// The next payload for the circuit.
    pub(super) fn poll_payload(&mut self) -> Option<SealedPayload> {
        match &mut self.session {
            EndSession::Send(session) => session.poll_frame(),
            EndSession::Receive(session) => session.poll_frame(),
        }
    }

    /// Whether the session has to be asked to run: it has not been asked since it ran last.
    pub(super) const fn take_run(&mut self) -> bool {
        !core::mem::replace(&mut self.is_asked, true)
    }

    /// The session runs now.
    pub(super) const fn run_begins(&mut self) {
        self.is_asked = false;
    }

    /// Whether the other end has answered.
    pub(super) fn has_met(&self) -> bool {
        match &self.session {
            EndSession::Send(session) => session.has_met(),
            EndSession::Receive(session) => session.has_met(),
        }
    }

    /// Chunks, padding included, that the receiving end has, as far as this end knows.
    pub(super) fn chunks(&self) -> u32 {
        match &self.session {
            EndSession::Send(session) => session.sent_chunks(),
            EndSession::Receive(session) => session.present_chunks(),
        }
    }

    /// Mean bytes per second since the ends met; `None` before that.
    pub(super) fn rate(&self, now: Instant) -> Option<u64> {
        let chunks = self.chunks().saturating_sub(self.first_chunks?);
        let micros = now.since(self.begun).as_micros().max(1);
        let bytes = u128::from(chunks).saturating_mul(BYTES_PER_CHUNK);
        let rate = bytes.saturating_mul(1_000_000).checked_div(micros)?;
        u64::try_from(rate).ok()
    }

    /// Whether progress is to be reported: a second after the last report.
    pub(super) fn take_report(&mut self, now: Instant) -> bool {
        let is_due = self
            .reported
            .is_none_or(|last| now.since(last) >= REPORT_INTERVAL);
        if is_due {
            self.reported = Some(now);
        }
        is_due
    }
}

const BYTES_PER_CHUNK: u128 = 65_536;
const REPORT_INTERVAL: core::time::Duration = core::time::Duration::from_secs(1);
