//! The table `[state]`: how long contacts and messages stay unlocked.

use core::time::Duration;

use super::setting::{Count, settings};
use super::value;

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct StateSettings, "state", "Contacts and messages", |all| &mut all.state;

    /// Lock identities, contacts and messages after this number of minutes without use
    lock_after: usize;
        "state.lock-after" "state-lock-after" "WHISHT_STATE_LOCK_AFTER";
        Count(value::LOCK_MINUTES), "MINUTES" "never";
        "As `whisht lock`. Writing, sending, accepting and marking as read put it off; a page or list that is \
         only shown does not";
}

impl StateSettings {
    /// The time without a command after which the node locks.
    pub(super) fn lock_time(&self) -> Option<Duration> {
        let minutes = u64::try_from(self.lock_after?).unwrap_or(u64::MAX);
        Some(Duration::from_secs(minutes.saturating_mul(60)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_locks_after_minutes_if_they_are_set() {
        let after = |lock_after| StateSettings { lock_after }.lock_time();
        assert_eq!(after(None), None);
        assert_eq!(after(Some(15)), Some(Duration::from_secs(900)));
    }
}
