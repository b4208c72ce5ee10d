//! Our own descriptor, and the onion keys that it names.
//!
//! A relay makes its onion keys one epoch ahead, and names them in a descriptor that is durable
//! before it is public (a second, different one would be equivocation). It erases each key when its
//! epoch is over. A node that is not a relay does none of this.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use circuits::directory::{
    Descriptor, DescriptorDraft, EndpointKinds, PuzzleSearch, PuzzleSolution, RelayEndpoint,
    Requirements,
};
use circuits::distributions;
use circuits::ids::{Epoch, Profile, RelayId};
use circuits::keys::OnionSecret;
use circuits::mixing::ArrivalRate;
use circuits::relay::{ReplayLog, ReplaySet};
use circuits::secret::Secret;
use circuits::time::{Now, UnixSecs};

use crate::node::action::Action;
use crate::node::command::Refusal;
use crate::node::config::NodeConfig;
use crate::node::durability::Continuation;
use crate::node::effects::Effects;
use crate::node::jobs::{Job, JobId, JobOwner};
use crate::node::local_peer::LocalPeer;
use crate::node::output::Record;
use crate::node::relay::OnionKey;
use crate::node::timers::TimerId;
use crate::node::views::LISTED;

/// What we publish about this relay.
pub(in crate::node) struct DescriptorPublisher {
    local: Arc<LocalPeer>,
    /// Whether this node is a relay.
    enabled: bool,
    profile: Profile,
    advertise: Vec<RelayEndpoint>,
    dials: EndpointKinds,
    family: Vec<RelayId>,
    /// The public halves of our onion keys.
    onion_keys: BTreeMap<Epoch, [u8; 32]>,
    publications: BTreeMap<Epoch, Publication>,
    /// Epochs whose announced key is lost. A second key for one of them would be equivocation.
    lost: BTreeSet<Epoch>,
    /// Whether no further descriptor is published.
    draining: bool,
}

/// The progress of our descriptor for an epoch.
enum Publication {
    /// It is made from this second on.
    Due(UnixSecs),
    /// Its puzzle is being solved.
    Solving(JobId, Box<DescriptorDraft>),
    /// It is signed.
    Made,
}

/// What the descriptor says of the relay role, and whether the role can be offered.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct RelayState {
    /// Whether rebuilt envelopes have a stem.
    pub(in crate::node) can_stem: bool,
    /// The mean rate at which mixing cells arrived in the epoch before.
    pub(in crate::node) arrivals: ArrivalRate,
    /// The difficulty of tickets.
    pub(in crate::node) ticket_bits: u8,
    /// Whether this relay would refuse what others send, as sent in the future or expired.
    pub(in crate::node) clock_is_wrong: bool,
}

#[cfg(test)]
impl RelayState {
    /// A relay that publishes nothing.
    pub(in crate::node) const IDLE: Self = Self {
        can_stem: false,
        arrivals: ArrivalRate::NONE,
        ticket_bits: 17,
        clock_is_wrong: false,
    };
}

impl DescriptorPublisher {
    /// Nothing published yet.
    pub(super) fn new(config: &NodeConfig, local: Arc<LocalPeer>) -> Self {
        Self {
            local,
            enabled: config.relay,
            profile: config.profile,
            advertise: config.advertise.clone(),
            dials: config.promises_to_dial(),
            family: config.family.clone(),
            onion_keys: BTreeMap::new(),
            publications: BTreeMap::new(),
            lost: BTreeSet::new(),
            draining: false,
        }
    }

    // -- restored state

    /// Restores onion keys with their replay tags. A key whose tags are incomplete is erased, and
    /// the relay accepts no cells of its epoch.
    pub(super) fn restore_keys(
        &mut self,
        fx: &mut Effects,
        keys: Vec<(Epoch, Secret<32>, Vec<u8>)>,
    ) {
        for (epoch, secret, log) in keys {
            let secret = OnionSecret::from_secret(secret);
            let limit = ReplaySet::DEFAULT_LIMIT;
            match ReplayLog::read(&log, epoch, secret.public(), limit) {
                Ok((log, tags)) => self.install(fx, epoch, secret, log, tags),
                Err(_) => {
                    self.lost.insert(epoch);
                    fx.store(Record::EraseOnionKey(epoch));
                }
            }
        }
    }

