//! Floods of a rendezvous: memory limits and eviction.

use std::collections::BTreeSet;

use super::super::table::{SetTerms, ShardSetTable};
use super::*;

/// A table with memory for `sets` sets of one shard each.
fn table(sets: usize) -> ShardSetTable {
    ShardSetTable::new(sets * (SET_COST + SHARD_COST))
}

fn cookie(number: u64) -> Cookie {
    let mut cookie = Cookie([0; 16]);
    cookie.0[..8].copy_from_slice(&number.to_be_bytes());
    cookie
}

fn terms(class: Class) -> SetTerms {
    SetTerms {
        class,
        epoch: EPOCH,
        hold: HOLD,
        ticket: Ticket([0; 8]),
    }
}

/// Opens a set with one shard, as `Rendezvous::accept` does.
fn open(table: &mut ShardSetTable, number: u64, class: Class, owner: LinkId) -> bool {
    // Later sets have later timeouts.
    let due = Instant::from_micros(1_000 + number);
    table.open(cookie(number), terms(class), owner, due)
        && table.add(cookie(number), 0, Box::new([0; SHARD_LEN]))
}

fn small() -> Class {
    Class::converge(563).unwrap()
}

#[test]
fn shards_without_ticket_are_not_stored() {
    let mut rng = rng(1);
    let mut rendezvous = rendezvous();
    let mut shard = small_set(&mut rng).remove(0);
    let mut opened = 0;
    for _ in 0..1_000_000 {
        rng.fill_bytes(&mut shard.cookie.0);
        match deliver(&mut rendezvous, &shard) {
            ShardOutcome::Opened => opened += 1,
            outcome => assert_eq!(outcome, ShardOutcome::Rejected(ShardRejection::BadTicket)),
        }
    }
    // One guess in 2^17 is a valid ticket: eight are expected, and each opens a set.
    assert!(opened < 30, "{opened} sets");
    assert_eq!(rendezvous.bytes(), opened * (SET_COST + SHARD_COST));
}

#[test]
fn incomplete_sets_stay_within_memory_limit_until_timeout() {
    let mut table = ShardSetTable::new(1 << 20);
    for number in 0..20_000 {
        assert!(open(&mut table, number, small(), LinkId(number % 7)));
        assert!(table.bytes() <= 1 << 20);
    }
    assert!(table.bytes() > (1 << 20) - SET_COST - SHARD_COST);
    table.expire(Instant::from_micros(u64::MAX));
    assert_eq!(table.bytes(), 0);
    assert_eq!(table.next_due(), None);
}

#[test]
fn flood_through_one_peer_evicts_only_its_own_sets() {
    let mut table = table(100);
    for number in 0..10 {
        assert!(open(&mut table, number, small(), LinkId(1)));
    }
    for number in 100..10_000 {
        assert!(open(&mut table, number, small(), LinkId(666)));
    }
    for number in 0..10 {
        assert!(table.get(cookie(number)).is_some(), "honest set {number}");
    }
    // Only the latest sets of the flood remain.
    assert!(table.get(cookie(100)).is_none());
    assert!((9_910..10_000).all(|number| table.get(cookie(number)).is_some()));
}

#[test]
fn honest_set_is_opened_in_full_table() {
    let mut table = table(100);
    for number in 0..1_000 {
        assert!(open(&mut table, number, small(), LinkId(666)));
    }
    for number in 1_000..1_010 {
        assert!(open(&mut table, number, small(), LinkId(1)));
    }
    assert!((1_000..1_010).all(|number| table.get(cookie(number)).is_some()));
}

#[test]
fn eviction_counts_bytes_and_not_sets() {
    // One peer opens few sets and fills each of them; the other opens more sets of one shard.
    let heavy_class = Class::converge(9_788).unwrap();
    let mut table = table(100);
    for number in 0..30 {
        assert!(open(&mut table, number, small(), LinkId(1)));
    }
    for number in 100..120 {
        assert!(open(&mut table, number, heavy_class, LinkId(666)));
        for index in 1..15 {
            assert!(table.add(cookie(number), index, Box::new([0; SHARD_LEN])));
        }
    }
    assert!((0..30).all(|number| table.get(cookie(number)).is_some()));
}

#[test]
fn first_shards_of_large_sets_keep_no_large_message_out() {
    // Each last hop brings as many first shards as an attacker likes, and a message of 65 KB between
    // them, one shard for every ten of the attacker's.
    let large = Class::converge(65_536).unwrap();
    let limits = RendezvousLimits::default();
    let mut table = ShardSetTable::new(limits.bytes);
    let mut attack = 1_000_u64;
    for index in 0..large.k() {
        for link in 0..10 {
            assert!(open(&mut table, attack, large, LinkId(link)));
            attack += 1;
        }
        let opened = index > 0 || open(&mut table, 0, large, LinkId(3));
        assert!(opened && table.add(cookie(0), index, Box::new([0; SHARD_LEN])));
    }
    assert_eq!(table.close(cookie(0)).len(), usize::from(large.k()));
}

#[test]
fn growing_set_stays_within_limit_and_does_not_evict_itself() {
    let class = Class::converge(9_788).unwrap();
    let bound = SET_COST + 10 * SHARD_COST;
    let mut table = ShardSetTable::new(bound);
    assert!(open(&mut table, 0, class, LinkId(1)));
    let added = (1..16).filter(|index| table.add(cookie(0), *index, Box::new([0; SHARD_LEN])));
    assert_eq!(added.count(), 9);
    assert_eq!(table.bytes(), bound);
    assert_eq!(
        table.get(cookie(0)).unwrap().shards.as_ref().unwrap().len(),
        10
    );
}

#[test]
fn limit_below_one_set_rejects_every_shard() {
    let mut rng = rng(2);
    for bytes in [0, SET_COST, SET_COST + SHARD_COST - 1] {
        let limits = RendezvousLimits {
            bytes,
            ..RendezvousLimits::default()
        };
        let mut rendezvous = Rendezvous::new(ID, limits);
        let outcome = deliver(&mut rendezvous, &small_set(&mut rng)[0]);
        assert_eq!(outcome, ShardOutcome::Rejected(ShardRejection::NoRoom));
        assert_eq!(rendezvous.bytes(), 0);
    }
}

#[test]
fn memory_count_matches_sets_after_random_operations() {
    let mut rng = rng(3);
    let mut table = table(40);
    let mut known = BTreeSet::new();
    for step in 0..20_000_u64 {
        let number = u64::from(crate::distributions::below(&mut rng, 120));
        let class = Class::ALL[usize::try_from(rng.next_u32() % 8).unwrap()];
        match rng.next_u32() % 8 {
            0 => drop(table.close(cookie(number))),
            1 => table.expire(Instant::from_micros(step)),
            2..5 => {
                let index = u8::try_from(rng.next_u32() % 16).unwrap();
                table.add(cookie(number), index, Box::new([0; SHARD_LEN]));
            }
            _ if table.get(cookie(number)).is_none() => {
                let owner = LinkId(u64::from(rng.next_u32() % 5));
                let due = Instant::from_micros(step + 500);
                table.open(cookie(number), terms(class), owner, due);
                known.insert(number);
            }
            _ => {}
        }
        let held: usize = known
            .iter()
            .filter_map(|number| table.get(cookie(*number)))
            .map(|set| SET_COST + set.shards.as_ref().map_or(0, |p| p.len() * SHARD_COST))
            .sum();
        assert_eq!(table.bytes(), held);
        assert!(held <= 40 * (SET_COST + SHARD_COST));
    }
    table.expire(Instant::from_micros(u64::MAX));
    assert_eq!(table.bytes(), 0);
}
