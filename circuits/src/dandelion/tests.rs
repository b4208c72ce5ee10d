//! Routes of one node over links and epochs, and the embargo.
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

mod network;

const FOREIGN: StemOrigin = StemOrigin::From(LinkId(100));

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn secs(secs: u64) -> Instant {
    Instant::from_micros(secs * 1_000_000)
}

fn stem(rng: &mut ChaCha20Rng, links: &[u64]) -> StemRouter {
    let mut stem = StemRouter::new(rng, Instant::ZERO);
    set_candidates(&mut stem, rng, links);
    stem
}

fn set_candidates(stem: &mut StemRouter, rng: &mut ChaCha20Rng, links: &[u64]) {
    let links: Vec<_> = links.iter().copied().map(LinkId).collect();
    stem.set_successor_candidates(rng, &links);
}

/// A router that does not end the stems of others in its first epoch.
fn non_diffuser(rng: &mut ChaCha20Rng, links: &[u64]) -> StemRouter {
    core::iter::repeat_with(|| stem(rng, links))
        .find(|stem| !stem.diffuser)
        .unwrap()
}

#[test]
fn route_is_stable_within_epoch() {
    let mut rng = rng(1);
    let mut stem = non_diffuser(&mut rng, &[1, 2, 3, 4]);
    let ends = stem.ends;
    let last = Instant::from_micros(ends.as_micros() - 1);
    for link in 100..130 {
        let origin = StemOrigin::From(LinkId(link));
        let first = stem.route(&mut rng, Instant::ZERO, origin);
        for _ in 0..20 {
            assert_eq!(stem.route(&mut rng, last, origin), first);
        }
    }
    let own = stem.route(&mut rng, Instant::ZERO, StemOrigin::Own);
    assert_eq!(stem.route(&mut rng, last, StemOrigin::Own), own);
    assert_eq!(stem.ends, ends);
}

#[test]
fn route_changes_each_epoch_with_phase_of_node() {
    let mut rng = rng(2);
    let mut phases = BTreeSet::new();
    let mut changed = 0;
    for _ in 0..200 {
        let mut stem = stem(&mut rng, &[1, 2, 3, 4, 5, 6, 7, 8]);
        let (ends, before) = (stem.ends, stem.successors);
        assert!(ends.since(Instant::ZERO) < EPOCH);
        phases.insert(ends.as_micros() / 60_000_000);

        stem.route(&mut rng, ends, FOREIGN);
        changed += u32::from(stem.successors != before);
        assert_eq!(stem.ends.since(ends), EPOCH);
        // Idle epochs do not change the phase.
        let late = ends.after(7 * EPOCH + Duration::from_secs(5));
        stem.route(&mut rng, late, FOREIGN);
        assert_eq!(stem.ends.since(ends), 8 * EPOCH);
    }
    assert_eq!(phases.len(), 10);
    // Two of eight peers in order: the same pair is redrawn once in 56 epochs.
    assert!(changed > 180, "{changed} of 200 changed");
}

#[test]
fn successors_are_distinct_and_uniform_over_candidates() {
    let mut rng = rng(3);
    let mut counts = BTreeMap::new();
    for _ in 0..4_000 {
        let stem = stem(&mut rng, &[1, 2, 3, 4]);
        let [Some(one), Some(other)] = stem.successors else {
            panic!("two successors of four candidates");
        };
        assert_ne!(one, other);
        *counts.entry(one).or_insert(0_u32) += 1;
        *counts.entry(other).or_insert(0_u32) += 1;
    }
    // 2,000 each, standard deviation 32.
    assert_eq!(counts.len(), 4);
    assert!(counts.values().all(|count| count.abs_diff(2_000) < 160));
}

#[test]
fn own_and_foreign_envelopes_are_mapped_uniformly() {
    let mut rng = rng(4);
    let mut first = [0_u32; 2];
    for _ in 0..4_000 {
        let mut stem = non_diffuser(&mut rng, &[1, 2]);
        let one = StemRoute::To(stem.successors[0].unwrap());
        for (count, origin) in first.iter_mut().zip([StemOrigin::Own, FOREIGN]) {
            *count += u32::from(stem.route(&mut rng, Instant::ZERO, origin) == one);
        }
    }
    assert!(
        first.iter().all(|count| count.abs_diff(2_000) < 160),
        "{first:?}"
    );
}

