//! Own addresses: their keys by generation, and the publication of their cards.
//!
//! Keys are made before they are named, stored before a card with them leaves, and erased whole when no
//! first message to them can be alive. The order is the same for everything here: [`OwnCards::prepare`]
//! returns the changes to store, and [`OwnCards::publish`] gives envelopes out only when all changes are
//! durable. Nothing here depends on what the user of the node does, or on when the node started, except
//! that a late card goes at once.

mod address;
mod files;
mod locked;
mod prepare;
mod published;

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::ids::Profile;
use circuits::time::{Now, UnixSecs};

use self::address::OwnAddress;
use self::published::PublishedCards;
use crate::contact::card::{CardTerms, SignedCard};
use crate::contact::codec::BadState;
use crate::contact::generation::GenerationKeys;
use crate::contact::id::ContactId;
use crate::contact::kdf::Key32;
use crate::contact::period::{KeyGeneration, Period};
use crate::contact::schedule::{PeriodReplica, PublicationSchedule};
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
    keys: BTreeMap<(ContactId, KeyGeneration), GenerationKeys>,
    published: BTreeMap<ContactId, PublishedCards>,
    running: BTreeMap<MessageId, CardName>,
    /// Number of records that are not durable yet.
    unstored: usize,
    /// Whether only what was signed before is there: the state is locked.
    is_locked: bool,
    /// Maximum number of seconds before the first cards of a new address; the standard if `None`.
    max_first_delay: Option<u32>,
}

/// Names one envelope with a card.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::node) struct CardName {
    /// The owner.
    pub(super) id: ContactId,
    /// The period and replica.
    pub(super) publication: PeriodReplica,
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
    pub(super) erased: Vec<(ContactId, KeyGeneration)>,
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
        address.set_terms(terms, now);
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
        generation: KeyGeneration,
    ) -> Option<&mut GenerationKeys> {
        self.keys.get_mut(&(*id, generation))
    }

    // -- publication

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

    // -- views

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

    /// Why cards that are due cannot be published now, of any address.
    pub(super) fn any_obstacle(&self) -> Option<&str> {
        let published = self.published.values();
        published.filter_map(PublishedCards::obstacle).next()
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
                // What was published while the state was locked is newer.
                self.published.entry(id).or_insert(published);
            }
            _ => return Err(BadState::Field("table")),
        }
        Ok(())
    }
}

/// Maximum number of seconds before the first cards on one machine.
const MAX_LOCAL_FIRST_DELAY: u32 = 2;
/// Maximum number of addresses of this node.
const MAX_ADDRESSES: usize = 16;
/// A turn that could not publish all that is due is followed by another one after this time.
const MIN_WAIT: Duration = Duration::from_secs(1);
/// Maximum time between two turns, so that a clock that is set is noticed.
const MAX_WAIT: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
