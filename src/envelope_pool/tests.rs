use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::envelope::{Topic, Ttl};

const NOW: UnixSecs = UnixSecs(1_700_000_000);

fn envelope(life: u32, data: usize, nonce: u64) -> Envelope {
    let data = vec![0xd1; data];
    Envelope::build(NOW.after(life), Ttl(life + 60), Topic([7; 4]), data, nonce)
}

fn offer(pool: &mut Pool, envelope: &Envelope) -> InsertOutcome {
    let alive = NotExpired::check(envelope.expiry(), envelope.ttl(), NOW).unwrap();
    let pow = PowChecked::check(envelope, alive, 0.0).unwrap();
    pool.insert(envelope.clone(), pow, alive)
}

fn work(envelope: &Envelope) -> f64 {
    let alive = NotExpired::check(envelope.expiry(), envelope.ttl(), NOW).unwrap();
    PowChecked::check(envelope, alive, 0.0).unwrap().best()
}

#[test]
fn envelope_is_kept_once() {
    let mut pool = Pool::new(1 << 20);
    let one = envelope(100, 535, 1);
    assert_eq!(offer(&mut pool, &one), InsertOutcome::New);
    assert_eq!(offer(&mut pool, &one), InsertOutcome::Known);
    assert_eq!(pool.len(), 1);
    assert_eq!(pool.size(), one.size());
    assert!(pool.contains(&one.hash()));
    assert_eq!(pool.get(&one.hash()).unwrap().envelope, one);
}

#[test]
fn envelope_is_removed_in_second_after_expiry() {
    let mut pool = Pool::new(1 << 20);
    let (early, late) = (envelope(100, 535, 1), envelope(200, 535, 2));
    assert_eq!(offer(&mut pool, &early), InsertOutcome::New);
    assert_eq!(offer(&mut pool, &late), InsertOutcome::New);
    assert!(pool.expire(NOW.after(100)).is_empty());
    assert_eq!(pool.expire(NOW.after(101)), [early.hash()]);
    assert_eq!(pool.expire(NOW.after(999)), [late.hash()]);
    assert_eq!((pool.bytes(), pool.size()), (0, 0));
}

#[test]
fn flood_of_weak_envelopes_does_not_evict_strong_one() {
    let mut nonces = 0..;
    let strong = nonces
        .by_ref()
        .map(|nonce| envelope(100, 535, nonce))
        .find(|envelope| work(envelope) > 0.02)
        .unwrap();
    let mut pool = Pool::new(8 * cost(&strong));
    assert_eq!(offer(&mut pool, &strong), InsertOutcome::New);
    for nonce in nonces.take(500) {
        let weak = envelope(100, 535, nonce);
        if work(&weak) < work(&strong) {
            let _ = offer(&mut pool, &weak);
        }
    }
    assert!(pool.len() >= 7);
    assert!(pool.contains(&strong.hash()));
}

#[test]
fn among_equals_first_sent_is_evicted_first() {
    let newer = envelope(100, 535, 1);
    // One second older, with the same lifetime and the same work.
    let older = (0..)
        .map(|nonce| {
            let data = vec![0xd1; 535];
            Envelope::build(NOW.after(99), newer.ttl(), Topic([7; 4]), data, nonce)
        })
        .find(|older| work(older).to_bits() == work(&newer).to_bits())
        .unwrap();
    let mut pool = Pool::new(cost(&newer).max(cost(&older)));
    assert_eq!(offer(&mut pool, &older), InsertOutcome::New);
    assert_eq!(offer(&mut pool, &newer), InsertOutcome::New);
    assert!(!pool.contains(&older.hash()));
    assert_eq!(offer(&mut pool, &older), InsertOutcome::NoRoom);
}

#[test]
fn envelope_larger_than_pool_evicts_nothing() {
    let mut pool = Pool::new(2_000);
    let small = envelope(100, 535, 1);
    assert_eq!(offer(&mut pool, &small), InsertOutcome::New);
    assert_eq!(
        offer(&mut pool, &envelope(100, 2_000, 2)),
        InsertOutcome::NoRoom
    );
    assert!(pool.contains(&small.hash()));
}

