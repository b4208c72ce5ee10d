//! The cards of contacts: which envelopes of the mempool may be cards, and the card to use for each contact.
//!
//! Cards are found passively. The topics of three periods are computed from the id of each contact, and
//! envelopes that have one are opened by a job. The topics are known to this module only: they are neither
//! announced to peers nor requested from them, so finding a card shows nothing.
//!
//! A holder of the address can fill these topics with junk. So every candidate is opened, in random order,
//! at a bounded rate, and none is dropped while the mempool has it. The newest card that was ever seen of a
//! contact is kept, even when it is over: an older one never replaces it.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use circuits::bounded_map::BoundedMap;
use circuits::distributions;
use circuits::rate_limit::{Quota, TokenBucket};
use circuits::time::{Instant, Now, UnixSecs};

use crate::contact::card::key::{CARD_DATA_LEN, CardKey};
use crate::contact::card::search::{CardCandidate, CardSearch};
use crate::contact::card::{SignedCard, VerifiedCard};
use crate::contact::codec::BadState;
use crate::contact::id::ContactId;
use crate::contact::job::ContactJob;
use crate::contact::period::Period;
use crate::envelope::{Envelope, EnvelopeHash, Topic};
use crate::envelope_pool::Pool;
use crate::node::effects::Effects;
use crate::node::jobs::{Job, JobId, JobOwner};
use crate::node::timers::TimerId;
use crate::state::{StateChange, StateRow, StateTable};

/// Looks for the cards of contacts.
pub(super) struct CardFinder {
    contacts: BTreeMap<ContactId, WatchedContact>,
    /// Cards of the last run whose signatures are still to be checked.
    restored: BTreeMap<ContactId, SignedCard>,
    keys: BTreeMap<Topic, Vec<Arc<CardKey>>>,
    /// Candidates that were not opened yet, in no order; those that are not in `is_waiting` any more are
    /// skipped.
    waiting: Vec<EnvelopeHash>,
    is_waiting: BTreeSet<EnvelopeHash>,
    /// Candidates that were opened, so that none is opened twice. The oldest are forgotten first.
    opened: BoundedMap<EnvelopeHash, (), u64>,
    opened_count: u64,
    budget: TokenBucket,
    running: Option<(JobId, Vec<EnvelopeHash>)>,
    /// Where the search of the mempool for new topics goes on.
    scan: Option<Option<EnvelopeHash>>,
}

/// A contact whose cards are looked for.
#[derive(Default)]
struct WatchedContact {
    /// The period in which the topics were computed.
    topics_of: Option<Period>,
    topics: Vec<Topic>,
    /// The newest card that was ever seen.
    card: Option<VerifiedCard>,
}

