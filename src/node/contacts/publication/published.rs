//! The cards of one address that this node publishes: its own, or those that another owner has signed and
//! handed over.
//!
//! The schedule says when; this module says which card, and follows each replica until its envelope has
//! left. A replica whose level is not available waits, and one whose envelope did not reach the network is
//! sealed anew. What a user of the node does changes none of the times.

use std::collections::{BTreeMap, BTreeSet};

use circuits::time::UnixSecs;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::contact::card::SignedCard;
use crate::contact::card::key::CardKey;
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::id::ContactId;
use crate::contact::period::Period;
use crate::contact::schedule::{PeriodReplica, PublicationSchedule};
use crate::state::{StateChange, StateTable};

/// Schedule, cards, and what is on its way.
pub(super) struct PublishedCards {
    schedule: PublicationSchedule,
    cards: BTreeMap<Period, SignedCard>,
    /// Replicas that were begun in this run, and are not over.
    attempts: BTreeMap<PeriodReplica, CardAttempt>,
    obstacle: Option<String>,
}

struct CardAttempt {
    /// Number of attempts that failed.
    failed: u32,
    progress: AttemptProgress,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum AttemptProgress {
    /// An envelope is being made, or is on its way.
    Running,
    /// The next attempt, not before this time.
    Waiting(UnixSecs),
}

impl PublishedCards {
    /// No cards yet.
    pub(super) const fn new(schedule: PublicationSchedule) -> Self {
        Self {
            schedule,
            cards: BTreeMap::new(),
            attempts: BTreeMap::new(),
            obstacle: None,
        }
    }

    /// Draws the times that come into view, and forgets what is over. Returns whether anything changed.
    pub(super) fn advance(
        &mut self,
        rng: &mut impl CryptoRng,
        id: &ContactId,
        now: UnixSecs,
    ) -> bool {
        let today = Period::at(id, now);
        self.cards.retain(|period, _| *period >= today);
        self.attempts
            .retain(|publication, _| publication.period >= today);
        self.schedule.advance(rng, id, now)
    }

    // -- cards

    /// The periods with a replica that is due and that have no card.
    pub(super) fn lacking(&self, now: UnixSecs) -> BTreeSet<Period> {
        let due = self.schedule.due(now).into_iter();
        due.map(|publication| publication.period)
            .filter(|period| !self.cards.contains_key(period))
            .collect()
    }

    /// The periods that have a card.
    pub(super) fn carded(&self) -> Vec<Period> {
        self.cards.keys().copied().collect()
    }

    /// Publishes this card for its period from now on.
    pub(super) fn set_card(&mut self, period: Period, card: SignedCard) {
        self.cards.insert(period, card);
    }

    /// The card of a period.
    pub(super) fn card(&self, period: Period) -> Option<&SignedCard> {
        self.cards.get(&period)
    }

    /// Forgets the cards of which no envelope has left or is on its way.
    pub(super) fn forget_unused_cards(&mut self) {
        let (schedule, attempts) = (&self.schedule, &self.attempts);
        self.cards.retain(|period, _| {
            schedule.left(*period) > 0 || attempts.keys().any(|begun| begun.period == *period)
        });
    }

    // -- publication

    /// The replicas to begin now: due, with a card, and not on their way.
    pub(super) fn due(&self, now: UnixSecs) -> Vec<PeriodReplica> {
        let due = self.schedule.due(now).into_iter();
        due.filter(|publication| self.cards.contains_key(&publication.period))
            .filter(|publication| match self.attempts.get(publication) {
                None => true,
                Some(attempt) => match attempt.progress {
                    AttemptProgress::Waiting(until) => until <= now,
                    AttemptProgress::Running => false,
                },
            })
            .collect()
    }

    /// Begins a replica: the topic and data of its envelope.
    pub(super) fn begin(
        &mut self,
        rng: &mut impl CryptoRng,
        id: &ContactId,
        publication: PeriodReplica,
    ) -> Option<(CardKey, Vec<u8>)> {
        let card = self.cards.get(&publication.period)?;
        let key = CardKey::of(id, publication);
        let data = key.seal(rng, card);
        let attempt = self.attempts.entry(publication).or_insert(CardAttempt {
            failed: 0,
            progress: AttemptProgress::Running,
        });
        attempt.progress = AttemptProgress::Running;
        Some((key, data))
    }

