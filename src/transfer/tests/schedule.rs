//! When both ends meet, as their clocks and their memories allow.

use super::*;
use crate::transfer::schedule::{AttemptSchedule, RelayPlaces};

const START: UnixSecs = UnixSecs(1_800_000_000);

fn places(places: [u8; 2]) -> RelayPlaces {
    RelayPlaces::new(places).unwrap()
}

#[test]
fn answer_starts_at_the_next_full_two_minutes() {
    for (now, start) in [(0, 0), (1, 120), (120, 120), (121, 240)] {
        let now = START.after(now);
        let schedule = AttemptSchedule::answered_at(now, places([0, 0]));
        assert_eq!(schedule.start(), START.after(start));
        assert_eq!(
            AttemptSchedule::new(schedule.start(), places([0, 0])),
            Some(schedule)
        );
    }
    assert!(AttemptSchedule::new(START.after(1), places([0, 0])).is_none());
}

#[test]
fn attempts_follow_the_clock_and_none_is_made_twice() {
    let schedule = AttemptSchedule::new(START, places([0, 0])).unwrap();
    let attempt = |number| AttemptId::new(START, number);
    assert_eq!(schedule.next(START.before(500), None), attempt(0));
    assert_eq!(schedule.next(START, None), attempt(0));
    assert_eq!(schedule.next(START.after(119), attempt(0)), attempt(1));
    assert_eq!(schedule.next(START.after(130), attempt(0)), attempt(1));
    assert_eq!(schedule.next(START.after(500), attempt(0)), attempt(4));
    assert_eq!(schedule.next(START.after(1_199), None), attempt(9));
    assert_eq!(schedule.next(START.after(1_199), attempt(9)), None);
    assert_eq!(schedule.next(START.after(1_200), None), None);
    assert_eq!(schedule.end(), START.after(1_200));
    assert_eq!(attempt(4).unwrap().begins(), START.after(480));
    assert_eq!(attempt(4).unwrap().ends(), attempt(5).unwrap().begins());
    assert_eq!(attempt(10), None);
    // An attempt of an earlier answer does not count.
    let earlier = AttemptId::new(START.before(1_200), 9);
    assert_eq!(schedule.next(START, earlier), attempt(0));
}

#[test]
fn two_ends_with_clocks_half_a_window_apart_choose_overlapping_windows() {
    let schedule = AttemptSchedule::new(START, places([0, 0])).unwrap();
    for seconds in 60..1_100 {
        let one = schedule.next(START.after(seconds), None).unwrap();
        let other = schedule.next(START.after(seconds - 60), None).unwrap();
        assert!(one.number() - other.number() <= 1);
    }
}

#[test]
fn two_relays_of_the_answer_are_used_in_turn() {
    let schedule = AttemptSchedule::new(START, places([2, 0])).unwrap();
    let place = |number| schedule.place(AttemptId::new(START, number).unwrap());
    assert_eq!((0..5).map(place).collect::<Vec<_>>(), [2, 0, 2, 0, 2]);
    assert!(schedule.fits(3) && !schedule.fits(2));
    assert_eq!(RelayPlaces::new([4, 0]), None);
    assert_eq!(RelayPlaces::new([0, 4]), None);
}

#[test]
fn start_far_ahead_is_recognised() {
    let schedule = AttemptSchedule::new(START, places([0, 0])).unwrap();
    assert!(!schedule.is_too_far_ahead(START.before(3_600)));
    assert!(schedule.is_too_far_ahead(START.before(3_601)));
}

#[test]
fn cookies_and_keys_of_two_answers_differ() {
    let cookie = |start: UnixSecs, number| {
        let attempt = AttemptId::new(start, number).unwrap();
        FileSecret::take(&mut [1; 32]).attempt(attempt).cookie()
    };
    let mut cookies: Vec<_> = (0..10)
        .flat_map(|number| [cookie(START, number), cookie(START.after(120), number)])
        .collect();
    cookies.sort_unstable();
    cookies.dedup();
    assert_eq!(cookies.len(), 20);
}
