//! Ratios that hold on a busy machine.
//!
//! Both sides run by turns, a short round each, and the fastest round of each side counts:
//! interruptions only make a round slower, and a slow phase of the machine affects both sides.

use std::time::{Duration, Instant};

/// Minimum time of one call of each function, in nanoseconds.
#[expect(
    clippy::disallowed_methods,
    clippy::as_conversions,
    reason = "a benchmark reads the clock, and prints the result"
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

/// Long compared with the clock's resolution, short compared with the time between interruptions.
const MEASURE_TIME: Duration = Duration::from_millis(2);
/// Rounds of each side.
const ROUNDS: u32 = 200;
