//! The line itself: attempts to meet, the circuit, and the session over it.
//!
//! Both ends open a circuit to the same relay in each window of the schedule, until they meet. A line that
//! was open and ends is not opened again: its users decide.

use circuits::circuit::MeetCookie;
use circuits::time::{Instant, Now};

use super::command::TalkEvent;
use super::{TalkContext, TalkProgress, Talks};
use crate::contact::conversation::ConversationId;
use crate::node::action::{Action, CircuitAction, TalkAction};
use crate::node::circuits::{CircuitEnding, CircuitHandle, CircuitOwner};
use crate::node::contacts::MessageDirection;
use crate::node::effects::Effects;
use crate::node::event::Event;
use crate::node::hex;
use crate::node::meetings::{NOT_MET, NextAttempt, RETRY_INTERVAL, next_attempt, time_until};
use crate::node::timers::TimerId;
use crate::transfer::frame::PAYLOAD_LEN;
use crate::transfer::schedule::AttemptId;
use crate::transfer::secret::FileEnd;
use crate::transfer::talk::{TalkLine, TalkSession, TalkStep};

/// A circuit, and the session over it.
pub(super) struct LiveLine {
    pub(super) session: TalkSession,
    attempt: AttemptId,
    circuit: CircuitHandle,
    has_met: bool,
}

#[cfg(test)]
impl LiveLine {
    /// A line whose ends have met.
    pub(super) const fn met(
        session: TalkSession,
        attempt: AttemptId,
        circuit: CircuitHandle,
    ) -> Self {
        Self {
            session,
            attempt,
            circuit,
            has_met: true,
        }
    }
}

impl Talks {
    /// Does what is due: forgets old offers, begins attempts, sends the frames of each second.
    pub(in crate::node) fn upkeep(&mut self, fx: &mut Effects, now: Now, context: TalkContext<'_>) {
        let ids: Vec<ConversationId> = self.talks.keys().copied().collect();
        for id in ids {
            let Some(talk) = self.talks.get_mut(&id) else {
                continue;
            };
            match &mut talk.step {
                TalkProgress::Offered if talk.until <= now.unix => {
                    self.finish(fx, now, id, NOT_ANSWERED, context);
                }
                TalkProgress::Offered => {}
                TalkProgress::Agreed {
                    live: Some(live), ..
                } => {
                    live.session.on_time(now.mono);
                    if !live.has_met && now.unix >= live.attempt.ends() {
                        // The other end is at the relay of the next window.
                        self.leave_circuit(fx, now.mono, id, context);
                    }
                    self.run(fx, now, id, context);
                }
                TalkProgress::Agreed { live: None, .. } => {}
            }
            self.begin_attempt(fx, now, id, context);
        }
        self.leaving.close_due(fx, now.mono);
        self.schedule(fx, now);
    }

    /// Sets the timer for what is due next.
    pub(in crate::node) fn schedule(&self, fx: &mut Effects, now: Now) {
        let mut due: Option<Instant> = None;
        let mut at = |instant: Instant| due = Some(due.map_or(instant, |due| due.min(instant)));
        self.leaving.next_due().into_iter().for_each(&mut at);
        for talk in self.talks.values() {
            let next = match &talk.step {
                TalkProgress::Offered => talk.until,
                TalkProgress::Agreed {
                    live: Some(live), ..
                } => {
                    live.session.deadline().into_iter().for_each(&mut at);
                    if live.has_met {
                        continue;
                    }
                    live.attempt.ends()
                }
                TalkProgress::Agreed { schedule, last, .. } => {
                    let next = schedule.next(now.unix, *last).map(AttemptId::begins);
                    next.unwrap_or_else(|| now.unix.after(1))
                }
            };
            let next = now.mono.after(time_until(now.unix, next));
            // An attempt that could have begun waits for the next look.
            at(self.retry.map_or(next, |retry| next.max(retry)));
        }
        fx.arm(TimerId::Talks, due);
    }

    /// Begins the next attempt to meet, if its time has come.
    fn begin_attempt(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: ConversationId,
        context: TalkContext<'_>,
    ) {
        let Some(talk) = self.talks.get_mut(&id) else {
            return;
        };
        let TalkProgress::Agreed {
            schedule,
            last,
            live,
        } = &mut talk.step
        else {
            return;
        };
        if live.is_some() {
            return;
        }
        let reach = (context.others.directory, context.others.peers);
        match next_attempt(now, (*schedule, *last), &talk.relays, reach) {
            NextAttempt::Over => return self.finish(fx, now, id, NOT_MET, context),
            NextAttempt::Wait(_) => return,
            NextAttempt::NotReady(_) => {
                self.retry = Some(now.mono.after(RETRY_INTERVAL));
                return;
            }
            NextAttempt::Open(attempt, relay) => {
                *last = Some(attempt);
                self.last_circuit = self.last_circuit.saturating_add(1);
                let circuit = CircuitHandle::new(CircuitOwner::Talks, self.last_circuit);
                let keys = talk.secret.attempt(attempt);
                let cookie = MeetCookie(keys.cookie());
                let own = match talk.direction {
                    MessageDirection::Out => FileEnd::Sender,
                    MessageDirection::In => FileEnd::Receiver,
                };
                let session = TalkSession::start(fx.key_rng(), now.mono, keys, own);
                *live = Some(Box::new(LiveLine {
                    session,
                    attempt,
                    circuit,
                    has_met: false,
                }));
                self.by_circuit.insert(circuit, id);
                fx.request(Action::Circuit(CircuitAction::Open(circuit, relay, cookie)));
                // The circuit exists once that is carried out.
                fx.request(Action::Talk(TalkAction::Run(id)));
            }
        }
        self.notify(fx, id, context);
    }

