//! Guard choice: which relay is the first hop of our paths, kept durable and dialled again.

use core::time::Duration;

use circuits::directory::{Snapshot, VerifiedDescriptor};
use circuits::distributions;
use circuits::ids::{LinkId, RelayId, ShortId};
use circuits::path::{Guard, GuardSeed, Guards, PathRefusal};
use circuits::time::{Instant, Now, UnixSecs};

use super::RelayDirectory;
use crate::node::action::Action;
use crate::node::effects::Effects;
use crate::node::output::Record;
use crate::node::peers::{LinkPurpose, Peers};

/// Our guards, and what of them is durable.
pub(super) struct GuardKeeper {
    guards: Guards,
    /// The guards as they were last stored.
    stored: Vec<u8>,
    next_maintenance: Instant,
}

impl GuardKeeper {
    /// No guards yet; `pinned` is a guard that the configuration names.
    pub(super) fn new(seed: GuardSeed, own: RelayId, pinned: Option<RelayId>) -> Self {
        let mut guards = Guards::new(seed, own);
        guards.pin(pinned);
        Self {
            guards,
            stored: Vec::new(),
            next_maintenance: Instant::ZERO,
        }
    }

    /// Restores stored guards; unreadable ones are chosen again.
    pub(super) fn restore(&mut self, stored: Vec<u8>) {
        if self.guards.import(&stored).is_ok() {
            self.stored = stored;
        }
    }

    /// Makes a changed choice durable.
    pub(super) fn store_if_changed(&mut self, fx: &mut Effects) {
        let guards = self.guards.export();
        if guards != self.stored {
            self.stored.clone_from(&guards);
            fx.store(Record::Guards(guards));
        }
    }

    /// Whether the ten minutes between two maintenances are over; if so, they start again.
    pub(super) fn is_maintenance_due(&mut self, now: Instant) -> bool {
        let due = self.next_maintenance <= now;
        if due {
            self.next_maintenance = now.after(MAINTENANCE_INTERVAL);
        }
        due
    }

    /// Chooses the guard of a path that is drawn now.
    ///
    /// # Errors
    ///
    /// [`PathRefusal`] if no guard is in the snapshot.
    pub(super) fn choose<'a>(
        &mut self,
        now: UnixSecs,
        snapshot: &'a Snapshot,
    ) -> Result<Guard<'a>, PathRefusal> {
        self.guards.choose(now, snapshot, GUARD_TIMEOUT_SECS)
    }

    /// The guard that [`choose`](Self::choose) would return now.
    ///
    /// # Errors
    ///
    /// Those of [`choose`](Self::choose).
    pub(super) fn preview<'a>(
        &self,
        now: UnixSecs,
        snapshot: &'a Snapshot,
    ) -> Result<Guard<'a>, PathRefusal> {
        self.guards.preview(now, snapshot, GUARD_TIMEOUT_SECS)
    }

    /// The id of that guard, if there is one.
    pub(super) fn current(&self, now: UnixSecs, snapshot: &Snapshot) -> Option<RelayId> {
        let guard = self.preview(now, snapshot).ok()?;
        Some(guard.relay().hop.id)
    }
}

impl RelayDirectory {
    /// A relay takes cells over a new link; it may be a guard that was down.
    pub(in crate::node) fn guard_answered(&mut self, relay: ShortId) {
        let guards = &mut self.guards.guards;
        let guard = guards.members().find(|guard| guard.short() == relay);
        if let Some(guard) = guard {
            guards.answered(&guard);
        }
    }

    /// A relay does not answer. If it is our guard, a backup may replace it.
    pub(in crate::node) fn guard_failed(&mut self, now: UnixSecs, relay: ShortId) {
        let id = self.directory.lookup(relay).map(VerifiedDescriptor::id);
        if let Some(id) = id {
            self.guards.guards.failed(now, &id);
        }
    }

    /// Requests descriptors that were lost in transit from a random peer.
    pub(super) fn request_from_any_peer(&self, fx: &mut Effects, now: Now, peers: &Peers) {
        let ready: Vec<LinkId> = peers.onion_links().collect();
        if let Some(link) = distributions::pick(fx.path_rng(), &ready).copied() {
            self.request_descriptors(fx, now, link);
        }
    }

    /// Dials the first guard if it is not connected: a backup serves only while the guard is down.
    pub(super) fn redial_first_guard(&self, fx: &mut Effects, peers: &Peers) {
        let first = self.guards.guards.members().next();
        let down = first
            .map(|guard| guard.short())
            .filter(|guard| peers.to_relay(*guard).is_none());
        if let Some(peer) = down.and_then(|guard| self.address_of(guard)) {
            fx.request(Action::Dial(peer, LinkPurpose::Cells));
        }
    }
}

/// Time in seconds after which a backup replaces a guard that does not answer. At levels with cover
/// traffic it is a day; without cover traffic, waiting protects nothing.
const GUARD_TIMEOUT_SECS: u32 = 5;

/// Interval of guard and directory maintenance.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(600);
