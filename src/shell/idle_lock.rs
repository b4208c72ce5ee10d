//! The idle lock: identities, contacts and messages are locked when their user has given no command for a time.
//!
//! Commands of every client count, those of the console too, if they read or write messages. A program that
//! watches the node keeps nothing unlocked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::Handle;
use super::identity_files::IdentityError;
use super::identity_service::{IdentityService, IdentityServiceError};

/// When the user gave the last command. Clones refer to the same clock.
#[derive(Clone, Debug)]
pub(super) struct LastUse {
    base: Instant,
    millis: Arc<AtomicU64>,
}

impl LastUse {
    /// Now.
    pub(super) fn new() -> Self {
        Self {
            base: Instant::now(),
            millis: Arc::default(),
        }
    }

    /// The user gives a command.
    pub(super) fn note(&self) {
        let millis = u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.fetch_max(millis, Ordering::Relaxed);
    }

    /// Time since the last command.
    fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.millis.load(Ordering::Relaxed));
        self.base.elapsed().saturating_sub(last)
    }

    /// Completes when no command has come for this time.
    async fn idle_for(&self, time: Duration) {
        loop {
            let left = time.saturating_sub(self.idle());
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }

    /// Completes at the next command after this call.
    async fn used(&self) {
        let last = self.millis.load(Ordering::Relaxed);
        while self.millis.load(Ordering::Relaxed) == last {
            sleep(USE_CHECK).await;
        }
    }
}

/// The task of the idle lock; it ends with this value.
#[derive(Debug)]
pub(super) struct IdleLock(AbortHandle);

impl IdleLock {
    /// Locks a node whenever no command has come for this time; never if there is none.
    pub(super) fn start(
        handle: &Handle,
        identities: &IdentityService,
        after: Option<Duration>,
    ) -> Option<Self> {
        let task = run(handle.clone(), identities.clone(), after?);
        Some(Self(tokio::spawn(task).abort_handle()))
    }
}

impl Drop for IdleLock {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn run(handle: Handle, identities: IdentityService, after: Duration) {
    loop {
        handle.last_use.idle_for(after).await;
        match identities.lock(&handle).await {
            Ok(locked) if locked.state || !locked.identities.is_empty() => {
                tracing::info!(
                    "locked: no command came for {} minutes",
                    after.as_secs() / 60
                );
            }
            Ok(_) => {}
            Err(IdentityServiceError::Stopped(_)) => return,
            Err(IdentityServiceError::Key(
                error @ (IdentityError::NothingProtected | IdentityError::KeepsNothing),
            )) => tracing::warn!("`state.lock-after` has no effect: {error}"),
            Err(error) => tracing::warn!("not locked: {error}"),
        }
        handle.last_use.used().await;
    }
}

/// Interval at which a locked node looks for the next command.
const USE_CHECK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn command_puts_the_lock_off_by_the_whole_time() {
        let last_use = LastUse::new();
        let begun = Instant::now();
        let minute = Duration::from_secs(60);
        let user = last_use.clone();
        let commands = async move {
            for _ in 0..3 {
                sleep(Duration::from_secs(40)).await;
                user.note();
            }
        };
        tokio::join!(commands, last_use.idle_for(minute));
        // The first wait ends after the third command only.
        assert_eq!(begun.elapsed().as_secs(), 180);
    }

    #[tokio::test(start_paused = true)]
    async fn locked_node_waits_for_the_next_command() {
        let last_use = LastUse::new();
        let begun = Instant::now();
        let user = last_use.clone();
        let command = async move {
            sleep(Duration::from_secs(3_600)).await;
            user.note();
        };
        tokio::join!(command, last_use.used());
        assert!(begun.elapsed() >= Duration::from_secs(3_600));
    }
}