    /// Restores a descriptor of ours. If a key that it announced is gone, no key is made for that
    /// epoch, however often the node restarts. The price of tickets that it states stays.
    pub(super) fn restore_descriptor(&mut self, fx: &mut Effects, epoch: Epoch, raw: &[u8]) {
        if let Ok(descriptor) = Descriptor::decode(raw) {
            let draft = descriptor.draft();
            fx.request(Action::RestoreTicketBits(draft.epoch, draft.ticket_bits));
            let announced = [
                (draft.epoch, draft.onion),
                (draft.epoch.next(), draft.onion_next),
            ];
            for (epoch, announced_key) in announced {
                if self.onion_keys.get(&epoch) != Some(&announced_key) {
                    self.lost.insert(epoch);
                }
            }
        }
        self.publications.insert(epoch, Publication::Made);
    }

    // -- epochs

    /// Erases expired keys, makes those of this epoch and the next, and publishes if it is due.
    pub(super) fn turn_epoch(
        &mut self,
        fx: &mut Effects,
        now: Now,
        epoch: Epoch,
        expired: &[Epoch],
        relay: RelayState,
    ) {
        for epoch in expired {
            self.onion_keys.remove(epoch);
            fx.store(Record::EraseOnionKey(*epoch));
        }
        self.publications
            .retain(|published, _| *published >= epoch.previous());
        self.lost.retain(|lost| *lost >= epoch.previous());
        if self.enabled {
            self.ensure_onion_keys(fx, epoch);
            self.publish(fx, now, epoch, relay);
        }
    }

    fn ensure_onion_keys(&mut self, fx: &mut Effects, epoch: Epoch) {
        for epoch in [epoch, epoch.next()] {
            if self.onion_keys.contains_key(&epoch) || self.lost.contains(&epoch) {
                continue;
            }
            let secret = OnionSecret::generate(fx.key_rng());
            let copy = Secret::init_with(|copy| copy.copy_from_slice(secret.expose().expose()));
            let (log, header) = ReplayLog::create(epoch, secret.public());
            fx.store(Record::OnionKey(epoch, copy));
            fx.store(Record::ReplayTags(epoch, header));
            self.install(fx, epoch, secret, log, ReplaySet::default());
        }
    }

    fn install(
        &mut self,
        fx: &mut Effects,
        epoch: Epoch,
        secret: OnionSecret,
        log: ReplayLog,
        tags: ReplaySet,
    ) {
        self.onion_keys.insert(epoch, *secret.public().as_bytes());
        fx.request(Action::InstallOnionKey(Box::new(OnionKey {
            epoch,
            secret,
            log,
            tags,
        })));
    }

    /// Starts our descriptor for an epoch when it is due.
    ///
    /// On `main` it is due at a random second in the first half of the epoch, so that it does not
    /// reveal when this node started (spec M12). A relay without a stem for what it rebuilds
    /// publishes none, and neither does a relay with a wrong clock, which drops what it rebuilds.
    fn publish(&mut self, fx: &mut Effects, now: Now, epoch: Epoch, relay: RelayState) {
        if self.draining {
            return;
        }
        let due = match self.publications.get(&epoch) {
            Some(Publication::Due(due)) => *due,
            Some(Publication::Solving(..) | Publication::Made) => return,
            None => {
                let due = self.publication_time(fx, now, epoch);
                self.publications.insert(epoch, Publication::Due(due));
                due
            }
        };
        let is_usable = relay.can_stem && !relay.clock_is_wrong;
        if due > now.unix || !is_usable || self.advertise.is_empty() {
            return;
        }
        let onion = self.onion_keys.get(&epoch);
        let (Some(onion), Some(onion_next)) = (onion, self.onion_keys.get(&epoch.next())) else {
            return;
        };
        let draft = DescriptorDraft {
            epoch,
            onion: *onion,
            onion_next: *onion_next,
            endpoints: self.advertise.clone(),
            dials: self.dials,
            family: self.family.clone(),
            arrivals: relay.arrivals,
            ticket_bits: relay.ticket_bits,
        };
        let Requirements {
            network, effort, ..
        } = self.local.requirements();
        let search = PuzzleSearch::new(network, self.local.key(), epoch, effort, fx.rng());
        let job = fx.start_job(JobOwner::Descriptor, Job::Puzzle(Box::new(search)));
        self.publications
            .insert(epoch, Publication::Solving(job, Box::new(draft)));
    }

