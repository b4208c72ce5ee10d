//! Attempts that went on while the state was locked: what has become of them is taken over when it is open.
//!
//! A row says of a running attempt that another one follows, as it has to after a crash. Here it did not crash:
//! the attempt is still running, or its end is known.

use circuits::time::Now;

use super::Contacts;
use super::pending::{PendingProgress, UnderwayAttempt};
use crate::node::action::Action;
use crate::node::effects::Effects;

impl Contacts {
    /// Takes over the attempts that had begun when the state was locked.
    pub(super) fn resume_attempts(&mut self, fx: &mut Effects, now: Now) {
        for (id, underway) in self.pending.take_underway() {
            if underway == UnderwayAttempt::Storing {
                // It did not begin.
                continue;
            }
            let _stored_before = self.pending.update(id, |message| {
                message.attempts = message.attempts.saturating_add(1);
                if let UnderwayAttempt::Running(attempt) = underway {
                    message.progress = PendingProgress::Running(attempt);
                }
            });
            match underway {
                UnderwayAttempt::Ended(end) => self.settle_attempt(fx, now, id, end),
                // An old copy of the state was opened, which does not have the message.
                UnderwayAttempt::Running(attempt) if self.pending.get(id).is_none() => {
                    fx.request(Action::CancelAttempt(attempt));
                }
                _ => {}
            }
        }
    }
}