#[test]
fn one_node_in_ten_ends_all_foreign_stems_of_epoch() {
    let mut rng = rng(5);
    let mut diffusers = 0;
    for _ in 0..4_000 {
        let mut stem = stem(&mut rng, &[1, 2, 3]);
        let fluffs = (100..110)
            .filter(|link| {
                let origin = StemOrigin::From(LinkId(*link));
                stem.route(&mut rng, Instant::ZERO, origin) == StemRoute::Fluff
            })
            .count();
        assert!(fluffs == 0 || fluffs == 10);
        diffusers += fluffs / 10;
    }
    // 400, standard deviation 19.
    assert!((305..495).contains(&diffusers), "{diffusers} diffusers");
}

#[test]
fn own_envelope_is_never_fluffed() {
    let mut rng = rng(6);
    let mut stem = stem(&mut rng, &[1, 2, 3]);
    for epoch in 0..1_000 {
        let route = stem.route(&mut rng, secs(600 * epoch), StemOrigin::Own);
        assert!(matches!(route, StemRoute::To(_)));
    }
    for links in [&[1][..], &[]] {
        set_candidates(&mut stem, &mut rng, links);
        assert!(!stem.can_stem());
        for epoch in 1_000..1_100 {
            let route = stem.route(&mut rng, secs(600 * epoch), StemOrigin::Own);
            assert_eq!(route, StemRoute::NoSuccessors);
        }
    }
}

#[test]
fn envelope_is_never_routed_back_to_sender() {
    let mut rng = rng(7);
    for _ in 0..200 {
        let mut stem = non_diffuser(&mut rng, &[1, 2]);
        for (sender, other) in [(1, 2), (2, 1)] {
            let route = stem.route(&mut rng, Instant::ZERO, StemOrigin::From(LinkId(sender)));
            assert_eq!(route, StemRoute::To(LinkId(other)));
        }
    }
}

#[test]
fn stem_without_other_successor_is_fluffed() {
    let mut rng = rng(8);
    let mut stem = non_diffuser(&mut rng, &[1]);
    let from_one = StemOrigin::From(LinkId(1));
    assert_eq!(
        stem.route(&mut rng, Instant::ZERO, from_one),
        StemRoute::Fluff
    );
    let to_one = StemRoute::To(LinkId(1));
    assert_eq!(stem.route(&mut rng, Instant::ZERO, FOREIGN), to_one);
    set_candidates(&mut stem, &mut rng, &[]);
    assert_eq!(
        stem.route(&mut rng, Instant::ZERO, FOREIGN),
        StemRoute::Fluff
    );
}

#[test]
fn new_candidates_displace_no_successor() {
    let mut rng = rng(9);
    let mut stem = non_diffuser(&mut rng, &[1, 2]);
    let before = stem.successors;
    for wave in 1..50 {
        let mut links = vec![1, 2];
        links.extend(wave * 100..wave * 100 + 50);
        set_candidates(&mut stem, &mut rng, &links);
        assert_eq!(stem.successors, before);
    }
}

#[test]
fn removed_successor_is_replaced_and_other_one_kept() {
    let mut rng = rng(10);
    let mut stem = non_diffuser(&mut rng, &[1, 2]);
    let [gone, stays] = stem.successors.map(Option::unwrap);
    let [gone, stays_number] = [gone, stays].map(|LinkId(number)| number);
    set_candidates(&mut stem, &mut rng, &[stays_number]);
    assert!(!stem.can_stem());
    set_candidates(&mut stem, &mut rng, &[stays_number, 3]);
    assert_eq!(stem.successors, [Some(LinkId(3)), Some(stays)]);

    // Origins that were mapped to the removed successor are mapped to its replacement.
    for link in 100..120 {
        let origin = StemOrigin::From(LinkId(link));
        assert_ne!(
            stem.route(&mut rng, Instant::ZERO, origin),
            StemRoute::To(LinkId(gone))
        );
    }
}

#[test]
fn route_accepts_end_of_clock() {
    let mut rng = rng(11);
    let mut stem = stem(&mut rng, &[1, 2]);
    let end = Instant::from_micros(u64::MAX);
    for _ in 0..3 {
        assert_ne!(stem.route(&mut rng, end, StemOrigin::Own), StemRoute::Fluff);
    }
}

fn hash(number: u32) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    hash
}

