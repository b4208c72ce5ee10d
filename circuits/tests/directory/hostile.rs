//! Invalid descriptors, and floods of them.

use core::time::Duration;

use circuits::directory::{
    BadDescriptor, Descriptor, DescriptorDraft, DescriptorRefusal, Directory, DirectoryLimits,
    EndpointKinds, MAX_DESCRIPTOR_LEN, PuzzleSolution, RelayEndpoint, Requirements,
};
use circuits::ids::{NetworkId, Profile, RelayId};
use circuits::mixing::ArrivalRate;
use circuits::rate_limit::Quota;
use proptest::prelude::*;
use secp256k1::SecretKey;

use crate::relays::{EPOCH, HOUR, START, TestRelay, directory, insert, is_new, terms};

fn refusal(raw: &[u8]) -> BadDescriptor {
    match insert(&mut directory(), START, 1, raw).unwrap_err() {
        DescriptorRefusal::Bad(reason) => reason,
        other => panic!("refused for another reason: {other}"),
    }
}

#[test]
fn valid_descriptor_is_inserted_and_found() {
    let relay = TestRelay::new(1);
    let raw = relay.descriptor(EPOCH);
    let mut directory = directory();
    assert!(is_new(insert(&mut directory, START, 1, &raw)));
    let found = directory.lookup(relay.id().short()).unwrap();
    assert_eq!(found.key(), &relay.key.public());
    assert_eq!(found.endpoints(), relay.draft(EPOCH).endpoints);
    assert_eq!(found.raw(), raw);
    assert_eq!(
        directory.find(&relay.key.public()).unwrap().digest(),
        found.digest()
    );
}

#[test]
fn descriptor_with_any_flipped_bit_is_refused() {
    let raw = TestRelay::new(1).descriptor(EPOCH);
    for bit in 0..raw.len() * 8 {
        let mut forged = raw.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let accepted = Descriptor::decode(&forged).and_then(|one| one.verify(&terms()));
        assert!(accepted.is_err(), "bit {bit}");
    }
}

#[test]
fn descriptor_signed_with_other_key_is_refused() {
    let victim = TestRelay::new(1);
    let raw = victim.descriptor(EPOCH);
    // The attacker copies the victim's draft and puzzle and signs them with its own key.
    let copied = victim.draft(EPOCH);
    let forged = Descriptor::sign(
        copied,
        victim.solve(EPOCH),
        &TestRelay::new(2).key,
        terms().network,
    )
    .unwrap();
    assert_eq!(
        refusal(forged.raw()),
        BadDescriptor::Puzzle,
        "the puzzle must be bound to its relay"
    );

    let mut forged = raw.clone();
    let signature = forged.len() - 65;
    let other = TestRelay::new(2).descriptor(EPOCH);
    forged[signature..].copy_from_slice(&other[other.len() - 65..]);
    assert_eq!(refusal(&forged), BadDescriptor::Signature);
}

#[test]
fn high_s_signature_is_refused() {
    let mut raw = TestRelay::new(1).descriptor(EPOCH);
    let len = raw.len();
    let s: [u8; 32] = raw[len - 33..len - 1].try_into().unwrap();
    let high = SecretKey::from_secret_bytes(s)
        .unwrap()
        .negate()
        .to_secret_bytes();
    raw[len - 33..len - 1].copy_from_slice(&high);
    raw[len - 1] ^= 1;
    assert_eq!(refusal(&raw), BadDescriptor::Signature);
}

#[test]
fn descriptor_of_other_network_is_refused() {
    let relay = TestRelay::new(1);
    let raw = relay.descriptor(EPOCH);
    let elsewhere = Requirements {
        network: NetworkId::new(Profile::Main, "elsewhere"),
        ..terms()
    };
    let mut directory = Directory::new(elsewhere, DirectoryLimits::default(), None, START);
    let refused = insert(&mut directory, START, 1, &raw).unwrap_err();
    assert_eq!(refused, DescriptorRefusal::Bad(BadDescriptor::Puzzle));

    // Solved for this network, signed for the other.
    let crossed = Descriptor::sign(
        relay.draft(EPOCH),
        relay.solve(EPOCH),
        &relay.key,
        elsewhere.network,
    );
    assert_eq!(refusal(crossed.unwrap().raw()), BadDescriptor::Signature);
}

