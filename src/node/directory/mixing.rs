//! The mixing network as this node sees it: its delay class, our mixing guard, and mixing paths.
//!
//! All of it follows from the frozen snapshot, so that a change takes effect at the turn of an epoch
//! and for what is drawn after it. The mixing guard is chosen at the start and its link is kept, with
//! or without messages. If it does not answer, the node waits for a day before it uses a backup, and
//! sends into the void meanwhile: another relay that could be made the first hop by taking down the
//! guard for a minute would be a choice of the attacker. No echo that is missing and no message
//! changes the mixing guard (docs/decisions/0014 is about the guard of lanes). The clock of its dials
//! draws from a generator of its own, so that no message shifts them.

use circuits::directory::Snapshot;
use circuits::erasing_rng::ErasingRng;
use circuits::ids::{Epoch, RelayId, ShortId};
use circuits::mixing::{Layer, MixNetwork};
use circuits::path::{GuardSeed, Guards, MixPaths, PathRefusal};
use circuits::secret::Secret;
use circuits::time::{Now, UnixSecs};

use super::RelayDirectory;
use super::guard_links::GuardLinks;
use super::lanes::LanePlanError;
use crate::node::config::NodeConfig;
use crate::node::effects::Effects;

/// Our mixing guard, and what the snapshot shows of the mixing network.
pub(super) struct MixingKeeper {
    own: RelayId,
    guards: Guards,
    /// The guard that the configuration names. It is the mixing guard too if it is in the first layer.
    named: Option<RelayId>,
    links: GuardLinks,
    /// For the times of dials; seeded at the first turn.
    dials: Option<ErasingRng>,
    /// What follows from the current snapshot and guard.
    derived: Option<DerivedPaths>,
}

/// The same seed, for another choice of relays, which has its own label.
pub(super) fn copy_of(GuardSeed(seed): &GuardSeed) -> GuardSeed {
    GuardSeed(Secret::init_with(|copy| {
        copy.copy_from_slice(seed.expose())
    }))
}

struct DerivedPaths {
    guard: Option<RelayId>,
    network: MixNetwork,
    paths: Result<MixPaths, PathRefusal>,
}

impl MixingKeeper {
    /// No guard yet. The ranking has the seed of the other guards, and its own label.
    pub(super) fn new(seed: &GuardSeed, own: RelayId, config: &NodeConfig) -> Self {
        let guards = Guards::new(copy_of(seed), own);
        Self {
            own,
            guards: guards.that_dial(config.dials()).for_mixing(),
            named: config.guard,
            links: GuardLinks::default(),
            dials: None,
            derived: None,
        }
    }

    /// The choice of guards, to be stored.
    pub(super) fn export(&self) -> Vec<u8> {
        self.guards.export()
    }

    /// Restores a stored choice; an unreadable one is made again.
    pub(super) fn restore(&mut self, stored: &[u8]) {
        // The ranking finds the same guards unless the directory has changed.
        let _chosen_again = self.guards.import(stored);
    }

    /// Chooses the guard, if the list of relays has rested or there is a guard already.
    pub(super) fn choose(&mut self, now: Now, snapshot: &Snapshot, rested: bool) {
        // The layer of a relay is known only once its descriptor is; on `main` it never changes.
        let named = self.named.and_then(|named| snapshot.get(&named));
        if let Some(named) = named {
            let is_first = named.layer == Layer::FIRST;
            self.guards.pin(is_first.then_some(named.hop.id));
        }
        if rested || self.guards.members().next().is_some() {
            // Without a relay in the first layer, the next turn tries again.
            let _refused = self
                .guards
                .choose(now.unix, snapshot, MIXING_GUARD_TIMEOUT_SECS);
        }
    }

    /// Derives network and paths from the current snapshot, unless they are up to date.
    pub(super) fn derive(&mut self, now: Now, snapshot: &Snapshot) {
        let guard = self.guard(now.unix);
        let derived = self.derived.as_ref();
        if derived.is_none_or(|derived| derived.guard != guard) {
            self.derived = Some(DerivedPaths {
                guard,
                network: MixNetwork::of(snapshot),
                paths: self.paths(now, snapshot),
            });
        }
    }

