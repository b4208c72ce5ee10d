//! The relay directory: descriptors that peers send, our own descriptor, guards and path choice.
//!
//! A descriptor from a peer is checked by [`Directory`], and flooded if it is new. Guards
//! (`guards`) and lanes (`lanes`) are chosen from a snapshot of the directory. Our own descriptor is
//! made by `publisher`. This component sends no cell.

mod circuit_paths;
mod frozen;
mod guard_links;
mod guard_trial;
mod guards;
mod lanes;
mod meeting;
mod mixing;
mod publisher;
mod signed_lists;

use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use circuits::directory::{
    DescriptorInsertion, DescriptorRequest, DescriptorSource, Directory, DirectoryLimits,
    EndpointKinds, Snapshot, Subnet,
};
use circuits::ids::{Epoch, LinkId, Profile, RelayId, ShortId};
use circuits::path::{GuardSeed, SecondHops};
use circuits::time::Now;

pub(super) use self::lanes::LanePlanError;
pub(super) use self::meeting::{MeetingChoice, MeetingRefusal};
pub(super) use self::publisher::{DescriptorPublisher, RelayState};
pub(super) use self::signed_lists::ListCheck;

use self::frozen::FrozenList;
use self::guard_links::GuardLinks;
use self::guards::{GuardChoices, GuardKeeper, GuardRecord};
use self::mixing::MixingKeeper;
use self::signed_lists::SignedLists;
use super::action::Action;
use super::config::{NodeConfig, Restored};
use super::effects::{Counter, Effects};
use super::event::Event;
use super::hex;
use super::local_peer::LocalPeer;
use super::output::Record;
use super::peers::Peers;
use super::timers::TimerId;
use super::views::RelayView;
use crate::endpoint::PeerAddr;
use crate::link::Priority;
use crate::onion_wire::OnionMessage;

/// The known relays.
pub(super) struct RelayDirectory {
    own: RelayId,
    /// The subnets of our advertised addresses; empty if there are none, because then they are
    /// unknown.
    own_subnets: Vec<Subnet>,
    /// The kinds of addresses that this node can dial.
    dials: EndpointKinds,
    /// Whether this node dials every relay through Tor.
    through_tor: bool,
    profile: Profile,
    directory: Directory,
    guards: GuardKeeper,
    guard_links: GuardLinks,
    /// The relays that follow the guard on circuits.
    second_hops: SecondHops,
    mixing: MixingKeeper,
    /// The choices of guards as they were last stored.
    stored_guards: GuardRecord,
    publisher: DescriptorPublisher,
    /// The signed relay lists, if signers are pinned.
    lists: SignedLists,
    /// Whether the directory has changed since it was last stored.
    changed: bool,
    /// The epoch at the last turn.
    epoch: Epoch,
    /// The list of the epoch.
    frozen: FrozenList,
    /// The relays that paths may use, until the directory or the epoch changes.
    snapshot: Option<Snapshot>,
    /// Number of usable relays when it was last reported.
    last_reported: usize,
}

impl RelayDirectory {
    /// An empty directory.
    pub(super) fn new(
        config: &NodeConfig,
        local: &Arc<LocalPeer>,
        guard_seed: GuardSeed,
        now: Now,
    ) -> Self {
        let requirements = local.requirements();
        Self {
            own: local.id(),
            own_subnets: Subnet::of_endpoints(&config.advertise),
            dials: config.dials(),
            through_tor: config.through_tor,
            profile: config.profile,
            directory: Directory::new(requirements, DirectoryLimits::default(), None, now.unix),
            mixing: MixingKeeper::new(&guard_seed, local.id(), config),
            second_hops: SecondHops::new(mixing::copy_of(&guard_seed), local.id()),
            guards: GuardKeeper::new(guard_seed, local.id(), config),
            guard_links: GuardLinks::default(),
            stored_guards: GuardRecord::default(),
            publisher: DescriptorPublisher::new(config, Arc::clone(local)),
            lists: SignedLists::new(config, now),
            changed: false,
            epoch: Epoch(0),
            frozen: FrozenList::new(now),
            snapshot: None,
            last_reported: 0,
        }
    }

    /// Restores what an earlier run made durable.
    pub(super) fn restore(&mut self, fx: &mut Effects, now: Now, restored: Restored) {
        self.directory.import(now.unix, &restored.directory);
        let file = restored.relay_list_file.as_deref();
        self.restore_lists(fx, now, &restored.relay_lists, file);
        let choices = self.stored_guards.restore(restored.guards);
        self.guards.restore(&choices.lanes);
        self.mixing.restore(&choices.mixing);
        self.second_hops.import(&choices.second_hops);
        self.publisher.restore_keys(fx, restored.onion_keys);
        for (epoch, raw) in restored.own_descriptors {
            self.publisher.restore_descriptor(fx, epoch, &raw);
            // The directory refuses it only if it is out of date.
            let _stale = self.directory.insert(now, DescriptorSource::Own, &raw);
        }
    }