#[test]
fn descriptor_without_valid_puzzle_is_refused() {
    let relay = TestRelay::new(1);
    let solved = relay.solve(EPOCH);
    let unsolved = [
        PuzzleSolution {
            nonce: [0; 16],
            solution: [0; 16],
        },
        PuzzleSolution {
            nonce: [0; 16],
            ..solved
        },
        PuzzleSolution {
            solution: [0xff; 16],
            ..solved
        },
        relay.solve(EPOCH.next()),
        TestRelay::new(2).solve(EPOCH),
    ];
    for puzzle in unsolved {
        let raw = Descriptor::sign(relay.draft(EPOCH), puzzle, &relay.key, terms().network);
        assert_eq!(refusal(raw.unwrap().raw()), BadDescriptor::Puzzle);
    }
}

#[test]
fn puzzle_below_required_effort_is_refused() {
    let raw = TestRelay::new(1).descriptor(EPOCH);
    let costly = Requirements {
        effort: u32::MAX,
        ..terms()
    };
    let mut directory = Directory::new(costly, DirectoryLimits::default(), None, START);
    let refused = insert(&mut directory, START, 1, &raw).unwrap_err();
    assert_eq!(refused, DescriptorRefusal::Bad(BadDescriptor::Puzzle));
}

#[test]
fn weak_or_non_canonical_onion_key_is_refused() {
    let relay = TestRelay::new(1);
    let good = relay.onion(EPOCH);
    // p + 9: a second encoding of the base point.
    let mut not_canonical = [0xff; 32];
    (not_canonical[0], not_canonical[31]) = (0xf6, 0x7f);
    let mut top_bit = good;
    top_bit[31] |= 0x80;
    let zero = [0; 32];
    let mut order_four = zero;
    order_four[0] = 1;
    // u = 2 is on the twist.
    let mut twist = zero;
    twist[0] = 2;
    for (name, bad) in [
        ("not canonical", not_canonical),
        ("top bit", top_bit),
        ("zero", zero),
        ("order four", order_four),
        ("twist", twist),
        ("torsion", with_torsion(good)),
    ] {
        let first = DescriptorDraft {
            onion: bad,
            ..relay.draft(EPOCH)
        };
        assert_eq!(
            refusal(&relay.sign(first)),
            BadDescriptor::OnionKey,
            "{name}"
        );
        let second = DescriptorDraft {
            onion_next: bad,
            ..relay.draft(EPOCH)
        };
        assert_eq!(
            refusal(&relay.sign(second)),
            BadDescriptor::OnionKey,
            "{name}, next"
        );
    }
}

/// The same key with a component of order eight.
fn with_torsion(key: [u8; 32]) -> [u8; 32] {
    let point = curve25519_dalek::montgomery::MontgomeryPoint(key)
        .to_edwards(0)
        .unwrap();
    let torsion = curve25519_dalek::constants::EIGHT_TORSION[1];
    (point + torsion).to_montgomery().to_bytes()
}

#[test]
fn private_network_addresses_are_refused() {
    let relay = TestRelay::new(1);
    for ip in [
        [127, 0, 0, 1],
        [10, 0, 0, 1],
        [192, 168, 1, 1],
        [169, 254, 169, 254],
    ] {
        let inside = DescriptorDraft {
            endpoints: vec![RelayEndpoint::Ip4(ip.into(), 80)],
            ..relay.draft(EPOCH)
        };
        assert_eq!(
            refusal(&relay.sign(inside)),
            BadDescriptor::AddressForbidden
        );
    }
}

#[test]
fn malformed_draft_cannot_be_signed() {
    let relay = TestRelay::new(1);
    let puzzle = PuzzleSolution {
        nonce: [0; 16],
        solution: [0; 16],
    };
    let signed = |edit: &dyn Fn(&mut DescriptorDraft)| {
        let mut draft = relay.draft(EPOCH);
        edit(&mut draft);
        Descriptor::sign(draft, puzzle, &relay.key, terms().network).unwrap_err()
    };
    let ip4 = |last| RelayEndpoint::Ip4([8, 8, 8, last].into(), 1);
    let onion = RelayEndpoint::Onion([1; 32], 1);
    let family = |ids: &[u8]| ids.iter().map(|id| RelayId([*id; 32])).collect::<Vec<_>>();
    assert_eq!(
        signed(&|draft| draft.endpoints.clear()),
        BadDescriptor::NoEndpoint
    );
    assert_eq!(
        signed(&|draft| draft.endpoints = vec![ip4(1), ip4(2)]),
        BadDescriptor::EndpointOrder
    );
    assert_eq!(
        signed(&|draft| draft.endpoints = vec![onion, ip4(1)]),
        BadDescriptor::EndpointOrder
    );
    assert_eq!(
        signed(&|draft| draft.family = family(&[2, 1])),
        BadDescriptor::FamilyOrder
    );
    assert_eq!(
        signed(&|draft| draft.family = family(&[1, 1])),
        BadDescriptor::FamilyOrder
    );
    assert_eq!(
        signed(&|draft| draft.family = family(&[7; 17])),
        BadDescriptor::Malformed
    );
    assert_eq!(
        signed(&|draft| draft.ticket_bits = 16),
        BadDescriptor::TicketBits
    );
    assert_eq!(
        signed(&|draft| draft.ticket_bits = 25),
        BadDescriptor::TicketBits
    );
}

