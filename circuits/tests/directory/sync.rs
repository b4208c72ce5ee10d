//! Synchronisation of two directories.

use core::time::Duration;

use circuits::directory::{
    DescriptorRequest, Directory, DirectoryLimits, MAX_ANSWER_LEN, MAX_PREFIXES,
};
use circuits::rate_limit::Quota;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::relays::{EPOCH, START, TestRelay, at, directory, insert, peer, terms};

/// Repeats requests until a response contains nothing new; returns the number of rounds.
fn fetch(from: &mut Directory, to: &mut Directory, rng: &mut ChaCha20Rng) -> usize {
    for round in 1.. {
        let mut added = 0;
        for request in to.requests(EPOCH) {
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
            epoch: circuits::ids::Epoch(epoch),
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
