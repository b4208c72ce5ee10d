use core::time::Duration;
use std::collections::BTreeSet;

use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::envelope::{Envelope, EnvelopeHash, NotExpired, Topic, Ttl};
use crate::envelope_pool::InsertOutcome;
use crate::pow::PowChecked;

const NOW: UnixSecs = UnixSecs(1_700_000_000);

fn insert(pool: &mut Pool, number: u32, life: u32) -> EnvelopeHash {
    let data = number.to_be_bytes().to_vec();
    let envelope = Envelope::build(NOW.after(life), Ttl(life + 60), Topic([7; 4]), data, 1);
    let alive = NotExpired::check(envelope.expiry(), envelope.ttl(), NOW).unwrap();
    let pow = PowChecked::check(&envelope, alive, 0.0).unwrap();
    assert_eq!(
        pool.insert(envelope.clone(), pow, alive),
        InsertOutcome::New
    );
    envelope.hash()
}

fn walk(seed: u8) -> PoolWalk {
    PoolWalk::new(&mut ChaCha20Rng::from_seed([seed; 32]))
}

/// Takes the steps of one reservation; returns what they visit.
fn advance(walk: &mut PoolWalk, pool: &Pool) -> (Vec<EnvelopeHash>, bool) {
    let mut visited = Vec::new();
    let unfinished = walk.advance(pool, |pooled| visited.push(pooled.envelope.hash()));
    assert!(visited.len() <= WALK_STEPS);
    (visited, unfinished)
}

#[test]
fn circle_visits_every_envelope_once_from_its_own_start() {
    let mut pool = Pool::new(1 << 24);
    let all: BTreeSet<_> = (0..1_000).map(|n| insert(&mut pool, n, 600)).collect();
    let mut firsts = BTreeSet::new();
    for seed in 0..20 {
        let mut walk = walk(seed);
        let (mut visited, mut unfinished) = advance(&mut walk, &pool);
        firsts.insert(visited[0]);
        while unfinished {
            let (more, left) = advance(&mut walk, &pool);
            visited.extend(more);
            unfinished = left;
        }
        assert_eq!(visited.len(), 1_000);
        assert_eq!(visited.into_iter().collect::<BTreeSet<_>>(), all);
    }
    assert!(firsts.len() > 15);
}

#[test]
fn envelopes_that_come_and_go_hide_no_other_from_a_walk() {
    let mut pool = Pool::new(1 << 24);
    let staying: BTreeSet<_> = (0..1_000).map(|n| insert(&mut pool, n, 600)).collect();
    for number in 1_000..2_000 {
        insert(&mut pool, number, 100);
    }
    let mut walk = walk(1);
    let (mut visited, mut unfinished) = advance(&mut walk, &pool);
    let _expired = pool.expire(NOW.after(101));
    for number in 2_000..2_500 {
        insert(&mut pool, number, 600);
    }
    while unfinished {
        let (more, left) = advance(&mut walk, &pool);
        visited.extend(more);
        unfinished = left;
    }
    let visited: BTreeSet<_> = visited.into_iter().collect();
    assert!(staying.is_subset(&visited));
}

#[test]
fn restarted_walk_completes_a_full_circle() {
    let mut pool = Pool::new(1 << 24);
    let all: BTreeSet<_> = (0..700).map(|n| insert(&mut pool, n, 600)).collect();
    let mut walk = walk(1);
    let _ = advance(&mut walk, &pool);
    let _ = advance(&mut walk, &pool);
    walk.restart();
    let mut visited = BTreeSet::new();
    while {
        let (more, unfinished) = advance(&mut walk, &pool);
        visited.extend(more);
        unfinished
    } {}
    assert_eq!(visited, all);
}

#[test]
fn empty_pool_ends_a_walk_at_once() {
    assert!(!advance(&mut walk(1), &Pool::new(0)).1);
}

/// Attack: many peers come at once, or change their requirements in turn.
#[test]
fn walks_of_all_peers_share_one_budget_in_turn() {
    let mut budget = WalkBudget::default();
    let now = Instant::from_micros(5_000_000);
    let granted: Vec<Instant> = (0..1_000).map(|_| budget.reserve(now)).collect();
    assert!(granted.is_sorted(), "the first to ask is the first to walk");
    let at_once = granted.iter().filter(|at| **at <= now).count();
    assert!(at_once * WALK_STEPS <= 2_048, "{at_once}");
    let second = now.after(Duration::from_secs(1));
    let within = granted.iter().filter(|at| **at <= second).count();
    assert!(within * WALK_STEPS <= 65_536 + 2_048, "{within}");
}
