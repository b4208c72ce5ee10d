//! Cards that one node signs and another one publishes: export and import of files.

use circuits::time::UnixSecs;

use super::published::PublishedCards;
use super::{MAX_ADDRESSES, OwnCards, Prepared};
use crate::contact::card::file;
use crate::contact::period::{KeyGeneration, Period};
use crate::contact::schedule::PublicationSchedule;
use crate::node::Refusal;
use crate::node::effects::Effects;

impl OwnCards {
    /// Signed cards of an address for the coming days, today's first. Keys of later generations are made
    /// and have to be durable before the file leaves.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the number of days is not 1 to 14, or there is no such address.
    pub(in crate::node::contacts) fn export(
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
            self.make_keys(fx, (id, KeyGeneration(generation)), &mut prepared);
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
    pub(in crate::node::contacts) fn import(
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
}

/// Maximum number of addresses of other owners that this node publishes cards for.
const MAX_HELPED_ADDRESSES: usize = 16;
/// Periods ahead for which cards of other owners are taken.
const MAX_HELPED: u32 = 16;
