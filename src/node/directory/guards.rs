//! Guard choice: which relay is the first hop of our lanes, and the record that keeps all choices of
//! guards durable.
//!
//! The choice is made before the first message. `guard_links` keeps the links.

use core::time::Duration;

use circuits::directory::Snapshot;
use circuits::distributions;
use circuits::ids::{LinkId, RelayId, ShortId};
use circuits::path::{Guard, GuardSeed, Guards, PathRefusal};
use circuits::time::{Instant, Now, UnixSecs};

use super::RelayDirectory;
use super::guard_trial::{GuardTrial, TrialVerdict};
use crate::node::config::NodeConfig;
use crate::node::effects::Effects;
use crate::node::output::Record;
use crate::node::peers::Peers;
use crate::node::send::LaneRelays;

/// The guards of our lanes.
pub(super) struct GuardKeeper {
    guards: Guards,
    next_maintenance: Instant,
    trial: GuardTrial,
    /// Number of eligible relays, and when it was first seen.
    eligible: (usize, Instant),
}

impl GuardKeeper {
    /// No guards yet, or the one that the configuration names.
    pub(super) fn new(seed: GuardSeed, own: RelayId, config: &NodeConfig) -> Self {
        let mut guards = Guards::new(seed, own).that_dial(config.dials());
        guards.pin(config.guard);
        Self {
            guards,
            next_maintenance: Instant::ZERO,
            trial: GuardTrial::default(),
            eligible: (0, Instant::ZERO),
        }
    }

    /// Restores stored guards; unreadable ones are chosen again.
    pub(super) fn restore(&mut self, stored: &[u8]) {
        // The ranking finds the same guards unless the directory has changed.
        let _chosen_again = self.guards.import(stored);
    }

    /// The choice of guards, to be stored.
    pub(super) fn export(&self) -> Vec<u8> {
        self.guards.export()
    }

    /// Whether the ten minutes between two maintenances are over; if so, they start again.
    pub(super) fn is_maintenance_due(&mut self, now: Instant) -> bool {
        let due = self.next_maintenance <= now;
        if due {
            self.next_maintenance = now.after(MAINTENANCE_INTERVAL);
        }
        due
    }

    /// Chooses the guards as soon as the list of eligible relays has rested for a while, so that no
    /// message has to wait for the choice, and so that a list that is still arriving decides
    /// nothing. Returns whether the list has rested.
    pub(super) fn choose_early(&mut self, now: Now, snapshot: &Snapshot) -> bool {
        let count = snapshot.relays().len();
        if count != self.eligible.0 {
            self.eligible = (count, now.mono);
        }
        let rested = now.mono.since(self.eligible.1) >= MIN_LIST_REST;
        if rested || self.guards.members().next().is_some() {
            // Without an eligible guard, the next turn tries again.
            let _refused = self.choose(now.unix, snapshot);
        }
        rested
    }

    /// The guards whose links are to be open.
    pub(super) fn wanted(&self, now: UnixSecs, timeout_secs: u32) -> Vec<RelayId> {
        self.guards.wanted(now, timeout_secs)
    }

    /// Records that a guard does not answer.
    pub(super) fn failed(&mut self, now: UnixSecs, guard: &RelayId) {
        self.guards.failed(now, guard);
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

/// The choices of relays that outlive a run.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct GuardChoices {
    /// The guards of lanes.
    pub(super) lanes: Vec<u8>,
    /// The mixing guards.
    pub(super) mixing: Vec<u8>,
    /// The second hops of circuits; empty before the first circuit.
    pub(super) second_hops: Vec<u8>,
}

/// All choices in one durable record: a marker, the lengths of all but the last choice, and the choices.
/// Without second hops, the record is that of a version before circuits: another marker and two choices.
/// A record of a version without mixing guards is the first choice alone, which begins with another byte.
#[derive(Default)]
pub(super) struct GuardRecord(Vec<u8>);

impl GuardRecord {
    /// Splits a stored record. An unreadable one holds no choices.
    pub(super) fn restore(&mut self, stored: Vec<u8>) -> GuardChoices {
        let choices = split(&stored).unwrap_or_default();
        self.0 = stored;
        choices
    }

