//! Quotas of traffic that is valid and worth nothing: repeated envelopes, envelopes that have just
//! expired, and packets that this node does not read.
//!
//! None of it is a fault by itself. Envelopes expire on their way, two links may deliver one envelope,
//! and later versions have codes of their own. But each item costs a decoding and a hash and its
//! sender nothing, so a peer that sends far more than an honest one is disconnected. The quotas are
//! several times what honest peers of a full mempool were seen to need.
//!
//! Only the peer itself can repeat an envelope over its own link or choose its codes, so these are
//! strikes. An attacker can make an honest peer forward envelopes that expire on the way, so these are
//! not (docs/decisions/0003-forgive-a-few-bad-envelopes.md).

use circuits::rate_limit::{Quota, TokenBucket};
use circuits::time::Instant;

/// A kind of traffic that is worth nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Waste {
    /// An envelope that the peer had sent over this link.
    #[error("envelopes that it had sent before")]
    Repeated,
    /// An envelope that expired within the last 20 seconds.
    #[error("envelopes that had just expired")]
    JustExpired,
    /// A packet with an unknown code, or a direct message of a peer that is not trusted.
    #[error("packets that this node does not read")]
    Unread,
}

/// What is left of one peer's quotas.
#[derive(Debug)]
pub(super) struct WasteQuota {
    repeated: TokenBucket,
    just_expired: TokenBucket,
    unread: TokenBucket,
}

impl WasteQuota {
    pub(super) const fn full(now: Instant) -> Self {
        Self {
            repeated: TokenBucket::full(now),
            just_expired: TokenBucket::full(now),
            unread: TokenBucket::full(now),
        }
    }

    /// Charges one item; `false` if the quota is exceeded.
    pub(super) fn take(&mut self, waste: Waste, now: Instant) -> bool {
        match waste {
            Waste::Repeated => self.repeated.take(REPEATED_QUOTA, now),
            Waste::JustExpired => self.just_expired.take(JUST_EXPIRED_QUOTA, now),
            Waste::Unread => self.unread.take(UNREAD_QUOTA, now),
        }
    }
}

/// Envelopes per second, and at once. An honest peer repeats none but those that this node fetched
/// again after a timeout.
const REPEATED_QUOTA: Quota = Quota::per_second(64, 4_096);

/// Envelopes per second, and at once. go-ethereum hands over its whole pool, and with it what expired
/// within the last 20 seconds, and then forwards until the last moment.
const JUST_EXPIRED_QUOTA: Quota = Quota::per_second(256, 16_384);

/// Packets per second, and at once. status-im sends a few packets of its own codes a minute.
const UNREAD_QUOTA: Quota = Quota::per_second(16, 1_024);
