//! What users and other components see of messages, and how a user ends one.

use circuits::level::Level;
use circuits::time::Instant;

use super::Sender;
use super::message::{Outgoing, SendState};
use crate::node::effects::Effects;
use crate::node::event::MessageId;
use crate::node::event::Stage;
use crate::node::input::Connectivity;
use crate::node::views::OutgoingView;

impl Sender {
    /// Cancels a message of a user in flight; `false` if there is none with this id.
    pub(in crate::node) fn cancel(&mut self, fx: &mut Effects, id: MessageId) -> bool {
        let message = self.messages.get(&id);
        let in_flight = message
            .is_some_and(|message| !message.is_single_attempt() && !message.state().has_ended());
        if in_flight {
            if let Some(message) = self.messages.get_mut(&id) {
                message.set_cancelled();
            }
            self.fail(fx, id, "cancelled; shards that had left cannot be recalled");
        }
        in_flight
    }

    /// Gives up a single attempt in flight, for its component.
    pub(in crate::node) fn cancel_attempt(&mut self, fx: &mut Effects, id: MessageId) {
        let message = self.messages.get(&id);
        if message
            .is_some_and(|message| message.is_single_attempt() && !message.state().has_ended())
        {
            self.fail(fx, id, "its component gave it up");
        }
    }

    /// The node stops: cancels all jobs.
    pub(in crate::node) fn shut_down(&self, fx: &mut Effects) {
        let jobs = self.messages.values();
        for job in jobs.filter_map(|message| message.state().job()) {
            fx.cancel_job(job);
        }
    }

    // -- views

    /// The reason why a message failed, if it did.
    pub(in crate::node) fn failure(&self, id: MessageId) -> Option<&str> {
        match self.messages.get(&id)?.state() {
            SendState::Failed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Number of messages that have not ended.
    pub(in crate::node) fn in_flight(&self) -> usize {
        let messages = self.messages.values();
        messages
            .filter(|message| !message.state().has_ended())
            .count()
    }

    /// Whether a message has not ended.
    pub(in crate::node) fn is_in_flight(&self, id: MessageId) -> bool {
        let message = self.messages.get(&id);
        message.is_some_and(|message| !message.state().has_ended())
    }

    /// The stage of a message or single attempt; `None` if it is forgotten.
    #[cfg(test)]
    pub(in crate::node) fn stage(&self, id: MessageId) -> Option<Stage> {
        self.messages.get(&id)?.stage()
    }

    /// The stage of a message or single attempt for a view; `None` if it is forgotten.
    pub(in crate::node) fn stage_at(&self, now: Instant, id: MessageId) -> Option<Stage> {
        self.messages.get(&id)?.stage_at(now)
    }

    /// All messages of users, for a listing.
    pub(in crate::node) fn views(&self, now: Instant) -> Vec<OutgoingView> {
        let view = |(id, message): (&MessageId, &Outgoing)| {
            if message.is_single_attempt() {
                return None;
            }
            Some(OutgoingView {
                id: *id,
                level: message.level(),
                stage: message.stage_at(now)?,
                price: message.price(),
            })
        };
        self.messages.iter().filter_map(view).collect()
    }

    /// The level of messages that name none.
    pub(in crate::node) const fn default_level(&self) -> Level {
        self.default_level
    }

    /// Whether this machine is online, or why not.
    pub(in crate::node) const fn connectivity(&self) -> &Connectivity {
        &self.connectivity
    }
}
