//! When an owner publishes cards: drawn once, kept, and never a function of use or restarts.
//!
//! Three replicas of the card of each period are published, one a day, the first two days before the period
//! begins. An envelope lives for at least 60 hours, so two of the three are alive at each moment of the
//! period, and an owner who is away for two days stays visible. Each insertion time is uniform over twelve
//! hours. It is drawn when the replica comes into view, stored, and not drawn again: a
//! reader who knows the id can collect the times, and must not learn from them when the owner's node was
//! started or used.
//!
//! This module reads no clock and publishes nothing.

use std::collections::BTreeMap;

use circuits::distributions;
use circuits::time::UnixSecs;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::codec::{BadState, StateReader, StateWriter};
use super::id::ContactId;
use super::period::{DAY, MAX_PERIODS_AHEAD, Period};

/// One of the three envelopes that carry the card of a period, 0 to 2 in the order of publication.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Replica(u8);

impl Replica {
    /// All of them.
    pub const ALL: [Self; 3] = [Self(0), Self(1), Self(2)];

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// A replica by number; `None` above 2.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Periods from the day of this replica until the period of its card begins.
    fn periods_ahead(self) -> u32 {
        MAX_PERIODS_AHEAD.saturating_sub(self.0.into())
    }
}

/// A replica of the card of a period.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PeriodReplica {
    /// The period of the card.
    pub period: Period,
    /// Which of its envelopes.
    pub replica: Replica,
}

/// Insertion times of the cards of one address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicationSchedule {
    planned: BTreeMap<PeriodReplica, PlannedReplica>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct PlannedReplica {
    due: UnixSecs,
    progress: PlannedProgress,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum PlannedProgress {
    /// Not published yet.
    Waiting,
    /// Its envelope has left.
    Left,
    /// Of a day before the address existed; never published.
    Skipped,
}

impl PlannedReplica {
    const fn is_waiting(&self) -> bool {
        matches!(self.progress, PlannedProgress::Waiting)
    }
}

impl PlannedProgress {
    const fn code(self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::Left => 1,
            Self::Skipped => 2,
        }
    }

    fn of(code: u8) -> Result<Self, BadState> {
        let all = [Self::Waiting, Self::Left, Self::Skipped];
        let found = all.into_iter().find(|progress| progress.code() == code);
        found.ok_or(BadState::Field("progress of a card"))
    }
}

impl PublicationSchedule {
    /// The schedule of a new address, or of one that was restored from words: three cards at once, each
    /// after a time of its own below 30 minutes, so that three are alive as on any other day.
    #[must_use]
    pub fn new(rng: &mut impl CryptoRng, id: &ContactId, now: UnixSecs) -> Self {
        Self::within(rng, id, now, MAX_FIRST_DELAY)
    }

    /// The same in a network where the first cards may leave after at most `max_delay` seconds: one that
    /// hides no sender, such as a network on one machine.
    #[must_use]
    pub fn within(rng: &mut impl CryptoRng, id: &ContactId, now: UnixSecs, max_delay: u32) -> Self {
        let today = Period::at(id, now);
        let mut schedule = Self {
            planned: BTreeMap::new(),
        };
        for replica in Replica::ALL {
            let period = today.after(replica.periods_ahead());
            let due = now.after(distributions::below(rng, max_delay));
            let first = PeriodReplica { period, replica };
            schedule.planned.insert(
                first,
                PlannedReplica {
                    due,
                    progress: PlannedProgress::Waiting,
                },
            );
            // Earlier replicas of these cards belong to days before the address existed.
            for replica in Replica::ALL.into_iter().take_while(|r| *r < replica) {
                let earlier = PeriodReplica { period, replica };
                schedule.planned.insert(
                    earlier,
                    PlannedReplica {
                        due,
                        progress: PlannedProgress::Skipped,
                    },
                );
            }
        }
        schedule.advance(rng, id, now);
        schedule
    }

    /// Draws the times of the replicas of today and tomorrow that have none, and forgets the periods that
    /// have ended. Returns whether anything changed; the caller then stores the schedule before it
    /// publishes.
    pub fn advance(&mut self, rng: &mut impl CryptoRng, id: &ContactId, now: UnixSecs) -> bool {
        let today = Period::at(id, now);
        let before = self.planned.len();
        self.planned
            .retain(|publication, _| publication.period >= today);
        let mut changed = self.planned.len() != before;
        let last = today.after(MAX_PERIODS_AHEAD).after(1);
        for period in (today.0..=last.0).map(Period) {
            for replica in Replica::ALL {
                let day = period.before(replica.periods_ahead());
                let publication = PeriodReplica { period, replica };
                if day > today.after(1) || self.planned.contains_key(&publication) {
                    continue;
                }
                let due = day
                    .begin(id)
                    .after(distributions::below(rng, INSERTION_WINDOW));
                self.planned.insert(
                    publication,
                    PlannedReplica {
                        due,
                        progress: PlannedProgress::Waiting,
                    },
                );
                changed = true;
            }
        }
        changed
    }

