//! Delivery of cells without attack.

use circuits::cell::HopDelay;
use circuits::cell_builder::{SealError, seal};
use circuits::relay::Peeled;
use proptest::prelude::*;

use crate::path::{EPOCH, body, forward, layers, peel, rng, sealed, stops};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cell_reaches_end_of_every_path(
        len in 1..=6_usize,
        seed in any::<u64>(),
        delays in prop::array::uniform6(0..=60_000_u16),
        bulletin in any::<bool>(),
    ) {
        let mut rng = rng(seed);
        let stops = stops(&mut rng, len);
        let delta = body(&mut rng);
        let mut specs = layers(&stops);
        for (spec, units) in specs.iter_mut().zip(delays) {
            spec.delay = HopDelay::from_units(units).unwrap();
        }
        let mut cell = seal(&mut rng, EPOCH, &specs, bulletin, &delta).unwrap();
        for place in 0..len {
            let expected = specs[place].delay.as_duration();
            match peel(&mut stops[place].relay(), cell.clone()) {
                Peeled::Forward { next, delay, cell: inner, mark } => {
                    prop_assert_eq!(next, stops[place + 1].id.short());
                    prop_assert_eq!(delay, expected);
                    prop_assert_eq!(mark.epoch, EPOCH);
                    cell = inner;
                }
                Peeled::Terminal { hold, bulletin: flag, delta: got, mark } => {
                    prop_assert_eq!(place + 1, len);
                    prop_assert_eq!(hold, expected);
                    prop_assert_eq!(flag, bulletin);
                    prop_assert_eq!(*got, delta);
                    prop_assert_eq!(mark.epoch, EPOCH);
                }
                other => prop_assert!(false, "at {} of {}: {:?}", place, len, other),
            }
        }
    }
}

#[test]
fn path_may_revisit_relay_but_not_consecutively() {
    let mut rng = rng(2);
    let mut stops = stops(&mut rng, 3);
    stops[2].id = stops[0].id;
    stops[2].secret = stops[0].secret;
    let (mut cell, delta) = sealed(&mut rng, &stops);
    let mut there_and_back = stops[0].relay();
    cell = forward(&mut there_and_back, cell);
    cell = forward(&mut stops[1].relay(), cell);
    match peel(&mut there_and_back, cell) {
        Peeled::Terminal { delta: got, .. } => assert_eq!(*got, delta),
        other => panic!("not delivered: {other:?}"),
    }

    let mut twice = layers(&stops);
    twice.swap(0, 1);
    let result = seal(&mut rng, EPOCH, &twice, false, &delta);
    assert_eq!(result, Err(SealError::RelayTwiceInARow));
}

#[test]
fn path_of_zero_or_seven_relays_is_refused() {
    let mut rng = rng(3);
    let stops = stops(&mut rng, 7);
    let delta = body(&mut rng);
    let result = seal(&mut rng, EPOCH, &layers(&stops), false, &delta);
    assert_eq!(result, Err(SealError::TooManyLayers));
    let result = seal(&mut rng, EPOCH, &[], false, &delta);
    assert_eq!(result, Err(SealError::NoLayers));
}