impl CardFinder {
    /// A finder without contacts.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            contacts: BTreeMap::new(),
            restored: BTreeMap::new(),
            keys: BTreeMap::new(),
            waiting: Vec::new(),
            is_waiting: BTreeSet::new(),
            opened: BoundedMap::new(MAX_OPENED),
            opened_count: 0,
            budget: TokenBucket::full(now),
            running: None,
            scan: None,
        }
    }

    // -- contacts

    /// Looks for the cards of a contact, also among the envelopes of the mempool.
    pub(super) fn watch(&mut self, fx: &mut Effects, now: Instant, id: ContactId) {
        self.contacts.entry(id).or_default();
        // What was opened for another contact, or before this one was forgotten, is opened again.
        self.opened = BoundedMap::new(MAX_OPENED);
        fx.expedite(TimerId::FindCards, now);
    }

    /// Forgets a contact and its card.
    pub(super) fn forget(&mut self, id: &ContactId) -> StateChange {
        if let Some(watched) = self.contacts.remove(id) {
            self.drop_keys(id, &watched.topics);
        }
        self.restored.remove(id);
        StateChange::delete(StateTable::Contact, row_id(id))
    }

    /// Reads a row of the last run, if it is one of this module. The caller then watches the contact, and
    /// [`verify_restored`](Self::verify_restored) checks the card.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the row is not one that this module stored.
    pub(super) fn restore(&mut self, row: &StateRow) -> Result<bool, BadState> {
        let id = row.id.as_bytes().strip_prefix(ROW_PREFIX);
        let Some(id) = id.and_then(|id| <[u8; 32]>::try_from(id).ok()) else {
            return Ok(false);
        };
        let id = ContactId(id);
        let card = SignedCard::from_bytes(&row.value).map_err(|_| BadState::Length)?;
        self.restored.insert(id, card);
        Ok(true)
    }

    /// Checks cards of the last run, a bounded number of them: each costs two signatures. No card of the
    /// mempool is opened before all are checked, so that none replaces a newer one.
    pub(super) fn verify_restored(&mut self) {
        let mut checked = 0_usize;
        while checked < MAX_VERIFIED
            && let Some((id, card)) = self.restored.pop_first()
        {
            checked = checked.saturating_add(1);
            let period = card.claimed_period();
            match period.map(|period| card.verify(&id, period)) {
                Some(Ok(card)) => self.contacts.entry(id).or_default().card = Some(card),
                _ => tracing::error!("a stored card of a contact is damaged and is left out"),
            }
        }
    }

    /// The card to write to a contact with, if there is one of now.
    pub(super) fn card(&self, id: &ContactId, now: UnixSecs) -> Option<&VerifiedCard> {
        self.newest(id).filter(|card| card.is_current(now))
    }

    /// The newest card that was ever seen of a contact.
    pub(super) fn newest(&self, id: &ContactId) -> Option<&VerifiedCard> {
        self.contacts.get(id)?.card.as_ref()
    }

    // -- envelopes

    /// An envelope entered the mempool.
    pub(super) fn on_pooled(&mut self, fx: &mut Effects, now: Instant, envelope: &Envelope) {
        if self.note(envelope) {
            fx.expedite(TimerId::FindCards, now.after(SEARCH_DELAY));
        }
    }

    /// The mempool dropped these envelopes.
    pub(super) fn on_dropped(&mut self, hashes: &[EnvelopeHash]) {
        for hash in hashes {
            self.is_waiting.remove(hash);
        }
    }

    /// Adds an envelope to the candidates, if it may be a card and was not opened.
    fn note(&mut self, envelope: &Envelope) -> bool {
        if !self.keys.contains_key(&envelope.topic()) || envelope.data().len() != CARD_DATA_LEN {
            return false;
        }
        let hash = envelope.hash();
        let is_new = !self.opened.contains_key(&hash) && self.is_waiting.insert(hash);
        if is_new {
            self.waiting.push(hash);
        }
        is_new
    }

    // -- searches

    /// Computes the topics of a new period, looks through the mempool for them, and begins to open
    /// candidates. Bounded; the timer continues.
    pub(super) fn run(&mut self, fx: &mut Effects, now: Now, pool: &Pool) {
        let turns = self.turn_periods(now.unix);
        self.verify_restored();
        self.scan_pool(pool);
        if !self.restored.is_empty() {
            return fx.arm(TimerId::FindCards, Some(now.mono));
        }
        self.begin_search(fx, now.mono, pool);
        let next_turn = now.mono.after(turns);
        let continues = if self.scan.is_some() {
            now.mono.after(SEARCH_DELAY)
        } else if self.is_waiting.is_empty() || self.running.is_some() {
            next_turn
        } else {
            self.budget.next_token(BUDGET).max(now.mono)
        };
        let next = (!self.contacts.is_empty()).then(|| continues.min(next_turn));
        fx.arm(TimerId::FindCards, next);
    }

    /// The topics of the contacts whose period has turned, a bounded number of them. Returns the time until
    /// the next turn.
    fn turn_periods(&mut self, now: UnixSecs) -> Duration {
        let turned: Vec<_> = self
            .contacts
            .iter()
            .map(|(id, watched)| (*id, watched.topics_of, Period::at(id, now)))
            .filter(|(_, topics_of, today)| *topics_of != Some(*today))
            .take(MAX_TURNS)
            .collect();
        for (id, _, today) in &turned {
            let Some(watched) = self.contacts.get_mut(id) else {
                continue;
            };
            watched.topics_of = Some(*today);
            let over = core::mem::take(&mut watched.topics);
            let keys: Vec<_> = CardKey::of_periods(id, today.acceptable()).collect();
            watched.topics = keys.iter().map(CardKey::topic).collect();
            self.drop_keys(id, &over);
            for key in keys {
                let of_topic = self.keys.entry(key.topic()).or_default();
                of_topic.push(Arc::new(key));
            }
            self.scan = Some(None);
        }
        if turned.len() == MAX_TURNS {
            return SEARCH_DELAY;
        }
        let turns = self.contacts.keys().map(|id| {
            let next = Period::at(id, now).after(1).begin(id);
            next.0.saturating_sub(now.0)
        });
        let next = turns.min().map(|secs| Duration::from_secs(secs.into()));
        // A clock that is set is noticed within the maximum.
        next.unwrap_or(MAX_WAIT).clamp(SEARCH_DELAY, MAX_WAIT)
    }

    fn drop_keys(&mut self, id: &ContactId, topics: &[Topic]) {
        for topic in topics {
            if let Some(keys) = self.keys.get_mut(topic) {
                keys.retain(|key| key.id() != id);
                if keys.is_empty() {
                    self.keys.remove(topic);
                }
            }
        }
    }

    /// Looks at the next envelopes of the mempool, if topics were added.
    fn scan_pool(&mut self, pool: &Pool) {
        let Some(mut cursor) = self.scan.take() else {
            return;
        };
        let mut visited = 0_usize;
        let start = cursor;
        for pooled in pool.after(start.as_ref()).take(MAX_SCANNED) {
            self.note(&pooled.envelope);
            cursor = Some(pooled.envelope.hash());
            visited = visited.saturating_add(1);
        }
        self.scan = (visited == MAX_SCANNED).then_some(cursor);
    }

    /// Opens candidates in random order, as many as the budget allows.
    fn begin_search(&mut self, fx: &mut Effects, now: Instant, pool: &Pool) {
        if self.running.is_some() {
            return;
        }
        if self.is_waiting.is_empty() {
            self.waiting.clear();
        }
        let mut candidates = Vec::new();
        while candidates.len() < MAX_CANDIDATES && !self.is_waiting.is_empty() {
            if !self.budget.take(BUDGET, now) {
                break;
            }
            let Some(candidate) = self.draw_candidate(fx, pool) else {
                break;
            };
            candidates.push(candidate);
        }
        if candidates.is_empty() {
            return;
        }
        let search = CardSearch::new(candidates);
        let hashes = search.envelopes().collect();
        let job = Job::Contact(Box::new(ContactJob::Cards(search)));
        let job = fx.start_job(JobOwner::Contact, job);
        self.running = Some((job, hashes));
    }

    fn draw_candidate(&mut self, fx: &mut Effects, pool: &Pool) -> Option<CardCandidate> {
        for _ in 0..MAX_SKIPPED {
            let index = distributions::index(fx.rng(), self.waiting.len())?;
            let hash = self.waiting.swap_remove(index);
            if !self.is_waiting.remove(&hash) {
                continue;
            }
            let Some(pooled) = pool.get(&hash) else {
                continue;
            };
            if let Some(keys) = self.keys.get(&pooled.envelope.topic()) {
                return Some(CardCandidate {
                    envelope: pooled.envelope.clone(),
                    keys: keys.clone(),
                });
            }
        }
        None
    }

    /// A search has ended; `None` if it was lost. Returns the contacts that have a new card now, and the
    /// change to store.
    pub(super) fn on_searched(
        &mut self,
        fx: &mut Effects,
        now: Now,
        job: JobId,
        found: Option<Vec<VerifiedCard>>,
    ) -> Vec<(ContactId, StateChange)> {
        let running = self.running.take_if(|(running, _)| *running == job);
        let Some((_, hashes)) = running else {
            return Vec::new();
        };
        fx.expedite(TimerId::FindCards, now.mono);
        let Some(found) = found else {
            let lost = hashes.into_iter();
            for hash in lost.filter(|hash| self.is_waiting.insert(*hash)) {
                self.waiting.push(hash);
            }
            return Vec::new();
        };
        for hash in hashes {
            self.opened_count = self.opened_count.saturating_add(1);
            self.opened.insert(hash, self.opened_count, ());
        }
        let mut changed = BTreeMap::new();
        for card in found {
            let Some(watched) = self.contacts.get_mut(card.id()) else {
                continue;
            };
            let known = watched.card.as_ref();
            if known.is_none_or(|known| card.replaces(known, now.unix)) {
                let value = zeroize::Zeroizing::new(card.card().as_bytes().to_vec());
                let row = row_id(card.id());
                let change = StateChange::put(StateTable::Contact, row, value);
                changed.insert(*card.id(), change);
                watched.card = Some(card);
            }
        }
        changed.into_iter().collect()
    }
}

fn row_id(id: &ContactId) -> Vec<u8> {
    [ROW_PREFIX, &id.0].concat()
}

/// Separates the rows of cards from those of contacts, which have 8 bytes.
const ROW_PREFIX: &[u8] = b"card";

/// Candidates that are opened per second: 3 % of a core.
const BUDGET: Quota = Quota::per_second(200, 200);
/// Candidates of one job: about 8 ms.
const MAX_CANDIDATES: usize = 64;
/// Candidates that the mempool has dropped and that one turn skips.
const MAX_SKIPPED: usize = 1024;
/// Number of opened candidates that are remembered.
const MAX_OPENED: usize = 65_536;
/// Envelopes of the mempool that are looked at in one turn.
const MAX_SCANNED: usize = 512;
/// Maximum number of cards of the last run that one turn checks.
const MAX_VERIFIED: usize = 16;
/// Contacts whose topics are computed in one turn: about 4 ms.
const MAX_TURNS: usize = 64;
/// Time from the arrival of a candidate until it is opened, and between two turns of a scan.
const SEARCH_DELAY: Duration = Duration::from_millis(50);
/// Maximum time between two turns.
const MAX_WAIT: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
