//! Periods and generations: the time of cards and of the keys in them.
//!
//! A period is a day that begins at an offset of each address, so that the owners of all addresses do not
//! publish at once. A generation is seven periods: its keys are made, used and erased together. Both are
//! numbers that the owner and every reader compute from the id and the wall clock. This module reads no
//! clock.

use circuits::time::UnixSecs;

use super::id::ContactId;

/// A day of an address: `floor((unix seconds + 337 * Id[0]) / 86,400)`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Period(pub u32);

impl Period {
    /// The period of this address at this time.
    #[must_use]
    pub fn at(id: &ContactId, time: UnixSecs) -> Self {
        let shifted = u64::from(time.0).saturating_add(u64::from(offset(id)));
        let number = shifted.checked_div(DAY.into()).unwrap_or(0);
        Self(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// The first second of this period of the address. Saturates at both ends of the clock.
    #[must_use]
    pub fn begin(self, id: &ContactId) -> UnixSecs {
        let begin = u64::from(self.0).saturating_mul(DAY.into());
        let begin = begin.saturating_sub(offset(id).into());
        UnixSecs(u32::try_from(begin).unwrap_or(u32::MAX))
    }

    /// The generation of this period.
    #[must_use]
    pub const fn generation(self) -> KeyGeneration {
        KeyGeneration(self.0 / PERIODS_PER_GENERATION)
    }

    /// The period so many periods later.
    #[must_use]
    pub const fn after(self, periods: u32) -> Self {
        Self(self.0.saturating_add(periods))
    }

    /// The period so many periods earlier.
    #[must_use]
    pub const fn before(self, periods: u32) -> Self {
        Self(self.0.saturating_sub(periods))
    }

    /// The periods whose cards a reader looks for: the one before this, this, and the next. Clocks differ,
    /// and an owner publishes ahead.
    pub fn acceptable(self) -> impl Iterator<Item = Self> {
        let first = self.before(1).0;
        (first..=self.after(1).0).map(Self)
    }
}

/// Seven periods, whose keys live and are erased together.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyGeneration(pub u32);

impl KeyGeneration {
    /// Its first period.
    #[must_use]
    pub const fn first(self) -> Period {
        Period(self.0.saturating_mul(PERIODS_PER_GENERATION))
    }

    /// Its last period.
    #[must_use]
    pub const fn last(self) -> Period {
        self.first().after(PERIODS_PER_GENERATION - 1)
    }

    /// The period in which its keys are made: the card for its first period is published from two periods
    /// ahead on.
    #[must_use]
    pub const fn made_in(self) -> Period {
        self.first().before(MAX_PERIODS_AHEAD)
    }

    /// The period at whose beginning its keys are erased, five whole periods after its last: one for the
    /// acceptance of old cards, three for the lifetime of an envelope, one for skew and retries.
    #[must_use]
    pub const fn erased_in(self) -> Period {
        self.last().after(PERIODS_KEPT + 1)
    }

    /// The generations whose keys exist in a period: one or two, in ascending order.
    pub fn live_in(period: Period) -> impl Iterator<Item = Self> {
        let newest = period.after(MAX_PERIODS_AHEAD).generation();
        (newest.0.saturating_sub(1)..=newest.0)
            .map(Self)
            .filter(move |generation| period < generation.erased_in())
    }
}

/// Seconds of a period.
pub const DAY: u32 = 86_400;

/// Periods of a generation.
pub const PERIODS_PER_GENERATION: u32 = 7;

/// A card is published up to so many periods before its period begins.
pub const MAX_PERIODS_AHEAD: u32 = 2;

/// Whole periods after its last in which the keys of a generation still open first messages.
const PERIODS_KEPT: u32 = 5;

/// Seconds by which the periods of an address begin before those of UTC, below 86,400.
fn offset(id: &ContactId) -> u32 {
    let [first, ..] = id.0;
    u32::from(first).saturating_mul(OFFSET_STEP)
}

/// 255 steps stay below a day.
const OFFSET_STEP: u32 = 337;
const _: () = assert!(255 * OFFSET_STEP < DAY);

#[cfg(test)]
mod tests {
    use super::*;

    fn id(first: u8) -> ContactId {
        let mut id = [7; 32];
        id[0] = first;
        ContactId(id)
    }

    /// From the check values of the contact formats, computed by an independent program.
    #[test]
    fn period_agrees_with_the_check_value() {
        let id = id(0xc5);
        let period = Period::at(&id, UnixSecs(1_800_000_000));
        assert_eq!(period, Period(20_834));
        assert_eq!(period.begin(&id), UnixSecs(1_799_991_211));
        assert_eq!(period.generation(), KeyGeneration(2_976));
    }

    #[test]
    fn period_turns_at_the_offset_of_the_address() {
        for first in [0, 1, 128, 255] {
            let id = id(first);
            let period = Period::at(&id, UnixSecs(1_750_000_000));
            let begin = period.begin(&id);
            assert_eq!(Period::at(&id, begin), period);
            assert_eq!(Period::at(&id, begin.before(1)), period.before(1));
            assert_eq!(Period::at(&id, begin.after(DAY - 1)), period);
            assert_eq!(Period::at(&id, begin.after(DAY)), period.after(1));
        }
    }

    #[test]
    fn end_of_the_clock_has_a_period() {
        let id = id(255);
        let last = Period::at(&id, UnixSecs(u32::MAX));
        assert_eq!(Period::at(&id, last.after(1).begin(&id)), last);
        assert_eq!(Period::at(&id, UnixSecs(0)), Period(0));
        assert_eq!(Period(0).begin(&id), UnixSecs(0));
    }

    #[test]
    fn at_most_two_generations_are_live_in_any_period() {
        for number in 20_000..20_100 {
            let period = Period(number);
            let live: Vec<_> = KeyGeneration::live_in(period).collect();
            let expected: Vec<_> = (2_850..2_880)
                .map(KeyGeneration)
                .filter(|generation| generation.made_in() <= period)
                .filter(|generation| period < generation.erased_in())
                .collect();
            assert_eq!(live, expected, "{number}");
            assert!((1..=2).contains(&live.len()), "{number}");
            assert!(live.contains(&period.generation()), "{number}");
            assert!(live.contains(&period.after(2).generation()), "{number}");
        }
    }

    /// An owner accepts a card of the period before, in an envelope that lives for three days.
    #[test]
    fn keys_outlive_every_envelope_that_is_sealed_for_them() {
        let id = id(99);
        let generation = KeyGeneration(2_900);
        let last_use = generation.last().after(2).begin(&id);
        let erased = generation.erased_in().begin(&id);
        assert!(last_use.after(3 * DAY + 3_600) < erased);
    }
}
