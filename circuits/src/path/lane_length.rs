//! Lengths of the lanes of one envelope (spec F16, the sampler as code).
//!
//! If all lanes had the same length, a relay could infer its position from the travel time of a
//! cell. The lengths therefore vary, but only upwards from the floor: a set of lanes is as weak as
//! its shortest lane. docs/wire/directory.md lists the draws of this function for a known seed.

use rand_core::CryptoRng;

use crate::distributions;

/// Draws the number of relays before the rendezvous for each of `lanes` lanes.
///
/// Every lane is uniform in `floor..=ceiling`, under two conditions: not all lengths are equal (if
/// there are two lanes and two possible lengths), and the sum of the middles, one fewer than the
/// relays of each lane, does not exceed `room`. After 64 draws that violate a condition, all lanes
/// get the length of the floor; the last one is longer by one if there is room.
#[must_use]
pub fn lane_lengths(
    rng: &mut impl CryptoRng,
    floor: u8,
    ceiling: u8,
    lanes: usize,
    room: usize,
) -> Vec<u8> {
    let ceiling = ceiling.max(floor);
    let choices = u32::from(ceiling.abs_diff(floor)).saturating_add(1);
    let can_vary = choices > 1 && lanes > 1;
    for _ in 0..MAX_TRIES {
        let lengths: Vec<u8> = (0..lanes)
            .map(|_| {
                let longer = u8::try_from(distributions::below(rng, choices)).unwrap_or(0);
                floor.saturating_add(longer)
            })
            .collect();
        let varies = lengths.iter().any(|length| Some(length) != lengths.first());
        if varies == can_vary && middles(&lengths) <= room {
            return lengths;
        }
    }
    let mut lengths = vec![floor; lanes];
    if can_vary
        && middles(&lengths) < room
        && let Some(last) = lengths.last_mut()
    {
        *last = last.saturating_add(1);
    }
    lengths
}

fn middles(lengths: &[u8]) -> usize {
    lengths
        .iter()
        .map(|length| usize::from(length.saturating_sub(1)))
        .sum()
}

const MAX_TRIES: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::from_seed([7; 32])
    }

    #[test]
    fn lane_lengths_are_never_all_equal_if_they_can_differ() {
        let mut rng = rng();
        for _ in 0..1_000 {
            let lengths = lane_lengths(&mut rng, 3, 5, 3, usize::MAX);
            assert!(lengths.iter().all(|length| (3..=5).contains(length)));
            assert!(lengths.iter().any(|length| *length != lengths[0]));
        }
    }

    #[test]
    fn lane_lengths_are_uniform_over_allowed_combinations() {
        let mut rng = rng();
        let mut counts = BTreeMap::<_, u32>::new();
        for _ in 0..24_000 {
            *counts
                .entry(lane_lengths(&mut rng, 3, 5, 3, usize::MAX))
                .or_default() += 1;
        }
        // 27 combinations minus three of equal lengths; standard deviation 31.
        assert_eq!(counts.len(), 24);
        assert!(counts.values().all(|count| count.abs_diff(1_000) < 155));
    }

    #[test]
    fn lane_lengths_do_not_exceed_room() {
        let mut rng = rng();
        for room in 7..12 {
            for _ in 0..200 {
                let lengths = lane_lengths(&mut rng, 3, 5, 3, room);
                assert!(middles(&lengths) <= room);
                assert!(lengths.iter().any(|length| *length != lengths[0]));
            }
        }
        assert_eq!(lane_lengths(&mut rng, 3, 5, 3, 6), [3, 3, 3]);
    }

    #[test]
    fn lane_lengths_are_equal_for_one_length_and_free_for_one_lane() {
        let mut rng = rng();
        assert_eq!(lane_lengths(&mut rng, 5, 5, 3, usize::MAX), [5, 5, 5]);
        assert_eq!(lane_lengths(&mut rng, 5, 3, 1, usize::MAX), [5]);
        let mut seen: Vec<_> = (0..100)
            .flat_map(|_| lane_lengths(&mut rng, 3, 5, 1, usize::MAX))
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [3, 4, 5]);
    }
}
