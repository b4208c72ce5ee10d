//! When a node receives entropy of the operating system.
//!
//! At most one second of a node's draws follow from a state that a copy of its memory holds, or that
//! a virtual machine repeats after it was restored. The entropy comes before the input that would
//! use it, so a key of a new epoch is always drawn after fresh entropy. If the operating system has
//! none to give, the node continues from its state, which was seeded at the start, and the failure
//! is logged once.

use std::time::Duration;

use circuits::time::Instant;
use zeroize::Zeroizing;

use super::random;

/// Draws entropy for one node, at most once in [`RESEED_INTERVAL`].
#[derive(Debug, Default)]
pub(super) struct EntropySource {
    last: Option<Instant>,
    has_failed: bool,
}

impl EntropySource {
    /// Entropy, if the node is due to get some at `now`.
    pub(super) fn draw(&mut self, now: Instant) -> Option<Zeroizing<[u8; 32]>> {
        let fresh = |last: Instant| now.since(last) < RESEED_INTERVAL;
        if self.last.is_some_and(fresh) {
            return None;
        }
        self.last = Some(now);
        match random() {
            Ok(entropy) => Some(Zeroizing::new(entropy)),
            Err(error) => {
                if !self.has_failed {
                    tracing::error!("{error}; keys are drawn from the entropy of the start");
                }
                self.has_failed = true;
                None
            }
        }
    }
}

/// Time after which the next input is preceded by entropy.
const RESEED_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_drawn_first_and_then_once_a_second() {
        let mut source = EntropySource::default();
        let at = |millis| Instant::ZERO.after(Duration::from_millis(millis));
        let first = source.draw(at(0)).unwrap();
        assert!(source.draw(at(999)).is_none());
        let second = source.draw(at(1_000)).unwrap();
        assert_ne!(*first, *second);
        assert!(source.draw(at(1_001)).is_none());
    }
}
