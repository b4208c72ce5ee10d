//! Relays at which circuits of two nodes meet: which this node proposes, and which it accepts of those that
//! the other end proposes.
//!
//! The rules are those of a rendezvous: eligible in this node's snapshot, neither this node nor its guard nor
//! related to it, and not a relay that it exchanges gossip with. Nothing here builds a circuit.

use core::fmt;
use std::collections::BTreeSet;

use circuits::ids::{Profile, RelayId};
use circuits::level::Level;
use circuits::path::{Guard, PathExclusions, PathPicker, PathRules};
use circuits::time::Now;

use super::RelayDirectory;
use super::lanes::LanePlanError;
use crate::node::effects::Effects;
use crate::node::peers::Peers;

impl RelayDirectory {
    /// Draws up to `count` different relays at which a circuit of this node may end. Those of `tried` are
    /// drawn only if there are too few others.
    ///
    /// # Errors
    ///
    /// [`LanePlanError`] with the rule that cannot be satisfied.
    pub(in crate::node) fn pick_meeting_relays(
        &self,
        fx: &mut Effects,
        now: Now,
        (count, tried): (usize, &[RelayId]),
        peers: &Peers,
    ) -> Result<Vec<RelayId>, LanePlanError> {
        let snapshot = self.snapshot(now);
        let guard = self.guards.preview(now.unix, &snapshot)?;
        let exclusions = self.meeting_exclusions(peers.gossip_peer_ids());
        let picker = PathPicker::new(&snapshot, meeting_rules()?, guard, &exclusions)?;
        let mut relays = picker.pick_meeting_relays(usize::MAX, fx.path_rng());
        // The sort is stable: the order within both groups stays random.
        relays.sort_by_key(|relay| tried.contains(relay));
        relays.truncate(count);
        Ok(relays)
    }

    /// Which of these relays may be the end of a circuit of this node, by their places in the list.
    pub(in crate::node) fn allowed_meeting_relays(
        &self,
        now: Now,
        proposed: &[RelayId],
        peers: &Peers,
        choice: MeetingChoice,
    ) -> Vec<usize> {
        let snapshot = self.snapshot(now);
        let Ok(guard) = self.guards.preview(now.unix, &snapshot) else {
            return Vec::new();
        };
        let gossip_peers = peers.gossip_peer_ids();
        let is_main = self.profile == Profile::Main;
        let exclusions = self.meeting_exclusions(BTreeSet::new());
        let picker = meeting_rules()
            .ok()
            .and_then(|rules| PathPicker::new(&snapshot, rules, guard, &exclusions).ok());
        let Some(picker) = picker else {
            return Vec::new();
        };
        let usable = proposed.iter().enumerate();
        let usable: Vec<_> = usable.filter(|(_, id)| picker.may_meet_at(id)).collect();
        let strict = usable.iter().filter(|(_, id)| !gossip_peers.contains(id));
        let strict: Vec<_> = strict.map(|(place, _)| *place).collect();
        // A network on one machine may have no relay that is not a peer; paths relax the same rule.
        let may_relax = strict.is_empty() && !is_main;
        let has_others = || {
            let mut relays = snapshot.relays().iter().map(|relay| relay.hop.id);
            relays.any(|id| picker.may_meet_at(&id) && !gossip_peers.contains(&id))
        };
        if may_relax && (choice == MeetingChoice::Last || !has_others()) {
            return usable.iter().map(|(place, _)| *place).collect();
        }
        strict
    }

    /// Checks that a circuit to a relay can be opened now: the relay is allowed, and the link to the guard is up.
    ///
    /// # Errors
    ///
    /// [`MeetingRefusal`] if no circuit can be opened. The reason may pass.
    pub(in crate::node) fn check_meeting(
        &self,
        now: Now,
        relay: RelayId,
        peers: &Peers,
    ) -> Result<(), MeetingRefusal> {
        let snapshot = self.snapshot(now);
        let guard = self.guards.preview(now.unix, &snapshot).ok();
        let link = guard
            .as_ref()
            .map(Guard::relay)
            .and_then(|guard| peers.to_relay(guard.hop.id.short()));
        if link.is_none() {
            return Err(MeetingRefusal::GuardDown);
        }
        let allowed = self.allowed_meeting_relays(now, &[relay], peers, MeetingChoice::Last);
        if allowed.is_empty() {
            return Err(MeetingRefusal::NotAllowed);
        }
        Ok(())
    }

    fn meeting_exclusions(&self, peers: BTreeSet<RelayId>) -> PathExclusions {
        PathExclusions {
            own: self.own,
            peers,
            own_subnets: self.own_subnets.clone(),
        }
    }
}

fn meeting_rules() -> Result<PathRules, LanePlanError> {
    Ok(PathRules::new(Level::Normal.rules().relays, 1)?)
}

/// Whether other relays can still be named if none of a list is allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) enum MeetingChoice {
    /// Others can be named.
    First,
    /// It is this list or none: a network on one machine then lets peers be the meeting place.
    Last,
}

/// Why no circuit to a meeting can be opened now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) enum MeetingRefusal {
    /// The link to the guard is down, or no guard is known. It is dialled by its own clock.
    GuardDown,
    /// The relay is not eligible, the guard or related to it, or a peer.
    NotAllowed,
}

impl fmt::Display for MeetingRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GuardDown => "the link of this node to its guard was down",
            Self::NotAllowed => {
                "this node may not end a circuit at the relay of the meeting: it is unknown, its guard, or \
                 exchanges gossip with it"
            }
        })
    }
}
