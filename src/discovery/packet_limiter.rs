//! Rate limits on packets that are processed: per address prefix, and in total.
//!
//! A signature costs a curve operation, and the source address of a ping may be forged: a sender
//! that forges a victim's address must not make us send to the victim without limit.

use core::time::Duration;
use std::net::IpAddr;

use circuits::rate_limit::{KeyedLimiter, Quota, TokenBucket};
use circuits::time::Instant;

use super::contact::AddressScope;
use crate::endpoint::Prefix;

/// The remaining packet quotas of unlisted senders.
#[derive(Debug)]
pub(super) struct PacketLimiter {
    all: TokenBucket,
    prefixes: KeyedLimiter<Prefix>,
}

impl PacketLimiter {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            all: TokenBucket::full(now),
            prefixes: KeyedLimiter::new(PREFIX_QUOTA, MAX_PREFIXES),
        }
    }

    /// Consumes one packet; `false` if it exceeds a quota. Packets from this machine count only
    /// against the total.
    pub(super) fn spend(&mut self, from: IpAddr, now: Instant) -> bool {
        if AddressScope::of(from) != AddressScope::Loopback
            && !self.prefixes.take(Prefix::of(from), now)
        {
            return false;
        }
        self.all.take(TOTAL_QUOTA, now)
    }
}

/// 200 curve operations a second are a hundredth of one core.
const TOTAL_QUOTA: Quota = Quota::new(400, Duration::from_millis(5));
/// A node in regular use sends us only a few packets per second.
const PREFIX_QUOTA: Quota = Quota::new(40, Duration::from_millis(100));
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
