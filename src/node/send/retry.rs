//! Retry: another attempt to send a message, as a new envelope.
//!
//! The same envelope is never sent twice: a rendezvous may be keeping the first one (spec 6;
//! docs/decisions/0004).

use circuits::time::Now;

use super::compose::compose;
use super::message::SendState;
use super::mixed::MixedMessage;
use super::{SendContext, Sender};
use crate::node::effects::Effects;
use crate::node::event::MessageId;

impl Sender {
    /// Counts another attempt, and starts it.
    pub(super) fn retry(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        context: SendContext<'_>,
    ) {
        if let Err(refusal) = self.check_limits(now, id, context) {
            return self.fail(fx, id, refusal.to_string());
        }
        if let Some(message) = self.messages.get_mut(&id) {
            message.count_attempt();
        }
        self.enter(fx, id, SendState::Retrying);
        self.start_attempt(fx, now, id, context);
    }

    /// Composes the message again and mines the new envelope.
    pub(super) fn start_attempt(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: MessageId,
        context: SendContext<'_>,
    ) {
        self.set_price(now, id, context);
        let Some(message) = self.messages.get(&id) else {
            return;
        };
        let Some(request) = message.request() else {
            return fx.bug("a message was to be composed again that cannot be");
        };
        let (level, tag) = (message.level(), message.tag());
        if level.is_mixing() {
            return match MixedMessage::compose(fx.key_rng(), now, request, level, tag, context) {
                Ok(mixed) => self.start_mixed(fx, now, id, mixed, context),
                Err(refusal) => self.fail(fx, id, refusal.to_string()),
            };
        }
        match compose(fx.key_rng(), now, request, level, tag, context) {
            Ok((draft, job)) => self.start_mining(fx, id, draft, &job, context),
            Err(refusal) => self.fail(fx, id, refusal.to_string()),
        }
    }
}

/// Maximum number of envelopes made for one message.
pub(super) const MAX_ATTEMPTS: u32 = 3;
