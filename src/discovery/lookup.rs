//! One iterative lookup of a target: which node to query next.
//!
//! The nearest known nodes are queried for nearer ones, a few in parallel, until the nearest have
//! all been queried. The number of candidates and queries is bounded, so a lookup ends whatever the
//! answers are.

use std::collections::BTreeSet;

use circuits::ids::RelayKey;

use super::contact::{Contact, NodeId};

/// A lookup in progress.
#[derive(Debug)]
pub(super) struct Lookup {
    target: RelayKey,
    target_id: NodeId,
    /// All nodes named so far, nearest first.
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

    /// The target of its queries.
    pub(super) const fn target(&self) -> RelayKey {
        self.target
    }

    /// Adds a node that an answer named.
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

    /// The node to query now, if there is one. Each is queried once.
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

    /// A query was answered or timed out.
    pub(super) const fn done(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Whether no candidate and no query is left.
    pub(super) fn is_over(&self) -> bool {
        let left = |(_, contact): &([u8; 32], Contact)| !self.queried.contains(&contact.key);
        self.in_flight == 0
            && (self.queried.len() >= MAX_QUERIES || !self.candidates.iter().any(left))
    }
}

/// Kademlia's alpha: queries in parallel.
const ALPHA: usize = 3;
/// Kademlia's k: number of nearest nodes that have to be queried.
const MAX_CANDIDATES: usize = 16;
/// Queries in total. A lookup among honest nodes takes a few dozen; this bounds one among liars.
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
    fn lookup_queries_nearest_first_and_three_in_parallel() {
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
    fn lookup_queries_no_node_twice() {
        let mut lookup = Lookup::new(RelayKey([0; 64]), vec![contact(1, 0)]);
        assert!(lookup.next().is_some());
        lookup.done();
        lookup.add(contact(1, 0));
        assert!(lookup.next().is_none());
        assert!(lookup.is_over());
    }

    proptest! {
        #[test]
        fn lookup_among_liars_ends(names in prop::collection::vec((any::<u8>(), any::<u8>()), 1..400)) {
            let mut names = names.into_iter().map(|(one, other)| contact(one, other));
            let mut lookup = Lookup::new(RelayKey([0; 64]), names.by_ref().take(1).collect());
            let mut asked = 0;
            while !lookup.is_over() {
                if lookup.next().is_some() {
                    asked += 1;
                }
                // Each answer names more nodes, always new ones.
                names.by_ref().take(16).for_each(|contact| lookup.add(contact));
                lookup.done();
                prop_assert!(asked <= MAX_QUERIES);
                prop_assert!(lookup.candidates.len() <= MAX_CANDIDATES);
            }
        }
    }
}