#[test]
fn embargo_timeout_is_exponential_with_mean_60_s() {
    let mut rng = rng(12);
    let mut embargo = Embargo::default();
    for number in 0..4_000 {
        embargo.watch(&mut rng, secs(5), hash(number));
    }
    let mut waits = Vec::new();
    while let Some(due) = embargo.next_due() {
        assert_eq!(
            embargo.pop_due(Instant::from_micros(due.as_micros() - 1)),
            None
        );
        assert!(embargo.pop_due(due).is_some());
        waits.push(due.since(secs(5)));
    }
    assert_eq!(waits.len(), 4_000);
    let mean = waits.iter().sum::<Duration>().as_secs_f64() / 4_000.0;
    assert!((mean - 60.0).abs() < 5.0, "mean {mean}");
}

#[test]
fn embargo_seen_ends_watch() {
    let mut rng = rng(13);
    let mut embargo = Embargo::default();
    embargo.watch(&mut rng, secs(0), hash(1));
    assert!(embargo.seen(&hash(1)));
    assert!(!embargo.seen(&hash(1)));
    assert_eq!(embargo.next_due(), None);
    assert_eq!(embargo.pop_due(Instant::from_micros(u64::MAX)), None);
}

#[test]
fn embargo_watch_keeps_timeout_of_watched_envelope() {
    let mut rng = rng(14);
    let mut embargo = Embargo::default();
    embargo.watch(&mut rng, secs(0), hash(1));
    let due = embargo.next_due();
    for later in 0..1_000 {
        embargo.watch(&mut rng, secs(later), hash(1));
        assert_eq!(embargo.next_due(), due);
    }
}

#[test]
fn embargo_that_ended_is_watched_again_with_new_timeout() {
    let mut rng = rng(15);
    let mut embargo = Embargo::default();
    embargo.watch(&mut rng, secs(0), hash(1));
    let first = embargo.next_due().unwrap();
    assert_eq!(embargo.pop_due(first), Some(hash(1)));
    embargo.watch(&mut rng, first, hash(1));
    assert!(embargo.next_due().unwrap() > first);
}

#[test]
fn embargo_is_not_cut_short_by_other_envelopes() {
    let mut rng = rng(18);
    let mut embargo = Embargo::default();
    embargo.watch(&mut rng, secs(0), hash(0));
    let due = embargo.by_hash[&hash(0)];
    for number in 1..10_000 {
        embargo.watch(&mut rng, secs(0), hash(number));
    }
    assert_eq!(embargo.by_hash[&hash(0)], due);
}

#[test]
fn rerouted_envelope_goes_to_other_successor_then_to_none() {
    let mut rng = rng(19);
    for _ in 0..100 {
        let mut stem = non_diffuser(&mut rng, &[1, 2]);
        for (origin, end) in [
            (StemOrigin::Own, StemRoute::NoSuccessors),
            (FOREIGN, StemRoute::Fluff),
        ] {
            let StemRoute::To(first) = stem.route(&mut rng, Instant::ZERO, origin) else {
                panic!("a stem of two successors")
            };
            let mut tried = BTreeSet::from([first]);
            let StemRoute::To(second) = stem.reroute(&mut rng, Instant::ZERO, origin, &tried)
            else {
                panic!("the other successor")
            };
            assert_ne!(first, second);
            tried.insert(second);
            let third = stem.reroute(&mut rng, Instant::ZERO, origin, &tried);
            assert_eq!(third, end);
        }
    }
}

#[test]
fn rerouted_foreign_envelope_is_fluffed_by_diffuser() {
    let mut rng = rng(20);
    let mut stem = core::iter::repeat_with(|| stem(&mut rng, &[1, 2]))
        .find(|stem| stem.diffuser)
        .unwrap();
    let tried = BTreeSet::from([LinkId(1)]);
    let mut rng = self::rng(21);
    let foreign = stem.reroute(&mut rng, Instant::ZERO, FOREIGN, &tried);
    assert_eq!(foreign, StemRoute::Fluff);
    let own = stem.reroute(&mut rng, Instant::ZERO, StemOrigin::Own, &tried);
    assert_eq!(own, StemRoute::To(LinkId(2)));
}

#[test]
fn debug_shows_neither_routes_nor_hashes() {
    let mut rng = rng(17);
    assert_eq!(
        format!("{:?}", stem(&mut rng, &[1, 2])),
        "StemRouter { can_stem: true, .. }"
    );
    let mut embargo = Embargo::default();
    embargo.watch(&mut rng, secs(0), hash(1));
    assert_eq!(format!("{embargo:?}"), "Embargo { watched: 1, .. }");
}
