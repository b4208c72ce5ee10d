//! The two clocks of a node, and the processor time of a thread.
//!
//! This is the only place of the crate that reads a clock. Monotonic time is tokio's, so that a
//! test can pause it; its zero is the start of this clock.

#![expect(clippy::disallowed_methods, reason = "the shell owns the clocks")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use circuits::time::{Instant, Now, UnixSecs};

/// The monotonic clock and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
}

impl Clock {
    /// Starts the clocks; monotonic time begins at zero now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            start: tokio::time::Instant::now(),
        }
    }

    /// The current time of both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now {
            mono: Instant::from_micros(micros),
            unix: unix(),
        }
    }

    /// Tokio's representation of an instant of this clock; `None` if it does not fit.
    #[must_use]
    pub fn at(&self, instant: Instant) -> Option<tokio::time::Instant> {
        self.start.checked_add(instant.since(Instant::ZERO))
    }
}

/// The wall clock in seconds since 1970; clamped to the range of 32 bits (1970 to 2106).
pub(super) fn unix() -> UnixSecs {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixSecs(u32::try_from(since.as_secs()).unwrap_or(u32::MAX))
}

/// The processor time of this thread since an unspecified moment. Where the system does not tell it,
/// the monotonic clock stands in, and the difference contains the time of other threads.
#[cfg(target_os = "linux")]
pub(super) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn thread_time() -> Duration {
    use std::sync::OnceLock;
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_time_does_not_pass_while_the_thread_waits() {
        let begun = thread_time();
        let (never, wait) = std::sync::mpsc::channel::<()>();
        let waited = wait.recv_timeout(Duration::from_millis(50));
        assert!(waited.is_err());
        drop(never);
        if cfg!(target_os = "linux") {
            assert!(thread_time().saturating_sub(begun) < Duration::from_millis(40));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clock_instant_converts_to_tokio_instant() {
        let clock = Clock::start();
        let due = clock.now().mono.after(Duration::from_secs(5));
        tokio::time::sleep_until(clock.at(due).unwrap()).await;
        assert!(clock.now().mono >= due);
        assert!(clock.now().mono.since(due) < Duration::from_secs(1));
    }
}
