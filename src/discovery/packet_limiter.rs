//! Rate limits on packets that are processed: per address prefix, and in total.
//!
//! A signature costs a curve operation, and the source address of a ping may be forged: a sender
//! that forges a victim's address must not make us send to the victim without limit.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

use circuits::time::Instant;

use super::contact::{AddressScope, Prefix};

/// The remaining packet quotas of unlisted senders.
#[derive(Debug)]
pub(super) struct PacketLimiter {
    all: TokenBucket,
    prefixes: BTreeMap<Prefix, TokenBucket>,
    /// Shared by all prefixes without a bucket of their own, once there are too many.
    overflow: TokenBucket,
}

impl PacketLimiter {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            all: TokenBucket::new(TOTAL_RATE, now),
            prefixes: BTreeMap::new(),
            overflow: TokenBucket::new(PREFIX_RATE, now),
        }
    }

    /// Consumes one packet; `false` if it exceeds a quota. Packets from this machine count only
    /// against the total.
    pub(super) fn spend(&mut self, from: IpAddr, now: Instant) -> bool {
        if AddressScope::of(from) != AddressScope::Loopback {
            let prefix = Prefix::of(from);
            if !self.prefixes.contains_key(&prefix) && self.prefixes.len() >= MAX_PREFIXES {
                self.prefixes
                    .retain(|_, bucket| !bucket.is_full(PREFIX_RATE, now));
            }
            let bucket = if self.prefixes.len() < MAX_PREFIXES {
                let new = || TokenBucket::new(PREFIX_RATE, now);
                self.prefixes.entry(prefix).or_insert_with(new)
            } else {
                self.prefixes.get_mut(&prefix).unwrap_or(&mut self.overflow)
            };
            if !bucket.spend(PREFIX_RATE, now) {
                return false;
            }
        }
        self.all.spend(TOTAL_RATE, now)
    }
}

/// Burst size, and time per further token.
#[derive(Clone, Copy, Debug)]
struct TokenRate {
    burst: u32,
    refill_interval: Duration,
}

#[derive(Debug)]
struct TokenBucket {
    tokens: u32,
    refilled_at: Instant,
}

impl TokenBucket {
    const fn new(rate: TokenRate, now: Instant) -> Self {
        Self {
            tokens: rate.burst,
            refilled_at: now,
        }
    }

    fn refill(&mut self, rate: TokenRate, now: Instant) {
        let grown = now.since(self.refilled_at).as_micros() / rate.refill_interval.as_micros();
        let grown = u32::try_from(grown).unwrap_or(rate.burst);
        if grown > 0 {
            self.tokens = self.tokens.saturating_add(grown).min(rate.burst);
            self.refilled_at = now;
        }
    }

    fn spend(&mut self, rate: TokenRate, now: Instant) -> bool {
        self.refill(rate, now);
        let spent = self.tokens.checked_sub(1);
        self.tokens = spent.unwrap_or(0);
        spent.is_some()
    }

    fn is_full(&mut self, rate: TokenRate, now: Instant) -> bool {
        self.refill(rate, now);
        self.tokens == rate.burst
    }
}

/// 200 curve operations a second are a hundredth of one core.
const TOTAL_RATE: TokenRate = TokenRate {
    burst: 400,
    refill_interval: Duration::from_millis(5),
};
/// A node in regular use sends us only a few packets per second.
const PREFIX_RATE: TokenRate = TokenRate {
    burst: 40,
    refill_interval: Duration::from_millis(100),
};
/// Prefixes with a bucket of their own.
const MAX_PREFIXES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(a: u8, b: u8) -> IpAddr {
        [11, a, b, 1].into()
    }

    #[test]
    fn one_prefix_does_not_consume_quota_of_others() {
        let now = Instant::from_micros(7);
        let mut limiter = PacketLimiter::new(now);
        let spent = (0..100).filter(|_| limiter.spend(ip(1, 1), now)).count();
        assert_eq!(spent, 40);
        assert!(limiter.spend(ip(2, 1), now));
        let later = now.after(Duration::from_secs(1));
        let spent = (0..100).filter(|_| limiter.spend(ip(1, 1), later)).count();
        assert_eq!(spent, 10);
    }

    #[test]
    fn total_rate_and_number_of_buckets_are_bounded() {
        let now = Instant::from_micros(7);
        let mut limiter = PacketLimiter::new(now);
        let mut spent = 0;
        for a in 0..=255 {
            for b in 0..20 {
                spent += u32::from(limiter.spend(ip(a, b), now));
            }
        }
        assert_eq!(spent, 400);
        assert!(limiter.prefixes.len() <= MAX_PREFIXES);
        // Prefixes that were idle since then make room.
        let later = now.after(Duration::from_secs(60));
        assert!(limiter.spend([99, 1, 1, 1].into(), later));
        assert_eq!(limiter.prefixes.len(), 1);
    }
}
