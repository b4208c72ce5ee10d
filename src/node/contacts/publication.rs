//! Own addresses: their keys by generation, and the publication of their cards.
//!
//! Keys are made before they are named, stored before a card with them leaves, and erased whole when no
//! first message to them can be alive. The order is the same for everything here: [`OwnCards::prepare`]
//! returns the changes to store, and [`OwnCards::publish`] gives envelopes out only when all changes are
//! durable. Nothing here depends on what the user of the node does, or on when the node started, except
//! that a late card goes at once.

mod address;
mod published;

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::ids::Profile;
use circuits::time::{Now, UnixSecs};

use self::address::OwnAddress;
use self::published::PublishedCards;
use crate::contact::card::{CardTerms, SignedCard, file};
use crate::contact::codec::BadState;
use crate::contact::generation::GenerationKeys;
use crate::contact::id::ContactId;
use crate::contact::kdf::Key32;
use crate::contact::period::{Generation, Period};
use crate::contact::schedule::{Publication, PublicationSchedule};
use crate::envelope::Topic;
use crate::node::Refusal;
use crate::node::effects::Effects;
use crate::node::event::MessageId;
use crate::node::timers::TimerId;
use crate::state::{StateChange, StateRow, StateTable};

/// The addresses of this node, their keys, and what is published for them and for others.
#[derive(Default)]
pub(super) struct OwnCards {
    addresses: BTreeMap<ContactId, OwnAddress>,
    keys: BTreeMap<(ContactId, Generation), GenerationKeys>,
    published: BTreeMap<ContactId, PublishedCards>,
    running: BTreeMap<MessageId, CardName>,
    /// Number of records that are not durable yet.
    unstored: usize,
    /// Maximum number of seconds before the first cards of a new address; the standard if `None`.
    max_first_delay: Option<u32>,
}

/// Names one envelope with a card.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::node) struct CardName {
    /// The owner.
    pub(super) id: ContactId,
    /// The period and replica.
    pub(super) publication: Publication,
}

/// An envelope to publish.
pub(super) struct DueCard {
    /// Its name, for the report of how it went.
    pub(super) name: CardName,
    /// Its topic.
    pub(super) topic: Topic,
    /// Its data.
    pub(super) data: Vec<u8>,
}

/// What [`OwnCards::prepare`] has changed.
#[derive(Default)]
pub(super) struct Prepared {
    /// To be made durable in one record; [`OwnCards::on_stored`] follows if there are any.
    pub(super) changes: Vec<StateChange>,
    /// Whether the keys that open first messages are others now.
    pub(super) keys_changed: bool,
    /// Generations whose keys were erased.
    pub(super) erased: Vec<(ContactId, Generation)>,
}

