//! The delay class and the pool of a network, and what relays that lie can change.

use circuits::directory::Snapshot;
use circuits::ids::Profile;
use circuits::level::Level;
use circuits::mixing::{ArrivalRate, DelayClass, Layer, MixNetwork, MixRule};

use crate::world::{EPOCH, relay, subnet};

fn rate(cells_per_sec: u64) -> ArrivalRate {
    ArrivalRate::at_most(cells_per_sec * 1_000_000)
}

/// Relays that state these rates, dealt to the layers in turn.
fn network_of(profile: Profile, young: bool, rates: &[ArrivalRate]) -> MixNetwork {
    let relays = rates.iter().zip(0..).map(|(rate, number)| {
        let mut relay = relay(number, &[subnet(number)], &[]);
        relay.arrivals = *rate;
        relay
    });
    MixNetwork::of(&Snapshot::new(EPOCH, profile, young, relays))
}

fn network(rates: &[ArrivalRate]) -> MixNetwork {
    network_of(Profile::Main, false, rates)
}

#[test]
fn class_and_pool_follow_from_the_stated_rates() {
    for (cells, class, pool) in [(0, 20, 0), (1, 20, 20), (2, 20, 40), (4, 20, 80)] {
        let network = network(&[rate(cells); 50]);
        assert_eq!((network.class().secs(), network.pool()), (class, pool));
    }
    let busy = network(&[rate(64); 50]);
    assert_eq!((busy.class().secs(), busy.pool()), (1, 64));
}

#[test]
fn levels_are_refused_with_what_is_missing() {
    // One cell a second waits for 20 s; `dark` needs 36 cells.
    let thin = network(&[rate(1); 50]);
    assert!(Level::Hush.check_network(&thin).is_ok());
    let refusal = Level::Dark.check_network(&thin).unwrap_err();
    assert_eq!(refusal.rule, MixRule::Pool { needed: 36 });
    assert_eq!((refusal.pool(), refusal.missing_cells()), (20, 16));
    // Ten relays a layer lack .8 cells a second each; a sender brings half a cell to every layer.
    assert_eq!(refusal.missing_senders(), 16);
    let text = refusal.to_string();
    for part in ["needs 36", "20 wait", "1.00", "20 s", "16 more senders"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let few = network(&[rate(64); 47]);
    let refusal = Level::Dark.check_network(&few).unwrap_err();
    assert_eq!(refusal.rule, MixRule::Relays { needed: 50 });
    assert_eq!(refusal.missing_relays(), 3);
    let text = refusal.to_string();
    assert!(
        text.contains("at least 50") && text.contains("there are 47"),
        "{text}"
    );
    assert!(Level::Hush.check_network(&few).is_ok());
    let fewer = network(&[rate(64); 24]);
    assert_eq!(
        Level::Hush
            .check_network(&fewer)
            .unwrap_err()
            .missing_relays(),
        1
    );
}

/// A network of 60 relays with so many of them in the first layer.
fn uneven(first: usize) -> MixNetwork {
    let relays = (0..60_u16).map(|number| {
        let mut relay = relay(number, &[subnet(number)], &[]);
        let place = usize::from(number);
        relay.layer = if place < first {
            Layer::FIRST
        } else {
            Layer::ALL[1 + place % 4]
        };
        relay.arrivals = rate(64);
        relay
    });
    MixNetwork::of(&Snapshot::new(EPOCH, Profile::Main, false, relays))
}

#[test]
fn layers_may_differ_by_chance_down_to_half_of_the_mean() {
    for level in [Level::Dark, Level::Bulletin] {
        assert!(level.check_network(&uneven(5)).is_ok());
        let refusal = level.check_network(&uneven(4)).unwrap_err();
        assert_eq!(refusal.missing_relays(), 1);
        let text = refusal.to_string();
        assert!(
            text.contains("at least 5 eligible relays in each") && text.contains("has 4"),
            "{text}"
        );
    }
    assert!(Level::Hush.check_network(&uneven(3)).is_ok());
    assert!(Level::Hush.check_network(&uneven(2)).is_err());
}

#[test]
fn young_directory_is_refused_by_dark_and_not_by_hush() {
    let young = network_of(Profile::Main, true, &[rate(64); 50]);
    let refusal = Level::Dark.check_network(&young).unwrap_err();
    assert_eq!(refusal.rule, MixRule::Young);
    assert!(Level::Hush.check_network(&young).is_ok());
}

#[test]
fn levels_without_mixing_need_no_mixing_network() {
    let nothing = network(&[]);
    for level in [Level::Open, Level::Swift, Level::Normal] {
        assert!(level.check_network(&nothing).is_ok());
    }
    assert_eq!(nothing.class(), DelayClass::LONGEST);
}

#[test]
fn local_network_needs_a_relay_in_every_layer_and_waits_a_second() {
    let five = network_of(Profile::Local, false, &[ArrivalRate::NONE; 5]);
    assert_eq!(five.class().secs(), 1);
    assert!(Level::Dark.check_network(&five).is_ok());
    let four = network_of(Profile::Local, false, &[ArrivalRate::NONE; 4]);
    assert_eq!(
        Level::Dark
            .check_network(&four)
            .unwrap_err()
            .missing_relays(),
        1
    );
}

/// Honest relays that measure about the same, and liars that state one rate.
fn with_liars(liars: usize, lie: ArrivalRate) -> (MixNetwork, Vec<ArrivalRate>) {
    let mut honest: Vec<_> = (0..80 - u64::try_from(liars).unwrap())
        .map(|number| ArrivalRate::at_most(4_000_000 + number * 100_000))
        .collect();
    honest.sort_unstable();
    let mut all = honest.clone();
    all.extend(vec![lie; liars]);
    (network(&all), honest)
}

#[test]
fn relays_that_overstate_do_not_shorten_the_delay_below_the_honest_third() {
    for liars in 0..20 {
        let (lied_to, honest) = with_liars(liars, ArrivalRate::MAX);
        assert!(lied_to.rate() <= honest[honest.len() / 3], "{liars} liars");
        assert!(lied_to.class() >= DelayClass::for_rate(honest[honest.len() / 3]));
    }
    // The mean of the stated rates would follow a single liar.
    let (lied_to, _) = with_liars(19, ArrivalRate::MAX);
    assert_eq!(lied_to.class().secs(), 12);
}

#[test]
fn relays_that_understate_do_not_stop_the_network() {
    for liars in 0..20 {
        let (lied_to, honest) = with_liars(liars, ArrivalRate::NONE);
        assert!(lied_to.rate() >= honest[0], "{liars} liars");
        assert!(Level::Dark.check_network(&lied_to).is_ok());
    }
    // A quarter is the limit.
    let (stopped, _) = with_liars(20, ArrivalRate::NONE);
    assert_eq!(stopped.rate(), ArrivalRate::NONE);
    assert!(Level::Hush.check_network(&stopped).is_err());
}
