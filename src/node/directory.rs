//! The node's view of the relays: the directory that neighbours fill, and what is drawn from it.
//!
//! What a neighbour tells is judged by the directory and passed on if it is news; guards and lanes
//! come from a snapshot of it. Our own place in the directory is `publisher`'s business.

pub(super) mod publisher;

use core::time::Duration;
use std::collections::BTreeSet;

use circuits::directory::{
    DescriptorInsertion, DescriptorRequest, DescriptorSource, Directory, Snapshot, Subnet,
    VerifiedDescriptor,
};
use circuits::distributions;
use circuits::ids::{Epoch, LinkId, RelayId, ShortId};
use circuits::keys::OnionSecret;
use circuits::level::LevelRules;
use circuits::path::{BadPathRules, PathExclusions, PathPicker, PathPlan, PathRefusal, PathRules};
use circuits::relay::{ReplayLog, ReplaySet};
use circuits::time::{Instant, Now};

use self::publisher::Publication;
use super::output::{Output, Record};
use super::peers::table::{LinkPurpose, OnionHandshake};
use super::timers::Timer;
use super::{Event, Node};
use crate::endpoint::PeerAddr;
use crate::link::Priority;
use crate::onion_wire::OnionMessage;

/// The relays that we know.
pub(super) struct RelayDirectory {
    pub(super) directory: Directory,
    /// Whether the directory says something that was not stored and told yet.
    changed: bool,
    /// The epoch at the last look.
    epoch: Epoch,
    /// Our guards as they were last stored.
    stored_guards: Vec<u8>,
    /// When the first guard and the directory are next looked after.
    next_maintenance: Instant,
    /// The relays that paths may use, until the directory or the epoch changes.
    snapshot: Option<Snapshot>,
    /// How many relays were usable when that was last told.
    last_reported: usize,
}

