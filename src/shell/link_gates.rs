//! The limit of bandwidth at the sockets: no second has more bytes than the limit, in either direction.
//!
//! Tasks of links wait in the order in which they ask, each with one small read or write at a time, so that a
//! link that floods takes turns with the others and gets no more than they do. What a peer sends meanwhile waits
//! in its own send buffer (TCP back-pressure). The node itself decides what to send first, and sends less than
//! this limit; here nothing is known about the bytes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use circuits::time::Instant;
use tokio::sync::{Mutex, Notify};
use tokio::time::sleep_until;

use super::clock::Clock;
use crate::bandwidth::{Allowance, BandwidthLimits};

/// The limits of both directions, shared by all links of a node.
#[derive(Clone, Debug)]
pub(super) struct LinkGates {
    /// For what is read from sockets.
    pub(super) reads: Arc<Gate>,
    /// For what is written to sockets.
    pub(super) writes: Arc<Gate>,
}

impl LinkGates {
    /// The gates of these limits.
    pub(super) fn new(limits: &BandwidthLimits, clock: Clock) -> Self {
        let gates = Self {
            reads: Arc::new(Gate::new(clock)),
            writes: Arc::new(Gate::new(clock)),
        };
        gates.set_limits(limits);
        gates
    }

    /// Goes on with other limits. What is written has no limit for the day here: the node keeps it, because it knows
    /// which bytes are cover traffic, which must not stop.
    pub(super) fn set_limits(&self, limits: &BandwidthLimits) {
        self.reads
            .set_limits(limits.per_second, limits.received_per_day);
        self.writes.set_limits(limits.per_second, None);
    }

    /// Whether anything is limited.
    pub(super) fn is_on(&self) -> bool {
        self.reads.is_on() || self.writes.is_on()
    }
}

/// The limit of one direction.
#[derive(Debug)]
pub(super) struct Gate {
    clock: Clock,
    /// `None` without a limit. Locked for moments only, never while a task waits.
    allowance: std::sync::Mutex<Option<Allowance>>,
    /// Held by the task whose turn it is; tasks get it in the order in which they ask.
    turn: Mutex<()>,
    /// Wakes the task whose turn it is after a change of limits.
    changed: Notify,
    /// [`UNLIMITED`] without a limit.
    chunk: AtomicUsize,
}

impl Gate {
    /// A gate without a limit.
    fn new(clock: Clock) -> Self {
        Self {
            clock,
            allowance: std::sync::Mutex::default(),
            turn: Mutex::default(),
            changed: Notify::new(),
            chunk: AtomicUsize::new(UNLIMITED),
        }
    }

    fn set_limits(&self, per_second: Option<u64>, per_day: Option<u64>) {
        self.with_allowance(|allowance| {
            let now = self.clock.now().mono;
            *allowance = Allowance::renew(allowance.take(), per_second, per_day, now);
            self.chunk
                .store(chunk_of(per_second, per_day), Ordering::Relaxed);
        });
        self.changed.notify_one();
    }

    /// Maximum number of bytes of one read or write.
    pub(super) fn chunk(&self) -> usize {
        self.chunk.load(Ordering::Relaxed)
    }

    fn is_on(&self) -> bool {
        self.chunk() != UNLIMITED
    }