    fn publication_time(&self, fx: &mut Effects, now: Now, epoch: Epoch) -> UnixSecs {
        match self.profile {
            Profile::Local => now.unix,
            Profile::Main => {
                let secs = distributions::below(fx.rng(), Epoch::SECS / 2);
                epoch.start().after(secs)
            }
        }
    }

    /// The puzzle of a descriptor is solved: signs the descriptor, and publishes it once durable.
    pub(in crate::node) fn on_puzzle(
        &mut self,
        fx: &mut Effects,
        job: JobId,
        solution: PuzzleSolution,
    ) {
        let solving = |publication: &Publication| matches!(publication, Publication::Solving(solving, _) if *solving == job);
        let entry = self
            .publications
            .iter_mut()
            .find(|(_, publication)| solving(publication));
        let Some((epoch, publication)) = entry else {
            return;
        };
        let epoch = *epoch;
        let Publication::Solving(_, draft) = core::mem::replace(publication, Publication::Made)
        else {
            return;
        };
        let network = self.local.requirements().network;
        match Descriptor::sign(*draft, solution, self.local.signing(), network) {
            Ok(descriptor) => {
                let raw = descriptor.raw().to_vec();
                fx.store(Record::OwnDescriptor(epoch, raw.clone()));
                fx.defer(Continuation::PublishDescriptor(raw));
            }
            Err(_) => {
                fx.bug("our own descriptor breaks a rule of the format");
                self.publications.remove(&epoch);
            }
        }
    }

    // -- draining

    /// Publishes no further descriptor and cancels unfinished ones, or returns to normal.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if this node is not a relay.
    pub(in crate::node) fn drain(
        &mut self,
        fx: &mut Effects,
        now: Now,
        drain: bool,
    ) -> Result<(), Refusal> {
        if !self.enabled {
            return Err(Refusal::usage(
                "this node is not a relay, so there is nothing to drain",
                "stop it at any time",
            ));
        }
        self.draining = drain;
        if !drain {
            fx.expedite(TimerId::Epoch, now.mono);
            return Ok(());
        }
        self.publications.retain(|_, publication| {
            if let Publication::Solving(job, _) = publication {
                fx.cancel_job(*job);
            }
            matches!(publication, Publication::Made)
        });
        Ok(())
    }

    /// While draining, the seconds until no path leads through this relay any more.
    pub(in crate::node) fn drained_in(&self, now: Now) -> Option<u32> {
        // A descriptor also names the key of the next epoch, and is used until that is over.
        let end = |(epoch, publication): (&Epoch, &Publication)| {
            let end = epoch.next().next().start().after(LATE_CELLS_SECS);
            matches!(publication, Publication::Made).then_some(end)
        };
        let last = self.publications.iter().filter_map(end).max();
        let left = last.map_or(0, |last: UnixSecs| last.0.saturating_sub(now.unix.0));
        self.draining.then_some(left)
    }

    /// Whether this relay is listed in the directory, for its operator.
    pub(in crate::node) fn listing_status(
        &self,
        now: Now,
        can_stem: bool,
        clock_is_wrong: bool,
    ) -> &'static str {
        let epoch = Epoch::at(now.unix);
        if !self.enabled {
            return "no: it does not relay";
        }
        if self.draining {
            return match self.drained_in(now) {
                Some(0) | None => "no: it is drained, and can be stopped",
                Some(_) => "not for long: it drains",
            };
        }
        if self.advertise.is_empty() {
            return "no: it advertises no address";
        }
        if self.lost.contains(&epoch) {
            return "no: the keys of this epoch were lost; it is back in the next";
        }
        match self.publications.get(&epoch) {
            Some(Publication::Made) if clock_is_wrong => {
                "until the epoch ends: the clock of this machine is wrong"
            }
            Some(Publication::Made) => LISTED,
            Some(Publication::Solving(..)) => "soon: its puzzle is being solved",
            _ if clock_is_wrong => "no: the clock of this machine is wrong",
            _ if !can_stem => "no: it needs two peers of its own choice that speak onion/1",
            _ => "later: each relay waits for a random moment of the epoch",
        }
    }
}

/// Seconds after an epoch in which cells may still arrive: their delays, and slow clocks.
const LATE_CELLS_SECS: u32 = 3_600;
