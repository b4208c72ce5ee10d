//! The relays that paths of one epoch may use, frozen.
//!
//! Honest nodes must draw from almost the same list; otherwise the list of a path would identify
//! the node that drew it (Danezis and Syverson 2008). The list of an epoch is therefore the state
//! of the directory one hour before the epoch. It does not change during the epoch, except that an
//! equivocating relay is removed at once. [`Directory`](super::Directory) decides which relays are
//! eligible; a snapshot is plain data, so that a simulator can create one of ten thousand relays.

use core::fmt;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::arrival_rate::ArrivalRate;
use super::endpoint::{EndpointKinds, Subnet};
use super::layer::Layer;
use super::listed::ListedRelays;
use crate::cell_builder::Hop;
use crate::ids::{Epoch, Profile, RelayId};

/// A relay that paths may use.
#[derive(Clone)]
pub struct EligibleRelay {
    /// Id and onion key for the epoch of the snapshot.
    pub hop: Hop,
    /// The subnets of its endpoints.
    pub subnets: Vec<Subnet>,
    /// The kinds of its endpoints.
    pub endpoints: EndpointKinds,
    /// The kinds of endpoints that it can dial.
    pub dials: EndpointKinds,
    /// Relays that it names as its family; in a [`Snapshot`], only mutual members.
    pub family: Vec<RelayId>,
    /// Its position on mixing paths. On `local`, [`Snapshot::new`] replaces it.
    pub layer: Layer,
    /// The rate at which mixing cells arrive at it, as it states itself.
    pub arrivals: ArrivalRate,
    /// Difficulty of its tickets, in bits.
    pub ticket_bits: u8,
}

impl EligibleRelay {
    /// Whether it can dial another relay.
    #[must_use]
    pub const fn can_dial(&self, other: &Self) -> bool {
        self.dials.meets(other.endpoints)
    }
}

impl fmt::Debug for EligibleRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EligibleRelay").field(&self.hop.id).finish()
    }
}

/// The eligible relays of one epoch. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshot {
    epoch: Epoch,
    profile: Profile,
    young: bool,
    relays: Arc<Vec<EligibleRelay>>,
    /// The pinned list that decided which relays are eligible.
    list: Option<Arc<ListedRelays>>,
}

impl Snapshot {
    /// Freezes a list. Relays with equal short ids are all removed, and family relations that are
    /// not mutual are dropped. On `local`, the relays are dealt to the layers in the order of their
    /// ids, so that five relays fill all of them.
    #[must_use]
    pub fn new(
        epoch: Epoch,
        profile: Profile,
        young: bool,
        relays: impl IntoIterator<Item = EligibleRelay>,
    ) -> Self {
        let mut relays: Vec<_> = relays.into_iter().collect();
        relays.sort_by_key(|relay| relay.hop.id);
        let mut relays: Vec<_> = relays
            .chunk_by(|a, b| a.hop.id.short() == b.hop.id.short())
            .filter_map(|alike| match alike {
                [only] => Some(only.clone()),
                _ => None,
            })
            .collect();
        keep_mutual_family(&mut relays);
        if profile == Profile::Local {
            for (rank, relay) in relays.iter_mut().enumerate() {
                relay.layer = Layer::of_rank(rank);
            }
        }
        Self {
            epoch,
            profile,
            young,
            relays: Arc::new(relays),
            list: None,
        }
    }

    /// The same snapshot, of relays that a pinned list names.
    #[must_use]
    pub fn with_list(mut self, list: Arc<ListedRelays>) -> Self {
        self.list = Some(list);
        self
    }

    /// The pinned list that decided which relays are eligible; `None` without pinned signers.
    #[must_use]
    pub fn list(&self) -> Option<&ListedRelays> {
        self.list.as_deref()
    }

    /// The same snapshot without the relays that are not in `ids`.
    #[must_use]
    pub fn only(mut self, ids: &BTreeSet<RelayId>) -> Self {
        Arc::make_mut(&mut self.relays).retain(|relay| ids.contains(&relay.hop.id));
        self
    }

    /// The epoch of the onion keys.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The profile, which decides which rules of path choice apply.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Whether it rests on the reports of three peers to a new node instead of the node's own
    /// observations (spec M1, clause c). A snapshot of a pinned list does not.
    #[must_use]
    pub const fn is_young(&self) -> bool {
        self.young && self.list.is_none()
    }

    /// Whether the directory has known relays for less than a day, so that descriptors still arrive.
    #[must_use]
    pub const fn is_gathering(&self) -> bool {
        self.young
    }

    /// The relays, sorted by id.
    #[must_use]
    pub fn relays(&self) -> &[EligibleRelay] {
        &self.relays
    }

    /// The relay with this id.
    #[must_use]
    pub fn get(&self, id: &RelayId) -> Option<&EligibleRelay> {
        let index = self
            .relays
            .binary_search_by_key(id, |relay| relay.hop.id)
            .ok()?;
        self.relays.get(index)
    }

    /// Number of distinct subnets of the relays.
    #[must_use]
    pub fn subnets(&self) -> usize {
        let mut subnets: Vec<_> = self
            .relays
            .iter()
            .flat_map(|relay| relay.subnets.iter())
            .collect();
        subnets.sort_unstable();
        subnets.dedup();
        subnets.len()
    }
}

/// Removes from each relay's family the relays that do not name it. `relays` is sorted by id.
fn keep_mutual_family(relays: &mut [EligibleRelay]) {
    let declared: Vec<_> = relays
        .iter()
        .map(|relay| (relay.hop.id, relay.family.clone()))
        .collect();
    let names = |one: &RelayId, other: &RelayId| {
        declared
            .binary_search_by_key(one, |(id, _)| *id)
            .ok()
            .and_then(|index| declared.get(index))
            .is_some_and(|(_, family)| family.contains(other))
    };
    for relay in relays {
        let id = relay.hop.id;
        relay.family.retain(|member| names(member, &id));
    }
}
