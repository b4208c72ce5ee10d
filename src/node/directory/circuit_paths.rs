//! The path of a circuit of this node.

use circuits::ids::RelayId;
use circuits::path::{PathRefusal, PathRule, RemovedRelays};
use circuits::time::Now;

use super::RelayDirectory;
use crate::node::circuits::CircuitPath;
use crate::node::effects::Effects;
use crate::node::peers::Peers;

impl RelayDirectory {
    /// INTERIM until SecondHops is there.
    pub(in crate::node) fn pick_circuit(
        &mut self,
        _fx: &mut Effects,
        now: Now,
        rendezvous: RelayId,
        _peers: &Peers,
    ) -> CircuitPath {
        let snapshot = self.refresh_snapshot(now).clone();
        let guard = self.guards.choose(now.unix, &snapshot)?;
        let Some(last) = snapshot.get(&rendezvous) else {
            return Err(PathRefusal {
                rule: PathRule::Rendezvous,
                needed: 1,
                known: 0,
                removed: RemovedRelays::default(),
            });
        };
        let guard = guard.relay().hop;
        let mut hops = vec![guard];
        for relay in snapshot.relays() {
            if relay.hop.id != rendezvous && relay.hop.id != guard.id && hops.len() < 3 {
                hops.push(relay.hop);
            }
        }
        hops.push(last.hop);
        Ok((snapshot.epoch(), hops))
    }
}