/// Why there are no lanes for an envelope.
#[derive(Debug, thiserror::Error)]
pub(super) enum LanePlanError {
    /// The level has none.
    #[error("{0}")]
    Level(#[from] BadPathRules),
    /// The directory cannot satisfy the level's rules.
    #[error("{0}")]
    Refused(#[from] PathRefusal),
}

impl RelayDirectory {
    pub(super) fn new(directory: Directory) -> Self {
        Self {
            directory,
            changed: false,
            epoch: Epoch(0),
            stored_guards: Vec::new(),
            next_maintenance: Instant::ZERO,
            snapshot: None,
            last_reported: 0,
        }
    }

    /// Where to dial a relay, by what a cell calls it.
    pub(super) fn address_of(&self, relay: ShortId) -> Option<PeerAddr> {
        let descriptor = self.directory.lookup(relay)?;
        let endpoint = *descriptor.endpoints().first()?;
        Some(PeerAddr {
            key: *descriptor.key(),
            endpoint: endpoint.into(),
        })
    }

    /// Whether a neighbour stands in the directory.
    pub(super) fn contains(&self, relay: ShortId) -> bool {
        self.directory.lookup(relay).is_some()
    }
}

impl Node {
    /// Takes back what an earlier run made durable.
    pub(super) fn restore_relay(&mut self, now: Now, restored: super::Restored) {
        self.relays.directory.import(now.unix, &restored.directory);
        if self.guards.import(&restored.guards).is_ok() {
            self.relays.stored_guards = restored.guards;
        }
        for (epoch, secret, log) in restored.onion_keys {
            let secret = OnionSecret::from_secret(secret);
            let limit = ReplaySet::DEFAULT_LIMIT;
            match ReplayLog::read(&log, epoch, secret.public(), limit) {
                Ok((log, tags)) => self.install_onion_key(epoch, secret, log, tags),
                // It may lack a tag: the key goes with it, and the relay is silent until the
                // next key is valid.
                Err(_) => {
                    self.publisher.lost.insert(epoch);
                    self.erase_onion_key(epoch);
                }
            }
        }
        for (epoch, raw) in restored.own_descriptors {
            self.check_equivocation(&raw);
            self.publisher.published.insert(epoch, Publication::Made);
            // Refused only if it is out of date, and then nobody wants it.
            let _stale = self
                .relays
                .directory
                .insert(now, DescriptorSource::Own, &raw);
        }
    }

    /// What has to be done as epochs come and go.
    pub(super) fn turn_epoch(&mut self, now: Now) {
        self.relays.directory.expire(now.unix);
        for epoch in self.relay.onion.expire(now) {
            self.publisher.onion_keys.remove(&epoch);
            self.relay.logs.remove(&epoch);
            self.erase_onion_key(epoch);
        }
        let epoch = Epoch::at(now.unix);
        self.publisher
            .published
            .retain(|published, _| *published >= epoch.previous());
        self.publisher.lost.retain(|lost| *lost >= epoch.previous());
        if self.config.relay {
            self.ensure_onion_keys(epoch);
            self.publish(now, epoch);
        }
        self.relays.changed |= self.relays.epoch != epoch;
        self.relays.epoch = epoch;
        self.maintain_guards(now);
        if core::mem::take(&mut self.relays.changed) {
            let directory = self.relays.directory.export();
            let store = self.durability.store(Record::Directory(directory));
            self.outputs.push_back(store);
            self.report_relay_count(now);
        }
    }

    /// Makes the choice of guards durable. Every ten minutes, asks a neighbour for descriptors that
    /// were lost on the way, and knocks at the first guard if it was down: a backup is for the
    /// time of a failure, not for ever.
    fn maintain_guards(&mut self, now: Now) {
        let guards = self.guards.export();
        if guards != self.relays.stored_guards {
            self.relays.stored_guards.clone_from(&guards);
            let store = self.durability.store(Record::Guards(guards));
            self.outputs.push_back(store);
        }
        if now.mono < self.relays.next_maintenance {
            return;
        }
        self.relays.next_maintenance = now.mono.after(MAINTENANCE_INTERVAL);
        let ready = self
            .connections
            .iter()
            .filter(|(_, link)| link.onion_handshake == OnionHandshake::Ready);
        let ready: Vec<LinkId> = ready.map(|(id, _)| id).collect();
        if let Some(link) = distributions::pick(&mut self.rng, &ready) {
            self.request_descriptors(now, *link);
        }
        let first = self.guards.members().next().map(|guard| guard.short());
        let down = first.filter(|guard| self.connections.to_relay(*guard).is_none());
        if let Some(peer) = down.and_then(|guard| self.relays.address_of(guard)) {
            self.dial(peer, LinkPurpose::Cells);
        }
    }

    /// A relay's link is ready; perhaps it is a guard that was down.
    pub(super) fn guard_answered(&mut self, relay: ShortId) {
        let guard = self.guards.members().find(|guard| guard.short() == relay);
        if let Some(guard) = guard {
            self.guards.answered(&guard);
        }
    }

    /// The relays that paths may use now.
    pub(super) fn snapshot(&mut self, now: Now) -> Snapshot {
        let epoch = Epoch::at(now.unix);
        match &self.relays.snapshot {
            Some(snapshot) if snapshot.epoch() == epoch => snapshot.clone(),
            _ => {
                let snapshot = self.relays.directory.snapshot(now.unix);
                self.relays.snapshot = Some(snapshot.clone());
                snapshot
            }
        }
    }

    /// The directory has changed: what follows from that is done soon, once for many changes.
    fn directory_changed(&mut self, now: Now) {
        self.relays.changed = true;
        self.relays.snapshot = None;
        self.timers
            .expedite(Timer::Epoch, now.mono.after(DIRECTORY_CHANGE_DELAY));
    }

    pub(super) fn on_descriptors(&mut self, now: Now, from: LinkId, descriptors: &[Vec<u8>]) {
        let Some(source) = self.descriptor_source(from) else {
            return;
        };
        let mut news = false;
        for raw in descriptors {
            news |= self.insert_descriptor(now, source, Some(from), raw);
        }
        // An answer holds only so many; what is flooded comes one or two at a time.
        if news && descriptors.len() >= FULL_RESPONSE {
            self.request_descriptors(now, from);
        }
    }

    /// Takes in one descriptor and passes on what is news; says whether it was.
    pub(super) fn insert_descriptor(
        &mut self,
        now: Now,
        source: DescriptorSource,
        from: Option<LinkId>,
        raw: &[u8],
    ) -> bool {
        match self.relays.directory.insert(now, source, raw) {
            Ok(DescriptorInsertion::New(descriptor)) => {
                self.directory_changed(now);
                self.flood_descriptors(from, vec![descriptor.raw().to_vec()]);
                true
            }
            Ok(DescriptorInsertion::Equivocation(proof)) => {
                self.directory_changed(now);
                let both = proof
                    .descriptors()
                    .map(|descriptor| descriptor.raw().to_vec());
                self.flood_descriptors(None, both.to_vec());
                true
            }
            Ok(DescriptorInsertion::Known) => false,
            Err(_) => {
                self.counters.descriptors_refused += 1;
                false
            }
        }
    }

    fn flood_descriptors(&mut self, except: Option<LinkId>, descriptors: Vec<Vec<u8>>) {
        let to: Vec<LinkId> = self
            .connections
            .iter()
            .filter(|(id, link)| {
                link.onion_handshake == OnionHandshake::Ready && Some(*id) != except
            })
            .map(|(id, _)| id)
            .collect();
        let message = OnionMessage::Descriptors(descriptors);
        for link in to {
            self.send_onion(link, Priority::Control, &message);
        }
    }

    /// Asks a new neighbour for what we lack.
    pub(super) fn request_descriptors(&mut self, now: Now, link: LinkId) {
        let epoch = Epoch::at(now.unix);
        for epoch in [epoch.previous(), epoch] {
            for DescriptorRequest {
                epoch,
                bucket,
                have,
            } in self.relays.directory.requests(epoch)
            {
                let message = OnionMessage::GetDescriptors {
                    epoch,
                    bucket,
                    have,
                };
                self.send_onion(link, Priority::Control, &message);
            }
        }
    }

    pub(super) fn on_get_descriptors(
        &mut self,
        now: Now,
        from: LinkId,
        request: &DescriptorRequest,
    ) {
        let Some(source) = self.descriptor_source(from) else {
            return;
        };
        let lacking = self
            .relays
            .directory
            .lacking(now, source, request, &mut self.rng);
        for message in OnionMessage::descriptors(lacking) {
            self.send_onion(from, Priority::Control, &message);
        }
    }

    fn descriptor_source(&self, link: LinkId) -> Option<DescriptorSource> {
        let connection = self.connections.get(link)?;
        let peer = connection.remote.as_ref()?.short;
        Some(DescriptorSource::Peer {
            link,
            peer,
            subnet: connection.subnet,
        })
    }

    /// Lanes for one envelope, by the rules of a level.
    pub(super) fn pick_lanes(
        &mut self,
        now: Now,
        rules: &LevelRules,
    ) -> Result<(Epoch, PathPlan), LanePlanError> {
        let rules = PathRules::new(rules.relays, rules.lanes)?;
        let snapshot = self.snapshot(now);
        let guard = self
            .guards
            .choose(now.unix, &snapshot, GUARD_TIMEOUT_SECS)?;
        let exclusions = PathExclusions {
            own: self.local.id,
            peers: self.gossip_peer_ids(),
            own_subnets: self.own_subnets(),
        };
        let picker = PathPicker::new(&snapshot, rules, guard, &exclusions)?;
        Ok((snapshot.epoch(), picker.pick(&mut self.rng)?))
    }

    /// Relays that we exchange gossip with: none of them may be a rendezvous, since it would see
    /// from whom it did not get what it rebuilt.
    pub(super) fn gossip_peer_ids(&self) -> BTreeSet<RelayId> {
        self.connections
            .iter()
            .filter(|(_, link)| link.shh_version().is_some())
            .filter_map(|(_, link)| Some(link.remote.as_ref()?.key.id()))
            .collect()
    }

    fn own_subnets(&self) -> Vec<Subnet> {
        Subnet::of_endpoints(&self.config.advertise)
    }

    /// The guard that a message would use now, if there is one.
    pub(super) fn current_guard(&mut self, now: Now, snapshot: &Snapshot) -> Option<RelayId> {
        let guard = self
            .guards
            .choose(now.unix, snapshot, GUARD_TIMEOUT_SECS)
            .ok()?;
        Some(guard.relay().hop.id)
    }

    /// A relay does not answer; if it is our guard, a backup may take its place.
    pub(super) fn guard_failed(&mut self, now: Now, relay: ShortId) {
        let id = self
            .relays
            .directory
            .lookup(relay)
            .map(VerifiedDescriptor::id);
        if let Some(id) = id {
            self.guards.failed(now.unix, &id);
        }
    }

    /// Says how many relays there are to choose from, when that has changed.
    fn report_relay_count(&mut self, now: Now) {
        let usable = self.snapshot(now).relays().len();
        if usable != self.relays.last_reported {
            self.relays.last_reported = usable;
            self.outputs
                .push_back(Output::Notify(Event::Relays(usable)));
        }
    }
}

/// How long a guard that does not answer is waited for before a backup takes its place, in
/// seconds. At levels with cover traffic it is a day; without it, waiting protects nothing.
const GUARD_TIMEOUT_SECS: u32 = 5;

/// How often the first guard and the directory are looked after.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(600);

/// Descriptors in one packet from which on there may be more where they came from.
const FULL_RESPONSE: usize = 8;

/// How long descriptors are gathered before the directory is stored and counted anew.
const DIRECTORY_CHANGE_DELAY: Duration = Duration::from_millis(200);
