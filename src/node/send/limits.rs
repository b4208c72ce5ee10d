//! The limits of a custom level, for every attempt of a message.
//!
//! A limit that holds when a message is accepted may not hold an hour later: the network has shrunk, or its
//! delay has grown. Another attempt would then be sent on terms that the user refused, so it is not made, and
//! the message fails with the limit and the value. Nothing is lowered.

use circuits::time::Now;

use super::{SendContext, Sender};
use crate::node::command::Refusal;
use crate::node::event::MessageId;

impl Sender {
    /// Names the custom level whose limits hold for a message.
    pub(super) fn set_custom(&mut self, id: MessageId, custom: Option<String>) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.set_custom(custom);
        }
    }

    /// Checks the limits of a message for another attempt; without a custom level there are none.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the first limit that does not hold, or if the configuration has no such level any
    /// more.
    pub(super) fn check_limits(
        &self,
        now: Now,
        id: MessageId,
        context: SendContext<'_>,
    ) -> Result<(), Refusal> {
        let Some(message) = self.messages.get(&id) else {
            return Ok(());
        };
        let (Some(name), Some(request)) = (message.custom(), message.request()) else {
            return Ok(());
        };
        let custom = self.levels.custom_named(name)?;
        let estimate = self.estimate(now, request, context)?;
        custom.check(&estimate, &context.limited_network(now))
    }
}

#[cfg(test)]
mod tests {
    use circuits::level::Level;

    use crate::node::event::Stage;
    use crate::node::fixture::{Fixture, START};
    use crate::node::level_policy::{CustomLevel, LevelLimits, LevelPolicy};
    use crate::node::send::fixture::{request, sender, stages};

    /// The last stage of the second attempt of a message with this custom level. `near` takes a minute at
    /// most; `far` needs two relays, of which there are none.
    fn second_attempt(custom: &str) -> Stage {
        let level = |name, limits| CustomLevel::new(name, Level::Open, limits).unwrap();
        let (near, far) = (
            LevelLimits {
                max_seconds: Some(60),
                ..LevelLimits::default()
            },
            LevelLimits {
                min_relays: Some(2),
                ..LevelLimits::default()
            },
        );
        let mut test = Fixture::new(|config| {
            let custom = vec![level("near", near), level("far", far)];
            config.levels = LevelPolicy::new(custom, Vec::new()).unwrap();
        });
        let mut sender = sender(&test);
        let (fx, context) = test.sending();
        // The limits held when the message was accepted: its caller checks them.
        let custom = Some(custom.to_owned());
        let sent = sender.send_within(fx, START, custom, request(Level::Open), context);
        let id = sent.unwrap();
        sender.retry(fx, START, id, context);
        stages(&fx.take_outputs()).pop().unwrap()
    }

    #[test]
    fn limit_that_holds_no_longer_ends_the_message_before_another_attempt() {
        let kept = second_attempt("near");
        assert!(
            matches!(kept, Stage::Sealing { attempt: 2, .. }),
            "{kept:?}"
        );
        let Stage::Failed { reason } = second_attempt("far") else {
            panic!("the attempt is made");
        };
        for part in ["custom level `far`", "0 relays", "`min-relays` is 2"] {
            assert!(reason.contains(part), "{part}: {reason}");
        }
    }

    #[test]
    fn custom_level_that_is_gone_from_the_configuration_ends_the_message() {
        let Stage::Failed { reason } = second_attempt("gone") else {
            panic!("the attempt is made");
        };
        assert!(reason.contains("\"gone\""), "{reason}");
    }
}