#[test]
fn largest_descriptor_fits_limit() {
    let relay = TestRelay::new(1);
    let raw = relay.sign(DescriptorDraft {
        endpoints: vec![
            RelayEndpoint::Ip4([8, 8, 8, 8].into(), u16::MAX),
            RelayEndpoint::Ip6("2a00:1450::1".parse().unwrap(), u16::MAX),
            RelayEndpoint::Onion([1; 32], u16::MAX),
        ],
        family: (0..16).map(|id| RelayId([id; 32])).collect(),
        arrivals: ArrivalRate::MAX,
        ticket_bits: 24,
        ..relay.draft(EPOCH)
    });
    assert!(raw.len() <= MAX_DESCRIPTOR_LEN);
    assert!(is_new(insert(&mut directory(), START, 1, &raw)));
}

#[test]
fn oversize_descriptor_is_refused_before_parsing() {
    assert_eq!(
        refusal(&vec![0xc0; MAX_DESCRIPTOR_LEN + 1]),
        BadDescriptor::Oversize
    );
    assert_eq!(refusal(&vec![0; 16 << 20]), BadDescriptor::Oversize);
}

#[test]
fn nested_lists_and_huge_lengths_are_malformed() {
    let nested = vec![0xc1; MAX_DESCRIPTOR_LEN];
    let wide = vec![0xf8; MAX_DESCRIPTOR_LEN];
    let huge_list = [&[0xff; 9][..], &[0; 64]].concat();
    let huge_string = [&[0xf8, 60, 1, 0xbf][..], &[0xff; 58]].concat();
    let empty_items = [&[0xf9, 0x03, 0xfd][..], &[0xc0; 1_021]].concat();
    for bomb in [
        nested,
        wide,
        huge_list,
        huge_string,
        empty_items,
        vec![],
        vec![0xc0],
    ] {
        let refused = Descriptor::decode(&bomb).unwrap_err();
        let expected = [BadDescriptor::Malformed, BadDescriptor::Version];
        assert!(expected.contains(&refused), "{refused}");
    }
}

#[test]
fn non_canonical_descriptor_encoding_is_refused() {
    let relay = TestRelay::new(1);
    let raw = relay.sign(DescriptorDraft {
        family: vec![RelayId([1; 32]), RelayId([2; 32])],
        ..relay.draft(EPOCH)
    });
    // f9 LEN LEN | 01 | b8 40 key64 ...
    assert_eq!((raw[0], raw[3]), (0xf9, 1));
    let rewrap = |fields: Vec<u8>| {
        let len = u16::try_from(fields.len()).unwrap().to_be_bytes();
        [&[0xf9][..], &len, &fields].concat()
    };
    let fields = &raw[3..];
    let long_one = rewrap([&[0x81, 1][..], &fields[1..]].concat());
    let long_key = rewrap([&[1, 0xb9, 0, 0x40][..], &fields[3..]].concat());
    let trailing = [&raw[..], &[0]].concat();
    let one_more = rewrap([fields, &[0x80]].concat());
    // The epoch is the integer after the key: 82 9c 40.
    let padded_epoch = rewrap([&fields[..67], &[0x83, 0, 0x9c, 0x40], &fields[70..]].concat());
    assert_eq!(fields[67..70], [0x82, 0x9c, 0x40]);
    for other in [long_one, long_key, trailing, one_more, padded_epoch] {
        let refused = Descriptor::decode(&other).unwrap_err();
        let expected = [BadDescriptor::Malformed, BadDescriptor::NotCanonical];
        assert!(expected.contains(&refused), "{refused}");
    }
}

#[test]
fn epoch_window_is_enforced_to_the_second() {
    let raw = TestRelay::new(1).descriptor(EPOCH);
    let first = EPOCH.start().before(HOUR);
    let last = EPOCH.next().next().start().before(1);
    let try_at = |now| insert(&mut directory(), now, 1, &raw);
    assert_eq!(
        try_at(first.before(1)).unwrap_err(),
        DescriptorRefusal::EpochFuture
    );
    assert!(is_new(try_at(first)));
    assert!(is_new(try_at(last)));
    assert_eq!(
        try_at(last.after(1)).unwrap_err(),
        DescriptorRefusal::EpochStale
    );
}

