//! The node's view of the relays: the directory, its own place in it, and its onion keys.
//!
//! A relay makes its onion keys one epoch ahead, says so in a descriptor that it has made durable
//! before anybody sees it (a second, different one would be equivocation), and forgets each key
//! when its time is over. A node that is no relay only listens and asks.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use circuits::directory::{
    Descriptor, Directory, Draft, Inserted, PuzzleSearch, PuzzleSolution, Request, Requirements,
    Snapshot, Source, Subnet, VerifiedDescriptor,
};
use circuits::ids::{Epoch, LinkId, Profile, RelayId, ShortId};
use circuits::keys::OnionSecret;
use circuits::level::LevelRules;
use circuits::path::{BadPathRules, Exclusions, PathPicker, PathRefusal, PathRules, Plan};
use circuits::relay::{ReplayLog, ReplaySet};
use circuits::sample;
use circuits::secret::Secret;
use circuits::time::{Instant, Now, UnixSecs};

use super::connections::{Dark, Purpose};
use super::output::{Output, Record};
use super::store::After;
use super::timers::Timer;
use super::work::{Job, JobId};
use super::{Event, Node};
use crate::dark::DarkMessage;
use crate::endpoint::PeerAddr;
use crate::link::{Capability, Priority};

/// Relays, and our own keys among them.
pub(super) struct Relays {
    pub(super) directory: Directory,
    /// The public halves of our onion keys.
    onion: BTreeMap<Epoch, [u8; 32]>,
    /// Epochs for which our descriptor exists, is being made, or is due at a random time.
    published: BTreeMap<Epoch, Publication>,
    /// Epochs whose key had to be erased; a second key for one of them would be equivocation.
    lost: BTreeSet<Epoch>,
    /// Whether the directory says something that was not stored and told yet.
    changed: bool,
    /// The epoch at the last look.
    epoch: Epoch,
    /// Our guards as they were last stored.
    stored_guards: Vec<u8>,
    /// When the first guard and the directory are next looked after.
    upkeep: Instant,
    /// The relays that paths may use, until the directory or the epoch changes.
    snapshot: Option<Snapshot>,
    /// How many relays were usable when that was last told.
    told: usize,
}

/// How far our descriptor for an epoch is.
enum Publication {
    /// To be made from this second on.
    Due(UnixSecs),
    /// Its puzzle is being solved.
    Solving(JobId, Box<Draft>),
    /// It exists.
    Made,
}

