//! The offline queue: messages that are kept while this machine has no connectivity.
//!
//! While connectivity is [`Connectivity::Down`], a message is queued and the user is told why; it is
//! neither refused nor sent another way. A message in flight may have lost shards, so it is queued
//! too and starts again with a new envelope, without counting that as an attempt. If the old
//! envelope comes back, the message is delivered. An envelope that a client knows by its hash cannot
//! be composed again, and is not queued.
//!
//! Once online, peers and the directory need time to come back. A message whose level is still not
//! available after [`RESUME_TIMEOUT`] is given up, with the reason.

use core::time::Duration;

use circuits::level::{Insertion, Level};
use circuits::time::Now;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::compose::check_composable;
use super::message::{Outgoing, SendState};
use super::outbox::FirstStep;
use super::{SendContext, Sender};
use crate::message::CopyTag;
use crate::node::command::{Refusal, SendRequest};
use crate::node::effects::Effects;
use crate::node::event::MessageId;
use crate::node::input::Connectivity;
use crate::node::timers::TimerId;

impl Sender {
    /// The connectivity of this machine has changed. Returns whether it has come online.
    pub(in crate::node) fn on_connectivity(
        &mut self,
        fx: &mut Effects,
        now: Now,
        connectivity: Connectivity,
    ) -> bool {
        if self.connectivity == connectivity {
            return false;
        }
        if self.connectivity.is_down() != connectivity.is_down() {
            self.connectivity_changed = now.mono;
        }
        self.connectivity = connectivity;
        match &self.connectivity {
            Connectivity::Up | Connectivity::Unverified(_) => {
                fx.expedite(TimerId::Resume, now.mono);
                true
            }
            Connectivity::Down(reason) => {
                let reason = reason.clone();
                self.queue_in_flight(fx, &reason);
                false
            }
        }
    }

    /// Queues a new message. One that could never be sent is refused at once.
    pub(super) fn queue_new(
        &mut self,
        fx: &mut Effects,
        now: Now,
        (level, custom, request): (Level, Option<String>, SendRequest),
        reason: String,
        context: SendContext<'_>,
    ) -> Result<MessageId, Refusal> {
        self.check_room(fx)?;
        // Composed for its errors only, so nothing is drawn from the node's generator.
        let tag = CopyTag::draw(fx.key_rng());
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        check_composable(&mut rng, now, &request, level, tag, context)?;
        let id = self.add(fx, level, Some(request), tag);
        self.set_custom(id, custom);
        self.begin(fx, now, id, FirstStep::Queue(reason), context);
        Ok(id)
    }

    /// Queues a message whose envelope cannot leave; returns whether this machine is offline.
    pub(super) fn queue_if_offline(&mut self, fx: &mut Effects, id: MessageId) -> bool {
        let Connectivity::Down(reason) = &self.connectivity else {
            return false;
        };
        let state = SendState::Queued {
            reason: reason.clone(),
            watch: None,
        };
        self.enter(fx, id, state);
        true
    }

    /// Queues every hidden message that may have lost a shard.
    fn queue_in_flight(&mut self, fx: &mut Effects, reason: &str) {
        let affected = |message: &Outgoing| {
            message.request().is_some()
                && message.level().rules().insertion != Insertion::Gossip
                && matches!(
                    message.state(),
                    SendState::Ticket(..) | SendState::Emitting(..) | SendState::Confirming(..)
                )
        };
        let messages = self.messages.iter();
        let affected: Vec<_> = messages
            .filter(|(_, message)| affected(message))
            .map(|(id, message)| {
                // A cell that has left has shown the topic: a second envelope under it could be told
                // to be the same attempt.
                let is_over = message.is_single_attempt()
                    && !matches!(message.state(), SendState::Ticket(..));
                (*id, message.state().watch().copied(), is_over)
            })
            .collect();
        for (id, watch, is_over) in affected {
            if is_over {
                self.fail(fx, id, reason);
                continue;
            }
            let state = SendState::Queued {
                reason: reason.to_owned(),
                watch,
            };
            self.enter(fx, id, state);
        }
    }

    /// Starts queued messages again, as far as their levels are available.
    pub(in crate::node) fn resume(&mut self, fx: &mut Effects, now: Now, context: SendContext<'_>) {
        let queued = |message: &Outgoing| matches!(message.state(), SendState::Queued { .. });
        let messages = self.messages.iter();
        let waiting: Vec<(MessageId, Level, bool)> = messages
            .filter(|(_, message)| queued(message))
            .map(|(id, message)| (*id, message.level(), message.kept().is_restored))
            .collect();
        if waiting.is_empty() || self.connectivity.is_down() {
            return fx.arm(TimerId::Resume, None);
        }
        let waits = now.mono.since(self.connectivity_changed) < RESUME_TIMEOUT;
        for (id, level, is_restored) in waiting {
            let checked = if is_restored {
                self.check_restored(now, id, context)
            } else {
                let checked = context.check_level(now, level);
                checked.and_then(|()| self.check_limits(now, id, context))
            };
            match checked {
                Ok(()) => self.start_attempt(fx, now, id, context),
                Err(refusal) if is_restored => self.keep_waiting(fx, now, id, &refusal),
                Err(_) if waits => {}
                Err(refusal) => self.fail(fx, id, refusal.to_string()),
            }
        }
    }
}

/// Time that peers and the directory have to come back once this machine is online.
const RESUME_TIMEOUT: Duration = Duration::from_secs(600);
