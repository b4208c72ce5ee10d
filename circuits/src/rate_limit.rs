//! Rate limits: a token bucket, and one bucket for each key.
//!
//! A [`Quota`] says how many events may come at once and how often one more is permitted. A
//! [`TokenBucket`] is the state of one sender. It stores one instant: the time at which the steady
//! rate would have used up everything that was taken (the generic cell rate algorithm, ITU-T
//! I.371). No tokens are counted, no timer refills the bucket, and no time towards the next token is
//! lost.
//!
//! The module decides nothing about a sender that exceeds its quota.

use core::time::Duration;

use crate::bounded_map::BoundedMap;
use crate::time::Instant;

/// The rate and the burst of one kind of event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    /// Time until one more token is there.
    interval: Duration,
    /// Time in which an empty bucket fills up.
    capacity: Duration,
}

impl Quota {
    /// `burst` tokens at once, and one more each `interval`, at least a microsecond. A burst of zero
    /// permits nothing.
    #[must_use]
    pub const fn new(burst: u32, interval: Duration) -> Self {
        let interval = if interval.as_micros() == 0 {
            Duration::from_micros(1)
        } else {
            interval
        };
        let capacity = interval.saturating_mul(burst);
        Self { interval, capacity }
    }

    /// `burst` tokens at once, and `rate` more per second. At a rate of zero only one token is ever
    /// there.
    #[must_use]
    pub const fn per_second(rate: u32, burst: u32) -> Self {
        match Duration::from_secs(1).checked_div(rate) {
            Some(interval) => Self::new(burst, interval),
            None => Self::new(burst, Duration::MAX),
        }
    }

    /// The same rate, with events permitted to run `slack` further ahead of it.
    #[must_use]
    pub const fn with_slack(self, slack: Duration) -> Self {
        Self {
            interval: self.interval,
            capacity: self.capacity.saturating_add(slack),
        }
    }

    const fn cost(self, tokens: u32) -> Duration {
        self.interval.saturating_mul(tokens)
    }
}

/// How far one sender has used up its quota. The default is a full bucket.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct TokenBucket {
    /// When the bucket is full again.
    full_at: Instant,
}

impl TokenBucket {
    /// A bucket with all its tokens at `now`.
    #[must_use]
    pub const fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// A bucket without tokens at `now`.
    #[must_use]
    pub fn empty(quota: Quota, now: Instant) -> Self {
        Self {
            full_at: now.after(quota.capacity),
        }
    }

    /// Takes one token; `false` if there is none.
    pub fn take(&mut self, quota: Quota, now: Instant) -> bool {
        let permitted = self.next_token(quota) <= now && quota.cost(1) <= quota.capacity;
        if permitted {
            self.full_at = self.full_at.max(now).after(quota.cost(1));
        }
        permitted
    }

    /// Takes tokens that may not be there yet, and returns when they will be, possibly in the past.
    pub fn reserve(&mut self, quota: Quota, tokens: u32, now: Instant) -> Instant {
        self.full_at = self.full_at.max(now).after(quota.cost(tokens));
        self.full_at.before(quota.capacity)
    }

    /// Returns the token of the last [`take`](Self::take).
    pub fn give_back(&mut self, quota: Quota) {
        self.full_at = self.full_at.before(quota.cost(1));
    }

    /// When the next token is there, possibly in the past.
    #[must_use]
    pub fn next_token(self, quota: Quota) -> Instant {
        self.full_at
            .before(quota.capacity.saturating_sub(quota.cost(1)))
    }

    /// When all tokens are there, possibly in the past. From then on the bucket is as good as new
    /// and need not be stored.
    #[must_use]
    pub const fn full_at(self) -> Instant {
        self.full_at
    }
}

/// A token bucket for each key, with one quota.
///
/// Buckets that are full again are dropped. If all buckets are in use, further keys share one
/// bucket: a flood of keys limits itself, and known keys keep their own.
#[derive(Clone, Debug)]
pub struct KeyedLimiter<K> {
    quota: Quota,
    /// Ranked by the time at which the bucket is full again, which is all of a bucket's state.
    buckets: BoundedMap<K, (), TokenBucket>,
    shared: TokenBucket,
}

impl<K: Copy + Ord> KeyedLimiter<K> {
    /// A limiter for `max_keys` keys with buckets of their own.
    #[must_use]
    pub const fn new(quota: Quota, max_keys: usize) -> Self {
        Self {
            quota,
            buckets: BoundedMap::new(max_keys),
            shared: TokenBucket::full(Instant::ZERO),
        }
    }

    /// Takes one token of a key; `false` if there is none.
    pub fn take(&mut self, key: K, now: Instant) -> bool {
        while self
            .buckets
            .pop_first_if(|bucket| bucket.full_at() <= now)
            .is_some()
        {}
        let known = self.buckets.rank(&key);
        if known.is_none() && self.buckets.is_full() {
            return self.shared.take(self.quota, now);
        }
        let mut bucket = known.unwrap_or_default();
        let permitted = bucket.take(self.quota, now);
        if permitted {
            self.buckets.insert(key, bucket, ());
        }
        permitted
    }

    /// Returns the token of the last [`take`](Self::take) of a key.
    pub fn give_back(&mut self, key: &K) {
        match self.buckets.rank(key) {
            Some(mut bucket) => {
                bucket.give_back(self.quota);
                self.buckets.touch(key, bucket);
            }
            None => self.shared.give_back(self.quota),
        }
    }

    /// Drops the bucket of a key that does not come back.
    pub fn forget(&mut self, key: &K) {
        self.buckets.remove(key);
    }

    /// Number of keys with a bucket of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether no key has a bucket of its own.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }
}

#[cfg(test)]
mod tests;
