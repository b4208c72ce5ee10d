//! At most one log line a minute about one kind of failure.
//!
//! A flood must not fill the operator's disk: a listener without descriptors fails twice a second
//! for as long as the flood lasts. The first failure is reported at once, the others by their
//! number.

use std::time::Duration;

use tokio::time::Instant;

/// Decides which failures of one kind are logged.
#[derive(Debug, Default)]
pub(super) struct LogThrottle {
    last: Option<Instant>,
    unreported: u64,
}

impl LogThrottle {
    /// Counts a failure. Returns the number of failures since the last report if it is time for
    /// another one.
    pub(super) fn note(&mut self) -> Option<u64> {
        self.unreported = self.unreported.saturating_add(1);
        if self.last.is_some_and(|last| last.elapsed() < LOG_INTERVAL) {
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.unreported))
    }
}

/// Minimum time between two reports of the same kind.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn flood_of_failures_is_logged_once_a_minute_with_its_number() {
        let mut throttle = LogThrottle::default();
        let mut reports = Vec::new();
        for _ in 0..250 {
            reports.extend(throttle.note());
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        assert_eq!(reports, [1, 120, 120]);
    }
}
