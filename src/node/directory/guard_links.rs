//! The links to our guards: dialled and redialled by a clock of their own, never by a send.
//!
//! An observer of our line sees the links come and go. If a message dialled its guard, the dial would
//! show when the user sends. The links are therefore open from the choice of the guard on, carry
//! cells or none, and are redialled a random time after a loss. A backup is dialled when the guard
//! before it is down, and released when that guard is back. This module sends no cell.

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::distributions;
use circuits::ids::{RelayId, ShortId};
use circuits::time::{Instant, Now};
use rand_core::CryptoRng;

use super::RelayDirectory;
use super::guards::GUARD_TIMEOUT_SECS;
use crate::endpoint::PeerAddr;
use crate::node::action::Action;
use crate::node::effects::Effects;
use crate::node::peers::{LinkPurpose, Peers};
use crate::node::timers::TimerId;

/// When each wanted guard is dialled next. There are at most as many as guards: three, or the
/// pinned one.
#[derive(Default)]
pub(super) struct GuardLinks {
    /// `None` while the link is up.
    next_dials: BTreeMap<RelayId, Option<Instant>>,
}

impl GuardLinks {
    /// Whether the link to this guard is to be open.
    fn keeps(&self, relay: ShortId) -> bool {
        self.next_dials.keys().any(|guard| guard.short() == relay)
    }

    /// The wanted guard with this id in cells.
    fn find(&self, relay: ShortId) -> Option<RelayId> {
        let mut guards = self.next_dials.keys();
        guards.find(|guard| guard.short() == relay).copied()
    }

    /// Sets the wanted guards. Returns those that are not wanted any more.
    fn retain(&mut self, wanted: &[RelayId]) -> Vec<RelayId> {
        let unwanted = |guard: &RelayId| !wanted.contains(guard);
        let released = self.next_dials.keys().copied().filter(unwanted).collect();
        self.next_dials.retain(|guard, _| wanted.contains(guard));
        released
    }

    /// The state of the link to a wanted guard. Returns whether the guard is to be dialled now.
    fn observe(
        &mut self,
        rng: &mut impl CryptoRng,
        now: Instant,
        guard: RelayId,
        up: bool,
    ) -> bool {
        let known = self.next_dials.get(&guard).copied();
        let (dial, next) = match known {
            _ if up => (false, None),
            None => (true, Some(redial_at(rng, now))),
            Some(None) => (false, Some(redial_at(rng, now))),
            Some(Some(next)) if next <= now => (true, Some(redial_at(rng, now))),
            Some(Some(next)) => (false, Some(next)),
        };
        self.next_dials.insert(guard, next);
        dial
    }

    /// Observes the links to guards with their addresses. Returns the addresses to dial now.
    fn tend(
        &mut self,
        rng: &mut impl CryptoRng,
        now: Instant,
        guards: Vec<(RelayId, PeerAddr)>,
        peers: &Peers,
    ) -> Vec<PeerAddr> {
        let mut dials = Vec::new();
        for (guard, peer) in guards {
            let link = peers.to_relay(guard.short());
            let dial = self.observe(rng, now, guard, link.is_some());
            // A link that was dialled for the cells of others becomes a guard link.
            let connection = link.and_then(|link| peers.get(link));
            let upgrade = connection.is_some_and(|link| link.purpose() == LinkPurpose::Cells);
            if dial || upgrade {
                dials.push(peer);
            }
        }
        dials
    }

    /// The link to a guard is lost, or could not be established.
    fn lost(&mut self, rng: &mut impl CryptoRng, now: Instant, guard: RelayId) {
        if let Some(next) = self.next_dials.get_mut(&guard) {
            *next = Some(redial_at(rng, now));
        }
    }

    /// Ends all waits.
    fn expedite(&mut self, now: Instant) {
        for next in self.next_dials.values_mut() {
            *next = next.map(|_| now);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.next_dials.values().flatten().min().copied()
    }
}

impl RelayDirectory {
    /// Dials the wanted guards whose links are down and whose wait is over, and releases the links
    /// to guards that are not wanted any more.
    pub(in crate::node) fn keep_guard_links(&mut self, fx: &mut Effects, now: Now, peers: &Peers) {
        let mixing = self.mixing.wanted(now.unix);
        let mut lanes = self.guards.wanted(now.unix, GUARD_TIMEOUT_SECS);
        // The clock of the mixing guard alone dials a relay that is both.
        lanes.retain(|guard| !mixing.contains(guard));
        let released = self.guard_links.retain(&lanes).into_iter();
        let released = released.chain(self.mixing.links_mut().retain(&mixing));
        for guard in released.filter(|guard| !lanes.contains(guard) && !mixing.contains(guard)) {
            fx.request(Action::ReleaseGuard(guard.short()));
        }
        // A pinned guard may not be in the directory yet.
        let addressed = |guard: RelayId| Some((guard, self.address_of(guard.short())?));
        let lanes: Vec<_> = lanes.into_iter().filter_map(addressed).collect();
        let mixing: Vec<_> = mixing.into_iter().filter_map(addressed).collect();
        let mut dials = self.guard_links.tend(fx.dial_rng(), now.mono, lanes, peers);
        let (rng, links) = self.mixing.dialling(fx);
        dials.extend(links.tend(rng, now.mono, mixing, peers));
        for peer in dials {
            fx.request(Action::Dial(peer, LinkPurpose::Guard));
        }
        self.arm_guard_links(fx);
    }

