//! Guards: few of them, kept for long, also under attack.

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
    timeout_secs: u32,
) -> Result<RelayId, PathRefusal> {
    guards
        .choose(now, snapshot, timeout_secs)
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
fn failing_guards_uses_at_most_three() {
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
fn failing_guards_for_a_year_uses_three_per_period() {
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
fn guards_removed_from_directory_are_not_replaced_beyond_three() {
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
    // One of them returns and is used again.
    let back = *used.iter().next().unwrap();
    used.remove(&back);
    let snapshot = without(&all, &used);
    assert_eq!(
        chosen(&mut guards, NOW.after(31 * DAY), &snapshot, 3_600).unwrap(),
        back
    );
}

#[test]
fn failed_guard_is_kept_until_callers_timeout() {
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
    // The timeout depends on the level: another path may wait longer.
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
fn absent_guard_is_replaced_only_after_timeout() {
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
    // If it returns to the directory, it is the guard again at once.
    assert_eq!(
        chosen(&mut guards, NOW.after(2 * DAY), &all, DAY).unwrap(),
        first
    );
}

#[test]
fn guard_choice_is_deterministic_in_seed() {
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
fn guard_choice_is_uniform_over_seeds() {
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
fn new_relays_do_not_displace_guard() {
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
fn guard_period_changes_guard_on_different_days_per_seed() {
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
        assert_eq!(changes.len(), 1, "the guards must change once in 120 days");
        days.insert(changes[0]);
        assert_ne!(
            chosen(&mut guards, NOW.after(120 * DAY), &snapshot, 0).unwrap(),
            first
        );
    }
    assert!(days.len() > 10);
}

#[test]
fn guard_chosen_in_young_directory_is_rechosen_once_settled() {
    let settled = unrelated_relays(Profile::Main, 100);
    let reported = young(&unrelated_relays(Profile::Main, 5));
    let mut guards = seeded_guards(1, outsider());
    chosen(&mut guards, NOW, &reported, 0).unwrap();
    chosen(&mut guards, NOW.after(DAY), &settled, 0).unwrap();
    let mut fresh = seeded_guards(1, outsider());
    chosen(&mut fresh, NOW.after(DAY), &settled, 0).unwrap();
    assert!(
        guards.members().eq(fresh.members()),
        "the choice must equal that of a settled directory"
    );
    // If the directory is young again after a long absence, the choice stays.
    let before: Vec<_> = guards.members().collect();
    let _absent_or_not = chosen(&mut guards, NOW.after(2 * DAY), &reported, 0);
    assert!(guards.members().eq(before));
}

#[test]
fn pinned_guard_has_no_fallback() {
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
fn own_relay_is_never_guard() {
    let snapshot = unrelated_relays(Profile::Main, 3);
    for seed in 0..50 {
        assert_ne!(
            chosen(&mut seeded_guards(seed, id(1)), NOW, &snapshot, 0).unwrap(),
            id(1)
        );
    }
}

#[test]
fn guard_import_restores_state_and_tolerates_damage() {
    let snapshot = unrelated_relays(Profile::Main, 50);
    let mut guards = seeded_guards(1, outsider());
    let first = chosen(&mut guards, NOW, &snapshot, 0).unwrap();
    guards.failed(NOW, &first);
    let stored = guards.export();

    let mut restored = seeded_guards(1, outsider());
    restored.import(&stored).unwrap();
    assert_eq!(restored.export(), stored);
    // New relays do not displace the stored guards, and the failure is remembered.
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
fn guards_survive_clock_jumps() {
    let relays = (0..5).map(|number| relay(number, &[subnet(number)], &[]));
    let snapshot = Snapshot::new(EPOCH, Profile::Main, false, relays);
    let mut guards = seeded_guards(1, outsider());
    for now in [UnixSecs(u32::MAX), UnixSecs(0), NOW, UnixSecs(u32::MAX)] {
        let guard = chosen(&mut guards, now, &snapshot, u32::MAX).unwrap();
        guards.failed(now, &guard);
    }
    let shown = format!("{guards:?}");
    assert!(
        !shown.contains("aaaa"),
        "debug output must not contain an id: {shown}"
    );
}
