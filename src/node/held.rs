//! Messages that wait because nothing can leave the machine.
//!
//! While the way out is shut ([`Reach::Shut`]), a message is kept and the user is told why; it is
//! neither refused nor sent another way. One that was on its way when the way shut may have lost
//! pieces, so it begins again with a new envelope, without counting that against its attempts. If
//! the old envelope comes back after all, the message is delivered. An envelope that its maker knows by
//! its hash cannot be made anew, and is left to its fate.
//!
//! Once the way is open, peers and the directory need a moment to come back. What its level still
//! cannot send after [`PATIENCE`] is given up, with the reason.

use core::time::Duration;

use circuits::level::{Insertion, Level};
use circuits::time::Now;

use super::Node;
use super::command::{Refusal, SendRequest};
use super::event::{MessageId, Stage};
use super::input::Reach;
use super::outbox::{Outgoing, State};
use super::output::Output;
use super::timers::Timer;

impl Node {
    /// The way out has opened or shut. Once it is open, peers are tried at once.
    pub(super) fn on_reach(&mut self, now: Now, reach: Reach) {
        if self.reach == reach {
            return;
        }
        match &reach {
            Reach::Open => {
                self.dialer.hasten(now.mono);
                self.timers.hasten(Timer::Resume, now.mono);
            }
            Reach::Shut(reason) => self.hold_all(reason),
        }
        self.reach_changed = now.mono;
        self.reach = reach;
    }

    /// Takes on a message that cannot leave yet.
    pub(super) fn hold_new(
        &mut self,
        now: Now,
        level: Level,
        request: SendRequest,
    ) -> Result<Outgoing, Refusal> {
        // What could never be sent is refused at once.
        self.compose(now, &request)?;
        let reason = match &self.reach {
            Reach::Shut(reason) => reason.clone(),
            Reach::Open => String::new(),
        };
        Ok(Outgoing {
            level,
            request: Some(request),
            attempt: 1,
            stage: Stage::Waiting { reason },
            state: State::Held,
            watch: None,
        })
    }

    /// Keeps a message of ours whose envelope can go nowhere; whether the way is shut at all.
    pub(super) fn hold(&mut self, id: MessageId) -> bool {
        let Reach::Shut(reason) = &self.reach else {
            return false;
        };
        let reason = reason.clone();
        if let Some(outgoing) = self.outbox.messages.get_mut(&id) {
            outgoing.state = State::Held;
        }
        self.stage(id, Stage::Waiting { reason });
        true
    }

    /// Keeps every message that may have lost a piece.
    fn hold_all(&mut self, reason: &str) {
        let affected = |outgoing: &Outgoing| {
            outgoing.request.is_some()
                && outgoing.level.rules().insertion != Insertion::Gossip
                && matches!(
                    outgoing.state,
                    State::Ticket(..) | State::Emitting(_) | State::Watching
                )
        };
        let messages = self.outbox.messages.iter_mut();
        let mut held = Vec::new();
        for (id, outgoing) in messages.filter(|(_, outgoing)| affected(outgoing)) {
            if let State::Ticket(job, _) = &outgoing.state {
                self.outputs.push_back(Output::CancelWork(*job));
            }
            outgoing.state = State::Held;
            held.push(*id);
        }
        for id in held {
            let reason = reason.to_owned();
            self.stage(id, Stage::Waiting { reason });
        }
    }

    /// Sends what was kept, as far as that is possible again.
    pub(super) fn resume_held(&mut self, now: Now) {
        let held = |outgoing: &Outgoing| matches!(outgoing.state, State::Held);
        let messages = self.outbox.messages.iter();
        let waiting: Vec<_> = messages
            .filter(|(_, outgoing)| held(outgoing))
            .map(|(id, outgoing)| (*id, outgoing.level, outgoing.attempt))
            .collect();
        if waiting.is_empty() || self.reach != Reach::Open {
            return self.timers.rest(Timer::Resume);
        }
        let patient = now.mono.since(self.reach_changed) < PATIENCE;
        for (id, level, attempt) in waiting {
            match self.level_available(now, level) {
                Ok(()) => {
                    if let Some(outgoing) = self.outbox.messages.get_mut(&id) {
                        outgoing.watch = None;
                    }
                    self.retry(now, id, attempt);
                }
                Err(_) if patient => {}
                Err(refusal) => self.fail(id, &refusal.to_string()),
            }
        }
    }
}

/// How long peers and the directory may take to come back once links can be had again.
const PATIENCE: Duration = Duration::from_secs(600);
