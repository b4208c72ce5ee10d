//! Ratios that hold on a busy machine.
//!
//! Both sides are run in turns, a short stretch each, and of each side the fastest stretch counts:
//! interruptions only ever make a stretch slower, and what slows the machine down for a while
//! slows down both.

use std::time::{Duration, Instant};

/// Nanoseconds that one call of each function takes at the least.
#[expect(
    clippy::disallowed_methods,
    clippy::as_conversions,
    reason = "a benchmark reads the clock, and prints what it read"
)]
pub(crate) fn min_nanos<const N: usize>(mut sides: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut batches = [1_u32; N];
    for (side, batch) in sides.iter_mut().zip(&mut batches) {
        loop {
            let begun = Instant::now();
            (0..*batch).for_each(|_| side());
            if begun.elapsed() >= MEASURE_TIME || *batch > u32::MAX / 2 {
                break;
            }
            *batch *= 2;
        }
    }
    let mut best = [f64::INFINITY; N];
    for _ in 0..ROUNDS {
        for ((side, batch), best) in sides.iter_mut().zip(batches).zip(&mut best) {
            let begun = Instant::now();
            (0..batch).for_each(|_| side());
            let each = begun.elapsed().as_nanos() as f64 / f64::from(batch);
            *best = best.min(each);
        }
    }
    best
}

/// Long beside the clock's resolution, short beside the time between two interruptions.
const MEASURE_TIME: Duration = Duration::from_millis(2);
/// Stretches of each side.
const ROUNDS: u32 = 200;