    /// The level is not available, or there is no room; the replica waits.
    pub(super) fn on_refused(&mut self, publication: PeriodReplica, now: UnixSecs, reason: String) {
        self.obstacle = Some(reason);
        if let Some(attempt) = self.attempts.get_mut(&publication) {
            attempt.progress = AttemptProgress::Waiting(now.after(REFUSED_INTERVAL));
        }
    }

    /// The envelope has left this node. From here on a restart does not publish it again.
    pub(super) fn on_left(&mut self, publication: PeriodReplica) {
        self.obstacle = None;
        self.schedule.mark_left(publication);
    }

    /// The attempt is over. If its envelope did not reach the network, another one follows.
    pub(super) fn on_ended(&mut self, publication: PeriodReplica, now: UnixSecs, is_seen: bool) {
        let Some(attempt) = self.attempts.get_mut(&publication) else {
            return;
        };
        attempt.failed = attempt.failed.saturating_add(1);
        if is_seen || attempt.failed >= MAX_ATTEMPTS {
            self.attempts.remove(&publication);
            self.schedule.mark_left(publication);
        } else {
            attempt.progress = AttemptProgress::Waiting(now.after(RETRY_INTERVAL));
            self.schedule.mark_due(publication);
        }
    }

    /// When a replica is to be begun next. One without a card counts only if its card can be signed here.
    pub(super) fn next_due(&self, can_sign: bool) -> Option<UnixSecs> {
        let times = self.schedule.waiting();
        times
            .filter(|(publication, _)| can_sign || self.cards.contains_key(&publication.period))
            .filter_map(|(publication, due)| match self.attempts.get(&publication) {
                None => Some(due),
                Some(attempt) => match attempt.progress {
                    AttemptProgress::Waiting(until) => Some(until),
                    AttemptProgress::Running => None,
                },
            })
            .min()
    }

    /// When the next replica is planned.
    pub(super) fn next_planned(&self) -> Option<UnixSecs> {
        self.schedule.next_due()
    }

    /// Number of envelopes of a period that have left.
    pub(super) fn left(&self, period: Period) -> usize {
        self.schedule.left(period)
    }

    /// Why the last replica that was due could not be published, if it could not.
    pub(super) fn obstacle(&self) -> Option<&str> {
        self.obstacle.as_deref()
    }

    // -- state

    /// The row of the state.
    pub(super) fn change(&self, id: &ContactId) -> StateChange {
        let mut writer = StateWriter::new(VERSION);
        writer.bytes(&self.schedule.to_bytes());
        writer.list(self.cards.iter(), |writer, (period, card)| {
            writer.u32(period.0);
            writer.array(card.as_bytes());
        });
        StateChange::put(StateTable::Schedule, id.0, writer.finish())
    }

    /// Reads a row of the last run. Replicas that were on their way then, and had not left, are due again.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the row is damaged.
    pub(super) fn from_bytes(bytes: &Zeroizing<Vec<u8>>) -> Result<Self, BadState> {
        let mut reader = StateReader::new(bytes, VERSION)?;
        let mut published = Self::new(PublicationSchedule::from_bytes(reader.bytes()?)?);
        let cards = reader.list(MAX_CARDS, |reader| {
            let period = Period(reader.u32()?);
            let card: [u8; crate::contact::card::CARD_LEN] = reader.array()?;
            let card = SignedCard::from_bytes(&card).map_err(|_| BadState::Field("card"))?;
            Ok((period, card))
        })?;
        reader.finish()?;
        published.cards = cards.into_iter().collect();
        Ok(published)
    }
}

const VERSION: u8 = 1;
/// Maximum number of stored cards: two weeks, and the days ahead.
const MAX_CARDS: usize = 20;
/// Attempts for one replica. Two others of its period may be alive meanwhile.
const MAX_ATTEMPTS: u32 = 3;
/// Seconds until the level is tried again, or the next attempt begins.
const REFUSED_INTERVAL: u32 = 300;
const RETRY_INTERVAL: u32 = 600;
