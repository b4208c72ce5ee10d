//! Path choice: lanes for one envelope, by the rules of its level.

use circuits::directory::Snapshot;
use circuits::ids::Epoch;
use circuits::level::LevelRules;
use circuits::path::{
    BadPathRules, Guard, PathExclusions, PathPicker, PathPlan, PathRefusal, PathRules,
};
use circuits::time::Now;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};

use super::RelayDirectory;
use crate::node::effects::Effects;
use crate::node::peers::Peers;

/// Why there are no lanes for an envelope.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(in crate::node) enum LanePlanError {
    /// The level has no lanes.
    #[error("{0}")]
    Level(#[from] BadPathRules),
    /// The directory cannot satisfy the rules of the level.
    #[error("{0}")]
    Refused(#[from] PathRefusal),
}

impl RelayDirectory {
    /// Draws the lanes of one envelope.
    ///
    /// # Errors
    ///
    /// [`LanePlanError`] with the rule that cannot be satisfied.
    pub(in crate::node) fn pick_lanes(
        &mut self,
        fx: &mut Effects,
        now: Now,
        rules: &LevelRules,
        peers: &Peers,
    ) -> Result<(Epoch, PathPlan), LanePlanError> {
        let rules = PathRules::new(rules.relays, rules.lanes)?;
        let snapshot = self.refresh_snapshot(now).clone();
        let guard = self.guards.choose(now.unix, &snapshot)?;
        let plan = self.pick(fx.path_rng(), &snapshot, guard, rules, peers)?;
        Ok((snapshot.epoch(), plan))
    }

    /// The lanes that an envelope could have now. A question changes nothing: it draws from a
    /// generator of its own, and chooses no guard.
    ///
    /// # Errors
    ///
    /// [`LanePlanError`] with the rule that cannot be satisfied.
    pub(in crate::node) fn preview_lanes(
        &self,
        now: Now,
        rules: &LevelRules,
        peers: &Peers,
    ) -> Result<PathPlan, LanePlanError> {
        let rules = PathRules::new(rules.relays, rules.lanes)?;
        let snapshot = self.snapshot(now);
        let guard = self.guards.preview(now.unix, &snapshot)?;
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        self.pick(&mut rng, &snapshot, guard, rules, peers)
    }

    fn pick(
        &self,
        rng: &mut impl CryptoRng,
        snapshot: &Snapshot,
        guard: Guard<'_>,
        rules: PathRules,
        peers: &Peers,
    ) -> Result<PathPlan, LanePlanError> {
        let exclusions = PathExclusions {
            own: self.own,
            peers: peers.gossip_peer_ids(),
            own_subnets: self.own_subnets.clone(),
        };
        let picker = PathPicker::new(snapshot, rules, guard, &exclusions)?;
        Ok(picker.pick(rng)?)
    }
}
