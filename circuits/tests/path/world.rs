//! Test directories, and a second, independent implementation of the rules of anonymity 3.5.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use circuits::cell_builder::Hop;
use circuits::directory::{EligibleRelay, EndpointKinds, Snapshot, Subnet};
use circuits::ids::{Epoch, Profile, RelayId};
use circuits::keys::OnionPublic;
use circuits::mixing::{ArrivalRate, Layer};
use circuits::path::{
    GuardSeed, Guards, PathExclusions, PathPicker, PathPlan, PathRefusal, PathRules,
};
use circuits::secret::Secret;
use circuits::time::UnixSecs;
use curve25519_dalek::montgomery::MontgomeryPoint;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub(crate) const EPOCH: Epoch = Epoch(40_000);
pub(crate) const NOW: UnixSecs = EPOCH.start();

/// One valid key for all relays: path choice does not use it.
static ONION: LazyLock<OnionPublic> = LazyLock::new(|| {
    OnionPublic::check(MontgomeryPoint::mul_base_clamped([1; 32]).to_bytes()).unwrap()
});

pub(crate) fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

pub(crate) fn id(number: u16) -> RelayId {
    let mut id = [0xaa; 32];
    id[..2].copy_from_slice(&number.to_be_bytes());
    RelayId(id)
}

/// The id of a client, which is not in the directory.
pub(crate) fn outsider() -> RelayId {
    RelayId([0xff; 32])
}

pub(crate) fn subnet(number: u16) -> Subnet {
    Subnet::Ip4(number.to_be_bytes())
}

pub(crate) fn relay(number: u16, subnets: &[Subnet], family: &[u16]) -> EligibleRelay {
    EligibleRelay {
        hop: Hop {
            id: id(number),
            onion: *ONION,
        },
        subnets: subnets.to_vec(),
        endpoints: EndpointKinds::IP,
        dials: EndpointKinds::IP,
        family: family.iter().copied().map(id).collect(),
        layer: Layer::ALL[usize::from(number) % Layer::COUNT],
        arrivals: ArrivalRate::NONE,
        ticket_bits: 17 + u8::try_from(number % 8).unwrap(),
    }
}

/// `count` relays, each in a subnet of its own, in no family.
pub(crate) fn unrelated_relays(profile: Profile, count: u16) -> Snapshot {
    let relays = (0..count).map(|number| relay(number, &[subnet(number)], &[]));
    Snapshot::new(EPOCH, profile, false, relays)
}

pub(crate) fn young(snapshot: &Snapshot) -> Snapshot {
    let relays = snapshot.relays().iter().cloned();
    Snapshot::new(EPOCH, snapshot.profile(), true, relays)
}

pub(crate) fn seeded_guards(seed: u8, own: RelayId) -> Guards {
    let seed = Secret::init_with(|bytes| bytes.fill(seed));
    Guards::new(GuardSeed(seed), own)
}

/// Exclusions with only the own id.
pub(crate) fn alone(own: RelayId) -> PathExclusions {
    PathExclusions {
        own,
        own_subnets: Vec::new(),
        peers: BTreeSet::new(),
    }
}

/// Draws one plan with the guard of `seed`.
pub(crate) fn pick(
    snapshot: &Snapshot,
    rules: PathRules,
    exclusions: &PathExclusions,
    seed: u8,
) -> Result<PathPlan, PathRefusal> {
    let mut guards = seeded_guards(seed, exclusions.own);
    let guard = guards.choose(NOW, snapshot, 0)?;
    PathPicker::new(snapshot, rules, guard, exclusions)?.pick(&mut rng(seed))
}

/// Whether two relays must not be in one lane, implemented from the rule.
pub(crate) fn related(snapshot: &Snapshot, one: RelayId, other: RelayId) -> bool {
    let (one, other) = (snapshot.get(&one).unwrap(), snapshot.get(&other).unwrap());
    let names = |a: &EligibleRelay, b: &EligibleRelay| a.family.contains(&b.hop.id);
    let family = names(one, other) && names(other, one);
    let subnets: BTreeSet<_> = one.subnets.iter().collect();
    let shared = other.subnets.iter().any(|subnet| subnets.contains(subnet));
    family || (shared && snapshot.profile() == Profile::Main)
}

/// Checks each rule of anonymity 3.5 and spec M18.
pub(crate) fn assert_keeps_the_rules(
    plan: &PathPlan,
    snapshot: &Snapshot,
    rules: PathRules,
    exclusions: &PathExclusions,
) {
    let (guard, rendezvous) = (plan.guard.id, plan.rendezvous.id);
    let is_main = snapshot.profile() == Profile::Main;
    assert_ne!(guard, rendezvous, "the rendezvous must not be the guard");
    assert_ne!(guard, exclusions.own);
    if is_main {
        assert!(!plan.relaxed.disjointness && !plan.relaxed.peers);
        let subnets = &snapshot.get(&rendezvous).unwrap().subnets;
        let own = &exclusions.own_subnets;
        assert!(!subnets.iter().any(|subnet| own.contains(subnet)));
    }
    if !plan.relaxed.peers {
        assert!(!exclusions.peers.contains(&rendezvous));
    }
    assert_eq!(
        plan.ticket_bits,
        snapshot.get(&rendezvous).unwrap().ticket_bits
    );
    assert_eq!(plan.lanes.len(), usize::from(rules.lanes()));

    let mut middles = Vec::new();
    for lane in &plan.lanes {
        let ids: Vec<_> = lane.hops.iter().map(|hop| hop.id).collect();
        assert_eq!(ids[0], guard, "every lane must start at the guard");
        assert_eq!(
            *ids.last().unwrap(),
            rendezvous,
            "every lane must end at the rendezvous"
        );
        assert_lane_keeps_the_rules(&ids, snapshot, rules, exclusions.own);
        middles.extend_from_slice(&ids[1..ids.len() - 1]);
    }
    if !plan.relaxed.disjointness {
        let different: BTreeSet<_> = middles.iter().collect();
        assert_eq!(
            different.len(),
            middles.len(),
            "lanes must not share middles"
        );
    }
}

/// Checks the rules on the length of one lane and on its relays.
fn assert_lane_keeps_the_rules(
    ids: &[RelayId],
    snapshot: &Snapshot,
    rules: PathRules,
    own: RelayId,
) {
    for pair in ids.windows(2) {
        let (one, next) = (snapshot.get(&pair[0]), snapshot.get(&pair[1]));
        assert!(
            one.unwrap().can_dial(next.unwrap()),
            "each relay must be able to dial the next"
        );
    }
    let relays = ids.len() - 1;
    assert!(
        relays >= usize::from(rules.floor()),
        "lane is shorter than the floor"
    );
    assert!(
        relays <= usize::from(rules.ceiling()),
        "lane is longer than the ceiling"
    );
    for (place, one) in ids.iter().enumerate() {
        assert_ne!(*one, own, "the own id must not be in a lane");
        for other in &ids[place + 1..] {
            assert_ne!(one, other, "a relay must not be twice in a lane");
            assert!(
                !related(snapshot, *one, *other),
                "relays of a lane must not be related"
            );
        }
    }
}
