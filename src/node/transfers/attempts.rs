//! Attempts: when a file that is accepted is tried, and what its session asks of the disk and the circuit.
//!
//! The number of an attempt is durable before its circuit is opened: a node that is killed does not come
//! back to a meeting that it has used. A session that fails is followed by the next attempt of the schedule;
//! after the last one the file waits for a new answer of its receiver. What a session does is in `sessions`.

use circuits::circuit::MeetCookie;
use circuits::ids::RelayId;
use circuits::time::{Instant, Now};

use super::disk::SessionId;
use super::live::{EndSession, LiveAttempt};
use super::record::FileStep;
use super::views::FileDirection;
use super::{MAX_LIVE, TransferContext, TransferContinuation, Transfers};
use crate::node::action::{Action, CircuitAction, TransferAction};
use crate::node::circuits::{CircuitEnding, CircuitHandle, CircuitOwner};
use crate::node::durability::StateContinuation;
use crate::node::effects::Effects;
use crate::node::meetings::{NOT_MET, NextAttempt, RETRY_INTERVAL, next_attempt, time_until};
use crate::node::timers::TimerId;
use crate::transfer::fault::TransferFault;
use crate::transfer::frame::PAYLOAD_LEN;
use crate::transfer::receive::{ExpectedFile, ReceiveSession};
use crate::transfer::schedule::AttemptId;
use crate::transfer::send::SendSession;
use crate::transfer::session::HELLO_TIMEOUT;

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
            self.attend(fx, now, number, context);
        }
        self.leaving.close_due(fx, now.mono);
        self.begin_attempts(fx, now, context);
        self.schedule(fx, now);
    }

    /// Ends an attempt that waits in vain: its session by its own clock, and one that has not met with its window,
    /// since the other end is at the next relay then.
    fn attend(&mut self, fx: &mut Effects, now: Now, number: u64, context: TransferContext<'_>) {
        let Some(live) = self.live.get_mut(&number) else {
            return;
        };
        live.on_time(now.mono);
        if live.has_met() || now.unix < live.attempt().ends() {
            return self.request_run(fx, number);
        }
        self.end_attempt(fx, now.mono, number, context);
        let fault = TransferFault::NoHello {
            secs: HELLO_TIMEOUT.as_secs(),
        };
        self.faults.insert(number, fault.to_string());
    }

    fn begin_attempts(&mut self, fx: &mut Effects, now: Now, context: TransferContext<'_>) {
        let waiting = self.files.iter().filter(|(number, file)| {
            matches!(file.step, FileStep::Accepted { .. }) && !self.live.contains_key(number)
        });
        let waiting: Vec<u64> = waiting.map(|(number, _)| *number).collect();
        for number in waiting {
            if self.live.len().saturating_add(self.opening.len()) >= MAX_LIVE {
                self.retry = now.mono.after(RETRY_INTERVAL);
                return;
            }
            self.begin_attempt(fx, now, number, context);
        }
    }

    /// Begins the next attempt of a file if its time has come.
    pub(super) fn begin_attempt(
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
        let reach = (context.others.directory, context.others.peers);
        match next_attempt(now, (*schedule, *last), &file.relays, reach) {
            NextAttempt::Wait(_) => return,
            NextAttempt::NotReady(refusal) => {
                self.retry = now.mono.after(RETRY_INTERVAL);
                self.faults.insert(number, refusal.to_string());
                return;
            }
            NextAttempt::Over => {
                let reason = self.faults.remove(&number);
                let reason = reason.unwrap_or_else(|| NOT_MET.to_owned());
                file.step = FileStep::Paused(reason);
                // Its relays may all withhold: the next answer names others.
                file.is_in_vain = !self.met.contains(&number);
                fx.store_state(vec![file.put(number)]);
            }
            NextAttempt::Open(attempt, relay) => {
                *last = Some(attempt);
                self.opening.insert(number);
                let then = TransferContinuation::Open(number, attempt, relay);
                let change = vec![file.put(number)];
                fx.store_state_then(change, StateContinuation::Transfer(then));
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
            if !live.has_met() {
                at(now.mono.after(time_until(now.unix, live.attempt().ends())));
            }
        }
        self.leaving.next_due().into_iter().for_each(&mut at);
        for (number, file) in &self.files {
            let next = match &file.step {
                FileStep::Accepted { .. } if self.live.contains_key(number) => None,
                FileStep::Accepted { schedule, last } => {
                    let next = schedule.next(now.unix, *last).map(AttemptId::begins);
                    Some(next.unwrap_or_else(|| now.unix.after(1)))
                }
                _ => None,
            };
            if let Some(next) = next {
                // One that could have begun waits for the next look.
                at(now.mono.after(time_until(now.unix, next)).max(self.retry));
            }
            at(now.mono.after(time_until(now.unix, file.until)));
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
            self.met.insert(number);
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
}
