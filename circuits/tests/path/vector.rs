//! Lane lengths for a known seed, and the mixing network (docs/wire/directory.md).

use circuits::directory::Snapshot;
use circuits::ids::{Profile, RelayId, RelayKey};
use circuits::mixing::{ArrivalRate, Layer, MixNetwork};
use circuits::path::{GuardSeed, Guards, lane_lengths};
use circuits::secret::Secret;
use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::Deserialize;

use crate::world::{EPOCH, outsider, relay};

#[derive(Deserialize)]
struct PathVector {
    seed: String,
    draws: Vec<LengthDraw>,
}

#[derive(Deserialize)]
struct LengthDraw {
    floor: u8,
    ceiling: u8,
    lanes: usize,
    room: usize,
    lengths: Vec<u8>,
}

#[test]
fn lane_lengths_match_recorded_draws() {
    let PathVector { seed, draws } =
        serde_json::from_str(include_str!("../vectors/lane_lengths.json")).unwrap();
    let seed = hex::decode(seed).unwrap().try_into().unwrap();
    let mut rng = ChaCha20Rng::from_seed(seed);
    assert!(draws.len() > 20);
    for draw in draws {
        let LengthDraw {
            floor,
            ceiling,
            lanes,
            room,
            lengths,
        } = draw;
        assert_eq!(lane_lengths(&mut rng, floor, ceiling, lanes, room), lengths);
    }
}

#[derive(Deserialize)]
struct MixingVector {
    layers: Vec<KeyLayer>,
    rates: Vec<(u8, u64)>,
    networks: Vec<RecordedNetwork>,
    ids: Vec<String>,
    guards: Vec<RecordedGuards>,
}

#[derive(Deserialize)]
struct KeyLayer {
    key: String,
    layer: usize,
}

#[derive(Deserialize)]
struct RecordedNetwork {
    stated: Vec<u8>,
    rate: u64,
    delay_secs: u64,
    pool: u64,
}

#[derive(Deserialize)]
struct RecordedGuards {
    seed: String,
    unix: u32,
    chosen: Vec<usize>,
}

fn mixing() -> MixingVector {
    serde_json::from_str(include_str!("../vectors/mixing.json")).unwrap()
}

#[test]
fn layers_match_recorded_keys() {
    let layers = mixing().layers;
    assert!(layers.len() > 10);
    for KeyLayer { key, layer } in layers {
        let key = RelayKey(hex::decode(key).unwrap().try_into().unwrap());
        assert_eq!(Layer::of(&key), Layer::ALL[layer - 1]);
    }
}

#[test]
fn rates_and_networks_match_recorded_ones() {
    let MixingVector {
        rates, networks, ..
    } = mixing();
    assert_eq!(rates.len(), 97);
    for (byte, per_million_secs) in rates {
        let rate = ArrivalRate::from_byte(byte).unwrap();
        assert_eq!(rate.per_million_secs(), per_million_secs);
    }
    assert!(ArrivalRate::from_byte(97).is_none());
    for recorded in networks {
        let relays = recorded.stated.iter().zip(0..).map(|(byte, number)| {
            let mut relay = relay(number, &[], &[]);
            relay.arrivals = ArrivalRate::from_byte(*byte).unwrap();
            relay
        });
        let network = MixNetwork::of(&Snapshot::new(EPOCH, Profile::Main, false, relays));
        assert_eq!(network.rate().per_million_secs(), recorded.rate);
        assert_eq!(network.class().secs(), recorded.delay_secs);
        assert_eq!(network.pool(), recorded.pool);
    }
}

#[test]
fn mixing_guards_match_recorded_rankings() {
    let MixingVector { ids, guards, .. } = mixing();
    let ids: Vec<_> = ids
        .iter()
        .map(|id| RelayId(hex::decode(id).unwrap().try_into().unwrap()))
        .collect();
    let relays = ids.iter().map(|id| {
        let mut relay = relay(0, &[], &[]);
        relay.hop.id = *id;
        relay
    });
    let snapshot = Snapshot::new(EPOCH, Profile::Main, false, relays);
    assert!(!guards.is_empty());
    for RecordedGuards { seed, unix, chosen } in guards {
        let bytes = hex::decode(seed).unwrap();
        let seed = GuardSeed(Secret::init_with(|seed| seed.copy_from_slice(&bytes)));
        let mut guards = Guards::new(seed, outsider()).for_mixing();
        guards.choose(UnixSecs(unix), &snapshot, 0).unwrap();
        let members: Vec<_> = guards.members().collect();
        let expected: Vec<_> = chosen.into_iter().map(|place| ids[place]).collect();
        assert_eq!(members, expected);
    }
}
