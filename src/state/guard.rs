//! The rollback guard: recognises that the state is an older copy of itself.
//!
//! A conversation that continues from an old copy uses keys a second time. The database therefore holds
//! two random values, and a file beside it, which backups leave out, holds one of them. A copy of the
//! database alone meets a file with a later value. A copy of database and file together is not noticed.
//!
//! The values advance in three steps, each durable before the next, so that a crash between any two of
//! them is not taken for a rollback:
//!
//! ```text
//! database (cur, next)   file
//! a, b                   a        in between
//! a, b'                  a        1. the database announces a new value
//! a, b'                  b'       2. the file takes it
//! b', b'                 b'       3. the database follows
//! ```

use rand_core::CryptoRng;

/// A value of the guard.
pub type GuardValue = [u8; 16];

/// The two values in the database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GuardPair {
    /// The value that the file had when the last advance was complete.
    pub current: GuardValue,
    /// The value that the file takes, or has taken, in an advance.
    pub next: GuardValue,
}

/// What database and file say together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GuardVerdict {
    /// This is the state as it was left.
    Current,
    /// Neither has a value yet: the state is new.
    New,
    /// The database is an old copy, or its file is missing: it must not be continued.
    OldCopy,
}

/// One step of an advance. Each must be durable before the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GuardStep {
    /// Write these values into the database.
    Database(GuardPair),
    /// Write this value into the file.
    File(GuardValue),
}

/// Judges the values that were found at the start.
#[must_use]
pub fn judge(database: Option<GuardPair>, file: Option<GuardValue>) -> GuardVerdict {
    match (database, file) {
        (None, None) => GuardVerdict::New,
        (Some(pair), Some(value)) if [pair.current, pair.next].contains(&value) => {
            GuardVerdict::Current
        }
        _ => GuardVerdict::OldCopy,
    }
}

/// The steps that lead from a judged state to a new value.
#[must_use]
pub fn advance(file: Option<GuardValue>, rng: &mut impl CryptoRng) -> [GuardStep; 3] {
    let mut next = GuardValue::default();
    rng.fill_bytes(&mut next);
    // The value of the file counts: after a crash between two steps, the pair of the database may be one
    // step behind it.
    let current = file.unwrap_or(next);
    [
        GuardStep::Database(GuardPair { current, next }),
        GuardStep::File(next),
        GuardStep::Database(GuardPair {
            current: next,
            next,
        }),
    ]
}

/// The number of commits after which the guard advances again.
pub const COMMITS_PER_ADVANCE: u32 = 1000;

#[cfg(test)]
mod tests {
    use circuits::erasing_rng::ErasingRng;

    use super::*;

    /// A machine that may lose its power.
    #[derive(Clone, Copy, Default)]
    struct Machine {
        database: Option<GuardPair>,
        file: Option<GuardValue>,
    }

    impl Machine {
        fn verdict(&self) -> GuardVerdict {
            judge(self.database, self.file)
        }

        /// Advances, and loses its power after so many steps.
        fn advance(&mut self, steps: usize, rng: &mut ErasingRng) {
            for step in advance(self.file, rng).into_iter().take(steps) {
                match step {
                    GuardStep::Database(pair) => self.database = Some(pair),
                    GuardStep::File(value) => self.file = Some(value),
                }
            }
        }
    }

    #[test]
    fn power_loss_between_any_steps_is_not_a_rollback() {
        let mut rng = ErasingRng::from_seed(&[1; 32]);
        let mut machine = Machine::default();
        assert_eq!(machine.verdict(), GuardVerdict::New);
        machine.advance(3, &mut rng);
        // Every sequence of five interrupted advances.
        for mut sequence in 0..4_usize.pow(5) {
            let mut machine = machine;
            for _ in 0..5 {
                machine.advance(sequence % 4, &mut rng);
                assert_eq!(machine.verdict(), GuardVerdict::Current);
                sequence /= 4;
            }
        }
    }

    #[test]
    fn older_database_is_an_old_copy_after_any_later_advance() {
        let mut rng = ErasingRng::from_seed(&[2; 32]);
        let mut machine = Machine::default();
        machine.advance(3, &mut rng);
        let backup = machine.database;
        for steps in [2, 3] {
            let mut later = machine;
            later.advance(steps, &mut rng);
            later.advance(3, &mut rng);
            later.database = backup;
            assert_eq!(later.verdict(), GuardVerdict::OldCopy);
        }
    }

    #[test]
    fn state_without_its_guard_file_is_an_old_copy() {
        let mut rng = ErasingRng::from_seed(&[3; 32]);
        let mut machine = Machine::default();
        machine.advance(3, &mut rng);
        machine.file = None;
        assert_eq!(machine.verdict(), GuardVerdict::OldCopy);
        let mut machine = Machine {
            database: None,
            file: Some([9; 16]),
        };
        assert_eq!(machine.verdict(), GuardVerdict::OldCopy);
        machine.file = None;
        assert_eq!(machine.verdict(), GuardVerdict::New);
    }
}