#[test]
fn million_empty_envelopes_stay_within_bound() {
    let mut pool = Pool::new(100_000);
    for nonce in 0..1_000 {
        let _ = offer(&mut pool, &envelope(100, 0, nonce));
    }
    assert!(pool.bytes() <= 100_000);
    assert!(pool.len() < 100_000 / OVERHEAD);
}

proptest! {
    #[test]
    fn byte_counts_match_contents_after_any_sequence(
        steps in proptest::collection::vec((1_u32..300, 0_usize..900, any::<u8>(), 0_u32..400), 1..80),
    ) {
        let mut pool = Pool::new(6_000);
        for (life, data, nonce, later) in steps {
            let _ = offer(&mut pool, &envelope(life, data, nonce.into()));
            if nonce % 8 == 0 {
                pool.expire(NOW.after(later));
            }
            let bytes: usize = pool.iter().map(|pooled| cost(&pooled.envelope)).sum();
            let size: usize = pool.iter().map(|pooled| pooled.envelope.size()).sum();
            prop_assert_eq!(pool.bytes(), bytes);
            prop_assert_eq!(pool.size(), size);
            prop_assert!(bytes <= 6_000);
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn eviction_matches_reference_implementation(
        steps in proptest::collection::vec((1_u32..300, 0_usize..900, any::<u8>(), 0_u32..400), 1..120),
    ) {
        const ROOM: usize = 20_000;
        let mut pool = Pool::new(ROOM);
        let mut list: Vec<Envelope> = Vec::new();
        for (life, data, nonce, later) in steps {
            let newcomer = envelope(life, data / 100 * 100, nonce.into());
            prop_assert_eq!(offer(&mut pool, &newcomer), offer_to(&mut list, &newcomer, ROOM));
            if nonce % 16 == 0 {
                let mut expired = pool.expire(NOW.after(later));
                let mut gone: Vec<_> = list
                    .extract_if(.., |one| one.expiry() < NOW.after(later))
                    .map(|one| one.hash())
                    .collect();
                expired.sort();
                gone.sort();
                prop_assert_eq!(expired, gone);
            }
            list.sort_by_key(Envelope::hash);
            prop_assert!(pool.iter().map(|pooled| &pooled.envelope).eq(&list));
            prop_assert!(list.iter().all(|one| pool.get(&one.hash()).unwrap().envelope == *one));
        }
    }
}

/// A plain reference implementation of the eviction rule: of the first to expire in each group, the
/// one that is worth least.
fn offer_to(list: &mut Vec<Envelope>, newcomer: &Envelope, room: usize) -> InsertOutcome {
    if list.contains(newcomer) {
        return InsertOutcome::Known;
    }
    let rate = |one: &Envelope| {
        let bytes = |bytes: usize| f64::from(u32::try_from(bytes).unwrap());
        work(one) * bytes(one.size()) / bytes(cost(one))
    };
    let rank = |one: &Envelope| {
        let worth = rate(one) * f64::from(one.expiry().0 - NOW.0);
        (worth.to_bits(), one.sent(), one.hash())
    };
    let mut groups: BTreeMap<u64, Vec<&Envelope>> = BTreeMap::new();
    for one in &*list {
        groups
            .entry(rate(one).to_bits() >> 51)
            .or_default()
            .push(one);
    }
    for group in groups.values_mut() {
        group.sort_by_key(|one| (one.expiry(), rate(one).to_bits(), one.sent(), one.hash()));
        group.reverse();
    }
    let mut left: usize = list.iter().map(cost).sum();
    let mut evicted = Vec::new();
    while left + cost(newcomer) > room {
        let heads = groups.values_mut().filter(|group| !group.is_empty());
        let weakest = heads.min_by_key(|group| rank(group.last().unwrap()));
        match weakest.and_then(Vec::pop) {
            Some(weakest) if rank(weakest) < rank(newcomer) => {
                left -= cost(weakest);
                evicted.push(weakest.hash());
            }
            _ => return InsertOutcome::NoRoom,
        }
    }
    list.retain(|one| !evicted.contains(&one.hash()));
    list.push(newcomer.clone());
    InsertOutcome::New
}

/// Searches an envelope of `data` bytes with this lifetime, and at least this work; returns it with
/// the number of nonces tried.
fn mined(ttl: u32, data: usize, minimum: f64, nonces: &mut u64) -> (Envelope, u64) {
    let first = *nonces;
    loop {
        *nonces += 1;
        let data = vec![0xd1; data];
        let envelope = Envelope::build(NOW.after(ttl), Ttl(ttl), Topic([7; 4]), data, *nonces);
        if work(&envelope) >= minimum {
            return (envelope, *nonces - first);
        }
    }
}

/// Puts a hundred honest envelopes with a life of an hour into a pool with room for `rooms` as many,
/// and floods it with junk for a tenth of their work. Returns how many honest ones remain.
fn flood(rooms: usize, junk_ttl: u32, junk_data: usize) -> usize {
    let mut nonces = 0;
    let honest: Vec<_> = (0..100)
        .map(|_| mined(3_600, 300, 0.000_2, &mut nonces))
        .collect();
    let bytes: usize = honest.iter().map(|(one, _)| cost(one)).sum();
    let mut pool = Pool::new(bytes * rooms);
    for (one, _) in &honest {
        assert_eq!(offer(&mut pool, one), InsertOutcome::New);
    }
    let mut budget = honest.iter().map(|(_, hashes)| hashes).sum::<u64>() / 10;
    loop {
        // Twice the minimum.
        let (junk, hashes) = mined(junk_ttl, junk_data, 0.000_4, &mut nonces);
        let Some(left) = budget.checked_sub(hashes) else {
            break;
        };
        budget = left;
        let _ = offer(&mut pool, &junk);
    }
    let kept = honest.iter().filter(|(one, _)| pool.contains(&one.hash()));
    kept.count()
}

#[test]
fn short_lived_junk_for_a_tenth_of_the_work_evicts_no_honest_envelope() {
    // Four hashes for each instead of two hundred, and six times the bytes.
    assert!(flood(4, 20, 300) >= 98);
}

#[test]
fn junk_for_a_tenth_of_the_work_evicts_about_a_tenth_of_a_full_pool() {
    // Some nonces are luckier than they had to be.
    assert!(flood(1, 20, 300) >= 85);
    // Work is counted per byte of data, but most of the memory of a short envelope is overhead.
    assert!(flood(1, 3_600, 1) >= 80);
}

#[test]
fn envelope_is_worth_less_when_its_life_is_nearly_over() {
    let mut nonces = 0;
    let (old, _) = mined(1_000, 300, 0.01, &mut nonces);
    let (new, _) = mined(2_000, 300, 0.000_5, &mut nonces);
    let mut pool = Pool::new(cost(&old).max(cost(&new)));
    assert_eq!(offer(&mut pool, &old), InsertOutcome::New);
    assert!(work(&new) < work(&old));
    assert_eq!(offer(&mut pool, &new), InsertOutcome::NoRoom);
    let later = NOW.after(999);
    let alive = NotExpired::check(new.expiry(), new.ttl(), later).unwrap();
    let pow = PowChecked::check(&new, alive, 0.0).unwrap();
    assert_eq!(pool.insert(new, pow, alive), InsertOutcome::New);
    assert!(!pool.contains(&old.hash()));
}

#[test]
fn hashes_with_equal_prefix_are_distinguished() {
    let mut pool = Pool::new(1 << 20);
    let one = envelope(100, 535, 1);
    assert_eq!(offer(&mut pool, &one), InsertOutcome::New);
    let mut other = one.hash();
    other.0[31] ^= 1;
    assert!(pool.contains(&one.hash()) && !pool.contains(&other));
}
