//! One-shot cells from the attacker's side.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "cells/path.rs"]
mod path;

use circuits::relay::Peeled;

use crate::path::{EPOCH, body, layers, peel, rng, sealed, stops};

#[test]
fn a_cell_reaches_the_end_of_every_length_of_path() {
    let mut rng = rng(1);
    for len in 1..=6 {
        let stops = stops(&mut rng, len);
        let (mut cell, delta) = sealed(&mut rng, &stops);
        let specs = layers(&stops);
        for (place, stop) in stops.iter().enumerate() {
            match peel(&mut stop.relay(), cell.clone()) {
                Peeled::Forward {
                    next,
                    delay,
                    cell: inner,
                    mark,
                } => {
                    assert_eq!(next, stops[place + 1].id.short());
                    assert_eq!(delay, specs[place].delay.as_duration());
                    assert_eq!(mark.epoch, EPOCH);
                    cell = inner;
                }
                Peeled::Terminal {
                    hold,
                    bulletin,
                    delta: got,
                    mark,
                } => {
                    assert_eq!(place + 1, len);
                    assert_eq!(hold, specs[place].delay.as_duration());
                    assert!(!bulletin);
                    assert_eq!(*got, delta);
                    assert_eq!(mark.epoch, EPOCH);
                }
                Peeled::Dropped(why) => panic!("dropped at {place} of {len}: {why}"),
            }
        }
    }
    let _ = body(&mut rng);
}
