//! Worlds of one study, side by side: each is drawn from its own seed, so threads change no figure.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::progress::Interruption;
use crate::cli::Failure;

/// Runs `work` for the numbers below `worlds` and returns the results in order of the numbers. There
/// is one thread for each processor. After an interruption no further world begins.
///
/// # Errors
///
/// The failure of the world with the lowest number that failed.
pub(super) fn run<T: Send>(
    worlds: u32,
    stop: &Interruption,
    work: impl Fn(u32) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let next = AtomicU32::new(0);
    let done = Mutex::new(Vec::new());
    let run_some = || {
        while !stop.is_wanted() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= worlds {
                break;
            }
            let result = work(number);
            let mut done = done.lock().unwrap_or_else(|held| held.into_inner());
            done.push((number, result));
        }
    };
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = processors.min(usize::try_from(worlds).unwrap_or(processors));
        for _ in 0..threads {
            scope.spawn(run_some);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(|held| held.into_inner());
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}
