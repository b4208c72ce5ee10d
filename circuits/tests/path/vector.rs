//! Lane lengths for a known seed (docs/wire/directory.md, "Lane lengths").

use circuits::path::lane_lengths;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::Deserialize;

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
