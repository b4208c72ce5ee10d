//! The bucket against the limiters that it replaced, and against floods.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MILLI: Duration = Duration::from_millis(1);

fn at(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

/// How many of `attempts` per second over `secs` seconds are permitted.
fn permitted(quota: Quota, attempts: u64, secs: u64) -> usize {
    let mut bucket = TokenBucket::full(Instant::ZERO);
    let times = (0..attempts * secs).map(|n| at(n * 1_000_000 / attempts));
    times.filter(|now| bucket.take(quota, *now)).count()
}

#[test]
fn token_bucket_permits_burst_at_once_and_rate_after_it() {
    let quota = Quota::per_second(20, 100);
    let mut bucket = TokenBucket::full(Instant::ZERO);
    let at_once = (0..1_000)
        .filter(|_| bucket.take(quota, Instant::ZERO))
        .count();
    assert_eq!(at_once, 100);
    assert_eq!(permitted(quota, 1_000, 60), 100 + 20 * 60 - 1);
}

#[test]
fn token_bucket_below_rate_refuses_nothing() {
    assert_eq!(permitted(Quota::per_second(20, 1), 20, 60), 1_200);
}

#[test]
fn token_bucket_of_rate_zero_permits_one_event() {
    assert_eq!(permitted(Quota::per_second(0, 1), 10, 60), 1);
    assert_eq!(permitted(Quota::per_second(0, 100), 10, 60), 1);
    let slack = Quota::per_second(0, 1).with_slack(50 * MILLI);
    assert_eq!(permitted(slack, 10, 60), 1);
}

#[test]
fn token_bucket_of_burst_zero_permits_nothing() {
    assert_eq!(permitted(Quota::per_second(20, 0), 10, 60), 0);
    assert_eq!(permitted(Quota::new(0, MILLI), 10, 60), 0);
}

#[test]
fn token_bucket_gives_nothing_if_clock_stands_or_goes_back() {
    let quota = Quota::per_second(20, 2);
    let mut bucket = TokenBucket::full(Instant::ZERO);
    assert!(bucket.take(quota, at(5_000_000)) && bucket.take(quota, at(5_000_000)));
    assert!(!bucket.take(quota, at(5_000_000)));
    assert!(!bucket.take(quota, Instant::ZERO));
}

#[test]
fn token_bucket_waits_after_burst_and_keeps_no_more_than_burst() {
    let quota = Quota::new(2, MILLI);
    let mut bucket = TokenBucket::full(Instant::ZERO);
    assert!(bucket.take(quota, at(0)) && bucket.take(quota, at(0)));
    assert_eq!(bucket.next_token(quota), at(1_000));
    assert!(!bucket.take(quota, at(999)));
    assert!(bucket.take(quota, at(1_000)));
    assert!(!bucket.take(quota, at(1_000)));
    let late = at(u64::MAX / 2);
    assert!(bucket.take(quota, late) && bucket.take(quota, late));
    assert!(!bucket.take(quota, late));
}

#[test]
fn token_bucket_permits_slack_ahead_of_rate() {
    let quota = Quota::per_second(500, 1).with_slack(50 * MILLI);
    let mut bucket = TokenBucket::full(Instant::ZERO);
    let at_once = (0..100).filter(|_| bucket.take(quota, at(0))).count();
    assert_eq!(at_once, 26);
    assert_eq!(bucket.next_token(quota), at(2_000));
}

#[test]
fn returned_token_can_be_taken_again() {
    let quota = Quota::new(2, MILLI);
    let mut bucket = TokenBucket::full(Instant::ZERO);
    for _ in 0..1_000 {
        assert!(bucket.take(quota, Instant::ZERO));
        bucket.give_back(quota);
    }
}

#[test]
fn reservation_of_empty_bucket_waits_for_every_token() {
    let quota = Quota::per_second(5_000, 5_000);
    let mut bucket = TokenBucket::empty(quota, Instant::ZERO);
    assert_eq!(bucket.reserve(quota, 1, at(0)), at(200));
    assert_eq!(bucket.reserve(quota, 4, at(0)), at(1_000));
    // A minute of idle time fills the bucket with one burst.
    let minute = at(60_000_000);
    assert!(bucket.reserve(quota, 5_000, minute) <= minute);
    assert_eq!(bucket.reserve(quota, 5_000, minute), at(61_000_000));
}

#[test]
fn keyed_limiter_keys_do_not_share_quota() {
    let mut limiter = KeyedLimiter::new(Quota::new(2, MILLI), 8);
    assert!(limiter.take(1, at(0)) && limiter.take(1, at(0)));
    assert!(!limiter.take(1, at(0)));
    assert!(limiter.take(2, at(0)));
}

#[test]
fn keyed_limiter_returned_tokens_leave_no_entries() {
    let mut limiter = KeyedLimiter::new(Quota::new(2, MILLI), 8);
    for key in 0..1_000 {
        assert!(limiter.take(key, at(0)));
        limiter.give_back(&key);
    }
    assert!(limiter.len() <= 1);
}

#[test]
fn flood_of_keys_limits_itself_and_spares_known_keys() {
    let quota = Quota::new(2, MILLI);
    let mut limiter = KeyedLimiter::new(quota, 8);
    assert!(limiter.take(0, at(0)));
    let flood = (1..10_000).filter(|key| limiter.take(*key, at(0))).count();
    assert_eq!(flood, 7 + 2, "seven buckets, and the shared one");
    assert_eq!(limiter.len(), 8);
    assert!(limiter.take(0, at(0)), "a known key keeps its bucket");
    // Buckets that are full again make room.
    assert!(limiter.take(77, at(2_000)));
    assert_eq!(limiter.len(), 1);
}

#[test]
fn keyed_limiter_forgotten_key_starts_with_full_quota() {
    let mut limiter = KeyedLimiter::new(Quota::new(1, MILLI), 8);
    assert!(limiter.take(1, at(0)) && !limiter.take(1, at(0)));
    limiter.forget(&1);
    assert!(limiter.is_empty() && limiter.take(1, at(0)));
}

/// A bucket that counts time exactly, as the directory's limiter did.
struct ExactBucket {
    micros: u64,
    at: u64,
}

/// A bucket that counts whole tokens and loses the time of a part of one at each refill, as the
/// limiters of discovery and gossip did.
struct LossyBucket {
    tokens: u64,
    refilled_at: u64,
}

proptest! {
    #[test]
    fn token_bucket_agrees_with_exact_count(
        burst in 0..20_u32,
        interval in 1..5_000_u32,
        waits in proptest::collection::vec((0..20_000_u64, any::<bool>()), 1..300),
    ) {
        let quota = Quota::new(burst, Duration::from_micros(interval.into()));
        let (cost, full) = (u64::from(interval), u64::from(interval) * u64::from(burst));
        let mut exact = ExactBucket { micros: full, at: 0 };
        let mut bucket = TokenBucket::full(Instant::ZERO);
        let mut now = 0;
        for (wait, returned) in waits {
            now += wait;
            exact.micros = (exact.micros + now - exact.at).min(full);
            exact.at = now;
            let expected = exact.micros >= cost;
            if expected {
                exact.micros -= cost;
            }
            prop_assert_eq!(bucket.take(quota, at(now)), expected);
            if expected && returned {
                exact.micros = (exact.micros + cost).min(full);
                bucket.give_back(quota);
            }
            prop_assert_eq!(bucket.full_at() <= at(now), exact.micros == full);
        }
    }

    #[test]
    fn token_bucket_permits_as_much_as_lossy_count_and_never_exceeds_quota(
        burst in 1..20_u32,
        interval in 1..5_000_u32,
        waits in proptest::collection::vec(0..8_000_u64, 1..300),
    ) {
        let quota = Quota::new(burst, Duration::from_micros(interval.into()));
        let mut lossy = LossyBucket { tokens: burst.into(), refilled_at: 0 };
        let mut bucket = TokenBucket::full(Instant::ZERO);
        let (mut now, mut before, mut after) = (0, 0_u64, 0_u64);
        for wait in waits {
            now += wait;
            let grown = (now - lossy.refilled_at) / u64::from(interval);
            if grown > 0 {
                lossy.tokens = (lossy.tokens + grown).min(burst.into());
                lossy.refilled_at = now;
            }
            if lossy.tokens > 0 {
                lossy.tokens -= 1;
                before += 1;
            }
            after += u64::from(bucket.take(quota, at(now)));
            // A part of a token that the old count gave to a full bucket.
            prop_assert!(after + 1 >= before);
            prop_assert!(after <= u64::from(burst) + now / u64::from(interval));
        }
    }

    #[test]
    fn keyed_limiter_agrees_with_one_bucket_per_key(
        takes in proptest::collection::vec((0..6_u8, 0..3_000_u64), 1..300),
    ) {
        let quota = Quota::new(3, MILLI);
        let mut limiter = KeyedLimiter::new(quota, 6);
        let mut buckets: BTreeMap<u8, TokenBucket> = BTreeMap::new();
        let mut now = 0;
        for (key, wait) in takes {
            now += wait;
            let bucket = buckets.entry(key).or_default();
            prop_assert_eq!(limiter.take(key, at(now)), bucket.take(quota, at(now)));
        }
    }
}