    /// The replicas that are due and not published, in the order of their times. Some are late if the node
    /// was away: they go at once.
    pub fn due(&self, now: UnixSecs) -> Vec<PeriodReplica> {
        let mut due: Vec<_> = self
            .planned
            .iter()
            .filter(|(_, planned)| planned.is_waiting() && planned.due <= now)
            .map(|(publication, planned)| (planned.due, *publication))
            .collect();
        due.sort_unstable();
        due.into_iter()
            .map(|(_, publication)| publication)
            .collect()
    }

    /// When the next replica is due that is not published.
    #[must_use]
    pub fn next_due(&self) -> Option<UnixSecs> {
        self.waiting().map(|(_, due)| due).min()
    }

    /// A replica has left this node, and is not published again.
    pub fn mark_left(&mut self, publication: PeriodReplica) {
        if let Some(planned) = self.planned.get_mut(&publication) {
            planned.progress = PlannedProgress::Left;
        }
    }

    /// A replica did not reach the network, and is due again.
    pub fn mark_due(&mut self, publication: PeriodReplica) {
        if let Some(planned) = self.planned.get_mut(&publication) {
            planned.progress = PlannedProgress::Waiting;
        }
    }

    /// The replicas that are not published, and their times.
    pub fn waiting(&self) -> impl Iterator<Item = (PeriodReplica, UnixSecs)> {
        let waiting = self
            .planned
            .iter()
            .filter(|(_, planned)| planned.is_waiting());
        waiting.map(|(publication, planned)| (*publication, planned.due))
    }

    /// Number of replicas of a period that have left.
    #[must_use]
    pub fn left(&self, period: Period) -> usize {
        let left = |(publication, planned): &(&PeriodReplica, &PlannedReplica)| {
            publication.period == period && planned.progress == PlannedProgress::Left
        };
        self.planned.iter().filter(left).count()
    }

    /// The record of the state.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = StateWriter::new(VERSION);
        writer.list(self.planned.iter(), |writer, (publication, planned)| {
            writer.u32(publication.period.0);
            writer.u8(publication.replica.number());
            writer.u32(planned.due.0);
            writer.u8(planned.progress.code());
        });
        writer.finish()
    }

    /// Reads a record of the state.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the record is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut reader = StateReader::new(bytes, VERSION)?;
        let planned = reader.list(MAX_PLANNED, read_entry)?.into_iter().collect();
        reader.finish()?;
        Ok(Self { planned })
    }
}

fn read_entry(reader: &mut StateReader<'_>) -> Result<(PeriodReplica, PlannedReplica), BadState> {
    let publication = PeriodReplica {
        period: Period(reader.u32()?),
        replica: Replica::new(reader.u8()?).ok_or(BadState::Field("replica"))?,
    };
    let planned = PlannedReplica {
        due: UnixSecs(reader.u32()?),
        progress: PlannedProgress::of(reader.u8()?)?,
    };
    Ok((publication, planned))
}

/// Maximum number of planned replicas: three of each of four periods.
const MAX_PLANNED: usize = 12;

/// Each replica is inserted within so many seconds after the beginning of its day.
const INSERTION_WINDOW: u32 = DAY / 2;

