//! What changes before cards can be published: keys of new generations, drawn times, signed cards, erasures.
//!
//! All of it is returned as changes to store. Nothing here publishes.

use circuits::time::{Now, UnixSecs};

use super::{OwnCards, Prepared};
use crate::contact::generation::GenerationKeys;
use crate::contact::id::ContactId;
use crate::contact::period::{KeyGeneration, Period};
use crate::node::effects::Effects;
use crate::state::{StateChange, StateTable};

impl OwnCards {
    /// Makes keys, draws times, signs cards and erases what is over. A caller whose clock is known to be
    /// wrong does not call: it would erase keys that are still in use.
    pub(in crate::node::contacts) fn prepare(&mut self, fx: &mut Effects, now: Now) -> Prepared {
        let mut prepared = Prepared::default();
        let ids: Vec<_> = self.published.keys().copied().collect();
        for id in ids {
            self.prepare_address(fx, now.unix, id, false, &mut prepared);
        }
        self.expect_stored(&prepared);
        prepared
    }

    /// Prepares what is due for one address: keys of new generations, cards of periods that lack one. `is_new` says
    /// that the address was not stored before.
    pub(super) fn prepare_address(
        &mut self,
        fx: &mut Effects,
        now: UnixSecs,
        id: ContactId,
        is_new: bool,
        prepared: &mut Prepared,
    ) {
        let today = Period::at(&id, now);
        let is_own = self.addresses.contains_key(&id);
        if is_own {
            self.turn_generations(fx, today, id, prepared);
        }
        let Some(published) = self.published.get_mut(&id) else {
            return;
        };
        let mut changed = published.advance(fx.rng(), &id, now) || is_new;
        if let Some(address) = self.addresses.get_mut(&id) {
            if address.renew_signer(fx.key_rng(), today) {
                prepared.changes.push(address.change());
            }
            for period in published.lacking(now) {
                let keys = self.keys.get(&(id, period.generation()));
                match keys.map(|keys| address.sign(period, today, keys.block())) {
                    Some(Ok(card)) => {
                        published.set_card(period, card);
                        changed = true;
                    }
                    _ => fx.bug("a card that is due cannot be signed"),
                }
            }
        }
        if changed {
            prepared.changes.push(published.change(&id));
        }
        if !is_own && published.carded().is_empty() {
            self.published.remove(&id);
            prepared
                .changes
                .push(StateChange::delete(StateTable::Schedule, id.0));
        }
    }

    /// Makes the keys whose time has come, and erases those that are over.
    fn turn_generations(
        &mut self,
        fx: &mut Effects,
        today: Period,
        id: ContactId,
        prepared: &mut Prepared,
    ) {
        let of_address = (id, KeyGeneration(0))..=(id, KeyGeneration(u32::MAX));
        let over = self.keys.range(of_address).map(|(key, _)| *key);
        let over: Vec<_> = over
            .filter(|(_, generation)| generation.erased_in() <= today)
            .collect();
        for key in over {
            self.keys.remove(&key);
            let change = StateChange::delete(StateTable::Generation, generation_row(key));
            prepared.changes.push(change);
            prepared.erased.push(key);
            prepared.keys_changed = true;
        }
        for generation in KeyGeneration::live_in(today) {
            self.make_keys(fx, (id, generation), prepared);
        }
    }

    /// Makes the keys of a generation, if there are none.
    pub(super) fn make_keys(
        &mut self,
        fx: &mut Effects,
        key: (ContactId, KeyGeneration),
        prepared: &mut Prepared,
    ) {
        if self.keys.contains_key(&key) {
            return;
        }
        let (_, generation) = key;
        let keys = GenerationKeys::create(fx.key_rng(), generation);
        let row = generation_row(key);
        let change = StateChange::put(StateTable::Generation, row, keys.to_bytes());
        prepared.changes.push(change);
        prepared.keys_changed = true;
        self.keys.insert(key, keys);
    }
}

/// The row of the keys of a generation.
pub(super) fn generation_row((id, generation): (ContactId, KeyGeneration)) -> Vec<u8> {
    [&id.0[..], &generation.0.to_be_bytes()].concat()
}
