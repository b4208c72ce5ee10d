//! Classes, dispersal, and the payloads that carry shards.
use std::collections::BTreeSet;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng};

use super::*;
use crate::distributions;
use crate::geometry::DELTA_LEN;

type Shards = Vec<Box<[u8; SHARD_LEN]>>;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn envelope(rng: &mut impl CryptoRng, class: Class) -> Vec<u8> {
    let mut envelope = vec![0; class.capacity()];
    rng.fill_bytes(&mut envelope);
    envelope
}

/// The shards with these indices, in this order.
fn choose(shards: &Shards, indices: impl IntoIterator<Item = u8>) -> Vec<(u8, &[u8; SHARD_LEN])> {
    indices
        .into_iter()
        .map(|index| (index, shards[usize::from(index)].as_ref()))
        .collect()
}

/// All indices of a class in random order.
fn shuffled(rng: &mut impl CryptoRng, class: Class) -> Vec<u8> {
    let mut left: Vec<_> = (0..class.n()).collect();
    let mut order = Vec::new();
    while let Some(&index) = distributions::pick(rng, &left) {
        left.retain(|&other| other != index);
        order.push(index);
    }
    order
}

#[test]
fn class_table_matches_specification() {
    let rows = Class::ALL.map(|class| (class.k(), class.n(), class.package_len()));
    assert_eq!(
        rows,
        [
            (1, 1, 615),
            (2, 3, 1_230),
            (4, 6, 2_460),
            (8, 12, 4_920),
            (16, 24, 9_840),
            (32, 48, 19_680),
            (64, 96, 39_360),
            (107, 162, 65_805),
        ]
    );
}

#[test]
fn class_from_parts_refuses_unknown_rows() {
    for k in 0..=u8::MAX {
        for n in 0..=u8::MAX {
            let length = u32::from(k) * 615;
            let row = Class::ALL
                .into_iter()
                .find(|row| (row.k(), row.n()) == (k, n));
            assert_eq!(Class::from_parts(k, n, length), row);
            for wrong in [0, length.wrapping_sub(1), length + 1, u32::MAX] {
                assert_eq!(Class::from_parts(k, n, wrong), None);
            }
        }
    }
}

#[test]
fn class_converge_picks_smallest_fitting_class() {
    for (length, k) in [
        (0, 2),
        (563, 2),
        (1_178, 2),
        (1_179, 4),
        (2_408, 4),
        (4_868, 8),
        (9_788, 16),
        (19_628, 32),
        (39_308, 64),
        (39_309, 107),
        (65_536, 107),
        (65_753, 107),
    ] {
        let class = Class::converge(length).unwrap();
        assert_eq!(class.k(), k, "length {length}");
        assert!(class.suits(length));
    }
    assert_eq!(Class::converge(65_754), None);
    assert_eq!(Class::converge(usize::MAX), None);
    assert!(Class::whole().suits(563));
    assert!(!Class::whole().suits(564));
}

#[test]
fn rebuild_accepts_any_k_shards_of_every_class() {
    let mut rng = rng(1);
    for class in Class::ALL {
        let envelope = envelope(&mut rng, class);
        let shards = disperse(&mut rng, class, &envelope).unwrap();
        assert_eq!(shards.len(), usize::from(class.n()));

        let (k, n) = (class.k(), class.n());
        let mut subsets = vec![(0..k).collect(), (n - k..n).collect()];
        subsets.extend((0..6).map(|_| shuffled(&mut rng, class)));
        for subset in subsets {
            let chosen = choose(&shards, subset.into_iter().take(usize::from(k)));
            assert_eq!(rebuild(class, &chosen).as_ref(), Ok(&envelope));
        }
    }
}

#[test]
fn rebuild_accepts_every_pair_of_three_shards() {
    let mut rng = rng(2);
    let class = Class::converge(563).unwrap();
    let shards = disperse(&mut rng, class, &[7; 563]).unwrap();
    for (a, b) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        assert_eq!(rebuild(class, &choose(&shards, [a, b])), Ok(vec![7; 563]));
    }
}

#[test]
fn envelope_of_other_class_is_refused() {
    let mut rng = rng(3);
    let class = Class::converge(2_408).unwrap();
    assert_eq!(disperse(&mut rng, class, &[0; 1_178]), Err(WrongClass));
    assert_eq!(disperse(&mut rng, class, &[0; 2_409]), Err(WrongClass));
    assert_eq!(
        disperse(&mut rng, Class::whole(), &[0; 564]),
        Err(WrongClass)
    );

    let package = crate::aont::pack(&mut rng, &[0; 1_178], class.package_len()).unwrap();
    let (shards, _) = package.as_chunks::<SHARD_LEN>();
    let shards: Vec<_> = (0..).zip(shards).collect();
    assert_eq!(rebuild(class, &shards), Err(RebuildError::WrongClass));
}