    /// Does what is due as epochs begin and end. `expired` are the epochs whose onion keys the relay
    /// role has just removed.
    pub(super) fn turn_epoch(
        &mut self,
        fx: &mut Effects,
        now: Now,
        expired: &[Epoch],
        relay: RelayState,
        peers: &Peers,
    ) {
        self.directory.expire(now.unix);
        self.turn_lists(fx, now);
        let epoch = Epoch::at(now.unix);
        self.publisher.turn_epoch(fx, now, epoch, expired, relay);
        self.changed |= self.epoch != epoch;
        self.epoch = epoch;
        self.choose_guards(now);
        let choices = GuardChoices {
            lanes: self.guards.export(),
            mixing: self.mixing.export(),
            second_hops: self.second_hops.export(),
        };
        self.stored_guards.store_if_changed(fx, &choices);
        self.keep_guard_links(fx, now, peers);
        if self.guards.is_maintenance_due(now.mono) {
            self.request_from_any_peer(fx, now, peers);
        }
        if core::mem::take(&mut self.changed) {
            fx.store(Record::Directory(self.directory.export()));
            self.report_relay_count(fx, now);
        }
    }

    /// Chooses the guards before a message needs them.
    fn choose_guards(&mut self, now: Now) {
        self.refresh_snapshot(now);
        if let Some(snapshot) = &self.snapshot {
            let rested = self.guards.choose_early(now, snapshot);
            self.mixing.choose(now, snapshot, rested);
            self.mixing.derive(now, snapshot);
        }
    }

    /// Reports the number of usable relays if it has changed.
    fn report_relay_count(&mut self, fx: &mut Effects, now: Now) {
        let usable = self.refresh_snapshot(now).relays().len();
        if usable != self.last_reported {
            self.last_reported = usable;
            fx.notify(Event::Relays(usable));
        }
    }

    /// Takes verified descriptors from the other nodes of a simulated world.
    #[cfg(feature = "sim")]
    pub(super) fn share(&mut self, memo: circuits::directory::DescriptorMemo) {
        self.directory.share(memo);
    }

    /// A peer sent descriptors or relay lists, or requested them.
    pub(super) fn on_message(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        message: OnionMessage,
        peers: &Peers,
    ) {
        match message {
            OnionMessage::Descriptors(descriptors) => {
                self.on_descriptors(fx, now, from, &descriptors, peers);
            }
            OnionMessage::GetDescriptors(request) => {
                self.on_get_descriptors(fx, now, from, &request, peers);
            }
            OnionMessage::RelayList(announcement) => {
                self.lists.on_announced(fx, now, from, announcement);
            }
            OnionMessage::RelayListPart(part) => self.lists.on_part(fx, now, from, part),
            _ => {}
        }
    }

    // -- descriptors

    /// A peer sent descriptors.
    fn on_descriptors(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        descriptors: &[Vec<u8>],
        peers: &Peers,
    ) {
        let Some(source) = source(from, peers) else {
            return;
        };
        let mut news = false;
        for raw in descriptors {
            news |= self.insert(fx, now, source, Some(from), raw, peers);
        }
        // A full response may be incomplete; flooded descriptors come one or two at a time.
        if news && descriptors.len() >= FULL_RESPONSE {
            self.request_descriptors(fx, now, from, peers);
        }
    }

    /// Our descriptor is durable and becomes public.
    pub(super) fn publish_own(&mut self, fx: &mut Effects, now: Now, raw: &[u8], peers: &Peers) {
        self.insert(fx, now, DescriptorSource::Own, None, raw, peers);
    }

    /// Inserts one descriptor and floods it if it is new; returns whether it was, or was new as a report.
    fn insert(
        &mut self,
        fx: &mut Effects,
        now: Now,
        source: DescriptorSource,
        from: Option<LinkId>,
        raw: &[u8],
        peers: &Peers,
    ) -> bool {
        let (flooded, except) = match self.directory.insert(now, source, raw) {
            Ok(DescriptorInsertion::New(descriptor)) => (vec![descriptor.raw().to_vec()], from),
            Ok(DescriptorInsertion::Equivocation(proof)) => {
                let both = proof.descriptors();
                let both = both.map(|descriptor| descriptor.raw().to_vec());
                (both.to_vec(), None)
            }
            Ok(DescriptorInsertion::Known) => return false,
            Ok(DescriptorInsertion::Reported) => {
                self.note_reports(fx, now);
                return true;
            }
            Err(_) => {
                fx.count(Counter::DescriptorsRefused);
                return false;
            }
        };
        let news = flooded.len() == 1;
        let message = OnionMessage::Descriptors(flooded);
        for link in peers.onion_links().filter(|link| Some(*link) != except) {
            fx.request(Action::SendOnion(link, Priority::Control, message.clone()));
        }
        self.on_changed(fx, now);
        news
    }

    /// More relays can be usable although none is new: enough peers have reported them now.
    fn note_reports(&mut self, fx: &mut Effects, now: Now) {
        if self.directory.take_completed_reports() {
            self.on_changed(fx, now);
        }
    }

    fn on_changed(&mut self, fx: &mut Effects, now: Now) {
        self.changed = true;
        self.snapshot = None;
        self.mixing.invalidate();
        // Several changes are stored and counted at once.
        fx.expedite(TimerId::Epoch, now.mono.after(CHANGE_DELAY));
    }

