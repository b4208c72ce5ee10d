//! Limits of the RPC endpoints.
//!
//! Sizes are go-ethereum's where programs know them. A client above [`REQUESTS_PER_SECOND`] waits
//! and is not refused: the driver serves the network between two requests, and must get its turn.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use circuits::rate_limit::{Quota, TokenBucket};
use circuits::time::Instant as CoreInstant;
use tokio::time::{Instant, sleep};

use crate::shell::accept_limiter::{AcceptLimits, Eviction};

/// Maximum size in bytes of a request or batch over HTTP and WebSocket; as in go-ethereum.
pub(super) const MAX_REQUEST: usize = 512 * 1024;
/// Maximum size in bytes of a request on the local socket. A message of 64 KB takes 128 KB as
/// hexadecimal digits.
pub(super) const MAX_REQUEST_IPC: usize = 1 << 20;
/// Maximum number of clients of the local socket.
const MAX_CLIENTS_IPC: usize = 32;
/// Maximum number of TCP connections whose program has shown the token.
const MAX_CLIENTS: usize = 64;
/// Maximum number of TCP connections that have not shown it; the oldest makes room for the next.
const MAX_UNAUTHENTICATED: usize = 64;
/// Limits on TCP connections, which are proven by the token.
pub(super) const CLIENT_LIMITS: AcceptLimits = AcceptLimits {
    slots: MAX_CLIENTS,
    unproven: MAX_UNAUTHENTICATED,
    ..LOCAL_LIMITS
};
/// Limits on clients of the local socket, which need no proof.
pub(super) const IPC_LIMITS: AcceptLimits = AcceptLimits {
    slots: MAX_CLIENTS_IPC,
    ..LOCAL_LIMITS
};
const LOCAL_LIMITS: AcceptLimits = AcceptLimits {
    slots: 0,
    unproven: 0,
    per_source: 0,
    closing: 0,
    loopback_only: true,
    eviction: Eviction::Oldest,
};
/// Maximum number of requests or batches in progress per connection.
pub(super) const MAX_PENDING_REQUESTS: usize = 16;
/// No further request of a connection is read while its requests in progress have this many bytes.
pub(super) const MAX_PENDING_BYTES: usize = 256 * 1024;
/// Maximum memory in bytes for the parsed requests of all clients of one kind.
pub(super) const MAX_REQUEST_MEMORY: usize = 32 << 20;
/// Maximum size in bytes of the answers of all clients of one kind that are not written yet; the
/// answer that reaches it is complete.
pub(super) const MAX_ANSWER_BYTES: usize = 32 << 20;
/// Maximum size in bytes of the answer to a batch, as in go-ethereum. The request that reaches it is
/// answered; the rest are not executed.
pub(super) const MAX_BATCH_ANSWER: usize = 25_000_000;
/// A batch that holds more than this many bytes of its answer does not wait for memory.
pub(super) const MAX_WAITING_ANSWER: usize = 64 * 1024;
/// Maximum number of key derivations that wait for a core.
pub(super) const MAX_QUEUED_DERIVATIONS: usize = 32;
/// Time limit of a request that waits for memory.
pub(super) const BUDGET_TIMEOUT: Duration = Duration::from_secs(10);
/// What is read of a request above the limit before the connection closes, so that its sender gets
/// the error: a client reads nothing before it has written everything.
pub(super) const MAX_DISCARDED: usize = 16 << 20;
/// Time limit for reading it.
pub(super) const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of subscriptions per connection.
pub(super) const MAX_SUBSCRIPTIONS: usize = 64;
/// Maximum size of a request's head in bytes.
pub(super) const MAX_HEAD: usize = 16 * 1024;
/// Time limit for a head, and for the silence between two requests.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The keep-alive time that clients are told: shorter than the limit, so that no request starts
/// just as the node closes.
pub(super) const KEEP_ALIVE: &str = "timeout=20";
/// Time limit for a body.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that reads nothing for this long is disconnected.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for telling all clients that the node ends.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
/// Requests per second of all TCP connections together.
pub(super) const REQUESTS_PER_SECOND: u32 = 5_000;
/// Burst of requests after idle time.
const BURST: u32 = REQUESTS_PER_SECOND;
const REQUEST_QUOTA: Quota = Quota::per_second(REQUESTS_PER_SECOND, BURST);

/// Grants turns at a steady rate, in order of arrival.
#[derive(Debug)]
pub(super) struct RequestPacer {
    /// The start of the clock by which the bucket counts.
    started: Instant,
    bucket: Mutex<TokenBucket>,
}

impl RequestPacer {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            bucket: Mutex::new(TokenBucket::empty(REQUEST_QUOTA, CoreInstant::ZERO)),
        }
    }

    /// Waits until this number of requests may proceed.
    pub(super) async fn acquire(&self, requests: usize) {
        let wait = self.reserve(requests);
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    /// The caller's waiting time.
    fn reserve(&self, requests: usize) -> Duration {
        let now = CoreInstant::ZERO.after(self.started.elapsed());
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.reserve(REQUEST_QUOTA, requests, now).since(now)
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
