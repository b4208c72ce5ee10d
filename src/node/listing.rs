//! Our own place in the directory: onion keys, and the descriptor that names them.
//!
//! A relay makes its onion keys one epoch ahead, says so in a descriptor that it has made durable
//! before anybody sees it (a second, different one would be equivocation), and forgets each key
//! when its time is over. A node that is no relay has none of this.

use std::collections::{BTreeMap, BTreeSet};

use circuits::directory::{Descriptor, Draft, PuzzleSearch, PuzzleSolution, Requirements, Source};
use circuits::ids::{Epoch, Profile};
use circuits::keys::OnionSecret;
use circuits::relay::{ReplayLog, ReplaySet};
use circuits::sample;
use circuits::secret::Secret;
use circuits::time::{Now, UnixSecs};

use super::Node;
use super::output::Record;
use super::store::After;
use super::work::{Job, JobId};

/// What we have made to be listed.
#[derive(Default)]
pub(super) struct Listing {
    /// The public halves of our onion keys.
    pub(super) onion: BTreeMap<Epoch, [u8; 32]>,
    /// Epochs for which our descriptor exists, is being made, or is due at a random time.
    pub(super) published: BTreeMap<Epoch, Publication>,
    /// Epochs whose key had to be erased; a second key for one of them would be equivocation.
    pub(super) lost: BTreeSet<Epoch>,
}

/// How far our descriptor for an epoch is.
pub(super) enum Publication {
    /// To be made from this second on.
    Due(UnixSecs),
    /// Its puzzle is being solved.
    Solving(JobId, Box<Draft>),
    /// It exists.
    Made,
}

impl Node {
    /// Another onion key than the one that we announced for an epoch would be equivocation. Where
    /// the announced one is gone, we do without for that epoch, however often we start.
    pub(super) fn keep_promises(&mut self, raw: &[u8]) {
        let Ok(descriptor) = Descriptor::decode(raw) else {
            return;
        };
        let draft = descriptor.draft();
        let promises = [
            (draft.epoch, draft.onion),
            (draft.epoch.next(), draft.onion_next),
        ];
        for (epoch, promised) in promises {
            if self.listing.onion.get(&epoch) != Some(&promised) {
                self.listing.lost.insert(epoch);
            }
        }
    }

    /// Makes the keys of this epoch and the next, if they are not there.
    pub(super) fn keep_onion_keys(&mut self, epoch: Epoch) {
        for epoch in [epoch, epoch.next()] {
            if self.listing.onion.contains_key(&epoch) || self.listing.lost.contains(&epoch) {
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

    pub(super) fn install_onion_key(
        &mut self,
        epoch: Epoch,
        secret: OnionSecret,
        log: ReplayLog,
        tags: ReplaySet,
    ) {
        let public = *secret.public().as_bytes();
        match self.onion.relay.install_key(epoch, secret, tags) {
            Ok(()) => {
                self.listing.onion.insert(epoch, public);
                self.onion.logs.insert(epoch, log);
            }
            Err(_) => self.bug("an onion key was made twice"),
        }
    }

    pub(super) fn erase_onion_key(&mut self, epoch: Epoch) {
        let store = self.durable.store(Record::EraseOnionKey(epoch));
        self.outputs.push_back(store);
    }

    /// Begins our descriptor for an epoch when its time has come.
    ///
    /// On `main` that is a random second in the first half of the epoch, so that it tells nothing
    /// of when we started (spec M12). A relay without a stem for what it rebuilds stays out.
    pub(super) fn publish(&mut self, now: Now, epoch: Epoch) {
        let due = match self.listing.published.get(&epoch) {
            Some(Publication::Due(due)) => *due,
            Some(Publication::Solving(..) | Publication::Made) => return,
            None => {
                let due = self.publication_time(now, epoch);
                self.listing.published.insert(epoch, Publication::Due(due));
                due
            }
        };
        if due > now.unix || !self.stem.stem.can_stem() || self.config.advertise.is_empty() {
            return;
        }
        let (Some(onion), Some(onion_next)) = (
            self.listing.onion.get(&epoch),
            self.listing.onion.get(&epoch.next()),
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
        self.listing
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
        if self.listing.lost.contains(&epoch) {
            return "no: the keys of this epoch were lost; it is back in the next";
        }
        match self.listing.published.get(&epoch) {
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
        let Some((epoch, draft)) = self.listing.published.iter().find_map(solved) else {
            return;
        };
        let network = self.me.requirements.network;
        match Descriptor::sign(draft, solution, &self.me.signing, network) {
            Ok(descriptor) => {
                self.listing.published.insert(epoch, Publication::Made);
                let raw = descriptor.raw().to_vec();
                let record = Record::OwnDescriptor(epoch, raw.clone());
                let store = self.durable.store(record);
                self.outputs.push_back(store);
                self.durable.wait(After::Publish(raw));
            }
            Err(_) => {
                self.bug("our own descriptor breaks a rule of the format");
                self.listing.published.remove(&epoch);
            }
        }
    }

    /// Our descriptor would survive a crash: everybody may see it now.
    pub(super) fn publish_descriptor(&mut self, now: Now, raw: &[u8]) {
        self.take_descriptor(now, Source::Own, None, raw);
    }
}
