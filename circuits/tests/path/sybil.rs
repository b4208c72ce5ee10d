//! Sybils: one adversary adds as many relays as there are honest ones, in few or in many networks.

use circuits::directory::Snapshot;
use circuits::ids::{Profile, RelayId};
use circuits::path::MixPaths;

use crate::world::{EPOCH, NOW, id, outsider, relay, rng, seeded_guards, subnet};

/// Honest relays, each in a /16 of its own; the adversary has the same number.
const HONEST: u16 = 60;
const FIRST_SYBIL: u16 = 1_000;

/// What the adversary gets.
struct Gained {
    /// Share of the clients whose guard is hostile.
    guards: f64,
    /// Share of the paths whose five relays are hostile.
    whole_paths: f64,
    /// The most hostile relays on one path, R not counted.
    most: usize,
}

fn is_hostile(relay: RelayId) -> bool {
    (FIRST_SYBIL..FIRST_SYBIL + HONEST).any(|number| relay == id(number))
}

/// The hostile relays are spread over so many /16.
fn attack(networks: u16) -> Gained {
    let honest = (0..HONEST).map(|number| relay(number, &[subnet(number)], &[]));
    let sybils = (0..HONEST).map(|number| {
        let place = subnet(FIRST_SYBIL + number % networks);
        relay(FIRST_SYBIL + number, &[place], &[])
    });
    let snapshot = Snapshot::new(EPOCH, Profile::Main, false, honest.chain(sybils));
    let (mut guards, mut whole, mut most) = (0, 0, 0);
    for seed in 0..CLIENTS {
        let mut chosen = seeded_guards(seed, outsider()).for_mixing();
        let guard = chosen.choose(NOW, &snapshot, 0).unwrap();
        let paths = MixPaths::new(&snapshot, guard, outsider()).unwrap();
        guards += usize::from(is_hostile(paths.guard()));
        let mut rng = rng(seed);
        for _ in 0..PATHS {
            let path = paths.draw(&mut rng).unwrap();
            let hostile = path.relays.iter().filter(|hop| is_hostile(hop.id)).count();
            whole += usize::from(hostile == path.relays.len());
            most = most.max(hostile);
        }
    }
    let share = |part: usize, all: u32| f64::from(u32::try_from(part).unwrap()) / f64::from(all);
    Gained {
        guards: share(guards, u32::from(CLIENTS)),
        whole_paths: share(whole, u32::from(CLIENTS) * PATHS),
        most,
    }
}

const CLIENTS: u8 = 200;
const PATHS: u32 = 150;

/// Half of the relays are hostile. No path has two relays of one network, so fewer than five networks own no
/// path. Five networks, one for each layer, already give more than half of what as many networks as relays give:
/// the rule raises the price to five networks, and no further.
#[test]
fn sybils_own_a_path_only_with_addresses_in_five_networks() {
    for networks in [1, 2, 4] {
        let gained = attack(networks);
        assert_eq!(gained.most, usize::from(networks), "{networks} networks");
        assert!(gained.whole_paths == 0.0, "{networks} networks");
    }
    let five = attack(5);
    let many = attack(HONEST);
    // (1/2)^5 = .031, and the guard is a draw of 200 clients.
    assert!(
        (0.02..0.045).contains(&many.whole_paths),
        "{}",
        many.whole_paths
    );
    let part = five.whole_paths / many.whole_paths;
    assert!((0.4..0.8).contains(&part), "{part}");
    // The rule does not protect the choice of guards: half of them are hostile either way.
    for guards in [five.guards, many.guards] {
        assert!((0.38..0.62).contains(&guards), "{guards}");
    }
}