#[test]
fn rebuild_refuses_invalid_sets_with_reason() {
    let mut rng = rng(4);
    let class = Class::converge(2_408).unwrap();
    let shards = disperse(&mut rng, class, &[1; 2_408]).unwrap();
    assert_eq!(rebuild(class, &[]), Err(RebuildError::TooFewShards));
    let three = choose(&shards, [0, 1, 5]);
    assert_eq!(rebuild(class, &three), Err(RebuildError::TooFewShards));
    let twice = choose(&shards, [0, 1, 5, 1]);
    assert_eq!(rebuild(class, &twice), Err(RebuildError::DuplicateIndex));
    let mut beyond = choose(&shards, [0, 1, 2, 3]);
    beyond[3].0 = 6;
    assert_eq!(rebuild(class, &beyond), Err(RebuildError::IndexOutOfRange));
    beyond[3].0 = u8::MAX;
    assert_eq!(rebuild(class, &beyond), Err(RebuildError::IndexOutOfRange));
}

#[test]
fn rebuild_refuses_altered_shard_and_tries_no_other_choice() {
    let mut rng = rng(5);
    for class in Class::ALL {
        let envelope = envelope(&mut rng, class);
        let mut shards = disperse(&mut rng, class, &envelope).unwrap();
        let order = shuffled(&mut rng, class);
        let poisoned = usize::from(order[0]);
        let byte = usize::try_from(distributions::below(&mut rng, 615)).unwrap();
        shards[poisoned][byte] ^= 0x01;
        // All n shards are given. Without the first one, enough good shards would remain.
        let chosen = choose(&shards, order);
        assert_eq!(rebuild(class, &chosen), Err(RebuildError::NotWhole));
    }
}

#[test]
fn rebuild_refuses_mixed_sets_and_swapped_indices() {
    let mut rng = rng(6);
    let class = Class::converge(563).unwrap();
    let [one, other] = [(); 2].map(|()| disperse(&mut rng, class, &[9; 563]).unwrap());
    let mixed = [(0, one[0].as_ref()), (2, other[2].as_ref())];
    assert_eq!(rebuild(class, &mixed), Err(RebuildError::NotWhole));
    let swapped = [(1, one[0].as_ref()), (0, one[1].as_ref())];
    assert_eq!(rebuild(class, &swapped), Err(RebuildError::NotWhole));
}

fn shard(rng: &mut impl CryptoRng, class: Class, index: u8) -> Shard {
    let mut shard = Shard {
        cookie: Cookie([0; 16]),
        class,
        index,
        ticket: Ticket([0; 8]),
        bytes: Box::new([0; SHARD_LEN]),
    };
    rng.fill_bytes(&mut shard.cookie.0);
    rng.fill_bytes(&mut shard.ticket.0);
    rng.fill_bytes(shard.bytes.as_mut_slice());
    shard
}

#[test]
fn payload_emit_then_parse_returns_payload() {
    let mut rng = rng(7);
    let mut payloads = vec![
        Payload::Drop,
        Payload::Loop { nonce: [4; 16] },
        Payload::Meet(Box::new([6; Payload::MEET_LEN])),
    ];
    for class in Class::ALL {
        payloads
            .extend([0, class.n() - 1].map(|index| Payload::Shard(shard(&mut rng, class, index))));
    }
    for payload in payloads {
        let delta = payload.emit(&mut rng);
        assert_eq!(Payload::parse(&delta), Ok(payload));
    }
}

#[test]
fn shard_payload_layout_matches_specification() {
    let mut rng = rng(8);
    let class = Class::converge(2_408).unwrap();
    let shard = shard(&mut rng, class, 5);
    let delta = Payload::Shard(shard.clone()).emit(&mut rng);
    assert_eq!(delta[..16], shard.cookie.0);
    assert_eq!(delta[16..20], [5, 4, 6, 0]);
    assert_eq!(delta[20..24], 2_460_u32.to_be_bytes());
    assert_eq!(delta[24..32], shard.ticket.0);
    assert_eq!(delta[32..], shard.bytes[..]);
}

