//! Our own place in the directory: onion keys, and the descriptor that names them.
//!
//! A relay makes its onion keys one epoch ahead, says so in a descriptor that it has made durable
//! before anybody sees it (a second, different one would be equivocation), and forgets each key
//! when its time is over. A node that is no relay has none of this.

use std::collections::{BTreeMap, BTreeSet};

use circuits::directory::{
    Descriptor, DescriptorDraft, DescriptorSource, PuzzleSearch, PuzzleSolution, Requirements,
};
use circuits::distributions;
use circuits::ids::{Epoch, Profile};
use circuits::keys::OnionSecret;
use circuits::relay::{ReplayLog, ReplaySet};
use circuits::secret::Secret;
use circuits::time::{Now, UnixSecs};

use crate::node::command::Refusal;
use crate::node::durability::Continuation;
use crate::node::jobs::{Job, JobId};
use crate::node::output::Record;
use crate::node::timers::Timer;
use crate::node::{Node, Output};

/// What we have made to be listed.
#[derive(Default)]
pub(in crate::node) struct DescriptorPublisher {
    /// The public halves of our onion keys.
    pub(in crate::node) onion_keys: BTreeMap<Epoch, [u8; 32]>,
    /// Epochs for which our descriptor exists, is being made, or is due at a random time.
    pub(in crate::node) published: BTreeMap<Epoch, Publication>,
    /// Epochs whose key had to be erased; a second key for one of them would be equivocation.
    pub(in crate::node) lost: BTreeSet<Epoch>,
    /// Whether we publish no further descriptor.
    draining: bool,
}

/// How far our descriptor for an epoch is.
pub(in crate::node) enum Publication {
    /// To be made from this second on.
    Due(UnixSecs),
    /// Its puzzle is being solved.
    Solving(JobId, Box<DescriptorDraft>),
    /// It exists.
    Made,
}

impl Node {
    /// Another onion key than the one that we announced for an epoch would be equivocation. Where
    /// the announced one is gone, we do without for that epoch, however often we start.
    pub(in crate::node) fn check_equivocation(&mut self, raw: &[u8]) {
        let Ok(descriptor) = Descriptor::decode(raw) else {
            return;
        };
        let draft = descriptor.draft();
        let announced = [
            (draft.epoch, draft.onion),
            (draft.epoch.next(), draft.onion_next),
        ];
        for (epoch, announced_key) in announced {
            if self.publisher.onion_keys.get(&epoch) != Some(&announced_key) {
                self.publisher.lost.insert(epoch);
            }
        }
    }

    /// Makes the keys of this epoch and the next, if they are not there.
    pub(in crate::node) fn ensure_onion_keys(&mut self, epoch: Epoch) {
        for epoch in [epoch, epoch.next()] {
            if self.publisher.onion_keys.contains_key(&epoch)
                || self.publisher.lost.contains(&epoch)
            {
                continue;
            }
            let secret = OnionSecret::generate(&mut self.rng);
            let copy = Secret::init_with(|copy| copy.copy_from_slice(secret.expose().expose()));
            let (log, header) = ReplayLog::create(epoch, secret.public());
            for record in [
                Record::OnionKey(epoch, copy),
                Record::ReplayTags(epoch, header),
            ] {
                let store = self.durability.store(record);
                self.outputs.push_back(store);
            }
            self.install_onion_key(epoch, secret, log, ReplaySet::default());
        }
    }

    pub(in crate::node) fn install_onion_key(
        &mut self,
        epoch: Epoch,
        secret: OnionSecret,
        log: ReplayLog,
        tags: ReplaySet,
    ) {
        let public = *secret.public().as_bytes();
        match self.relay.onion.install_key(epoch, secret, tags) {
            Ok(()) => {
                self.publisher.onion_keys.insert(epoch, public);
                self.relay.logs.insert(epoch, log);
            }
            Err(_) => self.bug("an onion key was made twice"),
        }
    }

    pub(in crate::node) fn erase_onion_key(&mut self, epoch: Epoch) {
        let store = self.durability.store(Record::EraseOnionKey(epoch));
        self.outputs.push_back(store);
    }

    /// Begins our descriptor for an epoch when its time has come.
    ///
    /// On `main` that is a random second in the first half of the epoch, so that it tells nothing
    /// of when we started (spec M12). A relay without a stem for what it rebuilds stays out.
    pub(in crate::node) fn publish(&mut self, now: Now, epoch: Epoch) {
        if self.publisher.draining {
            return;
        }
        let due = match self.publisher.published.get(&epoch) {
            Some(Publication::Due(due)) => *due,
            Some(Publication::Solving(..) | Publication::Made) => return,
            None => {
                let due = self.publication_time(now, epoch);
                self.publisher
                    .published
                    .insert(epoch, Publication::Due(due));
                due
            }
        };
        if due > now.unix || !self.stem.stem.can_stem() || self.config.advertise.is_empty() {
            return;
        }
        let (Some(onion), Some(onion_next)) = (
            self.publisher.onion_keys.get(&epoch),
            self.publisher.onion_keys.get(&epoch.next()),
        ) else {
            return;
        };
        let draft = DescriptorDraft {
            epoch,
            onion: *onion,
            onion_next: *onion_next,
            endpoints: self.config.advertise.clone(),
            family: self.config.family.clone(),
            load: self.relay.load(),
            ticket_bits: self.relay.rendezvous.required_bits().get(),
        };
        let Requirements {
            network, effort, ..
        } = self.local.requirements;
        let search = PuzzleSearch::new(network, self.local.key, epoch, effort, &mut self.rng);
        let job = self.start_job(Job::Puzzle(Box::new(search)));
        self.publisher
            .published
            .insert(epoch, Publication::Solving(job, Box::new(draft)));
    }

