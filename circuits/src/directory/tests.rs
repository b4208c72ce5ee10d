//! Attacks on the relay table, with unsigned relays that are cheap to create.
//!
//! The format and the verification of descriptors are tested in circuits/tests/directory.rs with
//! signed ones.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use curve25519_dalek::montgomery::MontgomeryPoint;

use super::observation::RelayHistory;
use super::table::DormantRelay;
use super::*;
use crate::erasing_rng::ErasingRng;
use crate::ids::{NetworkId, Profile};
use crate::keys::OnionPublic;
use crate::time::Instant;

const EPOCH: Epoch = Epoch(40_000);
const START: UnixSecs = EPOCH.start();

const SMALL: DirectoryLimits = DirectoryLimits {
    relays: 500,
    relays_per_subnet: 40,
    onion_relays: 60,
    proofs: 8,
    wasted_checks: Quota::new(1, Duration::from_micros(1)),
    requests: Quota::new(1, Duration::from_micros(1)),
};

fn directory(limits: DirectoryLimits) -> Directory {
    let network = NetworkId::new(Profile::Main, "test");
    Directory::new(
        Requirements::new(network, Profile::Main),
        limits,
        None,
        START,
    )
}

fn peer(name: u8) -> DescriptorSource {
    DescriptorSource::Peer {
        link: LinkId(u64::from(name)),
        peer: ShortId([name; 16]),
        subnet: Subnet::Ip4([8, name]),
    }
}

fn id(number: u32) -> RelayId {
    let mut id = [0x55; 32];
    id[..4].copy_from_slice(&number.to_be_bytes());
    RelayId(id)
}

fn ip4(subnet: u16) -> RelayEndpoint {
    let [a, b] = subnet.to_be_bytes();
    RelayEndpoint::Ip4([a, b, 1, 1].into(), 20_819)
}

static ONION: LazyLock<OnionPublic> = LazyLock::new(|| {
    let key = MontgomeryPoint::mul_base_clamped([1; 32]);
    OnionPublic::check(key.to_bytes()).unwrap()
});

fn draft(epoch: Epoch, endpoint: RelayEndpoint) -> DescriptorDraft {
    DescriptorDraft {
        epoch,
        onion: *ONION.as_bytes(),
        onion_next: *ONION.as_bytes(),
        endpoints: vec![endpoint],
        dials: EndpointKinds::IP,
        family: Vec::new(),
        arrivals: ArrivalRate::NONE,
        ticket_bits: 17,
    }
}

fn relay(number: u32, epoch: Epoch, endpoint: RelayEndpoint) -> VerifiedDescriptor {
    unproven(id(number), draft(epoch, endpoint))
}

fn unproven(id: RelayId, draft: DescriptorDraft) -> VerifiedDescriptor {
    VerifiedDescriptor::unproven(id, *ONION, draft)
}

/// Number of relays by the subnet against which they count.
fn relays_by_subnet(directory: &Directory) -> BTreeMap<Subnet, usize> {
    let mut relays_by_subnet = BTreeMap::new();
    for descriptor in directory.iter() {
        *relays_by_subnet
            .entry(main_subnet(descriptor.endpoints()))
            .or_default() += 1;
    }
    relays_by_subnet
}

#[test]
fn flood_of_new_relays_stops_at_table_limit() {
    let mut directory = directory(SMALL);
    let mut taken = 0;
    for number in 0..100_000 {
        // One new relay in each of 2,000 subnets in turn, repeatedly.
        let subnet = 0x0800 + u16::try_from(number % 2_000).unwrap();
        let descriptor = relay(number, EPOCH, ip4(subnet));
        taken += usize::from(directory.admit(START, peer(1), descriptor).is_ok());
        assert!(directory.len() <= SMALL.relays);
    }
    assert_eq!(directory.len(), SMALL.relays);
    assert_eq!(
        taken, SMALL.relays,
        "a relay of an equally full subnet evicted another one"
    );
}

#[test]
fn flood_of_one_subnet_stops_at_limit_and_keeps_first_relays() {
    let mut directory = directory(SMALL);
    for number in 0..10_000 {
        let result = directory.admit(START, peer(1), relay(number, EPOCH, ip4(0x0909)));
        match result {
            Ok(_) => assert!(number < 40),
            Err(refused) => assert_eq!(refused, DescriptorRefusal::SubnetFull),
        }
    }
    assert_eq!(directory.len(), SMALL.relays_per_subnet);
    assert!((0..40).all(|number| directory.lookup(id(number).short()).is_some()));
}