    /// Requests from a peer the descriptors that we lack.
    pub(super) fn request_descriptors(
        &self,
        fx: &mut Effects,
        now: Now,
        link: LinkId,
        peers: &Peers,
    ) {
        let Some(to) = source(link, peers) else {
            return;
        };
        let epoch = Epoch::at(now.unix);
        for epoch in [epoch.previous(), epoch] {
            for request in self.directory.requests(now.unix, to, epoch) {
                let message = OnionMessage::GetDescriptors(request);
                fx.request(Action::SendOnion(link, Priority::Control, message));
            }
        }
    }

    /// A peer requested descriptors.
    fn on_get_descriptors(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        request: &DescriptorRequest,
        peers: &Peers,
    ) {
        let Some(source) = source(from, peers) else {
            return;
        };
        let lacking = self.directory.lacking(now, source, request, fx.rng());
        // What the peer has counts as reported by it.
        self.note_reports(fx, now);
        for message in OnionMessage::descriptors(lacking) {
            fx.request(Action::SendOnion(from, Priority::Control, message));
        }
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        self.directory.forget_link(link);
        self.lists.on_link_closed(link);
    }

    // -- our own descriptor

    /// Our own descriptor.
    pub(super) const fn publisher(&self) -> &DescriptorPublisher {
        &self.publisher
    }

    /// Our own descriptor, to change it.
    pub(super) const fn publisher_mut(&mut self) -> &mut DescriptorPublisher {
        &mut self.publisher
    }

    // -- views

    /// Our own id as a relay.
    pub(super) const fn own(&self) -> RelayId {
        self.own
    }

    /// Whether this node dials every relay through Tor.
    pub(super) const fn dials_through_tor(&self) -> bool {
        self.through_tor
    }

    /// The profile, which decides which rules of path choice apply.
    pub(super) const fn profile(&self) -> Profile {
        self.profile
    }

    /// The ids of the relays in the directory.
    pub(super) fn relay_ids(&self) -> BTreeSet<RelayId> {
        let known = self.directory.iter();
        known.map(|descriptor| descriptor.key().id()).collect()
    }

    /// Number of relays in the directory.
    pub(super) fn len(&self) -> usize {
        self.directory.len()
    }

    /// The first address of a relay that this node can dial, by its id in cells.
    pub(super) fn address_of(&self, relay: ShortId) -> Option<PeerAddr> {
        let descriptor = self.directory.lookup(relay)?;
        let mut endpoints = descriptor.endpoints().iter();
        let endpoint = *endpoints.find(|endpoint| self.dials.contains(endpoint))?;
        Some(PeerAddr {
            key: *descriptor.key(),
            endpoint: endpoint.into(),
        })
    }

    /// Whether a relay is in the directory, by its id in cells.
    pub(super) fn contains(&self, relay: ShortId) -> bool {
        self.directory.lookup(relay).is_some()
    }

    /// The relays that paths may use now, as of the last change.
    pub(super) fn snapshot(&self, now: Now) -> Snapshot {
        let epoch = Epoch::at(now.unix);
        let cached = self.snapshot.as_ref();
        match cached.filter(|snapshot| snapshot.epoch() == epoch) {
            Some(snapshot) => snapshot.clone(),
            None => self.frozen.preview(now, self.directory.snapshot(now.unix)),
        }
    }

    /// The same, kept for later calls.
    fn refresh_snapshot(&mut self, now: Now) -> &Snapshot {
        let epoch = Epoch::at(now.unix);
        let current = self.snapshot.take();
        let current = current.filter(|snapshot| snapshot.epoch() == epoch);
        let snapshot = match current {
            Some(snapshot) => snapshot,
            None => {
                self.mixing.invalidate();
                self.frozen.apply(now, self.directory.snapshot(now.unix))
            }
        };
        self.snapshot.insert(snapshot)
    }

    /// All relays, for a listing.
    pub(super) fn relay_views(&self, now: Now) -> Vec<RelayView> {
        let snapshot = self.snapshot(now);
        let guard = self.guards.current(now.unix, &snapshot);
        let view = |descriptor: &circuits::directory::VerifiedDescriptor| {
            let id = descriptor.id();
            let subnets = Subnet::of_endpoints(descriptor.endpoints());
            RelayView {
                id: hex(&id.0),
                subnet: subnets.first().map(ToString::to_string).unwrap_or_default(),
                eligible: snapshot.get(&id).is_some(),
                guard: guard == Some(id),
                ticket_bits: descriptor.ticket_bits(),
            }
        };
        self.directory.iter().map(view).collect()
    }
}

/// The source of descriptors that arrive over a link.
fn source(link: LinkId, peers: &Peers) -> Option<DescriptorSource> {
    let connection = peers.get(link)?;
    Some(DescriptorSource::Peer {
        link,
        peer: connection.remote()?.short(),
        subnet: connection.subnet(),
    })
}

/// Number of descriptors in a packet that indicates that the peer has more.
const FULL_RESPONSE: usize = 8;

/// Time for which changes are gathered before the directory is stored and counted.
const CHANGE_DELAY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
