//! Floods against the queue, and its guarantees as properties.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ATTACKER: u8 = 66;

fn size(entries: usize, bytes: usize) -> QueueSize {
    QueueSize { entries, bytes }
}

fn queue<T>(per_source: QueueSize, total: QueueSize) -> FairQueue<u8, u32, T> {
    FairQueue::new(FairQueueLimits { per_source, total })
}

fn drain<S: Copy + Ord, R: Copy + Ord, T>(queue: &mut FairQueue<S, R, T>) -> Vec<(S, T)> {
    core::iter::from_fn(|| queue.pop()).collect()
}

impl<S: Copy + Ord + core::fmt::Debug, R: Copy + Ord, T> FairQueue<S, R, T> {
    /// Checks that all indexes agree and that the bounds hold.
    fn assert_consistent(&self) {
        let mut sum = QueueSize::default();
        for (source, queue) in &self.sources {
            let bytes = queue.entries.values().map(|entry| entry.bytes).sum();
            assert!(!queue.entries.is_empty() && queue.bytes == bytes);
            assert!(!queue.size().exceeds(self.limits.per_source));
            assert_eq!(self.turns.get(&queue.turn), Some(source));
            let load = queue.size().load(self.limits.total);
            assert!(self.loads.contains(&(load, *source)));
            for (Reverse(rank), id) in queue.entries.keys() {
                let (at, ranked) = self.places[id];
                assert!(at == *source && ranked == *rank);
            }
            sum.entries += queue.entries.len();
            sum.bytes += bytes;
        }
        assert_eq!(sum, self.held);
        assert!(!sum.exceeds(self.limits.total));
        assert_eq!(self.places.len(), sum.entries);
        assert_eq!(self.turns.len(), self.sources.len());
        assert_eq!(self.loads.len(), self.sources.len());
    }
}

#[test]
fn sources_are_served_in_turn_and_best_entry_first() {
    let mut queue = queue(size(9, 99), size(99, 999));
    for (source, rank, name) in [
        (1, 5, "a"),
        (1, 9, "b"),
        (1, 5, "c"),
        (2, 1, "d"),
        (3, 0, "e"),
        (3, 0, "f"),
    ] {
        assert!(queue.push(source, rank, 1, name).overflow.is_empty());
    }
    let order = [(1, "b"), (2, "d"), (3, "e"), (1, "a"), (3, "f"), (1, "c")];
    assert_eq!(drain(&mut queue), order);
    assert!(queue.is_empty() && queue.pop().is_none());
}

#[test]
fn flood_of_one_link_delays_and_displaces_no_other_entry() {
    let mut queue = queue(size(64, 6_400), size(256, 25_600));
    let (mut honest, mut served) = (0, 0);
    for round in 0..2_000_u32 {
        // The flood has the better work, and more bytes than the queue holds.
        for _ in 0..100 {
            let _ = queue.push(ATTACKER, 1_000, 100, None);
        }
        if round % 10 == 0 {
            let source = u8::try_from(round / 10 % 7).unwrap();
            assert!(queue.push(source, 1, 100, Some(round)).id.is_some());
            honest += 1;
        }
        // One entry of each source is served: two at most.
        for _ in 0..2 {
            served += usize::from(queue.pop().is_some_and(|(_, value)| value.is_some()));
        }
        assert_eq!(honest, served, "an honest entry waits behind the flood");
    }
    assert!(queue.overflowed() > 180_000);
    queue.assert_consistent();
}

#[test]
fn flood_of_many_links_leaves_each_honest_link_its_share() {
    let mut queue = queue(size(64, 6_400), size(256, 25_600));
    for _ in 0..100 {
        for attacker in 100..120 {
            let _ = queue.push(attacker, 1_000, 100, ());
        }
    }
    // 21 sources: a share is twelve entries.
    for _ in 0..12 {
        let pushed = queue.push(1, 0, 100, ());
        assert!(pushed.id.is_some());
        assert!(pushed.overflow.iter().all(|(source, ())| *source >= 100));
    }
    for _ in 0..100 {
        for attacker in 100..120 {
            let pushed = queue.push(attacker, 2_000, 100, ());
            assert!(pushed.overflow.iter().all(|(source, ())| *source >= 100));
        }
    }
    assert_eq!(queue.sources[&1].entries.len(), 12);
}

#[test]
fn flood_of_few_large_entries_evicts_itself() {
    let mut queue = queue(size(1_000, 5_000), size(1_000, 10_000));
    for number in 0..10 {
        assert!(queue.push(1, 0, 10, number).overflow.is_empty());
    }
    for number in 0..100 {
        let pushed = queue.push(ATTACKER, number, 2_500, 0);
        assert!(
            pushed
                .overflow
                .iter()
                .all(|(source, _)| *source == ATTACKER)
        );
    }
    assert_eq!(queue.size(), size(12, 5_100));
}