#[test]
fn flood_of_onion_services_counts_as_one_subnet() {
    let mut directory = directory(SMALL);
    for number in 0..1_000_u32 {
        let mut service = [0; 32];
        service[..4].copy_from_slice(&number.to_be_bytes());
        let descriptor = relay(number, EPOCH, RelayEndpoint::Onion(service, 1));
        let _full_or_not = directory.admit(START, peer(1), descriptor);
    }
    assert_eq!(directory.len(), SMALL.onion_relays);
}

#[test]
fn flood_does_not_evict_relay_of_earlier_epoch() {
    let mut directory = directory(SMALL);
    for number in 0..100 {
        let subnet = 0x0900 + u16::try_from(number).unwrap();
        directory
            .admit(START, peer(1), relay(number, EPOCH, ip4(subnet)))
            .unwrap();
    }
    let later = EPOCH.next().start().after(10);
    for number in 0..100 {
        let subnet = 0x0900 + u16::try_from(number).unwrap();
        let renewed = relay(number, EPOCH.next(), ip4(subnet));
        directory.admit(later, peer(1), renewed).unwrap();
    }
    for number in 1_000..50_000 {
        // The attacker uses the subnets of the old relays and many others.
        let subnet = 0x0900 + u16::try_from(number % 1_700).unwrap();
        let _full_or_not =
            directory.admit(later, peer(2), relay(number, EPOCH.next(), ip4(subnet)));
    }
    assert_eq!(directory.len(), SMALL.relays);
    assert!((0..100).all(|number| directory.lookup(id(number).short()).is_some()));
}

/// Fills one subnet to its limit in an epoch, and returns the relays that are left there after the flood of a
/// table full of subnets with one relay each.
fn left_in_fullest_subnet(directory: &mut Directory, epoch: Epoch) -> usize {
    let now = epoch.start().after(10);
    for number in 0..40 {
        let known = relay(number, epoch, ip4(0x0900));
        directory.admit(now, peer(1), known).unwrap();
    }
    for number in 1_000..3_000 {
        let subnet = 0x1000 + u16::try_from(number).unwrap();
        let flood = relay(number, epoch, ip4(subnet));
        let _full_or_not = directory.admit(now, peer(2), flood);
    }
    assert_eq!(directory.len(), SMALL.relays);
    relays_by_subnet(directory)[&Subnet::Ip4([9, 0])]
}

#[test]
fn flood_of_other_subnets_evicts_newcomers_of_the_fullest_one_only() {
    assert_eq!(left_in_fullest_subnet(&mut directory(SMALL), EPOCH), 1);
    // Relays that have renewed their descriptors, and relays that were away for an epoch.
    for later in [EPOCH.next(), EPOCH.next().next()] {
        let mut directory = directory(SMALL);
        for number in 0..40 {
            let known = relay(number, EPOCH, ip4(0x0900));
            directory.admit(START, peer(1), known).unwrap();
        }
        assert_eq!(left_in_fullest_subnet(&mut directory, later), 40);
    }
}

#[test]
fn full_table_evicts_newest_newcomer_of_fullest_subnet() {
    let mut directory = directory(SMALL);
    let mut number = 0;
    let mut add = |directory: &mut Directory, subnet| {
        number += 1;
        directory
            .admit(START, peer(1), relay(number, EPOCH, ip4(subnet)))
            .map(|_| number)
    };
    let same_subnet: Vec<_> = (0..40)
        .map(|_| add(&mut directory, 0x0900).unwrap())
        .collect();
    let mut subnet = 0x0a00;
    while directory.len() < SMALL.relays {
        add(&mut directory, subnet).unwrap();
        subnet += 1;
    }
    let late = add(&mut directory, 0x0b00).unwrap();
    assert!(directory.lookup(id(late).short()).is_some());
    assert!(
        directory.lookup(id(same_subnet[39]).short()).is_none(),
        "the newest relay was not evicted"
    );
    assert!(
        directory.lookup(id(same_subnet[38]).short()).is_some(),
        "more than one relay was evicted"
    );
    // A newcomer to the fullest subnet evicts no relay of a smaller subnet.
    assert_eq!(
        add(&mut directory, 0x0900),
        Err(DescriptorRefusal::TableFull)
    );
    // The fullest subnet shrinks to the size of the others, not below.
    for subnet in 0x0c00..0x0d00 {
        let _full_or_not = add(&mut directory, subnet);
    }
    assert_eq!(relays_by_subnet(&directory)[&Subnet::Ip4([9, 0])], 1);
}

