//! Ingress of circuits: how many of their cells a link may bring.
//!
//! Each cell costs this node one authenticated decryption. Every link has the rate of one circuit to
//! itself; what it brings beyond, up to the rate of a link, is taken from a rate that all links of its
//! class share. A flood over many links therefore takes nothing from a link with one stream, and the
//! links of unknown peers take nothing from those of relays.
//!
//! Honest peers send at these rates, so a cell beyond them is a flood, or follows a pause of the network
//! that was longer than the bursts allow. The cell is dropped, and its circuit ends at the next one.

use circuits::ids::{LinkClass, LinkId};
use circuits::rate_limit::{KeyedLimiter, Quota, TokenBucket};
use circuits::time::Instant;

/// The rates at which links bring cells of circuits.
pub(super) struct CircuitIngress {
    own: KeyedLimiter<LinkId>,
    link: KeyedLimiter<LinkId>,
    listed: TokenBucket,
    unlisted: TokenBucket,
}

impl Default for CircuitIngress {
    fn default() -> Self {
        Self {
            own: KeyedLimiter::new(OWN_QUOTA, MAX_LINKS),
            link: KeyedLimiter::new(LINK_QUOTA, MAX_LINKS),
            listed: TokenBucket::default(),
            unlisted: TokenBucket::default(),
        }
    }
}

impl CircuitIngress {
    /// Whether a cell that a link brings is taken.
    pub(super) fn admit(&mut self, now: Instant, from: LinkId, class: LinkClass) -> bool {
        if !self.link.take(from, now) {
            return false;
        }
        let shared = match class {
            LinkClass::Listed { .. } => &mut self.listed,
            LinkClass::Unlisted => &mut self.unlisted,
        };
        self.own.take(from, now) || shared.take(SHARED_QUOTA, now)
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        self.own.forget(&link);
        self.link.forget(&link);
    }
}

/// Cells of circuits that every link may bring: those of one circuit, with a reserve for clocks that
/// differ. The burst is what may be in flight from end to end, twice.
const OWN_QUOTA: Quota = Quota::per_second(250, 512);

/// Cells of circuits that a link may bring at most. The burst is four seconds, as after a pause of the
/// network.
const LINK_QUOTA: Quota = Quota::per_second(1_100, 4_096);

/// Cells beyond their own rate that all links of a class may bring: 4,000 take about a fiftieth of a
/// core.
const SHARED_QUOTA: Quota = Quota::per_second(4_000, 8_192);

/// Links with a rate of their own: more than a node can have open.
const MAX_LINKS: usize = 4_096;

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    /// Cells per second that a link gets through while `flood` links bring 1,100 a second each.
    fn admitted(class: LinkClass, rate: u64, flood: u64) -> u64 {
        let mut ingress = CircuitIngress::default();
        let mut taken = 0;
        // The bursts are over after four seconds.
        for milli in 0..8_000_u64 {
            let now = Instant::ZERO.after(Duration::from_millis(milli));
            for link in 0..flood {
                ingress.admit(now, LinkId(1_000 + link), LinkClass::Unlisted);
            }
            if milli * rate / 1_000 != (milli + 1) * rate / 1_000 {
                let is_taken = ingress.admit(now, LinkId(1), class);
                taken += u64::from(is_taken && milli >= 4_000);
            }
        }
        taken / 4
    }

    #[test]
    fn flood_over_many_links_takes_nothing_from_a_link_with_one_stream() {
        assert_eq!(admitted(LinkClass::Unlisted, 200, 40), 200);
    }

    #[test]
    fn flood_of_unknown_peers_takes_nothing_from_a_relay_with_many_streams() {
        let relay = LinkClass::Listed { relays: 9 };
        assert_eq!(admitted(relay, 1_000, 40), 1_000);
        assert!(admitted(LinkClass::Unlisted, 1_000, 40) < 500);
    }

    #[test]
    fn cells_after_a_pause_of_the_network_are_taken() {
        let mut ingress = CircuitIngress::default();
        let now = Instant::ZERO.after(Duration::from_secs(1));
        for _ in 0..2_000 {
            assert!(ingress.admit(now, LinkId(1), LinkClass::Unlisted));
        }
    }
}