    /// A payload arrived.
    pub(in crate::node) fn on_payload(
        &mut self,
        fx: &mut Effects,
        now: Now,
        circuit: CircuitHandle,
        payload: &[u8; PAYLOAD_LEN],
        context: TalkContext<'_>,
    ) {
        let Some(id) = self.by_circuit.get(&circuit).copied() else {
            return;
        };
        if let Some(live) = self.live(id) {
            live.session.receive(now.mono, payload);
            self.run(fx, now, id, context);
        }
        self.schedule(fx, now);
    }

    /// The circuit can take more.
    pub(in crate::node) fn on_circuit_ready(
        &mut self,
        fx: &mut Effects,
        now: Now,
        circuit: CircuitHandle,
        context: TalkContext<'_>,
    ) {
        if let Some(id) = self.by_circuit.get(&circuit).copied() {
            self.run(fx, now, id, context);
        }
    }

    /// A circuit has ended.
    pub(in crate::node) fn on_circuit_ended(
        &mut self,
        fx: &mut Effects,
        now: Now,
        circuit: CircuitHandle,
        ending: &CircuitEnding,
        context: TalkContext<'_>,
    ) {
        let Some(id) = self.by_circuit.remove(&circuit) else {
            return;
        };
        let Some(live) = self.take_live(id) else {
            return;
        };
        if live.has_met {
            self.finish(fx, now, id, &ending.to_string(), context);
        }
        self.schedule(fx, now);
    }

    /// Reports what the session of a line says, and sends its payloads as far as the circuit has room.
    pub(in crate::node) fn run(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: ConversationId,
        context: TalkContext<'_>,
    ) {
        loop {
            let Some(live) = self.live(id) else {
                return;
            };
            let Some(step) = live.session.poll_step() else {
                break;
            };
            match step {
                TalkStep::Opened => {
                    live.has_met = true;
                    self.notify(fx, id, context);
                }
                TalkStep::Line(line) => report_line(fx, id, &line, context),
                TalkStep::Ended(fault) if live.has_met => {
                    return self.finish(fx, now, id, &fault.to_string(), context);
                }
                TalkStep::Ended(_) => {
                    self.leave_circuit(fx, now.mono, id, context);
                    return self.schedule(fx, now);
                }
            }
        }
        let Some(live) = self.live(id) else {
            return;
        };
        let circuit = live.circuit;
        if context.circuits.room(circuit) > 0
            && let Some(payload) = live.session.poll_payload()
        {
            fx.request(Action::Circuit(CircuitAction::Send(circuit, payload)));
            // The payload may have been the last line before the end.
            self.run(fx, now, id, context);
        }
    }

    /// Leaves the circuit of a line, if it has one. What its session has to say leaves first.
    pub(super) fn leave_circuit(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        id: ConversationId,
        context: TalkContext<'_>,
    ) {
        let Some(mut live) = self.take_live(id) else {
            return;
        };
        let circuit = live.circuit;
        if self.by_circuit.remove(&circuit).is_none() {
            return;
        }
        live.session.stop();
        let has_room = context.circuits.room(circuit) > 0;
        let farewell = live.session.poll_payload().filter(|_| has_room);
        self.leaving.leave(fx, now, circuit, farewell);
    }

    fn live(&mut self, id: ConversationId) -> Option<&mut LiveLine> {
        match &mut self.talks.get_mut(&id)?.step {
            TalkProgress::Agreed { live, .. } => live.as_deref_mut(),
            TalkProgress::Offered => None,
        }
    }

    fn take_live(&mut self, id: ConversationId) -> Option<Box<LiveLine>> {
        match &mut self.talks.get_mut(&id)?.step {
            TalkProgress::Agreed { live, .. } => live.take(),
            TalkProgress::Offered => None,
        }
    }
}

fn report_line(fx: &mut Effects, id: ConversationId, line: &TalkLine, context: TalkContext<'_>) {
    let event = TalkEvent::Line {
        contact: context.contacts.name_of(id).unwrap_or_default(),
        conversation: hex(&id.0),
        text: line.as_str().to_owned(),
    };
    fx.notify_durable(Event::Talk(Box::new(event)));
}

const NOT_ANSWERED: &str = "the offer was not answered within an hour";
