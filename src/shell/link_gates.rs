//! The limit of bandwidth at the sockets: no second has more bytes than the limit, in either direction.
//!
//! Tasks of links wait in the order in which they ask, each with one small read or write at a time, so that a
//! link that floods takes turns with the others and gets no more than they do. What a peer sends meanwhile waits
//! in its own send buffer (TCP back-pressure). The node itself decides what to send first, and sends less than
//! this limit; here nothing is known about the bytes.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::sleep_until;

use super::clock::Clock;
use crate::bandwidth::{Allowance, BandwidthLimits};

/// The limits of both directions, shared by all links of a node. The default limits nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkGates {
    /// For what is read from sockets.
    pub(super) reads: Option<Arc<Gate>>,
    /// For what is written to sockets.
    pub(super) writes: Option<Arc<Gate>>,
}

impl LinkGates {
    /// The gates of these limits. What is written has no limit for the day here: the node keeps it, because it knows
    /// which bytes are cover traffic, which must not stop.
    pub(super) fn new(limits: &BandwidthLimits, clock: Clock) -> Self {
        let gate = |per_second, per_day| Gate::new(per_second, per_day, clock).map(Arc::new);
        Self {
            reads: gate(limits.per_second, limits.received_per_day),
            writes: gate(limits.per_second, None),
        }
    }

    /// Whether anything is limited.
    pub(super) const fn is_on(&self) -> bool {
        self.reads.is_some() || self.writes.is_some()
    }
}

/// The limit of one direction.
#[derive(Debug)]
pub(super) struct Gate {
    clock: Clock,
    /// Locked while a task waits for its turn; tasks get the lock in the order in which they ask.
    allowance: Mutex<Allowance>,
    chunk: usize,
}

impl Gate {
    fn new(per_second: Option<u64>, per_day: Option<u64>, clock: Clock) -> Option<Self> {
        let allowance = Allowance::new(per_second, per_day, clock.now().mono)?;
        let of_second = per_second.map(|limit| limit / CHUNKS_PER_SECOND);
        let of_day = per_day.map(|limit| limit / (SECONDS_PER_DAY * CHUNKS_OF_SLOW_SECOND));
        let chunk = of_second.into_iter().chain(of_day).min().unwrap_or(0);
        Some(Self {
            clock,
            allowance: Mutex::new(allowance),
            chunk: usize::try_from(chunk)
                .unwrap_or(MAX_CHUNK)
                .clamp(MIN_CHUNK, MAX_CHUNK),
        })
    }

    /// Maximum number of bytes of one read or write.
    pub(super) const fn chunk(&self) -> usize {
        self.chunk
    }

    /// Completes when so many bytes may cross, and charges them.
    pub(super) async fn pass(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let mut allowance = self.allowance.lock().await;
        let wanted = bytes.min(allowance.burst());
        loop {
            let now = self.clock.now().mono;
            if allowance.available(now) >= wanted {
                return allowance.charge(now, bytes);
            }
            let due = allowance.due(now, wanted);
            match self.clock.at(due) {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        }
    }
}

/// Chunks of a second at the full rate. Each of 32 busy links may be one chunk ahead, which is a sixteenth of the
/// limit.
const CHUNKS_PER_SECOND: u64 = 512;
/// Chunks of a second at the mean rate of a day: small enough that every link has a turn within a few seconds.
const CHUNKS_OF_SLOW_SECOND: u64 = 8;
const SECONDS_PER_DAY: u64 = 86_400;
const MIN_CHUNK: usize = 64;
const MAX_CHUNK: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    fn limits(per_second: u64) -> BandwidthLimits {
        BandwidthLimits {
            per_second: Some(per_second),
            ..BandwidthLimits::default()
        }
    }

    fn bytes(chunk: usize) -> u64 {
        u64::try_from(chunk).unwrap()
    }

    #[test]
    fn chunk_follows_from_the_limits() {
        let clock = Clock::start();
        let chunk = |second, day| Gate::new(second, day, clock).unwrap().chunk();
        assert_eq!(chunk(Some(200_000), None), 390);
        assert_eq!(chunk(Some(1 << 30), None), MAX_CHUNK);
        assert_eq!(chunk(Some(16_000), None), MIN_CHUNK);
        assert_eq!(chunk(None, Some(200_000_000)), 289);
    }

    /// One link floods without a pause, another one reads an envelope of 600 bytes every two seconds.
    #[tokio::test(start_paused = true)]
    async fn flood_by_one_link_keeps_the_limit_and_leaves_another_its_share() {
        let limit = 200_000;
        let gate = LinkGates::new(&limits(limit), Clock::start())
            .reads
            .unwrap();
        let total = Arc::new(AtomicU64::new(0));
        let flood = {
            let (gate, total) = (Arc::clone(&gate), Arc::clone(&total));
            tokio::spawn(async move {
                loop {
                    gate.pass(gate.chunk()).await;
                    total.fetch_add(bytes(gate.chunk()), Ordering::Relaxed);
                }
            })
        };
        let slowest = {
            let (gate, total) = (Arc::clone(&gate), Arc::clone(&total));
            tokio::spawn(async move {
                let mut slowest = Duration::ZERO;
                for _ in 0..10 {
                    sleep(Duration::from_secs(2)).await;
                    let asked = tokio::time::Instant::now();
                    let mut left = 600_usize;
                    while left > 0 {
                        let chunk = left.min(gate.chunk());
                        gate.pass(chunk).await;
                        total.fetch_add(bytes(chunk), Ordering::Relaxed);
                        left -= chunk;
                    }
                    slowest = slowest.max(asked.elapsed());
                }
                slowest
            })
        };
        let mut before = 0;
        for second in 0..20 {
            sleep(Duration::from_secs(1)).await;
            let now = total.load(Ordering::Relaxed);
            assert!(now - before <= limit, "second {second}: {}", now - before);
            assert!(now - before >= limit * 3 / 4, "second {second}");
            before = now;
        }
        let slowest = slowest.await.unwrap();
        assert!(slowest < Duration::from_millis(50), "{slowest:?}");
        flood.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn flood_keeps_the_limit_of_a_day() {
        let per_day = 86_400_000;
        let limits = BandwidthLimits {
            received_per_day: Some(per_day),
            ..BandwidthLimits::default()
        };
        let gate = LinkGates::new(&limits, Clock::start()).reads.unwrap();
        let start = tokio::time::Instant::now();
        let mut total = 0;
        while start.elapsed() < Duration::from_secs(86_400) {
            // Larger than a chunk, to keep the test short.
            gate.pass(100_000).await;
            total += 100_000;
        }
        assert!(total <= per_day, "{total}");
        assert!(total > per_day * 3 / 4, "{total}");
    }
}