#[test]
fn descriptor_flood_costs_bounded_number_of_checks() {
    let raw = TestRelay::new(1).descriptor(EPOCH);
    let honest = TestRelay::new(2).descriptor(EPOCH);
    let limits = DirectoryLimits {
        wasted_checks: Quota::new(64, Duration::from_millis(200)),
        ..DirectoryLimits::default()
    };
    let mut directory = Directory::new(terms(), limits, None, START);
    let mut checked = 0;
    for attempt in 0..100_000_u32 {
        let mut junk = raw.clone();
        // The last bytes of the key: a new relay each time, without a solved puzzle.
        junk[60..64].copy_from_slice(&attempt.to_be_bytes());
        match insert(&mut directory, START, 1, &junk).unwrap_err() {
            DescriptorRefusal::Bad(reason) => {
                assert_eq!(reason, BadDescriptor::Puzzle);
                checked += 1;
            }
            refused => assert_eq!(refused, DescriptorRefusal::OverQuota),
        }
    }
    assert_eq!(checked, 64);
    assert!(directory.is_empty());
    // Other peers are not affected, and the flooding peer is accepted again later.
    assert!(is_new(insert(&mut directory, START, 2, &honest)));
    assert!(is_new(insert(&mut directory, START.after(1), 1, &raw)));
}

/// A subnet that is full is told before the puzzle and the signature are checked.
#[test]
fn descriptor_flood_for_a_full_subnet_costs_no_check() {
    let limits = DirectoryLimits {
        relays_per_subnet: 1,
        wasted_checks: Quota::new(1, Duration::from_secs(1_000)),
        ..DirectoryLimits::default()
    };
    let mut directory = Directory::new(terms(), limits, None, START);
    let first = TestRelay::new(1);
    let raw = first.descriptor(EPOCH);
    insert(&mut directory, START, 1, &raw).unwrap();
    for attempt in 0..10_u32 {
        let mut junk = raw.clone();
        junk[60..64].copy_from_slice(&attempt.to_be_bytes());
        let refused = insert(&mut directory, START, 1, &junk).unwrap_err();
        assert_eq!(refused, DescriptorRefusal::SubnetFull);
    }
    let renewed = first.descriptor(EPOCH.next());
    let later = EPOCH.next().start();
    assert!(is_new(insert(&mut directory, later, 1, &renewed)));
}

proptest! {
    #[test]
    fn descriptor_decode_never_panics_and_is_canonical(
        bytes in proptest::collection::vec(any::<u8>(), 0..1_100),
    ) {
        if let Ok(descriptor) = Descriptor::decode(&bytes) {
            prop_assert_eq!(descriptor.raw(), &bytes[..]);
        }
    }

    #[test]
    fn signed_descriptor_decodes_to_its_draft(
        arrivals in 0..=ArrivalRate::MAX.byte(),
        ticket_bits in 17_u8..=24,
        ports in proptest::collection::vec(1_u16.., 3),
        kinds in 1_u8..8,
        family in proptest::collection::btree_set(any::<[u8; 32]>(), 0..=16),
        epoch: u32,
    ) {
        let relay = TestRelay::new(3);
        let all = [
            RelayEndpoint::Ip4([8, 8, 8, 8].into(), ports[0]),
            RelayEndpoint::Ip6("2a00::1".parse().unwrap(), ports[1]),
            RelayEndpoint::Onion([1; 32], ports[2]),
        ];
        let endpoints: Vec<_> =
            (0..3).filter(|kind| kinds >> kind & 1 == 1).map(|kind| all[kind]).collect();
        let draft = DescriptorDraft {
            epoch: circuits::ids::Epoch(epoch),
            dials: EndpointKinds::of(&endpoints),
            endpoints,
            family: family.into_iter().map(RelayId).collect(),
            arrivals: ArrivalRate::from_byte(arrivals).unwrap(),
            ticket_bits,
            ..relay.draft(EPOCH)
        };
        let puzzle = PuzzleSolution { nonce: [1; 16], solution: [2; 16] };
        let signed = Descriptor::sign(draft.clone(), puzzle, &relay.key, terms().network).unwrap();
        let read = Descriptor::decode(signed.raw()).unwrap();
        prop_assert_eq!(read.draft(), &draft);
        prop_assert_eq!(read.key(), &relay.key.public());
        prop_assert!(signed.raw().len() <= MAX_DESCRIPTOR_LEN);
    }
}
