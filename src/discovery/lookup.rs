//! One walk towards a target: whom to ask next, of all who were named so far.
//!
//! The nearest of those known are asked for nearer ones, a few at a time, until the nearest have
//! all been asked. What strangers name is bounded; the walk ends however they answer.

use std::collections::BTreeSet;

use circuits::ids::RelayKey;

use super::contact::{Contact, NodeId};

/// A walk under way.
#[derive(Debug)]
pub(super) struct Lookup {
    target: RelayKey,
    target_id: NodeId,
    /// Everybody named, nearest first.
    candidates: Vec<([u8; 32], Contact)>,
    queried: BTreeSet<RelayKey>,
    in_flight: usize,
}

impl Lookup {
    pub(super) fn new(target: RelayKey, from: Vec<Contact>) -> Self {
        let mut lookup = Self {
            target,
            target_id: NodeId::of(&target),
            candidates: Vec::new(),
            queried: BTreeSet::new(),
            in_flight: 0,
        };
        from.into_iter().for_each(|contact| lookup.add(contact));
        lookup
    }

    /// What to ask for.
    pub(super) const fn target(&self) -> RelayKey {
        self.target
    }

    /// Somebody was named.
    pub(super) fn add(&mut self, contact: Contact) {
        let distance = self.target_id.distance(&contact.node_id());
        if let Err(at) = self
            .candidates
            .binary_search_by_key(&distance, |(near, _)| *near)
        {
            self.candidates.insert(at, (distance, contact));
            self.candidates.truncate(MAX_CANDIDATES);
        }
    }

    /// Whom to ask now, if anybody. Each is asked once.
    pub(super) fn next(&mut self) -> Option<Contact> {
        if self.in_flight >= ALPHA || self.queried.len() >= MAX_QUERIES {
            return None;
        }
        let new = |(_, contact): &&([u8; 32], Contact)| !self.queried.contains(&contact.key);
        let (_, contact) = self.candidates.iter().find(new)?;
        self.queried.insert(contact.key);
        self.in_flight = self.in_flight.saturating_add(1);
        Some(*contact)
    }

    /// Somebody who was asked has answered, or will not.
    pub(super) const fn done(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Whether nobody is left to ask or to wait for.
    pub(super) fn is_over(&self) -> bool {
        let left = |(_, contact): &([u8; 32], Contact)| !self.queried.contains(&contact.key);
        self.in_flight == 0
            && (self.queried.len() >= MAX_QUERIES || !self.candidates.iter().any(left))
    }
}

/// Kademlia's alpha: asked at once.
const ALPHA: usize = 3;
/// Kademlia's k: nearest that have to be asked.
const MAX_CANDIDATES: usize = 16;
/// Asked in all. A walk among honest nodes takes a few dozen; one among liars ends here.
const MAX_QUERIES: usize = 64;

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
        let place = NodeId::of(&RelayKey([0; 64]));
        let distance = |contact: &Contact| place.distance(&contact.node_id());
        let asked: Vec<Contact> = std::iter::from_fn(|| lookup.next()).collect();
        assert_eq!(asked.len(), 3);
        assert!(asked.is_sorted_by_key(distance));
        let nearest = from.iter().map(distance).min();
        assert_eq!(asked.first().map(distance), nearest);
        lookup.done();
        assert!(lookup.next().is_some() && lookup.next().is_none());
    }

    #[test]
    fn no_node_is_queried_twice() {
        let mut lookup = Lookup::new(RelayKey([0; 64]), vec![contact(1, 0)]);
        assert!(lookup.next().is_some());
        lookup.done();
        lookup.add(contact(1, 0));
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
                names.by_ref().take(16).for_each(|contact| lookup.add(contact));
                lookup.done();
                prop_assert!(asked <= MAX_QUERIES);
                prop_assert!(lookup.candidates.len() <= MAX_CANDIDATES);
            }
        }
    }
}
