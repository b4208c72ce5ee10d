//! Messages that wait because nothing can leave the machine.
//!
//! While the way out is shut ([`Connectivity::Down`]), a message is kept and the user is told why; it is
//! neither refused nor sent another way. One that was on its way when the way shut may have lost
//! pieces, so it begins again with a new envelope, without counting that against its attempts. If
//! the old envelope comes back after all, the message is delivered. An envelope that its maker knows by
//! its hash cannot be made anew, and is left to its fate.
//!
//! Once the way is open, peers and the directory need a moment to come back. What its level still
//! cannot send after [`RESUME_TIMEOUT`] is given up, with the reason.

use core::time::Duration;

use circuits::level::{Insertion, Level};
use circuits::time::Now;

use crate::node::Node;
use crate::node::command::{Refusal, SendRequest};
use crate::node::event::{MessageId, Stage};
use crate::node::input::Connectivity;
use crate::node::output::Output;
use crate::node::send::queue::{QueuedMessage, SendState};
use crate::node::timers::Timer;

impl Node {
    /// The way out has opened or shut. Once it is open, peers are tried at once.
    pub(in crate::node) fn on_connectivity(&mut self, now: Now, connectivity: Connectivity) {
        if self.connectivity == connectivity {
            return;
        }
        match &connectivity {
            Connectivity::Up => {
                self.dialer.expedite(now.mono);
                self.timers.expedite(Timer::Resume, now.mono);
            }
            Connectivity::Down(reason) => self.queue_hidden(reason),
        }
        self.connectivity_changed = now.mono;
        self.connectivity = connectivity;
    }

    /// Takes on a message that cannot leave yet.
    pub(in crate::node) fn queue_new(
        &mut self,
        now: Now,
        level: Level,
        request: SendRequest,
    ) -> Result<QueuedMessage, Refusal> {
        // What could never be sent is refused at once.
        self.compose(now, &request)?;
        let reason = match &self.connectivity {
            Connectivity::Down(reason) => reason.clone(),
            Connectivity::Up => String::new(),
        };
        Ok(QueuedMessage {
            level,
            request: Some(request),
            attempt: 1,
            stage: Stage::Waiting { reason },
            state: SendState::Queued,
            watch: None,
        })
    }

    /// Keeps a message of ours whose envelope can go nowhere; whether the way is shut at all.
    pub(in crate::node) fn queue_if_offline(&mut self, id: MessageId) -> bool {
        let Connectivity::Down(reason) = &self.connectivity else {
            return false;
        };
        let reason = reason.clone();
        if let Some(message) = self.outbox.messages.get_mut(&id) {
            message.state = SendState::Queued;
        }
        self.set_stage(id, Stage::Waiting { reason });
        true
    }

    /// Keeps every message that may have lost a piece.
    fn queue_hidden(&mut self, reason: &str) {
        let affected = |message: &QueuedMessage| {
            message.request.is_some()
                && message.level.rules().insertion != Insertion::Gossip
                && matches!(
                    message.state,
                    SendState::Ticket(..) | SendState::Emitting(_) | SendState::Confirming
                )
        };
        let messages = self.outbox.messages.iter_mut();
        let mut queued = Vec::new();
        for (id, message) in messages.filter(|(_, message)| affected(message)) {
            if let SendState::Ticket(job, _) = &message.state {
                self.outputs.push_back(Output::CancelWork(*job));
            }
            message.state = SendState::Queued;
            queued.push(*id);
        }
        for id in queued {
            let reason = reason.to_owned();
            self.set_stage(id, Stage::Waiting { reason });
        }
    }

    /// Sends what was kept, as far as that is possible again.
    pub(in crate::node) fn resume_queued(&mut self, now: Now) {
        let queued = |message: &QueuedMessage| matches!(message.state, SendState::Queued);
        let messages = self.outbox.messages.iter();
        let waiting: Vec<_> = messages
            .filter(|(_, message)| queued(message))
            .map(|(id, message)| (*id, message.level, message.attempt))
            .collect();
        if waiting.is_empty() || self.connectivity != Connectivity::Up {
            return self.timers.disarm(Timer::Resume);
        }
        let patient = now.mono.since(self.connectivity_changed) < RESUME_TIMEOUT;
        for (id, level, attempt) in waiting {
            match self.check_level(now, level) {
                Ok(()) => {
                    if let Some(message) = self.outbox.messages.get_mut(&id) {
                        message.watch = None;
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
const RESUME_TIMEOUT: Duration = Duration::from_secs(600);
