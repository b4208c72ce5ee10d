//! What the doors bear, and how fast.
//!
//! Sizes are go-ethereum's where programs know them. Whoever asks faster than [`REQUESTS_PER_SECOND`] is made to
//! wait, not refused: the driver serves the network between two requests, and must get to it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Bytes of a request, or list of them, over HTTP and WebSocket; as in go-ethereum.
pub(super) const MAX_REQUEST: usize = 512 * 1024;
/// Bytes of a request on the local socket. A message of 64 KB in hexadecimal digits takes 128 KB.
pub(super) const MAX_REQUEST_IPC: usize = 1 << 20;
/// Clients of the local socket.
pub(super) const MAX_CLIENTS_IPC: usize = 32;
/// Connections over TCP whose program has shown the token.
pub(super) const MAX_CLIENTS: usize = 64;
/// Connections over TCP that have shown nothing yet; the oldest makes room for the next.
pub(super) const MAX_UNAUTHENTICATED: usize = 64;
/// Requests, or lists of them, that one connection may have under way at a time.
pub(super) const MAX_PENDING_REQUESTS: usize = 16;
/// Subscriptions of one connection.
pub(super) const MAX_SUBSCRIPTIONS: usize = 64;
/// Bytes of a request's head.
pub(super) const MAX_HEAD: usize = 16 * 1024;
/// A head that takes longer ends its connection; so does a silence between two requests.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// What a program is told of that silence: less, lest it begins just as we close.
pub(super) const KEEP_ALIVE: &str = "timeout=20";
/// A body that takes longer ends its connection.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that takes nothing for this long is gone.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// What all clients together have to hear that the node ends.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
/// Requests a second, of all connections over TCP together.
pub(super) const REQUESTS_PER_SECOND: u32 = 5_000;
/// Requests that may come at once after a silence.
const BURST: u32 = REQUESTS_PER_SECOND;

/// Hands out turns at a steady rate, in the order in which they are asked for.
#[derive(Debug)]
pub(super) struct RequestPacer {
    /// When the next turn would be due if nobody had ever been silent.
    next: Mutex<Instant>,
}

impl RequestPacer {
    pub(super) fn new() -> Self {
        Self {
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits until so many requests may go on.
    pub(super) async fn acquire(&self, requests: usize) {
        let wait = self.reserve(requests);
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// How long the caller has to wait.
    fn reserve(&self, requests: usize) -> Duration {
        let now = Instant::now();
        let step = Duration::from_secs(1) / REQUESTS_PER_SECOND;
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        // Turns that nobody took are kept up to a burst.
        let earliest = now.checked_sub(step.saturating_mul(BURST)).unwrap_or(now);
        let due = (*next).max(earliest);
        *next = due + step.saturating_mul(requests);
        next.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_through_and_a_flood_waits() {
        let pacer = RequestPacer::new();
        tokio::time::advance(Duration::from_secs(60)).await;
        let begun = Instant::now();
        for _ in 0..BURST {
            pacer.acquire(1).await;
        }
        assert_eq!(
            begun.elapsed(),
            Duration::ZERO,
            "a minute of silence buys one burst"
        );
        pacer
            .acquire(usize::try_from(REQUESTS_PER_SECOND).unwrap())
            .await;
        assert_eq!(begun.elapsed(), Duration::from_secs(1), "and no more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_counts_as_its_requests() {
        let pacer = RequestPacer::new();
        tokio::time::advance(Duration::from_secs(60)).await;
        let begun = Instant::now();
        pacer
            .acquire(usize::try_from(3 * REQUESTS_PER_SECOND).unwrap())
            .await;
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
    }
}
