//! The frozen list: which relays the paths of an epoch may use.
//!
//! A settled directory takes its list one hour before the epoch. A relay whose descriptor came later
//! is admitted if three peers report it, because this node may have been offline at the freeze. Three
//! peers must not use that rule to add a relay to the list of one victim in the middle of an epoch:
//! the list of a node that was up at the freeze, and any list that has rested, only shrinks.

use core::time::Duration;
use std::collections::BTreeSet;

use circuits::directory::Snapshot;
use circuits::ids::{Epoch, Profile, RelayId};
use circuits::time::{Instant, Now, UnixSecs};

/// The list of an epoch, from the moment on from which it only shrinks.
pub(super) struct FrozenList {
    /// When this node started.
    started: UnixSecs,
    epoch: Epoch,
    ids: BTreeSet<RelayId>,
    /// When `ids` last changed.
    changed: Instant,
}

impl FrozenList {
    pub(super) const fn new(now: Now) -> Self {
        Self {
            started: now.unix,
            epoch: Epoch(0),
            ids: BTreeSet::new(),
            changed: now.mono,
        }
    }

    /// The snapshot without relays that came after the freeze. If there was no freeze yet, this
    /// snapshot becomes the list.
    pub(super) fn apply(&mut self, now: Now, snapshot: Snapshot) -> Snapshot {
        if self.is_frozen(now, &snapshot) {
            return snapshot.only(&self.ids);
        }
        self.take(now, &snapshot);
        snapshot
    }

    /// What [`apply`](Self::apply) would return; changes nothing.
    pub(super) fn preview(&self, now: Now, snapshot: Snapshot) -> Snapshot {
        if self.is_frozen(now, &snapshot) {
            return snapshot.only(&self.ids);
        }
        snapshot
    }

    fn is_frozen(&self, now: Now, snapshot: &Snapshot) -> bool {
        let (epoch, profile) = (snapshot.epoch(), snapshot.profile());
        if profile == Profile::Local || snapshot.is_gathering() || self.epoch != epoch {
            return false;
        }
        let was_up = self.started < epoch.freeze();
        let rested = now.mono.since(self.changed) >= MIN_LIST_REST;
        !self.ids.is_empty() && (was_up || rested)
    }

    fn take(&mut self, now: Now, snapshot: &Snapshot) {
        let ids: BTreeSet<_> = snapshot.relays().iter().map(|relay| relay.hop.id).collect();
        if self.epoch != snapshot.epoch() || self.ids != ids {
            self.changed = now.mono;
        }
        self.epoch = snapshot.epoch();
        self.ids = ids;
    }
}

/// Time for which the list of a node that was offline at the freeze must have been the same.
const MIN_LIST_REST: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use circuits::cell_builder::Hop;
    use circuits::directory::{EligibleRelay, EndpointKinds, Subnet};
    use circuits::keys::OnionSecret;
    use circuits::mixing::{ArrivalRate, Layer};
    use circuits::secret::Secret;

    use super::*;

    const EPOCH: Epoch = Epoch(40_000);

    fn snapshot(profile: Profile, young: bool, numbers: &[u8]) -> Snapshot {
        let relays = numbers.iter().map(|number| EligibleRelay {
            hop: Hop {
                id: RelayId([*number; 32]),
                onion: *OnionSecret::from_secret(Secret::init_with(|key| key.fill(9))).public(),
            },
            subnets: vec![Subnet::Ip4([8, *number])],
            endpoints: EndpointKinds::IP,
            dials: EndpointKinds::IP,
            family: Vec::new(),
            layer: Layer::FIRST,
            arrivals: ArrivalRate::NONE,
            ticket_bits: 17,
        });
        Snapshot::new(EPOCH, profile, young, relays)
    }

    /// A time before or after the start of the epoch.
    fn at(secs: i64) -> Now {
        let unix = i64::from(EPOCH.start().0) + secs;
        Now {
            mono: Instant::ZERO.after(Duration::from_secs(u64::try_from(secs + 7_200).unwrap())),
            unix: UnixSecs(u32::try_from(unix).unwrap()),
        }
    }

    fn ids(snapshot: &Snapshot) -> Vec<u8> {
        snapshot
            .relays()
            .iter()
            .map(|relay| relay.hop.id.0[0])
            .collect()
    }

    #[test]
    fn three_tellers_add_no_relay_within_an_epoch() {
        let mut list = FrozenList::new(at(-7_200));
        let first = list.apply(at(0), snapshot(Profile::Main, false, &[1, 2, 3]));
        assert_eq!(ids(&first), [1, 2, 3]);
        let told = list.apply(at(60), snapshot(Profile::Main, false, &[1, 2, 3, 66]));
        assert_eq!(ids(&told), [1, 2, 3]);
        // A relay that equivocates leaves at once.
        let shrunk = list.apply(at(90), snapshot(Profile::Main, false, &[1, 3, 66]));
        assert_eq!(ids(&shrunk), [1, 3]);
    }

    #[test]
    fn node_offline_at_the_freeze_gathers_its_list_until_it_rests() {
        let mut list = FrozenList::new(at(100));
        list.apply(at(101), snapshot(Profile::Main, false, &[1]));
        let more = list.apply(at(300), snapshot(Profile::Main, false, &[1, 2]));
        assert_eq!(ids(&more), [1, 2]);
        let late = list.apply(at(901), snapshot(Profile::Main, false, &[1, 2, 66]));
        assert_eq!(ids(&late), [1, 2]);
    }

    #[test]
    fn young_and_local_lists_grow() {
        for (profile, young) in [(Profile::Local, false), (Profile::Main, true)] {
            let mut list = FrozenList::new(at(-7_200));
            list.apply(at(0), snapshot(profile, young, &[1]));
            let grown = list.apply(at(5_000), snapshot(profile, young, &[1, 2]));
            assert_eq!(ids(&grown), [1, 2]);
        }
    }
}
