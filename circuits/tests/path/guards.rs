//! Guards: few, for long, whatever an attacker shoots down.

use std::collections::BTreeSet;

use circuits::directory::Snapshot;
use circuits::ids::{Profile, RelayId};
use circuits::path::{Guards, PathRefusal, PathRule};
use circuits::time::UnixSecs;

use crate::world::{
    EPOCH, NOW, id, outsider, relay, seeded_guards, subnet, unrelated_relays, young,
};

const DAY: u32 = 86_400;

fn chosen(
    guards: &mut Guards,
    now: UnixSecs,
    snapshot: &Snapshot,
    patience: u32,
) -> Result<RelayId, PathRefusal> {
    guards
        .choose(now, snapshot, patience)
        .map(|guard| guard.relay().hop.id)
}

/// The directory without some of its relays.
fn without(snapshot: &Snapshot, gone: &BTreeSet<RelayId>) -> Snapshot {
    let left = snapshot
        .relays()
        .iter()
        .filter(|relay| !gone.contains(&relay.hop.id));
    Snapshot::new(EPOCH, snapshot.profile(), false, left.cloned())
}

#[test]
fn churn_shooting_down_guard_after_guard_yields_three_and_no_fourth() {
    let snapshot = unrelated_relays(Profile::Main, 200);
    let mut guards = seeded_guards(1, outsider());
    let mut used = BTreeSet::new();
    for hour in 0..1_000 {
        let now = NOW.after(hour * 3_600);
        let guard = chosen(&mut guards, now, &snapshot, 3_600).unwrap();
        used.insert(guard);
        guards.failed(now, &guard);
    }
    assert_eq!(used.len(), 3);
}

#[test]
fn churn_a_year_under_attack_costs_three_guards_for_each_period() {
    let snapshot = unrelated_relays(Profile::Main, 200);
    for seed in 0..10 {
        let mut guards = seeded_guards(seed, outsider());
        let mut used = BTreeSet::new();
        for day in 0..360 {
            let now = NOW.after(day * DAY);
            let guard = chosen(&mut guards, now, &snapshot, 3_600).unwrap();
            used.insert(guard);
            guards.failed(now, &guard);
        }
        // 360 days touch four periods.
        assert!(used.len() <= 12);
    }
}

#[test]
fn churn_guards_that_are_driven_out_of_the_directory_are_not_replaced_either() {
    let all = unrelated_relays(Profile::Main, 200);
    let mut guards = seeded_guards(1, outsider());
    let mut used = BTreeSet::new();
    let mut refused = 0;
    for day in 0..30 {
        let snapshot = without(&all, &used);
        match chosen(&mut guards, NOW.after(day * DAY), &snapshot, 3_600) {
            Ok(guard) => {
                used.insert(guard);
            }
            Err(refusal) => {
                assert_eq!(refusal.rule, PathRule::Guard);
                refused += 1;
            }
        }
    }
    assert_eq!(used.len(), 3);
    assert!(refused >= 20);
    // One of them comes back and is used again.
    let back = *used.iter().next().unwrap();
    used.remove(&back);
    let snapshot = without(&all, &used);
    assert_eq!(
        chosen(&mut guards, NOW.after(31 * DAY), &snapshot, 3_600).unwrap(),
        back
    );
}

#[test]
fn a_guard_that_is_down_is_waited_for_as_long_as_the_caller_says() {
    let snapshot = unrelated_relays(Profile::Main, 50);
    let mut guards = seeded_guards(1, outsider());
    let first = chosen(&mut guards, NOW, &snapshot, DAY).unwrap();
    guards.failed(NOW, &first);
    guards.failed(NOW.after(100), &first);
    let later = |secs| NOW.after(secs);
    assert_eq!(
        chosen(&mut guards, later(DAY - 1), &snapshot, DAY).unwrap(),
        first
    );
    let backup = chosen(&mut guards, later(DAY), &snapshot, DAY).unwrap();
    assert_ne!(backup, first);
    // Impatience is the level's choice: another path may go on waiting.
    assert_eq!(
        chosen(&mut guards, later(DAY), &snapshot, 2 * DAY).unwrap(),
        first
    );
    guards.answered(&first);
    assert_eq!(
        chosen(&mut guards, later(DAY), &snapshot, DAY).unwrap(),
        first
    );
}

#[test]
fn an_absent_guard_is_refused_until_patience_ends_and_not_replaced_at_once() {
    let all = unrelated_relays(Profile::Main, 50);
    let mut guards = seeded_guards(1, outsider());
    let first = chosen(&mut guards, NOW, &all, DAY).unwrap();
    let snapshot = without(&all, &[first].into());
    assert_eq!(
        chosen(&mut guards, NOW, &snapshot, DAY).unwrap_err().rule,
        PathRule::Guard
    );
    let backup = chosen(&mut guards, NOW.after(DAY), &snapshot, DAY).unwrap();
    assert_ne!(backup, first);
    // Back in the directory, it is the guard again at once.
    assert_eq!(
        chosen(&mut guards, NOW.after(2 * DAY), &all, DAY).unwrap(),
        first
    );
}

#[test]
fn a_node_that_loses_its_state_finds_the_same_guard_again() {
    let snapshot = unrelated_relays(Profile::Main, 100);
    for seed in 0..20 {
        let members = |guards: &mut Guards| {
            chosen(guards, NOW, &snapshot, 0).unwrap();
            guards.members().collect::<Vec<_>>()
        };
        assert_eq!(
            members(&mut seeded_guards(seed, outsider())),
            members(&mut seeded_guards(seed, outsider()))
        );
    }
}

