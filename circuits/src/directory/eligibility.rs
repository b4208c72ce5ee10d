//! Eligibility: which relays a path may use, and from when on (spec M1, M12).
//!
//! The snapshot of an epoch is computed from the times that the directory stores, as of the moment
//! at which the snapshot was frozen. It therefore needs no storage of its own and is the same after
//! a restart.
//!
//! Equal reports of three peers in different subnets replace the node's own observation in two
//! cases: if the node was offline when the snapshot was frozen (only for relays that it knew
//! before), and while the directory is young. The second case is weaker evidence, and the snapshot
//! reports it.

use std::sync::Arc;

use super::observation::DAY;
use super::table::{HeldDescriptor, RelayRecord};
use super::{Directory, EligibleRelay, EndpointKinds, HOUR, Layer, Snapshot, Subnet};
use crate::cell_builder::Hop;
use crate::ids::{Epoch, Profile, RelayId};
use crate::time::UnixSecs;

/// Condition under which a relay is eligible.
#[derive(Clone, Copy)]
enum EligibilityRule {
    /// The relay is known (profile `local`).
    Known,
    /// The relay was observed for long enough when the snapshot was frozen.
    Settled { frozen: UnixSecs },
    /// Three peers sent the same descriptor, in each of two epochs.
    Corroborated,
}

impl Directory {
    /// The relays that paths may use in the epoch that contains `now`.
    ///
    /// The snapshot is frozen one hour before the epoch. It is computed on demand for the profile
    /// `local` and for a [young](Self::is_young) directory.
    #[must_use]
    pub fn snapshot(&self, now: UnixSecs) -> Snapshot {
        let epoch = Epoch::at(now);
        let frozen = epoch.start().before(HOUR);
        let is_young = self.is_young(now);
        let rule = match self.terms.profile {
            Profile::Local => EligibilityRule::Known,
            Profile::Main if is_young => EligibilityRule::Corroborated,
            Profile::Main => EligibilityRule::Settled { frozen },
        };
        let relays = self
            .table
            .iter()
            .filter_map(|(id, record)| self.eligible(id, record, epoch, rule));
        let snapshot = Snapshot::new(epoch, self.terms.profile, is_young, relays);
        match &self.listed {
            Some(listed) => snapshot.with_list(Arc::clone(listed)),
            None => snapshot,
        }
    }

    /// Whether the directory had relays for less than a day when the snapshot of this epoch was
    /// frozen. Always false on `local`, which has no age rule.
    ///
    /// The threshold is 25 hours: relays still arrive during the first hour of a directory, and
    /// each of them needs a full day.
    #[must_use]
    pub fn is_young(&self, now: UnixSecs) -> bool {
        let frozen = Epoch::at(now).start().before(HOUR);
        self.terms.profile == Profile::Main && self.since.after(DAY).after(HOUR) > frozen
    }

    fn eligible(
        &self,
        id: &RelayId,
        record: &RelayRecord,
        epoch: Epoch,
        rule: EligibilityRule,
    ) -> Option<EligibleRelay> {
        // Two relays with the same short id are both excluded: a cell does not tell them apart.
        self.table.by_short_id(id.short())?;
        let before = record.held(epoch.previous());
        let now = record.held(epoch);
        let is_listed = self.listed.as_ref().map(|listed| listed.contains(id));
        let chosen = match (rule, is_listed) {
            (_, Some(false)) => None,
            (EligibilityRule::Known, _) | (EligibilityRule::Corroborated, Some(true)) => {
                now.or(before)
            }
            (EligibilityRule::Settled { frozen }, _) => {
                let is_settled = is_listed.is_some() || record.history.is_settled_at(frozen);
                before.filter(|held| is_settled && (held.received <= frozen || has_quorum(held)))
            }
            (EligibilityRule::Corroborated, None) => {
                before.filter(|held| has_quorum(held) && now.is_some_and(has_quorum))
            }
        }?;
        let mut relay = as_relay(chosen, epoch)?;
        if let Some(listed) = &self.listed {
            let named = &mut relay.family;
            for member in listed.family_of(id) {
                if member != id && !named.contains(member) {
                    named.push(*member);
                }
            }
        }
        Some(relay)
    }
}

fn has_quorum(held: &HeldDescriptor) -> bool {
    held.reported_from.has_quorum()
}

fn as_relay(held: &HeldDescriptor, epoch: Epoch) -> Option<EligibleRelay> {
    let descriptor = &held.descriptor;
    Some(EligibleRelay {
        hop: Hop {
            id: descriptor.id(),
            onion: *descriptor.onion(epoch)?,
        },
        subnets: Subnet::of_endpoints(descriptor.endpoints()),
        endpoints: EndpointKinds::of(descriptor.endpoints()),
        dials: descriptor.dials(),
        family: descriptor.declared_family().to_vec(),
        layer: Layer::of(descriptor.key()),
        arrivals: descriptor.arrivals(),
        ticket_bits: descriptor.ticket_bits(),
    })
}