impl OwnCards {
    /// No addresses. On one machine the first cards leave at once: there is nothing to hide, and a user
    /// waits for them.
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            max_first_delay: (profile == Profile::Local).then_some(MAX_LOCAL_FIRST_DELAY),
            ..Self::default()
        }
    }

    // -- addresses

    /// Creates an address, or restores one from its seed. Its first cards are published within half an
    /// hour.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the name or the address is there already, or if there are too many.
    pub(super) fn create(
        &mut self,
        fx: &mut Effects,
        now: Now,
        name: String,
        seed: Key32,
    ) -> Result<(ContactId, Prepared), Refusal> {
        if self.addresses.len() >= MAX_ADDRESSES {
            return Err(Refusal::usage(
                format!("there are {MAX_ADDRESSES} addresses, the most that a node has"),
                "use one of them (`whisht id address`)",
            ));
        }
        let address = OwnAddress::new(fx.key_rng(), name, seed, |id| Period::at(id, now.unix));
        let id = *address.id();
        let mut others = self.addresses.values();
        if let Some(other) =
            others.find(|other| other.name() == address.name() || *other.id() == id)
        {
            return Err(Refusal::usage(
                format!("there is an address {} already", other.name()),
                "choose another name, or use that address",
            ));
        }
        let schedule = match self.max_first_delay {
            None => PublicationSchedule::new(fx.rng(), &id, now.unix),
            Some(delay) => PublicationSchedule::within(fx.rng(), &id, now.unix, delay),
        };
        let mut prepared = Prepared::default();
        prepared.changes.push(address.change());
        self.addresses.insert(id, address);
        self.published.insert(id, PublishedCards::new(schedule));
        self.prepare_address(fx, now.unix, id, true, &mut prepared);
        self.expect_stored(&prepared);
        Ok((id, prepared))
    }

    /// The addresses of this node.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &OwnAddress> {
        self.addresses.values()
    }

    /// The address of this name.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is none.
    pub(super) fn named(&self, name: &str) -> Result<&OwnAddress, Refusal> {
        let mut addresses = self.addresses.values();
        let found = addresses.find(|address| address.name() == name);
        found.ok_or_else(|| {
            Refusal::usage(
                format!("there is no address {name:?}"),
                "`whisht id address` lists the addresses of this node",
            )
        })
    }

    /// Changes the terms of an address. Cards that are made from now on state them; the number of
    /// publications does not change.
    pub(super) fn set_terms(
        &mut self,
        now: UnixSecs,
        id: &ContactId,
        terms: CardTerms,
    ) -> Prepared {
        let mut prepared = Prepared::default();
        let today = Period::at(id, now);
        let (Some(address), Some(published)) =
            (self.addresses.get_mut(id), self.published.get_mut(id))
        else {
            return prepared;
        };
        address.set_terms(terms, today);
        for period in published.carded() {
            let keys = self.keys.get(&(*id, period.generation()));
            let card = keys.and_then(|keys| address.sign(period, today, keys.block()).ok());
            if let Some(card) = card {
                published.set_card(period, card);
            }
        }
        prepared.changes.push(address.change());
        prepared.changes.push(published.change(id));
        self.expect_stored(&prepared);
        prepared
    }

    // -- keys

    /// The keys that open first messages now: at most two generations of each address. Keys that were made
    /// ahead for an export are not among them before their time.
    pub(super) fn live_keys(
        &self,
        now: UnixSecs,
    ) -> impl Iterator<Item = (ContactId, &GenerationKeys)> {
        let keys = self.keys.iter();
        keys.filter(move |((id, generation), _)| generation.made_in() <= Period::at(id, now))
            .map(|((id, _), keys)| (*id, keys))
    }

    /// The keys of one generation, to accept a first message.
    pub(super) fn keys_mut(
        &mut self,
        id: &ContactId,
        generation: Generation,
    ) -> Option<&mut GenerationKeys> {
        self.keys.get_mut(&(*id, generation))
    }

    // -- publication

    /// Makes keys, draws times, signs cards and erases what is over. A caller whose clock is known to be
    /// wrong does not call: it would erase keys that are still in use.
    pub(super) fn prepare(&mut self, fx: &mut Effects, now: Now) -> Prepared {
        let mut prepared = Prepared::default();
        let ids: Vec<_> = self.published.keys().copied().collect();
        for id in ids {
            self.prepare_address(fx, now.unix, id, false, &mut prepared);
        }
        self.expect_stored(&prepared);
        prepared
    }

    fn prepare_address(
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
        let of_address = (id, Generation(0))..=(id, Generation(u32::MAX));
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
        for generation in Generation::live_in(today) {
            self.make_keys(fx, (id, generation), prepared);
        }
    }

    fn make_keys(
        &mut self,
        fx: &mut Effects,
        key: (ContactId, Generation),
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

    fn expect_stored(&mut self, prepared: &Prepared) {
        let stores = usize::from(!prepared.changes.is_empty());
        self.unstored = self.unstored.saturating_add(stores);
    }

    /// The changes of one [`Prepared`] are durable.
    pub(super) const fn on_stored(&mut self) {
        self.unstored = self.unstored.saturating_sub(1);
    }

    /// Envelopes whose time has come; none while changes are not durable.
    pub(super) fn publish(&mut self, fx: &mut Effects, now: UnixSecs) -> Vec<DueCard> {
        if self.unstored > 0 {
            return Vec::new();
        }
        let mut due = Vec::new();
        for (id, published) in &mut self.published {
            for publication in published.due(now) {
                let begun = published.begin(fx.key_rng(), id, publication);
                due.extend(begun.map(|(key, data)| DueCard {
                    name: CardName {
                        id: *id,
                        publication,
                    },
                    topic: key.topic(),
                    data,
                }));
            }
        }
        due
    }

    /// An envelope is being sent, or was refused for this reason.
    pub(super) fn on_started(
        &mut self,
        now: UnixSecs,
        name: CardName,
        started: Result<MessageId, String>,
    ) {
        match started {
            Ok(message) => {
                self.running.insert(message, name);
            }
            Err(reason) => {
                if let Some(published) = self.published.get_mut(&name.id) {
                    published.on_refused(name.publication, now, reason);
                }
            }
        }
    }

    /// Whether a message of this node is an envelope with a card.
    pub(super) fn is_running(&self, message: MessageId) -> bool {
        self.running.contains_key(&message)
    }

    /// An envelope has left this node. Returns the change to store.
    pub(super) fn on_left(&mut self, message: MessageId) -> Option<StateChange> {
        let name = self.running.get(&message)?;
        let published = self.published.get_mut(&name.id)?;
        published.on_left(name.publication);
        Some(published.change(&name.id))
    }

    /// The attempt is over. Returns the change to store.
    pub(super) fn on_ended(
        &mut self,
        now: UnixSecs,
        message: MessageId,
        is_seen: bool,
    ) -> Option<StateChange> {
        let name = self.running.remove(&message)?;
        let published = self.published.get_mut(&name.id)?;
        published.on_ended(name.publication, now, is_seen);
        Some(published.change(&name.id))
    }

    /// Sets the timer to the next time at which something is due.
    pub(super) fn arm(&self, fx: &mut Effects, now: Now) {
        let published = self.published.iter();
        let next = published.map(|(id, published)| {
            // A new day plans further replicas, and turns generations.
            let turn = Period::at(id, now.unix).after(1).begin(id);
            let can_sign = self.addresses.contains_key(id);
            let due = published.next_due(can_sign);
            due.map_or(turn, |due| due.min(turn))
        });
        let next = next.min().map(|due| {
            let wait = Duration::from_secs(due.0.saturating_sub(now.unix.0).into());
            now.mono.after(wait.clamp(MIN_WAIT, MAX_WAIT))
        });
        fx.arm(TimerId::PublishCards, next);
    }

    // -- views, files

    /// The card of an own address for today, if one was made.
    pub(super) fn card(&self, id: &ContactId, now: UnixSecs) -> Option<&SignedCard> {
        let today = Period::at(id, now);
        self.published.get(id)?.card(today)
    }

    /// Number of envelopes with today's card that have left this node, and are alive.
    pub(super) fn published_today(&self, id: &ContactId, now: UnixSecs) -> usize {
        let published = self.published.get(id);
        published.map_or(0, |published| published.left(Period::at(id, now)))
    }

    /// When the next card of an address is planned.
    pub(super) fn next_planned(&self, id: &ContactId) -> Option<UnixSecs> {
        self.published.get(id)?.next_planned()
    }

    /// Why the cards of an address cannot be published now.
    pub(super) fn obstacle(&self, id: &ContactId) -> Option<&str> {
        self.published.get(id)?.obstacle()
    }

    /// Signed cards of an address for the coming days, today's first. Keys of later generations are made
    /// and have to be durable before the file leaves.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the number of days is not 1 to 14, or there is no such address.
    pub(super) fn export(
        &mut self,
        fx: &mut Effects,
        now: UnixSecs,
        name: &str,
        days: u32,
    ) -> Result<(Vec<u8>, Prepared), Refusal> {
        if days == 0 || days > u32::from(file::MAX_CARDS) {
            return Err(Refusal::usage(
                format!("cards can be exported for 1 to 14 days, not for {days}"),
                "choose a number of days from 1 to 14",
            ));
        }
        let id = *self.named(name)?.id();
        let today = Period::at(&id, now);
        let last = today.after(days.saturating_sub(1));
        let mut prepared = Prepared::default();
        for generation in today.generation().0..=last.generation().0 {
            self.make_keys(fx, (id, Generation(generation)), &mut prepared);
        }
        let address = self.named(name)?;
        let periods = (today.0..=last.0).map(Period);
        let cards: Vec<_> = periods
            .filter_map(|period| {
                let keys = self.keys.get(&(id, period.generation()))?;
                address.sign(period, today, keys.block()).ok()
            })
            .collect();
        let file = file::encode(cards.iter());
        self.expect_stored(&prepared);
        Ok((file, prepared))
    }

    /// Publishes the cards of a file for their owner. Returns their number.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the file is not valid, if all its cards are over, or if this node has the address.
    pub(super) fn import(
        &mut self,
        fx: &mut Effects,
        now: UnixSecs,
        file: &[u8],
    ) -> Result<(usize, Prepared), Refusal> {
        let (id, cards) = file::decode(file).map_err(|error| {
            Refusal::usage(
                error.to_string(),
                "ask the owner of the address for a new one",
            )
        })?;
        if let Some(own) = self.addresses.get(&id) {
            return Err(Refusal::usage(
                format!("these are cards of {}, an address of this node", own.name()),
                "this node publishes them itself",
            ));
        }
        let today = Period::at(&id, now);
        let cards: Vec<_> = cards
            .iter()
            .filter(|card| card.period() >= today && card.period() <= today.after(MAX_HELPED))
            .collect();
        if cards.is_empty() {
            return Err(Refusal::usage(
                "the cards in the file are for days that are over",
                "ask the owner of the address for a new one",
            ));
        }
        let is_full = self.published.len() >= MAX_ADDRESSES + MAX_HELPED_ADDRESSES;
        if is_full && !self.published.contains_key(&id) {
            return Err(Refusal::usage(
                format!("this node publishes for {MAX_HELPED_ADDRESSES} other owners already"),
                "wait until their cards are over",
            ));
        }
        let new = || PublishedCards::new(PublicationSchedule::new(fx.rng(), &id, now));
        let published = self.published.entry(id).or_insert_with(new);
        for card in &cards {
            published.set_card(card.period(), card.card().clone());
        }
        let prepared = Prepared {
            changes: vec![published.change(&id)],
            ..Prepared::default()
        };
        self.expect_stored(&prepared);
        Ok((cards.len(), prepared))
    }

    // -- state

    /// Reads a row of the last run, if it is of one of the tables of this module.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the row is damaged.
    pub(super) fn restore(&mut self, row: &StateRow) -> Result<(), BadState> {
        let id = row.id.as_bytes();
        let (id, rest) = id.split_first_chunk::<32>().ok_or(BadState::Length)?;
        let id = ContactId(*id);
        match row.table {
            StateTable::Identity => {
                let address = OwnAddress::from_bytes(&row.value)?;
                if *address.id() != id {
                    return Err(BadState::Field("id of an address"));
                }
                self.addresses.insert(id, address);
            }
            StateTable::Generation => {
                let keys = GenerationKeys::from_bytes(&row.value)?;
                if rest != keys.generation().0.to_be_bytes() {
                    return Err(BadState::Field("number of a generation"));
                }
                self.keys.insert((id, keys.generation()), keys);
            }
            StateTable::Schedule => {
                let published = PublishedCards::from_bytes(&row.value)?;
                self.published.insert(id, published);
            }
            _ => return Err(BadState::Field("table")),
        }
        Ok(())
    }
}

fn generation_row((id, generation): (ContactId, Generation)) -> Vec<u8> {
    [&id.0[..], &generation.0.to_be_bytes()].concat()
}

/// Maximum number of seconds before the first cards on one machine.
const MAX_LOCAL_FIRST_DELAY: u32 = 2;
/// Maximum number of addresses of this node.
const MAX_ADDRESSES: usize = 16;
/// Maximum number of addresses of other owners that this node publishes cards for.
const MAX_HELPED_ADDRESSES: usize = 16;
/// Periods ahead for which cards of other owners are taken.
const MAX_HELPED: u32 = 16;
/// A turn that could not publish all that is due is followed by another one after this time.
const MIN_WAIT: Duration = Duration::from_secs(1);
/// Maximum time between two turns, so that a clock that is set is noticed.
const MAX_WAIT: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