#[test]
fn source_of_long_entries_is_served_by_bytes_not_by_entries() {
    let limits = FairQueueLimits {
        per_source: size(100, 100_000),
        total: size(200, 200_000),
    };
    let mut queue = FairQueue::by_bytes(limits);
    for _ in 0..10 {
        assert!(queue.push(ATTACKER, 0, 1_000, 0).id.is_some());
    }
    for number in 0..50 {
        assert!(queue.push(1, 0, 100, number).id.is_some());
    }
    let order: Vec<u8> = drain(&mut queue).into_iter().map(|(s, _)| s).collect();
    // Ten short entries of 100 bytes for each long one of 1,000.
    assert_eq!(
        order[..12],
        [ATTACKER, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ATTACKER]
    );
}

#[test]
fn source_that_refills_after_each_turn_gains_no_turn() {
    let mut queue = FairQueue::by_bytes(FairQueueLimits {
        per_source: size(100, 100_000),
        total: size(200, 200_000),
    });
    for _ in 0..20 {
        assert!(queue.push(1, 0, 100, ()).id.is_some());
    }
    let mut bytes = [0; 2];
    for _ in 0..20 {
        if !queue.sources().any(|source| source == ATTACKER) {
            assert!(queue.push(ATTACKER, 9, 500, ()).id.is_some());
        }
        match queue.pop() {
            Some((ATTACKER, ())) => bytes[0] += 500,
            _ => bytes[1] += 100,
        }
    }
    assert!(bytes[0] <= bytes[1] + 500, "{bytes:?}");
    queue.assert_consistent();
}

#[test]
fn source_above_its_bound_loses_its_worst_entry() {
    let mut queue = queue(size(2, 99), size(99, 999));
    assert!(queue.push(1, 5, 1, "middle").id.is_some());
    assert!(queue.push(1, 9, 1, "best").id.is_some());
    let pushed = queue.push(1, 7, 1, "good");
    assert!(pushed.id.is_some());
    assert_eq!(pushed.overflow, [(1, "middle")]);
    let pushed = queue.push(1, 3, 1, "bad");
    assert_eq!((pushed.id, pushed.overflow), (None, vec![(1, "bad")]));
    assert_eq!(queue.overflowed(), 2);
    assert_eq!(drain(&mut queue), [(1, "best"), (1, "good")]);
}

#[test]
fn refused_entry_evicts_no_other_entry() {
    let mut queue = queue(size(10, 100), size(10, 100));
    for number in 0..10 {
        assert!(queue.push(1, 5, 10, number).id.is_some());
    }
    // The heavier source loses first, but the new entry would have to leave as well.
    let pushed = queue.push(2, 0, 95, 99);
    assert_eq!((pushed.id, pushed.overflow), (None, vec![(2, 99)]));
    queue.assert_consistent();
    assert!(drain(&mut queue).into_iter().map(|(_, n)| n).eq(0..10));
}

#[test]
fn entry_larger_than_the_bounds_is_refused() {
    let mut queue = queue(size(10, 100), size(10, 1_000));
    assert!(queue.push(1, 0, 1, 'a').id.is_some());
    assert!(queue.push(1, 9, 101, 'b').id.is_none());
    assert!(queue.push(2, 9, usize::MAX, 'c').id.is_none());
    assert_eq!(queue.size(), size(1, 1));
}

#[test]
fn removed_entry_is_not_served() {
    let mut queue = queue(size(9, 99), size(99, 999));
    let first = queue.push(1, 0, 5, "a").id.unwrap();
    let second = queue.push(2, 0, 5, "b").id.unwrap();
    assert_eq!(queue.remove(first), Some("a"));
    assert_eq!(queue.remove(first), None);
    queue.assert_consistent();
    assert_eq!(queue.pop(), Some((2, "b")));
    assert_eq!(queue.remove(second), None);
}

#[test]
fn reconnecting_peer_gains_no_further_share() {
    const CLOSED: u8 = 0;
    let mut queue = queue(size(10, 1_000), size(100, 10_000));
    let mut lost = 0;
    // Each link fills its share and closes.
    for link in 100..200 {
        for _ in 0..10 {
            assert!(queue.push(link, 9, 1, "flood").id.is_some());
        }
        lost += queue.merge(link, CLOSED).len();
    }
    assert_eq!((queue.size().entries, lost), (10, 990));
    assert_eq!(queue.overflowed(), 990);
    assert!(queue.push(1, 0, 1, "honest").id.is_some());
    queue.assert_consistent();
    let turns: Vec<_> = drain(&mut queue).into_iter().take(2).collect();
    assert_eq!(turns, [(CLOSED, "flood"), (1, "honest")]);
}

