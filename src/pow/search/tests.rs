use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::super::PowHashes;
use super::*;
use crate::envelope::{EncryptionHint, Topic, Ttl};

fn unmined(len: usize) -> UnminedEnvelope {
    UnminedEnvelope {
        expiry: UnixSecs(1_700_000_000),
        ttl: Ttl(3_600),
        topic: Topic([1, 2, 3, 4]),
        hint: EncryptionHint::Absent,
        data: vec![0xa5; len],
    }
}

fn seal(job: &PowJob, seed: u64) -> u64 {
    let mut search = job.search(&mut ChaCha20Rng::seed_from_u64(seed));
    loop {
        if let Some(nonce) = search.step(64) {
            return nonce;
        }
    }
}

#[test]
fn found_nonce_passes_pow_check() {
    for len in [0, 100, 120, 535, 1_150] {
        for generations in [Generations::Modern, Generations::Legacy, Generations::Both] {
            let unmined = unmined(len);
            let job = PowJob::new(&unmined, generations, 5).unwrap();
            let nonce = seal(&job, 7);
            assert!(nonce >= FIRST_NONCE);
            let hashes = PowHashes::of(&unmined.with_nonce(nonce));
            if generations != Generations::Legacy {
                assert!(Generation::Modern.zero_bits(&hashes.modern) >= 5);
            }
            if generations != Generations::Modern {
                assert!(Generation::Legacy.zero_bits(&hashes.legacy) >= 5);
            }
        }
    }
}

#[test]
fn search_stops_at_first_hit() {
    let job = PowJob::new(&unmined(535), Generations::Modern, 4).unwrap();
    let mut search = job.search(&mut ChaCha20Rng::seed_from_u64(1));
    let start = search.next;
    let nonce = loop {
        if let Some(nonce) = search.step(3) {
            break nonce;
        }
    };
    assert_eq!(search.tried(), nonce - start + 1);
    for earlier in start..nonce {
        let hashes = PowHashes::of(&unmined(535).with_nonce(earlier));
        assert!(Generation::Modern.zero_bits(&hashes.modern) < 4);
    }
}

#[test]
fn step_tries_bounded_number_of_nonces() {
    let job = PowJob::new(&unmined(535), Generations::Modern, 56).unwrap();
    let mut search = job.search(&mut ChaCha20Rng::seed_from_u64(1));
    assert_eq!(search.step(100), None);
    assert_eq!(search.step(50), None);
    assert_eq!(search.tried(), 150);
}

#[test]
fn nonces_wrap_within_eight_byte_range() {
    let job = PowJob::new(&unmined(535), Generations::Modern, 56).unwrap();
    let mut search = job.search(&mut ChaCha20Rng::seed_from_u64(1));
    search.next = u64::MAX;
    search.step(2);
    assert_eq!(search.next, FIRST_NONCE + 1);
}

#[test]
fn infeasible_product_of_generations_is_refused() {
    assert!(PowJob::new(&unmined(535), Generations::Both, 17).is_ok());
    let refused = PowJob::new(&unmined(535), Generations::Both, 18).unwrap_err();
    assert_eq!((refused.bits, refused.max), (36, 34));
    assert!(refused.to_string().contains("shorten the lifetime"));
}

#[test]
fn infinite_minimum_is_refused() {
    assert!(PowJob::for_minimum(&unmined(9), Generations::Modern, f64::INFINITY).is_err());
}

