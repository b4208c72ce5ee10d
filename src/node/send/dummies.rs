//! Dummies: envelopes without a reader, of the kind that messages are scattered into.
//!
//! Without them a rare user of `dark` would be found by the envelopes of the smallest class alone, and
//! those of one message by their times. Every node with full cover traffic inserts one in ten minutes on
//! average, whether it has messages or not: of the smallest class, to a random key, with the lifetimes,
//! the work, the slots, the paths and the holds of real ones (docs/spec.md M3).

use circuits::distributions::exponential;
use circuits::level::Level;
use circuits::time::Now;
use core::time::Duration;

use super::mixed::{CellShape, draw_paths, queued_cell};
use super::{SendContext, Sender};
use crate::envelope::UnminedEnvelope;
use crate::envelope_builder::{self, Life, LifeChoice};
use crate::node::action::Action;
use crate::node::config::Cover;
use crate::node::effects::Effects;
use crate::node::emission::CellOwner;
use crate::node::jobs::{Job, JobId, JobOwner};
use crate::node::timers::TimerId;

/// The dummy that is being made.
#[derive(Default)]
pub(super) struct DummyMaker(Option<(JobId, UnminedEnvelope)>);

impl Sender {
    /// Begins the dummies of a node with this cover traffic.
    pub(in crate::node) fn start_dummies(&self, fx: &mut Effects, now: Now, cover: Cover) {
        if cover == Cover::Full {
            let wait = exponential(fx.path_rng(), DUMMY_INTERVAL);
            fx.arm(TimerId::Dummy, Some(now.mono.after(wait)));
        }
    }

    /// It is time for a dummy.
    pub(in crate::node) fn make_dummy(
        &mut self,
        fx: &mut Effects,
        now: Now,
        context: SendContext<'_>,
    ) {
        self.start_dummies(fx, now, Cover::Full);
        if self.dummies.0.is_some() || context.directory.mix_paths(now).is_err() {
            return;
        }
        let delays = context.directory.mix_network(now).class();
        let life = Life {
            choice: LifeChoice::Any,
            ..Life::at_least(DUMMY_LIFE).over(Level::Dark.rules(), delays)
        };
        let minimum = context.gossip.configured_min_pow();
        let ahead = context.emission.queue_time().as_secs();
        let made = now.unix.after(u32::try_from(ahead).unwrap_or(u32::MAX));
        let drafted = envelope_builder::dummy(fx.key_rng(), made, life, minimum).ok();
        let job = drafted.and_then(|draft| {
            let generations = context.gossip.generations(Level::Dark, draft.bits);
            let job = draft.pow_job(generations).ok()?;
            Some((job, draft.unmined))
        });
        if let Some((job, unmined)) = job {
            let search = Job::ProofOfWork(Box::new(job.search(fx.rng())));
            self.dummies.0 = Some((fx.start_job(JobOwner::Dummy, search), unmined));
        }
    }

    /// The proof of work of a dummy has ended: its cell is queued like any other. One that has no path
    /// or no room is dropped; the next one comes.
    pub(in crate::node) fn on_dummy_nonce(
        &mut self,
        fx: &mut Effects,
        now: Now,
        job: JobId,
        nonce: Option<u64>,
        context: SendContext<'_>,
    ) {
        let Some((_, unmined)) = self.dummies.0.take_if(|(own, _)| *own == job) else {
            return;
        };
        let Some(nonce) = nonce else {
            return;
        };
        let envelope = unmined.with_nonce(nonce);
        if let Ok((epoch, paths)) = draw_paths(fx, now, context, 1)
            && let Some(path) = paths.first()
        {
            let (rules, owner) = (Level::Dark.rules(), CellOwner::Dummy);
            let shape = CellShape::whole(fx, now, context, rules, owner, epoch);
            if let Some(cell) = queued_cell(fx, shape, path, &envelope) {
                fx.request(Action::QueueCells(vec![cell]));
            }
        }
    }
}

/// Mean time between two dummies.
const DUMMY_INTERVAL: Duration = Duration::from_secs(600);

/// The lifetime that messages ask for, unless their sender chooses another one.
const DUMMY_LIFE: Duration = Duration::from_secs(3_600);
