//! Which relays a path may use, and from when on (spec M1, M12).
//!
//! A snapshot for an epoch is computed from the times that the directory keeps, as of the moment
//! it was frozen; so it needs no storage of its own and is the same after a restart.
//!
//! Three neighbours in different subnets who say the same stand in for what the node could not see
//! itself: for the moment of freezing, if it was asleep then (of relays that it knows from before),
//! and for a day of observation while the directory is young. The latter buys less, and the
//! snapshot says so.

use super::observation::DAY;
use super::table::{HeldDescriptor, RelayRecord};
use super::{Directory, EligibleRelay, HOUR, Snapshot, Subnet};
use crate::cell_builder::Hop;
use crate::ids::{Epoch, Profile, RelayId};
use crate::time::UnixSecs;

/// What makes a relay eligible.
#[derive(Clone, Copy)]
enum EligibilityRule {
    /// Being known (`local`).
    Known,
    /// Having been seen long enough when the snapshot was frozen.
    Settled { frozen: UnixSecs },
    /// Being told identically by three neighbours, twice.
    Corroborated,
}

impl Directory {
    /// The relays that paths may use in the epoch that `now` falls into.
    ///
    /// Frozen at one hour before the epoch, but for two cases that are taken on demand: the
    /// profile `local`, and a [young](Self::is_young) directory.
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
        Snapshot::new(epoch, self.terms.profile, is_young, relays)
    }

    /// Whether the directory had been filled for less than a day when this epoch's snapshot was
    /// frozen. Never on `local`, which lifts the rule of age.
    ///
    /// The day is an hour longer: in the first hour of a directory the relays are still coming in,
    /// and they have a day before them too.
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
        // Two relays that share a short id: a cell could be meant for either.
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
        as_relay(chosen, epoch)
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
        family: descriptor.declared_family().to_vec(),
        load: descriptor.load(),
        ticket_bits: descriptor.ticket_bits(),
    })
}
