//! Synchronisation of two directories.

use core::time::Duration;

use circuits::directory::{
    DescriptorInsertion, DescriptorRequest, Directory, DirectoryLimits, MAX_ANSWER_LEN,
    MAX_PREFIXES,
};
use circuits::ids::Epoch;
use circuits::rate_limit::Quota;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::relays::{EPOCH, HOUR, START, TestRelay, at, directory, insert, peer, terms};

/// Repeats requests until a response contains nothing new; returns the number of rounds.
fn fetch(from: &mut Directory, to: &mut Directory, rng: &mut ChaCha20Rng) -> usize {
    for round in 1.. {
        let mut added = 0;
        for request in to.requests(START, peer(2), EPOCH) {
            for raw in from.lacking(at(START), peer(1), &request, rng) {
                added += usize::from(insert(to, START, 2, &raw).is_ok());
            }
        }
        if added == 0 {
            return round;
        }
    }
    0
}

#[test]
fn sync_gives_both_directories_the_same_relays() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let (mut one, mut other) = (directory(), directory());
    for number in 1..=60 {
        let raw = TestRelay::new(number).descriptor(EPOCH);
        if number % 3 != 0 {
            insert(&mut one, START, 3, &raw).unwrap();
        }
        if number % 2 != 0 {
            insert(&mut other, START, 3, &raw).unwrap();
        }
    }
    fetch(&mut one, &mut other, &mut rng);
    fetch(&mut other, &mut one, &mut rng);
    assert_eq!(one.digests(EPOCH, None), other.digests(EPOCH, None));
    assert_eq!(one.len(), 60 - 10, "ten relays are in neither directory");
}

#[test]
fn sync_response_fits_one_packet_and_buckets_partition_relays() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut full = directory();
    for number in 1..=100 {
        insert(
            &mut full,
            START,
            3,
            &TestRelay::new(number).descriptor(EPOCH),
        )
        .unwrap();
    }
    let everything = DescriptorRequest {
        epoch: EPOCH,
        bucket: None,
        have: Vec::new(),
    };
    let answer = full.lacking(at(START), peer(1), &everything, &mut rng);
    assert!(answer.len() > 30 && answer.len() < 100);
    assert!(answer.iter().map(Vec::len).sum::<usize>() <= MAX_ANSWER_LEN);

    let mut found = 0;
    for byte in 0..=u8::MAX {
        let request = DescriptorRequest {
            bucket: Some(byte),
            ..everything.clone()
        };
        let answer = full.lacking(at(START), peer(1), &request, &mut rng);
        assert_eq!(answer.len(), full.digests(EPOCH, Some(byte)).len());
        found += answer.len();
    }
    assert_eq!(found, 100);
}

#[test]
fn sync_sends_all_descriptors_even_if_requester_keeps_none() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut full = directory();
    for number in 1..=120 {
        insert(
            &mut full,
            START,
            3,
            &TestRelay::new(number).descriptor(EPOCH),
        )
        .unwrap();
    }
    // The requester has no room for new relays, so it never lists the descriptors that it received.
    let nothing = DescriptorRequest {
        epoch: EPOCH,
        bucket: None,
        have: Vec::new(),
    };
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        seen.extend(full.lacking(at(START), peer(1), &nothing, &mut rng));
    }
    assert_eq!(seen.len(), 120);
}

#[test]
fn sync_requests_over_quota_are_not_answered() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let limits = DirectoryLimits {
        requests: Quota::new(10, Duration::from_secs(1)),
        ..DirectoryLimits::default()
    };
    let mut directory = Directory::new(terms(), limits, None, START);
    insert(
        &mut directory,
        START,
        3,
        &TestRelay::new(1).descriptor(EPOCH),
    )
    .unwrap();
    let request = DescriptorRequest {
        epoch: EPOCH,
        bucket: None,
        have: Vec::new(),
    };
    let mut ask = |now, name| {
        directory
            .lacking(at(now), peer(name), &request, &mut rng)
            .len()
    };
    assert_eq!((0..1_000).map(|_| ask(START, 1)).sum::<usize>(), 10);
    assert_eq!(ask(START, 2), 1, "other peers must be answered");
    assert_eq!(
        ask(START.after(1), 1),
        1,
        "the flooding peer must be answered again later"
    );
}

#[test]
fn sync_request_for_extreme_epoch_gets_empty_response() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut directory = directory();
    insert(
        &mut directory,
        START,
        3,
        &TestRelay::new(1).descriptor(EPOCH),
    )
    .unwrap();
    for epoch in [0, u32::MAX] {
        let request = DescriptorRequest {
            epoch: Epoch(epoch),
            bucket: Some(0),
            have: vec![[0; 8]; MAX_PREFIXES],
        };
        assert!(
            directory
                .lacking(at(START), peer(1), &request, &mut rng)
                .is_empty()
        );
    }
}

/// A fresh node meets three peers one after the other. The first gives it everything, and what the others have is
/// only told by their answers.
#[test]
fn young_directory_hears_from_every_peer_what_it_has_already() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let now = EPOCH.start().after(HOUR);
    let mut full = directory();
    for number in 1..=100 {
        let relay = TestRelay::new(number);
        for epoch in [EPOCH.previous(), EPOCH] {
            insert(&mut full, now, 3, &relay.descriptor(epoch)).unwrap();
        }
    }
    let mut fresh = Directory::new(terms(), DirectoryLimits::default(), None, now);
    let mut rounds = 0;
    for name in [11, 12, 13] {
        assert!(
            fresh.snapshot(now).relays().is_empty(),
            "before peer {name}"
        );
        loop {
            let epochs = [EPOCH.previous(), EPOCH].into_iter();
            let requests = epochs.flat_map(|epoch| fresh.requests(now, peer(name), epoch));
            let answers: Vec<_> = requests
                .collect::<Vec<_>>()
                .iter()
                .flat_map(|request| full.lacking(at(now), peer(1), request, &mut rng))
                .collect();
            if answers.is_empty() {
                break;
            }
            rounds += 1;
            for raw in answers {
                let inserted = insert(&mut fresh, now, name, &raw).unwrap();
                assert!(!matches!(inserted, DescriptorInsertion::Known));
            }
        }
        assert_eq!(fresh.take_completed_reports(), name == 13);
    }
    assert_eq!(fresh.snapshot(now).relays().len(), 100);
    assert!(
        rounds <= 12,
        "{rounds} rounds of two packets for 600 reports"
    );
    // A fourth peer is asked for nothing that is known.
    for request in fresh.requests(now, peer(14), EPOCH) {
        assert!(
            full.lacking(at(now), peer(1), &request, &mut rng)
                .is_empty()
        );
    }
}

#[test]
fn settled_directory_asks_no_peer_for_what_it_has() {
    let mut directory = directory();
    let now = Epoch(EPOCH.0 + 10).start();
    let relay = TestRelay::new(1).descriptor(Epoch(EPOCH.0 + 10));
    insert(
        &mut directory,
        START,
        1,
        &TestRelay::new(1).descriptor(EPOCH),
    )
    .unwrap();
    insert(&mut directory, now, 1, &relay).unwrap();
    assert!(!directory.is_young(now));
    let requests = directory.requests(now, peer(2), Epoch(EPOCH.0 + 10));
    assert_eq!(requests[0].have.len(), 1);
}