    /// Completes when so many bytes may cross, and charges them.
    pub(super) async fn pass(&self, bytes: usize) {
        if !self.is_on() {
            return;
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let _turn = self.turn.lock().await;
        while let Err(due) = self.charge(bytes) {
            let due = async {
                match self.clock.at(due) {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Charges bytes if they may cross now.
    ///
    /// # Errors
    ///
    /// When they may.
    fn charge(&self, bytes: u64) -> Result<(), Instant> {
        self.with_allowance(|allowance| {
            let Some(allowance) = allowance else {
                return Ok(());
            };
            let now = self.clock.now().mono;
            let wanted = bytes.min(allowance.burst());
            if allowance.available(now) < wanted {
                return Err(allowance.due(now, wanted));
            }
            allowance.charge(now, bytes);
            Ok(())
        })
    }

    fn with_allowance<T>(&self, use_it: impl FnOnce(&mut Option<Allowance>) -> T) -> T {
        let mut allowance = self
            .allowance
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        use_it(&mut allowance)
    }
}

/// Maximum number of bytes of one read or write under these limits.
fn chunk_of(per_second: Option<u64>, per_day: Option<u64>) -> usize {
    let of_second = per_second.map(|limit| limit / CHUNKS_PER_SECOND);
    let of_day = per_day.map(|limit| limit / (SECONDS_PER_DAY * CHUNKS_OF_SLOW_SECOND));
    of_second
        .into_iter()
        .chain(of_day)
        .min()
        .map_or(UNLIMITED, |chunk| {
            usize::try_from(chunk)
                .unwrap_or(MAX_CHUNK)
                .clamp(MIN_CHUNK, MAX_CHUNK)
        })
}

/// Chunks of a second at the full rate. Each of 32 busy links may be one chunk ahead, which is a sixteenth of the
/// limit.
const CHUNKS_PER_SECOND: u64 = 512;
/// Chunks of a second at the mean rate of a day: small enough that every link has a turn within a few seconds.
const CHUNKS_OF_SLOW_SECOND: u64 = 8;
const SECONDS_PER_DAY: u64 = 86_400;
const MIN_CHUNK: usize = 64;
const MAX_CHUNK: usize = 16 * 1024;
/// The chunk of a gate without a limit.
const UNLIMITED: usize = usize::MAX;

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
        assert_eq!(chunk_of(None, None), UNLIMITED);
        assert_eq!(chunk_of(Some(200_000), None), 390);
        assert_eq!(chunk_of(Some(1 << 30), None), MAX_CHUNK);
        assert_eq!(chunk_of(Some(16_000), None), MIN_CHUNK);
        assert_eq!(chunk_of(None, Some(200_000_000)), 289);
    }

    /// One link floods without a pause, another one reads an envelope of 600 bytes every two seconds.
    #[tokio::test(start_paused = true)]
    async fn flood_by_one_link_keeps_the_limit_and_leaves_another_its_share() {
        let limit = 200_000;
        let gate = LinkGates::new(&limits(limit), Clock::start()).reads;
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
        let gate = LinkGates::new(&limits, Clock::start()).reads;
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
    /// The mean rate of a day is slow: what waits at such a gate would wait for an hour.
    #[tokio::test(start_paused = true)]
    async fn other_limits_hold_for_what_waits_already() {
        let of_day = |bytes| BandwidthLimits {
            received_per_day: Some(bytes),
            ..BandwidthLimits::default()
        };
        let gates = LinkGates::new(&of_day(86_400), Clock::start());
        let start = tokio::time::Instant::now();
        let waiting = async {
            for _ in 0..40 {
                gates.reads.pass(100).await;
            }
        };
        let change = async {
            sleep(Duration::from_secs(5)).await;
            gates.set_limits(&of_day(864_000_000));
            assert!(gates.is_on());
            sleep(Duration::from_secs(5)).await;
            gates.set_limits(&BandwidthLimits::default());
            assert!(!gates.is_on());
        };
        tokio::join!(waiting, change);
        let passed = start.elapsed();
        assert_eq!(passed.as_secs(), 10);
        gates.reads.pass(usize::MAX).await;
        assert_eq!(start.elapsed(), passed);
    }

    #[tokio::test(start_paused = true)]
    async fn limits_that_change_back_and_forth_admit_no_more() {
        let (small, large) = (limits(100_000), limits(1_000_000));
        let gates = LinkGates::new(&small, Clock::start());
        let mut passed = 0;
        let taking = async {
            loop {
                gates.writes.pass(1_000).await;
                passed += 1_000;
                gates.set_limits(&large);
                gates.set_limits(&small);
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(1), taking).await;
        assert!(ended.is_err());
        assert!((75_000..=100_000).contains(&passed), "{passed}");
    }
}
