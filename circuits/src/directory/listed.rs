//! The relays of a pinned list (spec M1, clause a).
//!
//! The list decides which relays are eligible, and adds the families that its signers know to those
//! that the relays name. This module verifies nothing: the caller has checked the signatures.

use std::collections::BTreeMap;

use crate::ids::RelayId;

/// Relays that a pinned list names, with their families.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListedRelays {
    families: BTreeMap<RelayId, u16>,
    members: BTreeMap<u16, Vec<RelayId>>,
}

impl ListedRelays {
    /// Whether the list names this relay.
    #[must_use]
    pub fn contains(&self, id: &RelayId) -> bool {
        self.families.contains_key(id)
    }

    /// Number of relays.
    #[must_use]
    pub fn len(&self) -> usize {
        self.families.len()
    }

    /// Whether the list names no relay: it is missing or has expired.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// The relays that the list puts into one family with this one, itself included.
    pub(super) fn family_of(&self, id: &RelayId) -> &[RelayId] {
        let family = self.families.get(id).filter(|family| **family != 0);
        let members = family.and_then(|family| self.members.get(family));
        members.map_or(&[], Vec::as_slice)
    }
}

/// Relays, each with the number of its family; 0 for none.
impl FromIterator<(RelayId, u16)> for ListedRelays {
    fn from_iter<I: IntoIterator<Item = (RelayId, u16)>>(relays: I) -> Self {
        let families: BTreeMap<RelayId, u16> = relays.into_iter().collect();
        let mut members: BTreeMap<u16, Vec<RelayId>> = BTreeMap::new();
        for (id, family) in &families {
            members.entry(*family).or_default().push(*id);
        }
        Self { families, members }
    }
}
