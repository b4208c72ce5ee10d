//! The limits over every second and every day.

use super::*;

/// Takes whatever is available every `step` over `total`, and returns the bytes of each step.
fn greedy(allowance: &mut Allowance, step: Duration, total: Duration) -> Vec<u64> {
    let (mut now, mut taken) = (Instant::ZERO, Vec::new());
    while now.since(Instant::ZERO) < total {
        let bytes = allowance.available(now);
        allowance.charge(now, bytes);
        taken.push(bytes);
        now = now.after(step);
    }
    taken
}

fn most(taken: &[u64], window: usize) -> u64 {
    let sums = taken.windows(window).map(|steps| steps.iter().sum());
    sums.max().unwrap_or(0)
}

#[test]
fn no_second_exceeds_the_limit_wherever_it_begins() {
    let limit = 200_000;
    let mut allowance = Allowance::new(Some(limit), None, Instant::ZERO).unwrap();
    let taken = greedy(
        &mut allowance,
        Duration::from_millis(10),
        Duration::from_secs(20),
    );
    let most = most(&taken, 100);
    assert!(most <= limit, "{most}");
    assert!(most > limit * 3 / 4, "{most}");
}

#[test]
fn no_day_exceeds_the_limit_wherever_it_begins() {
    let limit = 400_000_000;
    let mut allowance = Allowance::new(None, Some(limit), Instant::ZERO).unwrap();
    let hour = Duration::from_secs(3_600);
    let mut taken = greedy(&mut allowance, hour, hour * 72);
    // A quiet day fills the bucket; what follows is still within the limit.
    let pause = Instant::ZERO.after(hour * 96);
    let bytes = allowance.available(pause);
    taken.extend([0; 23]);
    taken.push(bytes);
    let most = most(&taken, 24);
    assert!(most <= limit, "{most}");
    assert!(most > limit * 3 / 4, "{most}");
}

#[test]
fn ten_restarts_gain_less_than_a_fiftieth_of_the_day() {
    let limit = 400_000_000;
    let gained: u64 = (0..10)
        .map(|_| {
            let mut fresh = Allowance::new(None, Some(limit), Instant::ZERO).unwrap();
            fresh.available(Instant::ZERO)
        })
        .sum();
    assert!(gained < limit / 50, "{gained}");
}

#[test]
fn debt_is_paid_before_anything_else_crosses() {
    let mut allowance = Allowance::new(Some(16_000), None, Instant::ZERO).unwrap();
    allowance.charge(Instant::ZERO, 14_000);
    assert_eq!(allowance.available(Instant::ZERO), 0);
    let due = allowance.due(Instant::ZERO, 1_000);
    assert_eq!(due.since(Instant::ZERO).as_secs(), 1);
    assert_eq!(allowance.available(due), 1_000);
}

#[test]
fn more_than_the_burst_is_due_when_the_bucket_is_full() {
    let mut allowance = Allowance::new(Some(16_000), None, Instant::ZERO).unwrap();
    assert_eq!(allowance.due(Instant::ZERO, u64::MAX), Instant::ZERO);
    allowance.charge(Instant::ZERO, 1_000);
    let due = allowance.due(Instant::ZERO, u64::MAX);
    assert_eq!(allowance.available(due), allowance.burst());
}

#[test]
fn other_limits_take_over_what_was_used_and_give_no_second_burst() {
    let now = Instant::ZERO;
    let mut earlier = Allowance::new(Some(160_000), None, now).unwrap();
    earlier.charge(now, 15_000);
    // Of a burst of 10,000 bytes, 5,000 more are a debt.
    let mut smaller = Allowance::renew(Some(earlier), Some(64_000), None, now).unwrap();
    assert_eq!(smaller.available(now), 0);
    let mut larger = Allowance::renew(Some(smaller), Some(1_600_000), None, now).unwrap();
    let burst = larger.due(now, 100_000).since(now);
    let rate = 1_300_000;
    assert_eq!(burst.as_micros(), (105_000 * 1_000_000 / rate) + 1);

    // Unused bytes stay as far as the smaller limit holds them.
    let fresh = Allowance::new(Some(160_000), None, now);
    let mut smaller = Allowance::renew(fresh, Some(64_000), Some(800_000), now).unwrap();
    assert_eq!(smaller.burst(), 4_000);
    assert_eq!(
        smaller.available(now),
        800_000 / 8 / 64,
        "a new day begins nearly empty"
    );
    assert!(Allowance::renew(Some(smaller), None, None, now).is_none());
}