    /// Makes changed choices durable.
    pub(super) fn store_if_changed(&mut self, fx: &mut Effects, choices: &GuardChoices) {
        let len = |choice: &[u8]| u8::try_from(choice.len()).unwrap_or(u8::MAX);
        let GuardChoices {
            lanes,
            mixing,
            second_hops,
        } = choices;
        let record = if second_hops.is_empty() {
            [&[TWO_CHOICES, len(lanes)], lanes.as_slice(), mixing].concat()
        } else {
            let head = [THREE_CHOICES, len(lanes), len(mixing)];
            [&head, lanes.as_slice(), mixing, second_hops].concat()
        };
        if record != self.0 {
            self.0.clone_from(&record);
            fx.store(Record::Guards(record));
        }
    }
}

fn split(stored: &[u8]) -> Option<GuardChoices> {
    let (lanes, mixing, second_hops) = match stored {
        [THREE_CHOICES, lanes, mixing, choices @ ..] => {
            let (first, rest) = choices.split_at_checked(usize::from(*lanes))?;
            let (second, rest) = rest.split_at_checked(usize::from(*mixing))?;
            (first, second, rest)
        }
        [TWO_CHOICES, lanes, choices @ ..] => {
            let (first, second) = choices.split_at_checked(usize::from(*lanes))?;
            (first, second, &[][..])
        }
        lanes => (lanes, &[][..], &[][..]),
    };
    Some(GuardChoices {
        lanes: lanes.to_vec(),
        mixing: mixing.to_vec(),
        second_hops: second_hops.to_vec(),
    })
}

/// The first byte of a record with two choices. A single choice begins with the highest byte of its
/// period, which is zero.
const TWO_CHOICES: u8 = 0xff;
/// The first byte of a record with three choices.
const THREE_CHOICES: u8 = 0xfe;

impl RelayDirectory {
    /// A relay takes cells over a new link; it may be a guard that was down.
    pub(in crate::node) fn guard_answered(&mut self, relay: ShortId) {
        let guards = &mut self.guards.guards;
        let guard = guards.members().find(|guard| guard.short() == relay);
        if let Some(guard) = guard {
            guards.answered(&guard);
        }
        self.mixing.answered(relay);
    }

    /// An echo came of an envelope that left through this guard.
    pub(in crate::node) fn guard_proven(&mut self, guard: ShortId) {
        self.guards.trial.on_echo(guard);
    }

    /// No echo came of an envelope that took these relays. A pinned guard stays.
    pub(in crate::node) fn on_lanes_silent(&mut self, now: UnixSecs, relays: LaneRelays) {
        let keeper = &mut self.guards;
        let mut members = keeper.guards.members();
        let Some(guard) = members.find(|member| member.short() == relays.guard) else {
            return;
        };
        drop(members);
        match keeper.trial.on_silence(now, guard, relays) {
            TrialVerdict::Wait => {}
            TrialVerdict::SetAside(until) => keeper.guards.set_aside(&guard, Some(until)),
            TrialVerdict::Restore(first) => keeper.guards.set_aside(&first, None),
        }
    }

    /// Requests descriptors that were lost in transit from a random peer.
    pub(super) fn request_from_any_peer(&self, fx: &mut Effects, now: Now, peers: &Peers) {
        let ready: Vec<LinkId> = peers.onion_links().collect();
        if let Some(link) = distributions::pick(fx.path_rng(), &ready).copied() {
            self.request_descriptors(fx, now, link, peers);
        }
    }
}

/// Time in seconds after which a backup replaces a guard of lanes that does not answer. Without cover
/// traffic, waiting protects nothing.
pub(super) const GUARD_TIMEOUT_SECS: u32 = 5;

/// Time for which the number of eligible relays must be the same before the guards are chosen.
const MIN_LIST_REST: Duration = Duration::from_secs(5);

/// Interval of directory maintenance.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(600);