#[test]
fn relays_with_equal_short_id_are_not_eligible() {
    let network = NetworkId::new(Profile::Local, "test");
    let terms = Requirements::new(network, Profile::Local);
    let mut directory = Directory::new(terms, SMALL, None, START);
    let here = RelayEndpoint::Ip4([127, 0, 0, 1].into(), 1);
    let mut twin = id(1);
    twin.0[31] ^= 1;
    directory
        .admit(START, peer(1), relay(1, EPOCH, here))
        .unwrap();
    directory
        .admit(START, peer(1), relay(2, EPOCH, here))
        .unwrap();
    assert!(directory.snapshot(START).get(&id(1)).is_some());

    let twin = unproven(twin, draft(EPOCH, here));
    directory.admit(START, peer(2), twin.clone()).unwrap();
    let snapshot = directory.snapshot(START);
    assert_eq!(snapshot.relays().len(), 1);
    assert!(snapshot.get(&id(2)).is_some());
    assert!(
        directory.lookup(twin.id().short()).is_none(),
        "the short id is ambiguous"
    );
}

/// Cells name a relay by its short id: a twin makes it ambiguous, also one that no path may use.
#[test]
fn relay_with_a_twin_that_is_not_listed_is_not_eligible() {
    let network = NetworkId::new(Profile::Local, "test");
    let terms = Requirements::new(network, Profile::Local);
    let listed = ListedRelays::from_iter([(id(1), 0), (id(2), 0)]);
    let mut directory = Directory::new(terms, SMALL, Some(Arc::new(listed)), START);
    let here = RelayEndpoint::Ip4([127, 0, 0, 1].into(), 1);
    let mut twin = id(1);
    twin.0[31] ^= 1;
    for id in [id(1), id(2), twin] {
        let descriptor = unproven(id, draft(EPOCH, here));
        directory.admit(START, peer(1), descriptor).unwrap();
    }
    let snapshot = directory.snapshot(START);
    assert_eq!(snapshot.relays().len(), 1);
    assert!(snapshot.get(&id(2)).is_some());
}

#[test]
fn exclusions_over_limit_drop_the_one_that_ends_first() {
    let limits = DirectoryLimits {
        relays: 20,
        ..SMALL
    };
    let mut directory = directory(limits);
    for number in 0..60 {
        equivocate(&mut directory, START, number, EPOCH);
    }
    assert_eq!(directory.excluded(), 20);
    assert_eq!(directory.proofs().count(), limits.proofs);
    assert!(directory.is_empty());
    let later = EPOCH.next().start();
    for number in 60..80 {
        equivocate(&mut directory, later, number, EPOCH.next());
    }
    equivocate(&mut directory, later, 99, EPOCH);
    let is_excluded = |number| directory.exclusions.contains(&id(number));
    assert!((60..80).all(is_excluded) && !is_excluded(99));
}

/// A relay signs two descriptors for one epoch.
fn equivocate(directory: &mut Directory, now: UnixSecs, number: u32, epoch: Epoch) {
    let mut other = draft(epoch, ip4(0x0900));
    other.arrivals = ArrivalRate::MAX;
    let first = relay(number, epoch, ip4(0x0900));
    directory.admit(now, peer(1), first).unwrap();
    let second = unproven(id(number), other);
    let result = directory.admit(now, peer(1), second).unwrap();
    assert!(matches!(result, DescriptorInsertion::Equivocation(_)));
}

#[test]
fn relay_with_new_address_counts_in_its_new_subnet() {
    let mut directory = directory(SMALL);
    directory
        .admit(START, peer(1), relay(1, EPOCH, ip4(0x0900)))
        .unwrap();
    let later = EPOCH.next().start();
    directory
        .admit(later, peer(1), relay(1, EPOCH.next(), ip4(0x0a00)))
        .unwrap();
    let found = directory.lookup(id(1).short()).unwrap();
    assert_eq!(found.endpoints(), [ip4(0x0a00)]);
    assert_eq!(
        directory.table.room_for(&id(1), Subnet::Ip4([10, 0])),
        Ok(None)
    );
}

#[test]
fn flood_of_relays_moving_to_one_subnet_stops_at_limit() {
    let mut directory = directory(SMALL);
    let later = EPOCH.next().start();
    for number in 0..100 {
        let subnet = 0x0a00 + u16::try_from(number).unwrap();
        directory
            .admit(START, peer(1), relay(number, EPOCH, ip4(subnet)))
            .unwrap();
    }
    let moved: Vec<_> = (0..100)
        .map(|number| directory.admit(later, peer(1), relay(number, EPOCH.next(), ip4(0x0900))))
        .collect();
    assert!(moved[..40].iter().all(Result::is_ok));
    let refused = |result: &Result<_, _>| matches!(result, Err(DescriptorRefusal::SubnetFull));
    assert!(moved[40..].iter().all(refused));
}

