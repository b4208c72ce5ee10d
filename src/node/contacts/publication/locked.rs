//! Publication while the state is locked: cards that were signed before leave at their times.
//!
//! At the lock, cards of two weeks are signed and every key is forgotten. Times that are drawn while the state
//! is locked are in memory only: a node that is killed before it is unlocked draws them again. Cards that were
//! not used are signed anew afterwards, so that they state the day on which they were made.

use circuits::time::{Now, UnixSecs};

use super::{OwnCards, Prepared};
use crate::contact::card::file::MAX_CARDS;
use crate::contact::id::ContactId;
use crate::contact::period::{KeyGeneration, Period};
use crate::node::effects::Effects;
use crate::state::StateChange;

impl OwnCards {
    /// Signs the cards of the coming days. Returns what is left without the keys, and the changes to store
    /// before the key of the state is erased.
    pub(in crate::node::contacts) fn lock(
        &mut self,
        fx: &mut Effects,
        now: UnixSecs,
    ) -> (Self, Prepared) {
        let mut prepared = Prepared::default();
        let ids: Vec<ContactId> = self.addresses.keys().copied().collect();
        for id in ids {
            self.sign_ahead(fx, now, id, &mut prepared);
        }
        self.expect_stored(&prepared);
        let locked = Self {
            published: core::mem::take(&mut self.published),
            running: core::mem::take(&mut self.running),
            unstored: self.unstored,
            is_locked: true,
            max_first_delay: self.max_first_delay,
            ..Self::default()
        };
        (locked, prepared)
    }

    fn sign_ahead(
        &mut self,
        fx: &mut Effects,
        now: UnixSecs,
        id: ContactId,
        prepared: &mut Prepared,
    ) {
        let today = Period::at(&id, now);
        let last = today.after(u32::from(MAX_CARDS).saturating_sub(1));
        for generation in today.generation().0..=last.generation().0 {
            self.make_keys(fx, (id, KeyGeneration(generation)), prepared);
        }
        let (Some(address), Some(published)) =
            (self.addresses.get(&id), self.published.get_mut(&id))
        else {
            return;
        };
        let has_card = published.carded();
        let periods = (today.0..=last.0).map(Period);
        for period in periods.filter(|period| !has_card.contains(period)) {
            let keys = self.keys.get(&(id, period.generation()));
            if let Some(Ok(card)) = keys.map(|keys| address.sign(period, today, keys.block())) {
                published.set_card(period, card);
            }
        }
    }

    /// Draws the times that come into view while the state is locked, and forgets what is over.
    pub(in crate::node::contacts) fn prepare_locked(&mut self, fx: &mut Effects, now: Now) {
        let prepared = self.prepare(fx, now);
        if !prepared.changes.is_empty() {
            // Nothing can be stored.
            self.on_stored();
        }
    }

    /// The state is open again. Returns the changes to store.
    pub(in crate::node::contacts) fn on_unlocked(&mut self) -> Vec<StateChange> {
        let mut changes = Vec::new();
        if !core::mem::take(&mut self.is_locked) {
            return changes;
        }
        for (id, published) in &mut self.published {
            if self.addresses.contains_key(id) {
                published.forget_unused_cards();
            }
            changes.push(published.change(id));
        }
        changes
    }
}