/// The first cards of a new address are inserted within so many seconds.
const MAX_FIRST_DELAY: u32 = 1_800;

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    const ID: ContactId = ContactId([0x41; 32]);
    const START: UnixSecs = UnixSecs(1_750_000_000);

    fn rng(seed: u8) -> ChaCha20Rng {
        ChaCha20Rng::from_seed([seed; 32])
    }

    /// Publishes for so many days with a turn each 10 minutes; a `restart` stores, reads and continues with
    /// another generator. Returns what was published, and when.
    fn publish(days: u32, restart: impl Fn(u32) -> bool) -> Vec<(PeriodReplica, UnixSecs)> {
        let mut rng = rng(1);
        let mut schedule = PublicationSchedule::new(&mut rng, &ID, START);
        let mut published = Vec::new();
        for turn in 0..days * 144 {
            let now = START.after(turn * 600);
            if restart(turn) {
                schedule = PublicationSchedule::from_bytes(&schedule.to_bytes()).unwrap();
            }
            schedule.advance(&mut rng, &ID, now);
            for publication in schedule.due(now) {
                schedule.mark_left(publication);
                published.push((publication, now));
            }
        }
        published
    }

    #[test]
    fn three_cards_are_published_on_each_day() {
        let published = publish(20, |_| false);
        let first = Period::at(&ID, START);
        for day in 0..19 {
            let period = first.after(day);
            let mut of_day: Vec<_> = published
                .iter()
                .filter(|(_, at)| Period::at(&ID, *at) == period)
                .map(|(publication, _)| *publication)
                .collect();
            of_day.sort_unstable();
            let expected: Vec<_> = [2, 1, 0]
                .into_iter()
                .map(|replica| PeriodReplica {
                    period: period.after(2 - u32::from(replica)),
                    replica: Replica::new(replica).unwrap(),
                })
                .collect();
            assert_eq!(of_day, expected, "day {day}");
        }
    }

    #[test]
    fn two_of_three_replicas_are_alive_at_each_moment_of_a_period() {
        const LEAST_LIFE: u32 = 60 * 3_600;
        let published = publish(20, |_| false);
        let first = Period::at(&ID, START);
        for period in (3..17).map(|day| first.after(day)) {
            for step in 0..24 {
                let now = period.begin(&ID).after(step * 3_600);
                let alive = published
                    .iter()
                    .filter(|(publication, _)| publication.period == period)
                    .filter(|(_, at)| *at <= now && now < at.after(LEAST_LIFE));
                assert!(alive.count() >= 2, "{period:?} hour {step}");
            }
        }
    }

    #[test]
    fn restarts_change_no_insertion_time() {
        let quiet = publish(12, |_| false);
        assert_eq!(publish(12, |turn| turn % 7 == 3), quiet);
        assert_eq!(publish(12, |_| true), quiet);
    }

    #[test]
    fn stored_draw_outlives_the_generator() {
        let mut schedule = PublicationSchedule::new(&mut rng(1), &ID, START);
        let now = START.after(DAY);
        schedule.advance(&mut rng(2), &ID, now);
        let next = schedule.next_due();
        let mut restored = PublicationSchedule::from_bytes(&schedule.to_bytes()).unwrap();
        assert!(!restored.advance(&mut rng(3), &ID, now));
        assert_eq!(restored.next_due(), next);
        assert_eq!(restored, schedule);
    }

    #[test]
    fn late_replica_goes_at_once_unless_its_period_has_ended() {
        let mut schedule = PublicationSchedule::new(&mut rng(1), &ID, START);
        let now = START.after(10 * DAY);
        schedule.advance(&mut rng(1), &ID, now);
        let today = Period::at(&ID, now);
        let due = schedule.due(now);
        assert!(due.iter().all(|publication| publication.period >= today));
        // The first two replicas of today's card, and the first of tomorrow's, are late for sure.
        for (period, replica) in [(today, 0), (today, 1), (today.after(1), 0)] {
            let replica = Replica::new(replica).unwrap();
            assert!(due.contains(&PeriodReplica { period, replica }));
        }
    }

    #[test]
    fn new_address_is_visible_within_half_an_hour() {
        let schedule = PublicationSchedule::new(&mut rng(9), &ID, START);
        let today = Period::at(&ID, START);
        let due = schedule.due(START.after(MAX_FIRST_DELAY));
        assert_eq!(due.len(), 3);
        for (period, replica) in [(today, 2), (today.after(1), 1), (today.after(2), 0)] {
            let replica = Replica::new(replica).unwrap();
            assert!(due.contains(&PeriodReplica { period, replica }));
        }
    }

    #[test]
    fn damaged_record_is_refused() {
        let schedule = PublicationSchedule::new(&mut rng(9), &ID, START);
        let bytes = schedule.to_bytes();
        assert_eq!(PublicationSchedule::from_bytes(&bytes), Ok(schedule));
        let mut other = bytes.clone();
        other[0] = 2;
        assert!(PublicationSchedule::from_bytes(&other).is_err());
        assert!(PublicationSchedule::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        other = bytes.clone();
        other[9] = 3;
        assert!(PublicationSchedule::from_bytes(&other).is_err());
    }

    /// Insertion times, in seconds since midnight, of a card of each of two days.
    fn two_days(owner: u32) -> [u32; 2] {
        let mut rng = ChaCha20Rng::seed_from_u64(owner.into());
        let mut id = ContactId([0; 32]);
        rand_core::Rng::fill_bytes(&mut rng, &mut id.0);
        let mut schedule = PublicationSchedule::new(&mut rng, &id, START);
        schedule.advance(&mut rng, &id, START.after(9 * DAY));
        let first = Period::at(&id, START).after(10);
        [0, 1].map(|day| {
            let card = PeriodReplica {
                period: first.after(day),
                replica: Replica(1),
            };
            schedule.planned[&card].due.0 % DAY
        })
    }

    /// An observer that knew which envelopes are cards would compare the hours of two of them. The day of an
    /// address begins at an hour of its own, and its cards are inserted in the half day that follows: the guess
    /// is right in two of three cases, where chance gives one of two, and never better.
    #[test]
    fn hours_of_cards_of_two_days_link_an_owner_as_little_as_half_a_day_allows() {
        let apart = |one: u32, other: u32| one.abs_diff(other).min(DAY - one.abs_diff(other));
        let owners: Vec<_> = (0..2_000).map(two_days).collect();
        let (mut right, mut all) = (0, 0);
        for (number, [today, tomorrow]) in owners.iter().enumerate() {
            let own = apart(*today, *tomorrow);
            let others = owners.iter().skip(number + 1).take(20);
            for [_, foreign] in others {
                right += u32::from(own < apart(*today, *foreign));
                all += 1;
            }
        }
        let rate = f64::from(right) / f64::from(all);
        // 2,000 owners: a deviation of .007.
        assert!((rate - 2.0 / 3.0).abs() < 0.025, "{rate}");
    }
}
