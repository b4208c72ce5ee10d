//! Which relays must not be in one lane: those of one subnet, and those of one family.

use crate::directory::EligibleRelay;
use crate::ids::Profile;

/// Whether two relays must not be in one lane.
pub(super) fn are_related(profile: Profile, one: &EligibleRelay, other: &EligibleRelay) -> bool {
    share_subnet(profile, one, other) || share_family(one, other)
}

/// Whether two relays have a subnet in common. On `local` all relays have one address.
pub(super) fn share_subnet(profile: Profile, one: &EligibleRelay, other: &EligibleRelay) -> bool {
    profile == Profile::Main
        && one
            .subnets
            .iter()
            .any(|subnet| other.subnets.contains(subnet))
}

/// Whether one operator runs both relays. One direction is enough: a snapshot keeps only mutual family
/// relations.
pub(super) fn share_family(one: &EligibleRelay, other: &EligibleRelay) -> bool {
    one.family.contains(&other.hop.id)
}
