//! The limit of scattered shards: at most 18 leave this node in ten minutes.
//!
//! Dummies hide which envelopes belong together as long as one node inserts few of them. More shards
//! than that would be told from dummies by their number (docs/spec.md M3). The limit holds for all
//! messages together, and is applied before an envelope is drafted: an envelope that waited for ten
//! minutes would show it by its age.

use core::time::Duration;
use std::collections::VecDeque;

use circuits::time::Instant;

/// The shards that left lately, and those underway.
#[derive(Default)]
pub(in crate::node::send) struct ShardWindow {
    underway: usize,
    left: VecDeque<Instant>,
}

impl ShardWindow {
    /// Begins a shard.
    ///
    /// # Errors
    ///
    /// When to ask again, if there are [`MAX_SHARDS`].
    pub(super) fn begin(&mut self, now: Instant) -> Result<(), Instant> {
        while let Some(first) = self.left.front()
            && now.since(*first) >= WINDOW
        {
            self.left.pop_front();
        }
        if self.underway.saturating_add(self.left.len()) < MAX_SHARDS {
            self.underway = self.underway.saturating_add(1);
            return Ok(());
        }
        let opens = self.left.front().map(|first| first.after(WINDOW));
        Err(opens.unwrap_or_else(|| now.after(POLL_INTERVAL)))
    }

    /// A shard has left.
    pub(super) fn on_left(&mut self, now: Instant) {
        self.underway = self.underway.saturating_sub(1);
        self.left.push_back(now);
    }

    /// So many shards that had begun will not leave.
    pub(in crate::node::send) fn give_up(&mut self, shards: usize) {
        self.underway = self.underway.saturating_sub(shards);
    }

    /// Expected time from `now` until `shards` more may begin. Those underway count as if they left now.
    pub(in crate::node::send) fn wait(&self, now: Instant, shards: usize) -> Duration {
        let counted = self
            .left
            .iter()
            .filter(|left| now.since(**left) < WINDOW)
            .copied();
        let used = self.underway.saturating_add(counted.clone().count());
        let Some(beyond) = used.saturating_add(shards).checked_sub(MAX_SHARDS) else {
            return Duration::ZERO;
        };
        let Some(last) = beyond.checked_sub(1) else {
            return Duration::ZERO;
        };
        // Places become free in the order in which shards left; then those that take them count.
        let (round, place) = (last / MAX_SHARDS, last % MAX_SHARDS);
        let left = counted.chain(core::iter::repeat(now)).nth(place);
        let first = left.unwrap_or(now).after(WINDOW).since(now);
        let rounds = WINDOW.saturating_mul(u32::try_from(round).unwrap_or(u32::MAX));
        first.saturating_add(rounds)
    }
}

/// Maximum number of shards in [`WINDOW`].
pub(super) const MAX_SHARDS: usize = 18;

const WINDOW: Duration = Duration::from_secs(600);

/// Time between two looks while all shards are underway.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO.after(Duration::from_secs(secs))
    }

    #[test]
    fn nineteenth_shard_waits_until_the_first_left_ten_minutes_ago() {
        let mut window = ShardWindow::default();
        for second in 0..18 {
            assert_eq!(window.begin(at(second)), Ok(()));
            window.on_left(at(second));
        }
        assert_eq!(window.begin(at(20)), Err(at(600)));
        assert_eq!(window.begin(at(599)), Err(at(600)));
        assert_eq!(window.begin(at(600)), Ok(()));
        assert_eq!(window.begin(at(600)), Err(at(601)));
    }

    #[test]
    fn shard_that_is_given_up_makes_room() {
        let mut window = ShardWindow::default();
        for _ in 0..18 {
            assert_eq!(window.begin(at(0)), Ok(()));
        }
        assert!(window.begin(at(0)).is_err());
        window.give_up(2);
        assert_eq!(window.begin(at(0)), Ok(()));
    }

    #[test]
    fn wait_counts_windows_of_eighteen() {
        let window = ShardWindow::default();
        assert_eq!(window.wait(at(0), 18), Duration::ZERO);
        assert_eq!(window.wait(at(0), 19), WINDOW);
        assert_eq!(window.wait(at(0), 96), WINDOW * 5);
    }

    #[test]
    fn wait_ends_when_enough_shards_left_ten_minutes_ago() {
        let mut window = ShardWindow::default();
        for second in 0..12 {
            assert_eq!(window.begin(at(second)), Ok(()));
            window.on_left(at(second));
        }
        assert_eq!(window.wait(at(100), 6), Duration::ZERO);
        // The seventh takes the place of the first, and the twelfth that of the sixth.
        assert_eq!(window.wait(at(100), 7), Duration::from_secs(500));
        assert_eq!(window.wait(at(100), 12), Duration::from_secs(505));
        assert_eq!(window.wait(at(606), 12), Duration::ZERO);
    }
}