#[test]
fn expire_drops_descriptors_then_histories() {
    let mut directory = directory(SMALL);
    for number in 0..100 {
        directory
            .admit(
                START,
                peer(1),
                relay(number, EPOCH, ip4(0x0900 + u16::try_from(number).unwrap())),
            )
            .unwrap();
    }
    directory.expire(EPOCH.next().start());
    assert_eq!(
        directory.len(),
        100,
        "a descriptor must stay valid in the epoch after its own"
    );
    directory.expire(EPOCH.next().next().start());
    assert!(directory.is_empty());
    assert!(
        !directory.table.is_blank(),
        "histories must outlive descriptors"
    );
    let in_eight_days = START.after(8 * 86_400);
    directory.expire(in_eight_days);
    assert!(directory.table.is_blank());
    assert!(
        directory.is_young(in_eight_days),
        "an emptied directory must be young"
    );
    assert_eq!(
        directory.table.room_for(&id(1), Subnet::Ip4([9, 0])),
        Ok(None)
    );
}

#[test]
fn flood_of_short_lived_relays_leaves_bounded_histories() {
    let mut directory = directory(SMALL);
    let mut number = 0;
    for round in 0..10 {
        let epoch = Epoch(EPOCH.0 + 2 * round);
        for _ in 0..SMALL.relays {
            number += 1;
            let subnet = 0x0800 + u16::try_from(number % 2_000).unwrap();
            let descriptor = relay(number, epoch, ip4(subnet));
            directory.admit(epoch.start(), peer(1), descriptor).unwrap();
        }
    }
    assert_eq!(directory.len(), SMALL.relays);
    assert_eq!(directory.table.dormant().count(), SMALL.relays);
}

#[test]
fn history_that_ended_before_all_others_takes_no_place_of_them() {
    let mut directory = directory(SMALL);
    let history = RelayHistory::new(START);
    for number in 0..500 {
        let last = EPOCH.next();
        let table = &mut directory.table;
        table.retire(id(number), DormantRelay { history, last });
    }
    let last = EPOCH;
    let table = &mut directory.table;
    table.retire(id(9_999), DormantRelay { history, last });
    assert_eq!(table.dormant().count(), SMALL.relays);
    assert!(table.dormant().all(|(relay, _)| *relay != id(9_999)));
}

#[test]
fn answer_to_a_peer_that_lacks_everything_fits_one_message() {
    let mut directory = directory(SMALL);
    for number in 0..300 {
        let subnet = 0x0900 + u16::try_from(number).unwrap();
        let known = relay(number, EPOCH, ip4(subnet));
        directory.admit(START, peer(1), known).unwrap();
    }
    let request = DescriptorRequest {
        epoch: EPOCH,
        bucket: None,
        have: Vec::new(),
    };
    let now = Now {
        mono: Instant::from_micros(1_000_000),
        unix: START,
    };
    let mut rng = ErasingRng::from_seed(&[1; 32]);
    let answer = directory.lacking(now, peer(2), &request, &mut rng);
    let len = answer.iter().map(Vec::len).sum::<usize>();
    assert!((15_000..=MAX_ANSWER_LEN).contains(&len), "{len} bytes");
}

#[test]
fn clock_set_back_does_not_panic_or_restore_relays() {
    let mut directory = directory(SMALL);
    let late = EPOCH.next().next().start();
    directory
        .admit(late, peer(1), relay(1, Epoch::at(late), ip4(0x0900)))
        .unwrap();
    let result = directory.admit(START, peer(1), relay(2, Epoch::at(late), ip4(0x0900)));
    assert_eq!(result.unwrap_err(), DescriptorRefusal::EpochFuture);
    assert_eq!(directory.len(), 1);
    directory.expire(UnixSecs(0));
    directory.expire(UnixSecs(u32::MAX));
    assert!(directory.is_empty());
}

#[test]
fn clock_a_year_ahead_leaves_at_most_two_descriptors() {
    let mut directory = directory(SMALL);
    directory.expire(START.after(365 * 86_400));
    for number in 0..50 {
        let epoch = Epoch(EPOCH.0 + number);
        directory
            .admit(epoch.start(), peer(1), relay(1, epoch, ip4(0x0900)))
            .unwrap();
    }
    let record = directory.table.get(&id(1)).unwrap();
    assert_eq!(record.latest_first().count(), 2);
    assert!(!directory.is_young(Epoch(EPOCH.0 + 49).start()));
}

#[test]
fn directory_debug_shows_counts_and_no_ids() {
    let mut directory = directory(SMALL);
    directory
        .admit(START, peer(0x77), relay(0xabab_abab, EPOCH, ip4(0x0900)))
        .unwrap();
    assert_eq!(
        format!("{directory:?}"),
        "Directory { relays: 1, excluded: 0, epoch: Epoch(40000), .. }"
    );
}
