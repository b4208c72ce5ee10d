//! Relays at which circuits of two nodes meet: which this node proposes, and which it accepts of those that
//! the other end proposes.
//!
//! The rules are those of a rendezvous: eligible in this node's snapshot, neither this node nor its guard nor
//! a relay that it exchanges gossip with. Nothing here builds a circuit.

use circuits::directory::EligibleRelay;
use circuits::ids::{Profile, RelayId};
use circuits::level::Level;
use circuits::path::{PathExclusions, PathPicker, PathRules};
use circuits::time::Now;

use super::RelayDirectory;
use super::lanes::LanePlanError;
use crate::node::effects::Effects;
use crate::node::peers::Peers;

impl RelayDirectory {
    /// Draws up to `count` different relays at which a circuit of this node may end.
    ///
    /// # Errors
    ///
    /// [`LanePlanError`] with the rule that cannot be satisfied.
    pub(in crate::node) fn pick_meeting_relays(
        &self,
        fx: &mut Effects,
        now: Now,
        count: usize,
        peers: &Peers,
    ) -> Result<Vec<RelayId>, LanePlanError> {
        let rules = PathRules::new(Level::Normal.rules().relays, 1)?;
        let snapshot = self.snapshot(now);
        let guard = self.guards.preview(now.unix, &snapshot)?;
        let exclusions = PathExclusions {
            own: self.own,
            peers: peers.gossip_peer_ids(),
            own_subnets: self.own_subnets.clone(),
        };
        let picker = PathPicker::new(&snapshot, rules, guard, &exclusions)?;
        let mut relays: Vec<RelayId> = Vec::with_capacity(count);
        for _ in 0..count.saturating_mul(DRAWS_PER_RELAY) {
            let relay = picker.pick(fx.path_rng())?.rendezvous.id;
            if !relays.contains(&relay) {
                relays.push(relay);
            }
            if relays.len() == count {
                break;
            }
        }
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
        let guard = self.guards.current(now.unix, &snapshot);
        let gossip_peers = peers.gossip_peer_ids();
        let is_main = self.profile == Profile::Main;
        let in_own_subnet = |relay: &EligibleRelay| {
            is_main
                && relay
                    .subnets
                    .iter()
                    .any(|subnet| self.own_subnets.contains(subnet))
        };
        let is_other = |id: &RelayId| *id != self.own && Some(*id) != guard;
        let usable = proposed.iter().enumerate().filter(|(_, id)| {
            let relay = snapshot.get(id);
            let relay = relay.filter(|relay| !in_own_subnet(relay));
            relay.is_some() && is_other(id)
        });
        let usable: Vec<_> = usable.collect();
        let strict = usable.iter().filter(|(_, id)| !gossip_peers.contains(id));
        let strict: Vec<_> = strict.map(|(place, _)| *place).collect();
        // A network on one machine may have no relay that is not a peer; paths relax the same rule.
        let may_relax = strict.is_empty() && !is_main;
        let has_others = || {
            let mut relays = snapshot.relays().iter().map(|relay| relay.hop.id);
            relays.any(|id| is_other(&id) && !gossip_peers.contains(&id))
        };
        if may_relax && (choice == MeetingChoice::Last || !has_others()) {
            return usable.iter().map(|(place, _)| *place).collect();
        }
        strict
    }
}

/// Whether other relays can still be named if none of a list is allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) enum MeetingChoice {
    /// Others can be named.
    First,
    /// It is this list or none: a network on one machine then lets peers be the meeting place.
    Last,
}

/// Draws per relay that is wanted: the same one may be drawn again.
const DRAWS_PER_RELAY: usize = 4;