#[test]
fn work_rank_orders_by_work_and_by_remaining_life() {
    let rank = |work, secs| WorkRank::new(work, Duration::from_secs(secs));
    assert!(rank(1.0, 60) > rank(1.0, 20));
    assert!(rank(2.0, 20) > rank(1.0, 20));
    assert_eq!(rank(3.0, 20), rank(1.0, 60));
    assert!(
        rank(0.2, 3_600) > rank(33.0, 20),
        "cheap and short-lived goes last"
    );
    assert_eq!(rank(f64::NAN, 20), rank(0.0, 20));
    assert_eq!(rank(-1.0, 20), rank(1.0, 0));
    assert!(rank(f64::INFINITY, 1) > rank(f64::MAX, 1));
}

#[derive(Clone, Debug)]
enum Step {
    Push(u8, u32, usize),
    Pop,
    Remove(usize),
    Merge(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..6_u8, 0..5_u32, 0..40_usize).prop_map(|(s, rank, len)| Step::Push(s, rank, len)),
        3 => Just(Step::Pop),
        1 => (0..50_usize).prop_map(Step::Remove),
        1 => (0..6_u8, 0..6_u8).prop_map(|(from, into)| Step::Merge(from, into)),
    ]
}

proptest! {
    #[test]
    fn every_entry_leaves_once_and_no_bound_is_exceeded(
        steps in proptest::collection::vec(step(), 0..300),
    ) {
        let mut queue = queue(size(8, 150), size(20, 300));
        // Entries that are in the queue, by their numbers.
        let mut held: BTreeMap<usize, EntryId> = BTreeMap::new();
        let mut overflowed = 0;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(source, rank, len) => {
                    let before = queue.size();
                    let pushed = queue.push(source, rank, len, number);
                    overflowed += pushed.overflow.len();
                    match pushed.id {
                        Some(id) => {
                            held.insert(number, id);
                            for (_, left) in pushed.overflow {
                                prop_assert!(held.remove(&left).is_some());
                            }
                        }
                        None => {
                            prop_assert_eq!(pushed.overflow, [(source, number)]);
                            prop_assert_eq!(queue.size(), before);
                        }
                    }
                }
                Step::Pop => {
                    let popped = queue.pop().map(|(_, number)| number);
                    prop_assert_eq!(popped.is_some(), !held.is_empty());
                    if let Some(number) = popped {
                        prop_assert!(held.remove(&number).is_some());
                    }
                }
                Step::Remove(nth) => {
                    if let Some((&number, &id)) = held.iter().nth(nth) {
                        prop_assert_eq!(queue.remove(id), Some(number));
                        held.remove(&number);
                    }
                }
                Step::Merge(from, into) => {
                    for (_, left) in queue.merge(from, into) {
                        prop_assert!(held.remove(&left).is_some());
                        overflowed += 1;
                    }
                    prop_assert!(from == into || !queue.sources.contains_key(&from));
                }
            }
            queue.assert_consistent();
            prop_assert_eq!(queue.size().entries, held.len());
            prop_assert_eq!(queue.overflowed(), u64::try_from(overflowed).unwrap());
        }
    }

    /// A source within its share loses nothing, whatever the others push, and its best entry is
    /// served within one turn of each source.
    #[test]
    fn source_within_its_share_loses_nothing_and_waits_one_round(
        floods in proptest::collection::vec(
            (1..6_u8, any::<u32>(), 1..60_usize, any::<bool>()),
            0..400,
        ),
    ) {
        // Five other sources: the share is 10 of 60 entries and 200 of 1,200 bytes.
        let mut queue = queue(size(30, 800), size(60, 1_200));
        let mut waited = 0;
        for (source, rank, len, pops) in floods {
            while queue.sources.get(&0).is_none_or(|own| own.entries.len() < 10) {
                prop_assert!(queue.push(0, 0, 20, ()).id.is_some());
            }
            let pushed = queue.push(source, rank, len, ());
            prop_assert!(pushed.overflow.iter().all(|(loser, ())| *loser != 0));
            if pops {
                let served = queue.pop().map(|(source, ())| source);
                waited = if served == Some(0) { 0 } else { waited + 1 };
                prop_assert!(waited <= 5);
            }
        }
        queue.assert_consistent();
    }
}