#[test]
fn payload_parse_refuses_inconsistent_header() {
    let mut rng = rng(9);
    let class = Class::converge(563).unwrap();
    let honest = Payload::Shard(shard(&mut rng, class, 2)).emit(&mut rng);
    // Offset and value of the altered field.
    for (name, at, value, reason) in [
        ("index equal to n", 16, 3, PayloadError::IndexOutOfRange),
        ("index far beyond n", 16, 255, PayloadError::IndexOutOfRange),
        ("k of zero", 17, 0, PayloadError::UnknownClass),
        ("k of one", 17, 1, PayloadError::UnknownClass),
        ("k above n", 17, 4, PayloadError::UnknownClass),
        ("n of zero", 18, 0, PayloadError::UnknownClass),
        ("n below k", 18, 1, PayloadError::UnknownClass),
        ("n of another row", 18, 6, PayloadError::UnknownClass),
        ("n of 255", 18, 255, PayloadError::UnknownClass),
        ("length in the millions", 20, 1, PayloadError::UnknownClass),
        ("length one off", 23, 0xcf, PayloadError::UnknownClass),
        ("flags of no kind", 19, 4, PayloadError::UnknownFlags),
        (
            "flags with a high bit",
            19,
            0x80,
            PayloadError::UnknownFlags,
        ),
    ] {
        let mut delta = honest.clone();
        delta[at] = value;
        assert_eq!(Payload::parse(&delta), Err(reason), "{name}");
    }
}

#[test]
fn payload_emit_fills_unused_bytes_with_random() {
    let mut rng = rng(10);
    let meeting = Box::new([6; Payload::MEET_LEN]);
    for (payload, used) in [
        (Payload::Drop, 19..20),
        (Payload::Loop { nonce: [4; 16] }, 0..16),
        (Payload::Meet(meeting), 19..DELTA_LEN),
    ] {
        let emitted: Vec<_> = (0..64).map(|_| payload.emit(&mut rng)).collect();
        for at in (0..DELTA_LEN).filter(|at| *at != 19) {
            let values: BTreeSet<_> = emitted.iter().map(|delta| delta[at]).collect();
            if used.contains(&at) {
                assert_eq!(values.len(), 1, "byte {at} of {payload:?}");
            } else {
                // 64 draws of 256 values: 56.6 distinct values on average.
                assert!(values.len() > 40, "byte {at} of {payload:?}");
            }
        }
    }
}

#[test]
fn payload_debug_shows_no_cookie_ticket_or_byte() {
    let shard = shard(&mut rng(11), Class::whole(), 0);
    assert_eq!(
        format!("{:?}", Payload::Shard(shard.clone())),
        "Shard { class: Class { k: 1, n: 1 }, index: 0, .. }"
    );
    assert_eq!(
        format!("{:?} {:?}", shard.cookie, shard.ticket),
        "Cookie(..) Ticket(..)"
    );
    assert_eq!(
        format!("{:?}", Payload::Loop { nonce: [1; 16] }),
        "Loop(..)"
    );
    assert_eq!(format!("{:?}", Payload::Drop), "Drop");
}

proptest! {
    #[test]
    fn parsed_payload_emits_equal_bytes(mut bytes: [u8; 32], fill: u8, kind in 0_u8..5, row in 0_usize..9) {
        // Random headers almost never name a class, so most cases get a valid one.
        bytes[19] = kind;
        if let Some(class) = Class::ALL.get(row) {
            bytes[17] = class.k();
            bytes[18] = class.n();
            let length = u32::try_from(class.package_len()).unwrap();
            bytes[20..24].copy_from_slice(&length.to_be_bytes());
        }
        let mut delta = [fill; DELTA_LEN];
        delta[..32].copy_from_slice(&bytes);
        if let Ok(payload) = Payload::parse(&delta) {
            let emitted = payload.emit(&mut rng(12));
            if matches!(payload, Payload::Shard(_)) {
                prop_assert_eq!(&*emitted, &delta);
            }
            prop_assert_eq!(Payload::parse(&emitted), Ok(payload));
        }
    }

    #[test]
    fn rebuild_accepts_any_k_shards_for_any_length(length in 0_usize..12_000, seed: u64) {
        let mut rng = rng(seed);
        let class = Class::converge(length).unwrap();
        let mut envelope = vec![0; length];
        rng.fill_bytes(&mut envelope);
        let shards = disperse(&mut rng, class, &envelope).unwrap();
        let order = shuffled(&mut rng, class);
        prop_assert_eq!(rebuild(class, &choose(&shards, order)), Ok(envelope));
    }
}
