//! The sampler of lane lengths for a known seed (docs/wire/directory.md, "Lane lengths").

use circuits::path::lane_lengths;

use crate::world::rng;

#[test]
fn the_recorded_draws_come_out_again() {
    let mut rng = rng(7);
    let mut draw = |floor, room| lane_lengths(&mut rng, floor, 5, 3, room);
    let unbounded: Vec<_> = (0..8).map(|_| draw(3, usize::MAX)).collect();
    assert_eq!(
        unbounded,
        [
            [3, 4, 5],
            [5, 3, 3],
            [4, 3, 5],
            [3, 4, 3],
            [5, 4, 3],
            [3, 3, 4],
            [4, 3, 3],
            [5, 3, 4],
        ]
    );
    let nine_middles: Vec<_> = (0..4).map(|_| draw(3, 9)).collect();
    assert_eq!(nine_middles, [[4, 3, 3], [3, 4, 3], [3, 4, 4], [4, 5, 3]]);
    assert_eq!(draw(3, 6), [3, 3, 3]);
}