#[test]
fn expected_hashes_is_power_of_two() {
    let job = PowJob::new(&unmined(535), Generations::Both, 10).unwrap();
    assert!((job.expected_hashes() - 1_048_576.0).abs() < 0.5);
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

fn job(generations: Generations, goal: PowGoal) -> PowJob {
    PowJob::over(unmined(535).without_nonce(), generations, goal).unwrap()
}

/// The zero bits of a nonce in the generation that counts fewer, by the ordinary hash.
fn bits(generations: Generations, nonce: u64) -> u32 {
    let hashes = PowHashes::of(&unmined(535).with_nonce(nonce));
    let modern = Generation::Modern.zero_bits(&hashes.modern);
    let legacy = Generation::Legacy.zero_bits(&hashes.legacy);
    match generations {
        Generations::Modern => modern,
        Generations::Legacy => legacy,
        Generations::Both => modern.min(legacy),
    }
}

#[test]
fn all_backends_find_equal_nonce_after_equal_tries() {
    for generations in [Generations::Modern, Generations::Legacy, Generations::Both] {
        let job = job(generations, PowGoal::Bits(6));
        let found: Vec<_> = KeccakBackend::NAMES
            .into_iter()
            .filter_map(KeccakBackend::named)
            .map(|backend| {
                let mut search = job.search(&mut rng()).with_backend(backend);
                let nonce = core::iter::repeat_with(|| search.step(1_001))
                    .flatten()
                    .next();
                (nonce, search.tried())
            })
            .collect();
        assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
    }
}

#[test]
fn best_search_keeps_first_best_nonce() {
    for generations in [Generations::Modern, Generations::Legacy, Generations::Both] {
        let mut search =
            job(generations, PowGoal::BestIn(Duration::from_secs(1))).search(&mut rng());
        let start = search.next;
        for _ in 0..3 {
            assert_eq!(search.step(500), None);
        }
        let best = (start..start + 1_500)
            .map(|nonce| bits(generations, nonce))
            .max()
            .unwrap();
        let first = (start..start + 1_500).find(|nonce| bits(generations, *nonce) == best);
        assert_eq!(search.finish().ok(), first);
        assert_eq!(search.tried(), 1_500);
    }
}

#[test]
fn best_search_without_time_has_nonce() {
    let search = job(Generations::Modern, PowGoal::BestIn(Duration::ZERO)).search(&mut rng());
    assert!(search.finish().unwrap() >= FIRST_NONCE);
}

#[test]
fn missed_target_fails_with_geth_text() {
    let goal = PowGoal::BitsWithin(4_000, Duration::from_secs(3));
    let mut search = job(Generations::Legacy, goal).search(&mut rng());
    assert_eq!(search.step(100), None);
    assert_eq!(
        search.finish().unwrap_err().to_string(),
        "failed to reach the PoW target, specified pow time (3 seconds) was insufficient"
    );
}

#[test]
fn reached_target_ends_search() {
    let goal = PowGoal::BitsWithin(4, Duration::from_secs(3));
    let mut search = job(Generations::Legacy, goal).search(&mut rng());
    let nonce = search.step(10_000).unwrap();
    assert!(bits(Generations::Legacy, nonce) >= 4);
}

#[test]
fn split_search_has_disjoint_parts_and_first_continues() {
    let mut search = job(Generations::Modern, PowGoal::Bits(56)).search(&mut rng());
    search.step(10);
    let next = search.next;
    let parts = search.split(3);
    let starts: Vec<u64> = parts.iter().map(|part| part.next).collect();
    assert_eq!((starts.len(), starts[0]), (3, next));
    assert!(starts.iter().all(|start| *start >= FIRST_NONCE));
    for (one, other) in [(0, 1), (1, 2), (2, 0)] {
        // The distance from one start to the other, with wrapping inside the range.
        let (from, to) = (starts[one] - FIRST_NONCE, starts[other] - FIRST_NONCE);
        let way = to.checked_sub(from).unwrap_or_else(|| NONCES - (from - to));
        assert!(way >= NONCES / 3);
    }
    assert_eq!(parts.iter().map(NonceSearch::tried).sum::<u64>(), 10);
    let one = job(Generations::Modern, PowGoal::Bits(56)).search(&mut rng());
    assert_eq!(one.split(0).len(), 1);
}

#[test]
fn better_part_has_better_nonce() {
    let job = job(Generations::Modern, PowGoal::BestIn(Duration::from_secs(1)));
    let mut parts = job.search(&mut rng()).split(4);
    for part in &mut parts {
        part.step(300);
    }
    let nonces: Vec<u64> = parts.iter().map(|part| part.finish().unwrap()).collect();
    let max = nonces
        .iter()
        .map(|nonce| bits(Generations::Modern, *nonce))
        .max();
    let best = parts.into_iter().reduce(NonceSearch::better).unwrap();
    assert_eq!(Some(bits(Generations::Modern, best.finish().unwrap())), max);
}

#[test]
fn search_works_over_arbitrary_bytes() {
    let bytes = b"seven fields of shh/5".to_vec();
    let job = PowJob::over(bytes.clone(), Generations::Legacy, PowGoal::Bits(7)).unwrap();
    let nonce = job.search(&mut rng()).step(100_000).unwrap();
    let inner = Keccak256::digest(&bytes);
    let hash = Keccak256::new()
        .chain_update(inner)
        .chain_update([0; 24])
        .chain_update(nonce.to_be_bytes())
        .finalize();
    assert!(Generation::Legacy.zero_bits(&hash.into()) >= 7);
}

#[test]
fn search_for_both_generations_ends_with_a_nonce_for_one() {
    // Six bits of the legacy generation need 64 hashes, both generations 4,096.
    let goal = PowGoal::BitsWithin(6, Duration::from_secs(3));
    let mut fallbacks = 0;
    for seed in 0..20 {
        let search = job(Generations::Both, goal).search(&mut ChaCha20Rng::seed_from_u64(seed));
        let mut parts = search.split(2);
        if parts.iter_mut().any(|part| part.step(400).is_some()) {
            continue;
        }
        let nonce = parts.into_iter().reduce(NonceSearch::better);
        let nonce = nonce.unwrap().finish().unwrap();
        assert!(bits(Generations::Legacy, nonce) >= 6);
        assert!(bits(Generations::Both, nonce) < 6);
        fallbacks += 1;
    }
    assert!(fallbacks > 10);
}

#[test]
fn search_for_both_generations_without_any_hit_runs_out_of_time() {
    let goal = PowGoal::BitsWithin(60, Duration::from_secs(3));
    let mut search = job(Generations::Both, goal).search(&mut rng());
    assert_eq!(search.step(100), None);
    assert_eq!(search.finish(), Err(OutOfTime { seconds: 3 }));
}