    /// Publishes nothing further, and gives up what is not published yet; or goes back to normal.
    pub(in crate::node) fn drain(&mut self, now: Now, drain: bool) -> Result<(), Refusal> {
        if !self.config.relay {
            return Err(Refusal::usage(
                "this node relays nothing, so there is nothing to drain",
                "stop it when you like",
            ));
        }
        self.publisher.draining = drain;
        if !drain {
            self.timers.expedite(Timer::Epoch, now.mono);
            return Ok(());
        }
        let outputs = &mut self.outputs;
        self.publisher.published.retain(|_, publication| {
            if let Publication::Solving(job, _) = publication {
                outputs.push_back(Output::CancelWork(*job));
            }
            matches!(publication, Publication::Made)
        });
        Ok(())
    }

    /// While draining, the seconds until nobody has a path through us any more.
    pub(in crate::node) fn drained_in(&self, now: Now) -> Option<u32> {
        // A descriptor names the key of the epoch after its own too, and serves until that is over.
        let made = |(epoch, publication): (&Epoch, &Publication)| {
            let end = epoch.next().next().start().after(LATE_CELLS_SECS);
            matches!(publication, Publication::Made).then_some(end)
        };
        let last = self.publisher.published.iter().filter_map(made).max();
        let left = last.map_or(0, |last: UnixSecs| last.0.saturating_sub(now.unix.0));
        self.publisher.draining.then_some(left)
    }

    /// Whether we stand in the directory, in the operator's words.
    pub(in crate::node) fn listing_status(&self, now: Now) -> &'static str {
        let epoch = Epoch::at(now.unix);
        if !self.config.relay {
            return "no: it does not relay";
        }
        if self.publisher.draining {
            return match self.drained_in(now) {
                Some(0) | None => "no: it is drained, and can be stopped",
                Some(_) => "not for long: it drains",
            };
        }
        if self.config.advertise.is_empty() {
            return "no: it advertises no address";
        }
        if self.publisher.lost.contains(&epoch) {
            return "no: the keys of this epoch were lost; it is back in the next";
        }
        match self.publisher.published.get(&epoch) {
            Some(Publication::Made) => "yes",
            Some(Publication::Solving(..)) => "soon: its puzzle is being solved",
            _ if !self.stem.stem.can_stem() => {
                "no: it needs two peers of its own choice that speak onion/1"
            }
            _ => "later: each relay waits for a random moment of the epoch",
        }
    }

    fn publication_time(&mut self, now: Now, epoch: Epoch) -> UnixSecs {
        match self.config.profile {
            Profile::Local => now.unix,
            Profile::Main => epoch
                .start()
                .after(distributions::below(&mut self.rng, Epoch::SECS / 2)),
        }
    }

    /// The puzzle of one of our descriptors is solved: signs it and makes it durable.
    pub(in crate::node) fn on_puzzle(&mut self, job: JobId, solution: PuzzleSolution) {
        let solved = |(epoch, publication): (&Epoch, &Publication)| match publication {
            Publication::Solving(solving, draft) if *solving == job => {
                Some((*epoch, draft.as_ref().clone()))
            }
            _ => None,
        };
        let Some((epoch, draft)) = self.publisher.published.iter().find_map(solved) else {
            return;
        };
        let network = self.local.requirements.network;
        match Descriptor::sign(draft, solution, &self.local.signing, network) {
            Ok(descriptor) => {
                self.publisher.published.insert(epoch, Publication::Made);
                let raw = descriptor.raw().to_vec();
                let record = Record::OwnDescriptor(epoch, raw.clone());
                let store = self.durability.store(record);
                self.outputs.push_back(store);
                self.durability.defer(Continuation::PublishDescriptor(raw));
            }
            Err(_) => {
                self.bug("our own descriptor breaks a rule of the format");
                self.publisher.published.remove(&epoch);
            }
        }
    }

    /// Our descriptor would survive a crash: everybody may see it now.
    pub(in crate::node) fn publish_descriptor(&mut self, now: Now, raw: &[u8]) {
        self.insert_descriptor(now, DescriptorSource::Own, None, raw);
    }
}

/// Seconds after that in which cells may still come: their delays, and clocks that run late.
const LATE_CELLS_SECS: u32 = 3_600;