    /// Forgets what was derived, because the snapshot has changed.
    pub(super) fn invalidate(&mut self) {
        self.derived = None;
    }

    fn paths(&self, now: Now, snapshot: &Snapshot) -> Result<MixPaths, PathRefusal> {
        let guard = self
            .guards
            .preview(now.unix, snapshot, MIXING_GUARD_TIMEOUT_SECS)?;
        MixPaths::new(snapshot, guard, self.own)
    }

    /// The guard in use.
    fn guard(&self, now: UnixSecs) -> Option<RelayId> {
        self.guards.in_use(now, MIXING_GUARD_TIMEOUT_SECS)
    }

    /// The guards whose links are to be open.
    pub(super) fn wanted(&self, now: UnixSecs) -> Vec<RelayId> {
        self.guards.wanted(now, MIXING_GUARD_TIMEOUT_SECS)
    }

    /// Records that a guard does not answer.
    pub(super) fn failed(&mut self, now: UnixSecs, guard: &RelayId) {
        self.guards.failed(now, guard);
    }

    /// A relay answers; it may be a guard that was down.
    pub(super) fn answered(&mut self, relay: ShortId) {
        let guard = self.guards.members().find(|guard| guard.short() == relay);
        if let Some(guard) = guard {
            self.guards.answered(&guard);
        }
    }

    /// This machine was offline: the silence of the guards in that time was not theirs. Otherwise every
    /// weekend of a laptop would end with another guard.
    pub(super) fn forgive_silence(&mut self) {
        let members: Vec<_> = self.guards.members().collect();
        for member in &members {
            self.guards.answered(member);
        }
    }

    /// The links to the guards.
    pub(super) const fn links(&self) -> &GuardLinks {
        &self.links
    }

    /// The links to the guards, to change them.
    pub(super) const fn links_mut(&mut self) -> &mut GuardLinks {
        &mut self.links
    }

    /// The generator of dials, with the links.
    pub(super) fn dialling(&mut self, fx: &mut Effects) -> (&mut ErasingRng, &mut GuardLinks) {
        let seeded = || ErasingRng::from_seed(&fx.seed());
        (self.dials.get_or_insert_with(seeded), &mut self.links)
    }
}

impl RelayDirectory {
    /// What the snapshot of the epoch shows of the mixing network.
    pub(in crate::node) fn mix_network(&self, now: Now) -> MixNetwork {
        match self.derived(now) {
            Some(derived) => derived.network,
            None => MixNetwork::of(&self.snapshot(now)),
        }
    }

    /// The mixing paths of the epoch.
    ///
    /// # Errors
    ///
    /// [`LanePlanError`] if there is no mixing guard, or a layer without relays.
    pub(in crate::node) fn mix_paths(&self, now: Now) -> Result<(Epoch, MixPaths), LanePlanError> {
        let paths = match self.derived(now) {
            Some(derived) => derived.paths.clone(),
            None => self.mixing.paths(now, &self.snapshot(now)),
        }?;
        Ok((paths.epoch(), paths))
    }

    /// The mixing guard in use, whether or not it answers. Its link is kept open.
    pub(in crate::node) fn mixing_guard(&self, now: Now) -> Option<ShortId> {
        Some(self.mixing.guard(now.unix)?.short())
    }

    /// What was derived from the current snapshot, if that is of this epoch and the guard is the same.
    fn derived(&self, now: Now) -> Option<&DerivedPaths> {
        let epoch = Epoch::at(now.unix);
        let current = self.snapshot.as_ref();
        current.filter(|snapshot| snapshot.epoch() == epoch)?;
        let derived = self.mixing.derived.as_ref();
        derived.filter(|derived| derived.guard == self.mixing.guard(now.unix))
    }
}

/// Time in seconds after which a backup replaces a mixing guard that does not answer: a day.
pub(super) const MIXING_GUARD_TIMEOUT_SECS: u32 = 86_400;
