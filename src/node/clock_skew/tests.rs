use circuits::ids::LinkId;

use super::*;
use crate::node::fixture::{START, peer_key};

/// A public address in a subnet of its own for every number.
fn witness(number: u8) -> ClockWitness {
    ClockWitness {
        key: peer_key(number),
        subnet: Subnet::Ip4([8, number]),
    }
}

fn clock() -> (ClockSkew, Effects) {
    (ClockSkew::new(Profile::Main), Effects::for_test())
}

/// The time of a peer whose clock is `ahead` of this machine's.
fn time(ahead: i64) -> Option<UnixSecs> {
    let time = i64::from(START.unix.0) + ahead;
    Some(UnixSecs(u32::try_from(time).unwrap()))
}

/// The view after peers in different subnets have shown clocks that are so much ahead.
fn view(ahead: &[i64]) -> ClockView {
    let (mut clock, mut fx) = clock();
    for (number, ahead) in (1..).zip(ahead) {
        let epoch = Epoch::at(START.unix);
        clock.on_shown(
            &mut fx,
            START,
            witness(number),
            ShownTime::Status(epoch, time(*ahead)),
        );
    }
    clock.view(START).unwrap()
}

/// Ten seconds for the step, and ten for the way.
const TOLERANCE: i64 = 20;

#[test]
fn majority_of_subnets_shows_the_skew_in_both_directions() {
    assert_eq!(view(&[600, 610, 620]).behind_secs, 610);
    assert_eq!(view(&[-600, -610, -620]).behind_secs, -610 + TOLERANCE);
    assert_eq!(view(&[5, -5, 3]).behind_secs, 3);
    assert!(view(&[600, 600]).refuses && view(&[-600, -600]).refuses);
    assert!(!view(&[180, 180]).refuses);
}

#[test]
fn one_lying_peer_changes_nothing() {
    for lie in [-86_400, -600, 600, 86_400] {
        for honest in [1, 2, 3, 4] {
            let mut shown = vec![0; honest];
            shown.push(lie);
            let view = view(&shown);
            assert_eq!(view.behind_secs, 0, "{lie} against {honest}");
        }
        // It cannot hide a skew either.
        let skewed = view(&[7_200, 7_200, 7_200 + lie]);
        assert_eq!(skewed.behind_secs, 7_200);
    }
}

#[test]
fn single_peer_warns_and_stops_nothing() {
    let view = view(&[7_200]);
    assert_eq!((view.behind_secs, view.refuses), (7_200, false));
}

#[test]
fn subnet_has_one_vote_and_the_mildest() {
    let (mut clock, mut fx) = clock();
    let epoch = Epoch::at(START.unix);
    for number in 1..=9 {
        let sybil = ClockWitness {
            subnet: Subnet::Ip4([9, 9]),
            ..witness(number)
        };
        clock.on_shown(
            &mut fx,
            START,
            sybil,
            ShownTime::Status(epoch, time(86_400)),
        );
    }
    let view = clock.view(START).unwrap();
    assert_eq!((view.witnesses, view.refuses), (1, false));
    let mild = ClockWitness {
        subnet: Subnet::Ip4([9, 9]),
        ..witness(10)
    };
    clock.on_shown(&mut fx, START, mild, ShownTime::Status(epoch, time(0)));
    assert_eq!(clock.view(START).unwrap().behind_secs, 0);
}

#[test]
fn onion_services_vote_one_by_one() {
    let (mut clock, mut fx) = clock();
    for number in 1..=2 {
        let onion = ClockWitness {
            subnet: Subnet::Onion,
            ..witness(number)
        };
        clock.on_shown(
            &mut fx,
            START,
            onion,
            ShownTime::Status(Epoch::at(START.unix), time(600)),
        );
    }
    assert!(clock.check(START).is_err());
}

#[test]
fn epoch_of_a_peer_without_time_shows_a_wrong_day_and_confirms_nothing() {
    let (mut clock, mut fx) = clock();
    let epoch = Epoch::at(START.unix);
    clock.on_shown(&mut fx, START, witness(1), ShownTime::Status(epoch, None));
    assert_eq!(clock.view(START), None, "the peer's clock may be hours off");
    let tomorrow = epoch.next().next();
    for number in 1..=2 {
        clock.on_shown(
            &mut fx,
            START,
            witness(number),
            ShownTime::Status(tomorrow, None),
        );
    }
    let view = clock.view(START).unwrap();
    assert!(view.behind_secs >= i64::from(Epoch::SECS) && view.refuses);
}