/// Why there are no lanes for an envelope.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoLanes {
    /// The level has none.
    #[error("{0}")]
    Level(#[from] BadPathRules),
    /// The directory cannot satisfy the level's rules.
    #[error("{0}")]
    Refused(#[from] PathRefusal),
}

impl Relays {
    pub(super) fn new(directory: Directory) -> Self {
        Self {
            directory,
            onion: BTreeMap::new(),
            published: BTreeMap::new(),
            lost: BTreeSet::new(),
            changed: false,
            epoch: Epoch(0),
            stored_guards: Vec::new(),
            upkeep: Instant::ZERO,
            snapshot: None,
            told: 0,
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
    pub(super) fn knows(&self, relay: ShortId) -> bool {
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
                    self.relays.lost.insert(epoch);
                    self.erase_onion_key(epoch);
                }
            }
        }
        for (epoch, raw) in restored.own_descriptors {
            self.keep_promises(&raw);
            self.relays.published.insert(epoch, Publication::Made);
            // Refused only if it is out of date, and then nobody wants it.
            let _stale = self.relays.directory.insert(now, Source::Own, &raw);
        }
    }

    /// Another onion key than the one that we announced for an epoch would be equivocation. Where
    /// the announced one is gone, we do without for that epoch, however often we start.
    fn keep_promises(&mut self, raw: &[u8]) {
        let Ok(descriptor) = Descriptor::decode(raw) else {
            return;
        };
        let draft = descriptor.draft();
        let promises = [
            (draft.epoch, draft.onion),
            (draft.epoch.next(), draft.onion_next),
        ];
        for (epoch, promised) in promises {
            if self.relays.onion.get(&epoch) != Some(&promised) {
                self.relays.lost.insert(epoch);
            }
        }
    }

    /// What has to be done as epochs come and go.
    pub(super) fn turn_epoch(&mut self, now: Now) {
        self.relays.directory.expire(now.unix);
        for epoch in self.onion.relay.expire(now) {
            self.relays.onion.remove(&epoch);
            self.onion.logs.remove(&epoch);
            self.erase_onion_key(epoch);
        }
        let epoch = Epoch::at(now.unix);
        self.relays
            .published
            .retain(|published, _| *published >= epoch.previous());
        self.relays.lost.retain(|lost| *lost >= epoch.previous());
        if self.config.relay {
            self.keep_onion_keys(epoch);
            self.publish(now, epoch);
        }
        self.relays.changed |= self.relays.epoch != epoch;
        self.relays.epoch = epoch;
        self.keep_guards(now);
        if core::mem::take(&mut self.relays.changed) {
            let directory = self.relays.directory.export();
            let store = self.durable.store(Record::Directory(directory));
            self.outputs.push_back(store);
            self.tell_relays(now);
        }
    }

    /// Makes the choice of guards durable. Every ten minutes, asks a neighbour for descriptors that
    /// were lost on the way, and knocks at the first guard if it was down: a backup is for the
    /// time of a failure, not for ever.
    fn keep_guards(&mut self, now: Now) {
        let guards = self.guards.export();
        if guards != self.relays.stored_guards {
            self.relays.stored_guards.clone_from(&guards);
            let store = self.durable.store(Record::Guards(guards));
            self.outputs.push_back(store);
        }
        if now.mono < self.relays.upkeep {
            return;
        }
        self.relays.upkeep = now.mono.after(UPKEEP);
        let dark = self
            .connections
            .iter()
            .filter(|(_, link)| link.dark == Dark::Ready);
        let dark: Vec<LinkId> = dark.map(|(id, _)| id).collect();
        if let Some(link) = sample::pick(&mut self.rng, &dark) {
            self.ask_for_descriptors(now, *link);
        }
        let first = self.guards.members().next().map(|guard| guard.short());
        let down = first.filter(|guard| self.connections.to_relay(*guard).is_none());
        if let Some(peer) = down.and_then(|guard| self.relays.address_of(guard)) {
            self.dial(peer, Purpose::Cells);
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
        self.timers.hasten(Timer::Epoch, now.mono.after(GATHER));
    }

    /// Makes the keys of this epoch and the next, if they are not there.
    fn keep_onion_keys(&mut self, epoch: Epoch) {
        for epoch in [epoch, epoch.next()] {
            if self.relays.onion.contains_key(&epoch) || self.relays.lost.contains(&epoch) {
                continue;
            }
            let secret = OnionSecret::generate(&mut self.rng);
            let copy = Secret::init_with(|copy| copy.copy_from_slice(secret.expose().expose()));
            let (log, header) = ReplayLog::create(epoch, secret.public());
            for record in [
                Record::OnionKey(epoch, copy),
                Record::ReplayTags(epoch, header),
            ] {
                let store = self.durable.store(record);
                self.outputs.push_back(store);
            }
            self.install_onion_key(epoch, secret, log, ReplaySet::default());
        }
    }

    fn install_onion_key(
        &mut self,
        epoch: Epoch,
        secret: OnionSecret,
        log: ReplayLog,
        tags: ReplaySet,
    ) {
        let public = *secret.public().as_bytes();
        match self.onion.relay.install_key(epoch, secret, tags) {
            Ok(()) => {
                self.relays.onion.insert(epoch, public);
                self.onion.logs.insert(epoch, log);
            }
            Err(_) => self.bug("an onion key was made twice"),
        }
    }

    fn erase_onion_key(&mut self, epoch: Epoch) {
        let store = self.durable.store(Record::EraseOnionKey(epoch));
        self.outputs.push_back(store);
    }

    /// Begins our descriptor for an epoch when its time has come.
    ///
    /// On `main` that is a random second in the first half of the epoch, so that it tells nothing
    /// of when we started (spec M12). A relay without a stem for what it rebuilds stays out.
    fn publish(&mut self, now: Now, epoch: Epoch) {
        let due = match self.relays.published.get(&epoch) {
            Some(Publication::Due(due)) => *due,
            Some(Publication::Solving(..) | Publication::Made) => return,
            None => {
                let due = self.publication_time(now, epoch);
                self.relays.published.insert(epoch, Publication::Due(due));
                due
            }
        };
        if due > now.unix || !self.stem.stem.can_stem() || self.config.advertise.is_empty() {
            return;
        }
        let (Some(onion), Some(onion_next)) = (
            self.relays.onion.get(&epoch),
            self.relays.onion.get(&epoch.next()),
        ) else {
            return;
        };
        let draft = Draft {
            epoch,
            onion: *onion,
            onion_next: *onion_next,
            endpoints: self.config.advertise.clone(),
            family: self.config.family.clone(),
            load: self.onion.load(),
            ticket_bits: self.onion.rendezvous.required_bits().get(),
        };
        let Requirements {
            network, effort, ..
        } = self.me.requirements;
        let search = PuzzleSearch::new(network, self.me.key, epoch, effort, &mut self.rng);
        let job = self.start(Job::Puzzle(Box::new(search)));
        self.relays
            .published
            .insert(epoch, Publication::Solving(job, Box::new(draft)));
    }

    /// Whether we stand in the directory, in the operator's words.
    pub(super) fn listed(&self, now: Now) -> &'static str {
        let epoch = Epoch::at(now.unix);
        if !self.config.relay {
            return "no: it does not relay";
        }
        if self.config.advertise.is_empty() {
            return "no: it advertises no address";
        }
        if self.relays.lost.contains(&epoch) {
            return "no: the keys of this epoch were lost; it is back in the next";
        }
        match self.relays.published.get(&epoch) {
            Some(Publication::Made) => "yes",
            Some(Publication::Solving(..)) => "soon: its puzzle is being solved",
            _ if !self.stem.stem.can_stem() => {
                "no: it needs two peers of its own choice that speak dark/1"
            }
            _ => "later: each relay waits for a random moment of the epoch",
        }
    }

    fn publication_time(&mut self, now: Now, epoch: Epoch) -> UnixSecs {
        match self.config.profile {
            Profile::Local => now.unix,
            Profile::Main => epoch
                .start()
                .after(sample::below(&mut self.rng, Epoch::SECS / 2)),
        }
    }

    /// The puzzle of one of our descriptors is solved: signs it and makes it durable.
    pub(super) fn on_puzzle(&mut self, job: JobId, solution: PuzzleSolution) {
        let solved = |(epoch, publication): (&Epoch, &Publication)| match publication {
            Publication::Solving(solving, draft) if *solving == job => {
                Some((*epoch, draft.as_ref().clone()))
            }
            _ => None,
        };
        let Some((epoch, draft)) = self.relays.published.iter().find_map(solved) else {
            return;
        };
        let network = self.me.requirements.network;
        match Descriptor::sign(draft, solution, &self.me.signing, network) {
            Ok(descriptor) => {
                self.relays.published.insert(epoch, Publication::Made);
                let raw = descriptor.raw().to_vec();
                let record = Record::OwnDescriptor(epoch, raw.clone());
                let store = self.durable.store(record);
                self.outputs.push_back(store);
                self.durable.wait(After::Publish(raw));
            }
            Err(_) => {
                self.bug("our own descriptor breaks a rule of the format");
                self.relays.published.remove(&epoch);
            }
        }
    }

    /// Our descriptor would survive a crash: everybody may see it now.
    pub(super) fn publish_descriptor(&mut self, now: Now, raw: &[u8]) {
        self.take_descriptor(now, Source::Own, None, raw);
    }

    pub(super) fn on_descriptors(&mut self, now: Now, from: LinkId, descriptors: &[Vec<u8>]) {
        let Some(source) = self.source(from) else {
            return;
        };
        let mut news = false;
        for raw in descriptors {
            news |= self.take_descriptor(now, source, Some(from), raw);
        }
        // An answer holds only so many; what is flooded comes one or two at a time.
        if news && descriptors.len() >= FULL_ANSWER {
            self.ask_for_descriptors(now, from);
        }
    }

    /// Takes in one descriptor and passes on what is news; says whether it was.
    fn take_descriptor(
        &mut self,
        now: Now,
        source: Source,
        from: Option<LinkId>,
        raw: &[u8],
    ) -> bool {
        match self.relays.directory.insert(now, source, raw) {
            Ok(Inserted::New(descriptor)) => {
                self.directory_changed(now);
                self.flood_descriptors(from, vec![descriptor.raw().to_vec()]);
                true
            }
            Ok(Inserted::Equivocation(proof)) => {
                self.directory_changed(now);
                let both = proof
                    .descriptors()
                    .map(|descriptor| descriptor.raw().to_vec());
                self.flood_descriptors(None, both.to_vec());
                true
            }
            Ok(Inserted::Known) => false,
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
            .filter(|(id, link)| link.dark == Dark::Ready && Some(*id) != except)
            .map(|(id, _)| id)
            .collect();
        let message = DarkMessage::Descriptors(descriptors);
        for link in to {
            self.send_dark(link, Priority::Control, &message);
        }
    }

    /// Asks a new neighbour for what we lack.
    pub(super) fn ask_for_descriptors(&mut self, now: Now, link: LinkId) {
        let epoch = Epoch::at(now.unix);
        for epoch in [epoch.previous(), epoch] {
            for Request {
                epoch,
                bucket,
                have,
            } in self.relays.directory.requests(epoch)
            {
                let message = DarkMessage::GetDescriptors {
                    epoch,
                    bucket,
                    have,
                };
                self.send_dark(link, Priority::Control, &message);
            }
        }
    }

    pub(super) fn on_get_descriptors(&mut self, now: Now, from: LinkId, request: &Request) {
        let Some(source) = self.source(from) else {
            return;
        };
        let lacking = self
            .relays
            .directory
            .lacking(now, source, request, &mut self.rng);
        for message in DarkMessage::descriptors(lacking) {
            self.send_dark(from, Priority::Control, &message);
        }
    }

    fn source(&self, link: LinkId) -> Option<Source> {
        let connection = self.connections.get(link)?;
        let peer = connection.remote.as_ref()?.short;
        Some(Source::Peer {
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
    ) -> Result<(Epoch, Plan), NoLanes> {
        let rules = PathRules::new(rules.relays, rules.lanes)?;
        let snapshot = self.snapshot(now);
        let guard = self.guards.choose(now.unix, &snapshot, GUARD_PATIENCE)?;
        let exclusions = Exclusions {
            own: self.me.id,
            neighbours: self.gossip_neighbours(),
            own_subnets: self.own_subnets(),
        };
        let picker = PathPicker::new(&snapshot, rules, guard, &exclusions)?;
        Ok((snapshot.epoch(), picker.pick(&mut self.rng)?))
    }

    /// Relays that we exchange gossip with: none of them may be a rendezvous, since it would see
    /// from whom it did not get what it rebuilt.
    pub(super) fn gossip_neighbours(&self) -> BTreeSet<RelayId> {
        self.connections
            .iter()
            .filter(|(_, link)| link.speaks(Capability::SHH_6))
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
            .choose(now.unix, snapshot, GUARD_PATIENCE)
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
    fn tell_relays(&mut self, now: Now) {
        let usable = self.snapshot(now).relays().len();
        if usable != self.relays.told {
            self.relays.told = usable;
            self.outputs
                .push_back(Output::Notify(Event::Relays(usable)));
        }
    }
}

/// How long a guard that does not answer is waited for before a backup takes its place, in
/// seconds. At levels with cover traffic it is a day; without it, waiting protects nothing.
const GUARD_PATIENCE: u32 = 5;

/// How often the first guard and the directory are looked after.
const UPKEEP: Duration = Duration::from_secs(600);

/// Descriptors in one packet from which on there may be more where they came from.
const FULL_ANSWER: usize = 8;

/// How long descriptors are gathered before the directory is stored and counted anew.
const GATHER: Duration = Duration::from_millis(200);
