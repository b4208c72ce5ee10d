//! The path of a circuit of this node: the guard of lanes, one of four fixed second hops, middles, and the
//! relay where two circuits meet.
//!
//! The other end of a conversation can make this node open circuits. The second hops are therefore
//! chosen once, and stored with the guards (spec M24). This module opens no circuit.

use circuits::cell_builder::Hop;
use circuits::ids::{Epoch, Profile, RelayId};
use circuits::level::Level;
use circuits::path::{PathExclusions, PathPicker, PathRules};
use circuits::time::Now;

use super::RelayDirectory;
use super::lanes::LanePlanError;
use crate::node::effects::Effects;
use crate::node::peers::Peers;

impl RelayDirectory {
    /// Draws the path of a circuit that ends at `rendezvous`, by the rules of the level `normal`.
    ///
    /// # Errors
    ///
    /// [`LanePlanError`] with the rule that cannot be satisfied.
    pub(in crate::node) fn pick_circuit(
        &mut self,
        fx: &mut Effects,
        now: Now,
        rendezvous: &RelayId,
        peers: &Peers,
    ) -> Result<(Epoch, Vec<Hop>), LanePlanError> {
        let rules = PathRules::new(Level::Normal.rules().relays, 1)?;
        let mut peer_ids = peers.gossip_peer_ids();
        if self.profile != Profile::Main {
            // Two nodes on one machine may have no relay in common that neither exchanges gossip with; the
            // relay was accepted by `allowed_meeting_relays`, which prefers the others.
            peer_ids.remove(rendezvous);
        }
        let exclusions = PathExclusions {
            own: self.own,
            peers: peer_ids,
            own_subnets: self.own_subnets.clone(),
        };
        let snapshot = self.refresh_snapshot(now).clone();
        let guard = self.guards.choose(now.unix, &snapshot)?;
        // A change is stored with the guards, at the next turn of the directory.
        self.second_hops.refresh(&snapshot, guard);
        let picker = PathPicker::new(&snapshot, rules, guard, &exclusions)?;
        let hops = picker.pick_circuit(rendezvous, &self.second_hops, fx.circuit_rng())?;
        Ok((snapshot.epoch(), hops))
    }
}