#[test]
fn envelopes_of_plain_peers_show_a_clock_that_is_behind_or_ahead() {
    let times = |start: i64, life: u32| {
        let start = UnixSecs(u32::try_from(i64::from(START.unix.0) + start).unwrap());
        EnvelopeTimes {
            latest_start: start,
            earliest_expiry: start.after(life),
        }
    };
    for (shown, behind) in [(times(7_200, 50), 7_190), (times(-7_200, 50), -7_030)] {
        let (mut clock, mut fx) = clock();
        for number in 1..=2 {
            clock.on_shown(&mut fx, START, witness(number), ShownTime::Envelopes(shown));
        }
        let view = clock.view(START).unwrap();
        assert_eq!((view.behind_secs, view.refuses), (behind, true));
    }
    // An envelope of an hour that has just begun permits too many answers.
    let (mut clock, mut fx) = clock();
    clock.on_shown(
        &mut fx,
        START,
        witness(1),
        ShownTime::Envelopes(times(-60, 3_600)),
    );
    assert_eq!(clock.view(START), None);
    // Together with a short one it confirms the clock.
    clock.on_shown(
        &mut fx,
        START,
        witness(1),
        ShownTime::Envelopes(times(-5, 50)),
    );
    assert_eq!(clock.view(START).unwrap().behind_secs, 0);
}

#[test]
fn clock_that_is_set_right_permits_sending_at_once() {
    let (mut clock, mut fx) = clock();
    clock.on_input(START);
    for number in 1..=2 {
        let epoch = Epoch::at(START.unix);
        clock.on_shown(
            &mut fx,
            START,
            witness(number),
            ShownTime::Status(epoch, time(600)),
        );
    }
    assert!(clock.is_wrong(START));
    let set = Now {
        unix: START.unix.after(600),
        ..START
    };
    assert_eq!(clock.view(set).unwrap().behind_secs, 0);
    // The difference may also come from sleep, so the peers have to show their clocks again.
    clock.on_input(set);
    assert!(clock.view(set).is_none() && !clock.is_wrong(set));
}

#[test]
fn change_of_severity_is_reported_once() {
    let (mut clock, mut fx) = clock();
    let epoch = Epoch::at(START.unix);
    for number in 1..=3 {
        clock.on_shown(
            &mut fx,
            START,
            witness(number),
            ShownTime::Status(epoch, time(600)),
        );
    }
    let reports = |fx: &mut Effects| {
        let outputs = core::iter::from_fn(|| fx.pop_output());
        let clock = |output| match output {
            crate::node::Output::Notify(Event::Clock(view)) => Some(view.refuses),
            _ => None,
        };
        outputs.filter_map(clock).collect::<Vec<_>>()
    };
    assert_eq!(
        reports(&mut fx),
        [false, true],
        "one peer warns, two refuse"
    );
    for number in 1..=3 {
        clock.on_shown(
            &mut fx,
            START,
            witness(number),
            ShownTime::Status(epoch, time(0)),
        );
    }
    assert_eq!(reports(&mut fx), [false]);
}

#[test]
fn old_evidence_expires_and_memory_is_bounded() {
    let (mut clock, mut fx) = clock();
    for number in 1..=200 {
        clock.on_shown(
            &mut fx,
            START,
            witness(number),
            ShownTime::Status(Epoch::at(START.unix), time(600)),
        );
    }
    assert_eq!(clock.view(START).unwrap().witnesses, MAX_WITNESSES);
    let hours = 7 * 3_600;
    let later = Now {
        mono: START.mono.after(Duration::from_secs(hours.into())),
        unix: START.unix.after(hours),
    };
    assert_eq!(clock.view(later), None);
}

#[test]
fn stem_avoids_peers_with_wrong_clocks_while_two_others_remain() {
    let links: Vec<LinkId> = (1..=4).map(LinkId).collect();
    let key_of = |link: &LinkId| Some(peer_key(u8::try_from(link.0).unwrap()));
    let preferred = |ahead: [i64; 4]| {
        let (mut clock, mut fx) = clock();
        for (number, ahead) in (1..).zip(ahead) {
            let shown = ShownTime::Status(Epoch::at(START.unix), time(ahead));
            clock.on_shown(&mut fx, START, witness(number), shown);
        }
        clock.prefer_right(START, links.clone(), key_of)
    };
    assert_eq!(preferred([0, -600, 0, 0]), [1, 3, 4].map(LinkId));
    assert_eq!(preferred([0, -600, 600, 0]), [1, 4].map(LinkId));
    assert_eq!(
        preferred([-600, -600, 0, 600]),
        links,
        "only one would remain"
    );
    // A majority that contradicts this machine's clock excludes no peer.
    assert_eq!(preferred([600, 600, 600, 0]), links);
}
