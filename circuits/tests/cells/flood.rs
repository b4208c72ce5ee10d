//! A flooding peer takes no capacity from other peers.

use circuits::ids::LinkId;
use circuits::relay::{DropReason, OnionRelay, Peeled, RelayLimits, ReplaySet};

use crate::path::{EPOCH, at, rng, sealed, stops};

#[test]
fn quiet_peer_loses_no_cells_while_another_floods() {
    let mut rng = rng(40);
    let stops = stops(&mut rng, 2);
    let mut relay = OnionRelay::new(stops[0].id, RelayLimits::default());
    relay
        .install_key(EPOCH, stops[0].secret(), ReplaySet::default())
        .unwrap();
    let (junk, _) = sealed(&mut rng, &stops);
    let mut refused = 0;
    let mut peeled = 0;
    let mut passed = 0;
    // Ten seconds, with a thousand junk cells and two good ones in each second.
    for milli in 0..10_000 {
        let now = at(EPOCH, milli * 1_000);
        let junk = relay.accept(now, LinkId(666), junk.clone());
        refused += u32::from(junk == Err(DropReason::Flooding));
        if milli % 500 == 0 {
            let (good, _) = sealed(&mut rng, &stops);
            relay.accept(now, LinkId(7), good).unwrap();
        }
        while let Some(peel) = relay.next_peel(now) {
            peeled += 1;
            let good = matches!(peel.outcome, Peeled::Forward { .. }) && peel.from == LinkId(7);
            passed += u32::from(good);
        }
    }
    assert_eq!(passed, 20);
    // A burst of 100, and 20 cells in each second, without the one of the first instant.
    assert_eq!(refused, 10_000 - 100 - 20 * 10 + 1);
    assert_eq!(peeled, 100 + 20 * 10 - 1 + 20);
}

#[test]
fn peel_rate_stays_within_limit_under_flood() {
    let mut rng = rng(41);
    let stops = stops(&mut rng, 2);
    let limits = RelayLimits {
        peel_rate: 50,
        ..RelayLimits::default()
    };
    let mut relay = OnionRelay::new(stops[0].id, limits);
    relay
        .install_key(EPOCH, stops[0].secret(), ReplaySet::default())
        .unwrap();
    let (junk, _) = sealed(&mut rng, &stops);
    let mut peeled = 0;
    for tick in 0..200 {
        let now = at(EPOCH, tick * 10_000);
        for sybil in 0..64 {
            let _ = relay.accept(now, LinkId(sybil), junk.clone());
        }
        assert!(relay.waiting() <= RelayLimits::default().waiting);
        while relay.next_peel(now).is_some() {
            peeled += 1;
        }
        let due = relay.next_due().unwrap();
        assert!(due > now.mono);
    }
    assert!((95..=105).contains(&peeled), "{peeled} in two seconds");
}