#[test]
fn different_seeds_choose_evenly_among_the_relays() {
    let snapshot = unrelated_relays(Profile::Main, 16);
    let mut counts = std::collections::BTreeMap::<_, u32>::new();
    for seed in 0..=u8::MAX {
        let guard = chosen(&mut seeded_guards(seed, outsider()), NOW, &snapshot, 0).unwrap();
        *counts.entry(guard).or_default() += 1;
    }
    // Sixteen each; standard deviation 3.9.
    assert_eq!(counts.len(), 16);
    assert!(
        counts.values().all(|count| (2..36).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn relays_that_join_later_do_not_displace_a_guard() {
    let few = unrelated_relays(Profile::Main, 10);
    let many = unrelated_relays(Profile::Main, 500);
    let mut guards = seeded_guards(1, outsider());
    let first = chosen(&mut guards, NOW, &few, 0).unwrap();
    for day in 0..20 {
        assert_eq!(
            chosen(&mut guards, NOW.after(day * DAY), &many, 0).unwrap(),
            first
        );
    }
}

#[test]
fn a_new_period_makes_a_new_choice_and_not_for_all_nodes_on_one_day() {
    let snapshot = unrelated_relays(Profile::Main, 500);
    let mut days = BTreeSet::new();
    for seed in 0..20 {
        let mut guards = seeded_guards(seed, outsider());
        let first = chosen(&mut guards, NOW, &snapshot, 0).unwrap();
        let changes: Vec<_> = (1..=120)
            .filter(|day| {
                let before: Vec<_> = guards.members().collect();
                chosen(&mut guards, NOW.after(day * DAY), &snapshot, 0).unwrap();
                before != guards.members().collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(changes.len(), 1, "once in 120 days");
        days.insert(changes[0]);
        assert_ne!(
            chosen(&mut guards, NOW.after(120 * DAY), &snapshot, 0).unwrap(),
            first
        );
    }
    assert!(days.len() > 10);
}

#[test]
fn what_was_chosen_young_is_chosen_once_more_when_the_directory_has_settled() {
    let settled = unrelated_relays(Profile::Main, 100);
    let told = young(&unrelated_relays(Profile::Main, 5));
    let mut guards = seeded_guards(1, outsider());
    chosen(&mut guards, NOW, &told, 0).unwrap();
    chosen(&mut guards, NOW.after(DAY), &settled, 0).unwrap();
    let mut fresh = seeded_guards(1, outsider());
    chosen(&mut fresh, NOW.after(DAY), &settled, 0).unwrap();
    assert!(
        guards.members().eq(fresh.members()),
        "as if it had never been young"
    );
    // Young again (after a long absence), and the choice stays.
    let before: Vec<_> = guards.members().collect();
    let _absent_or_not = chosen(&mut guards, NOW.after(2 * DAY), &told, 0);
    assert!(guards.members().eq(before));
}

#[test]
fn a_pinned_guard_is_the_guard_or_no_relay_is() {
    let snapshot = unrelated_relays(Profile::Main, 50);
    let mut guards = seeded_guards(1, outsider());
    guards.pin(Some(id(33)));
    assert_eq!(chosen(&mut guards, NOW, &snapshot, 0).unwrap(), id(33));
    let gone = without(&snapshot, &[id(33)].into());
    let refusal = chosen(&mut guards, NOW.after(DAY), &gone, 0).unwrap_err();
    assert_eq!(refusal.rule, PathRule::PinnedGuard);
    guards.pin(None);
    assert!(chosen(&mut guards, NOW, &snapshot, 0).is_ok());
}

#[test]
fn we_are_never_our_own_guard() {
    let snapshot = unrelated_relays(Profile::Main, 3);
    for seed in 0..50 {
        assert_ne!(
            chosen(&mut seeded_guards(seed, id(1)), NOW, &snapshot, 0).unwrap(),
            id(1)
        );
    }
}

#[test]
fn a_stored_choice_survives_and_a_damaged_one_does_no_harm() {
    let snapshot = unrelated_relays(Profile::Main, 50);
    let mut guards = seeded_guards(1, outsider());
    let first = chosen(&mut guards, NOW, &snapshot, 0).unwrap();
    guards.failed(NOW, &first);
    let stored = guards.export();

    let mut restored = seeded_guards(1, outsider());
    restored.import(&stored).unwrap();
    assert_eq!(restored.export(), stored);
    // Newcomers do not displace what was stored, and the failure is remembered.
    let more = unrelated_relays(Profile::Main, 500);
    let backup = chosen(&mut restored, NOW.after(1), &more, 1).unwrap();
    assert_ne!(backup, first);
    assert!(guards.members().any(|member| member == backup));

    for len in 0..stored.len() {
        let mut damaged = seeded_guards(1, outsider());
        let _whole_or_not = damaged.import(&stored[..len]);
        assert!(chosen(&mut damaged, NOW, &snapshot, 0).is_ok(), "{len}");
    }
}

#[test]
fn the_clock_may_jump_without_a_panic() {
    let relays = (0..5).map(|number| relay(number, &[subnet(number)], &[]));
    let snapshot = Snapshot::new(EPOCH, Profile::Main, false, relays);
    let mut guards = seeded_guards(1, outsider());
    for now in [UnixSecs(u32::MAX), UnixSecs(0), NOW, UnixSecs(u32::MAX)] {
        let guard = chosen(&mut guards, now, &snapshot, u32::MAX).unwrap();
        guards.failed(now, &guard);
    }
    let shown = format!("{guards:?}");
    assert!(!shown.contains("aaaa"), "no id in a log: {shown}");
}
