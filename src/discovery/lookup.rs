//! One walk towards a target: whom to ask next, of all who were named so far.
//!
//! The nearest of those known are asked for nearer ones, a few at a time, until the nearest have
//! all been asked. What strangers name is bounded; the walk ends however they answer.

use std::collections::BTreeSet;

use circuits::ids::RelayKey;

use super::contact::{Contact, Place};

/// A walk under way.
#[derive(Debug)]
pub(super) struct Lookup {
    target: RelayKey,
    place: Place,
    /// Everybody named, nearest first.
    named: Vec<([u8; 32], Contact)>,
    asked: BTreeSet<RelayKey>,
    waiting: usize,
}

impl Lookup {
    pub(super) fn new(target: RelayKey, from: Vec<Contact>) -> Self {
        let mut lookup = Self {
            target,
            place: Place::of(&target),
            named: Vec::new(),
            asked: BTreeSet::new(),
            waiting: 0,
        };
        from.into_iter().for_each(|contact| lookup.name(contact));
        lookup
    }

    /// What to ask for.
    pub(super) const fn target(&self) -> RelayKey {
        self.target
    }

    /// Somebody was named.
    pub(super) fn name(&mut self, contact: Contact) {
        let distance = self.place.distance(&contact.place());
        if let Err(at) = self
            .named
            .binary_search_by_key(&distance, |(near, _)| *near)
        {
            self.named.insert(at, (distance, contact));
            self.named.truncate(NEAREST);
        }
    }

    /// Whom to ask now, if anybody. Each is asked once.
    pub(super) fn next(&mut self) -> Option<Contact> {
        if self.waiting >= AT_ONCE || self.asked.len() >= MOST_ASKED {
            return None;
        }
        let new = |(_, contact): &&([u8; 32], Contact)| !self.asked.contains(&contact.key);
        let (_, contact) = self.named.iter().find(new)?;
        self.asked.insert(contact.key);
        self.waiting = self.waiting.saturating_add(1);
        Some(*contact)
    }

    /// Somebody who was asked has answered, or will not.
    pub(super) const fn done(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Whether nobody is left to ask or to wait for.
    pub(super) fn is_over(&self) -> bool {
        let left = |(_, contact): &([u8; 32], Contact)| !self.asked.contains(&contact.key);
        self.waiting == 0 && (self.asked.len() >= MOST_ASKED || !self.named.iter().any(left))
    }
}

/// Kademlia's alpha: asked at once.
const AT_ONCE: usize = 3;
/// Kademlia's k: nearest that have to be asked.
const NEAREST: usize = 16;
/// Asked in all. A walk among honest nodes takes a few dozen; one among liars ends here.
const MOST_ASKED: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contact(byte: u8, other: u8) -> Contact {
        let mut key = [byte; 64];
        key[1] = other;
        Contact {
            key: RelayKey(key),
            ip: [11, 1, 1, 1].into(),
            udp: 30303,
            tcp: 0,
        }
    }

    #[test]
    fn the_nearest_are_asked_first_and_three_at_once() {
        let from: Vec<Contact> = (1..=30).map(|byte| contact(byte, 0)).collect();
        let mut lookup = Lookup::new(RelayKey([0; 64]), from.clone());
        let place = Place::of(&RelayKey([0; 64]));
        let distance = |contact: &Contact| place.distance(&contact.place());
        let asked: Vec<Contact> = std::iter::from_fn(|| lookup.next()).collect();
        assert_eq!(asked.len(), 3);
        assert!(asked.is_sorted_by_key(distance));
        let nearest = from.iter().map(distance).min();
        assert_eq!(asked.first().map(distance), nearest);
        lookup.done();
        assert!(lookup.next().is_some() && lookup.next().is_none());
    }

    #[test]
    fn nobody_is_asked_twice_however_often_named() {
        let mut lookup = Lookup::new(RelayKey([0; 64]), vec![contact(1, 0)]);
        assert!(lookup.next().is_some());
        lookup.done();
        lookup.name(contact(1, 0));
        assert!(lookup.next().is_none());
        assert!(lookup.is_over());
    }

    proptest! {
        #[test]
        fn a_walk_among_liars_ends(names in prop::collection::vec((any::<u8>(), any::<u8>()), 1..400)) {
            let mut names = names.into_iter().map(|(one, other)| contact(one, other));
            let mut lookup = Lookup::new(RelayKey([0; 64]), names.by_ref().take(1).collect());
            let mut asked = 0;
            while !lookup.is_over() {
                if lookup.next().is_some() {
                    asked += 1;
                }
                // Each answer names more, and always new ones.
                names.by_ref().take(16).for_each(|contact| lookup.name(contact));
                lookup.done();
                prop_assert!(asked <= MOST_ASKED);
                prop_assert!(lookup.named.len() <= NEAREST);
            }
        }
    }
}