    fn arm_guard_links(&self, fx: &mut Effects) {
        let clocks = [&self.guard_links, self.mixing.links()];
        let next_due = clocks.into_iter().filter_map(GuardLinks::next_due).min();
        fx.arm(TimerId::GuardLinks, next_due);
    }

    /// Whether the link to this relay is kept open as a guard link, so that no cell of ours dials
    /// it.
    pub(in crate::node) fn keeps_guard_link(&self, relay: ShortId) -> bool {
        self.guard_links.keeps(relay) || self.mixing.links().keeps(relay)
    }

    /// No link to a relay can be established, its link is lost, or it takes no cells. If it is our
    /// guard, a backup may replace it, after the patience of its role.
    pub(in crate::node) fn guard_failed(&mut self, fx: &mut Effects, now: Now, relay: ShortId) {
        if let Some(guard) = self.guard_links.find(relay) {
            self.guards.failed(now.unix, &guard);
            self.guard_links.lost(fx.dial_rng(), now.mono, guard);
        }
        if let Some(guard) = self.mixing.links().find(relay) {
            self.mixing.failed(now.unix, &guard);
            // A relay that is the guard of lanes too has no other clock, but another patience.
            self.guards.failed(now.unix, &guard);
            let (rng, links) = self.mixing.dialling(fx);
            links.lost(rng, now.mono, guard);
        }
        self.arm_guard_links(fx);
    }

    /// This machine is online again: ends all waits before the next dial.
    pub(in crate::node) fn expedite_guard_dials(&mut self, fx: &mut Effects, now: Instant) {
        self.guard_links.expedite(now);
        self.mixing.links_mut().expedite(now);
        self.mixing.forgive_silence();
        self.arm_guard_links(fx);
    }
}

/// A guard is dialled again after an exponential time, so that the clients of a guard that restarts
/// do not return in step, and the time tells nothing.
fn redial_at(rng: &mut impl CryptoRng, now: Instant) -> Instant {
    now.after(distributions::exponential(rng, MEAN_REDIAL_DELAY))
}

const MEAN_REDIAL_DELAY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    const GUARD: RelayId = RelayId([1; 32]);

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([3; 32])
    }

    #[test]
    fn new_guard_is_dialled_at_once_and_once() {
        let mut links = GuardLinks::default();
        let mut rng = rng();
        assert!(links.observe(&mut rng, Instant::ZERO, GUARD, false));
        assert!(!links.observe(&mut rng, Instant::ZERO, GUARD, false));
        assert!(!links.observe(&mut rng, Instant::ZERO, GUARD, true));
        assert_eq!(links.next_due(), None);
    }

    #[test]
    fn lost_guard_is_redialled_after_an_exponential_time() {
        let mut rng = rng();
        let mut total = Duration::ZERO;
        for _ in 0..2_000 {
            let mut links = GuardLinks::default();
            links.observe(&mut rng, Instant::ZERO, GUARD, true);
            assert!(!links.observe(&mut rng, Instant::ZERO, GUARD, false));
            let due = links.next_due().unwrap();
            assert!(links.observe(&mut rng, due, GUARD, false));
            total += due.since(Instant::ZERO);
        }
        // The standard deviation of the mean is 1.3 s.
        let mean = total / 2_000;
        assert!((54..66).contains(&mean.as_secs()), "{mean:?}");
    }

    #[test]
    fn backup_that_is_not_wanted_any_more_is_released() {
        let mut links = GuardLinks::default();
        let backup = RelayId([2; 32]);
        links.observe(&mut rng(), Instant::ZERO, GUARD, false);
        links.observe(&mut rng(), Instant::ZERO, backup, true);
        assert_eq!(links.retain(&[GUARD]), [backup]);
        assert!(!links.keeps(backup.short()) && links.keeps(GUARD.short()));
    }
}
