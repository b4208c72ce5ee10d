//! Which envelopes of the mempool are scanned for contact, and when.
//!
//! Every envelope that enters the mempool waits in a queue that serves the links in turn, as for trial
//! decryption, and is scanned once by a job on another thread. New keys pass the mempool again: a new
//! recipient of first messages scans all of it, new topics only look theirs up. The queue holds hashes; the
//! mempool bounds it. Results are delivered in the order in which the batches began.
//!
//! What is scanned and found changes nothing of what this node announces, asks for or forwards.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use circuits::ids::LinkId;
use circuits::time::{Instant, Now};

use crate::contact::job::{ContactJob, ContactJobResult};
use crate::contact::scan::{ScanBatch, ScanCandidate, ScanEnvelope, ScanHit, ScanKeys};
use crate::envelope::{Envelope, EnvelopeHash, Topic};
use crate::envelope_pool::{Pool, PooledEnvelope, work_rank};
use crate::node::effects::{Counter, Effects};
use crate::node::jobs::{Job, JobId, JobOwner};
use crate::node::pool_scan::PoolScan;
use crate::node::timers::{TRY_DECRYPT_DELAY, TimerId};
use crate::node::untried::{TrialSource, UntriedIndex};
use crate::pow::PowChecked;
use crate::subscriptions::DeliveryPath;

/// What passes the mempool again.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Rescan {
    /// A recipient of first messages was added.
    Recipients,
    /// Topics were added.
    Topics,
}

/// The keys that envelopes are scanned with, as the component has them at this moment.
pub(super) trait WatchedKeys {
    /// The recipients of first messages.
    fn recipients(&self) -> Arc<ScanKeys>;
    /// The keys whose topic this is.
    fn candidates(&self, topic: Topic) -> Vec<ScanCandidate>;
}

/// Envelopes that wait for a scan, and the batches that are being scanned.
#[derive(Default)]
pub(super) struct ContactScanner {
    waiting: UntriedIndex,
    rescan: PoolScan<Rescan>,
    /// Batches in the order in which they began.
    running: VecDeque<RunningScan>,
}

struct RunningScan {
    job: JobId,
    envelopes: Vec<EnvelopeHash>,
    /// The hits, once the job has ended.
    hits: Option<Vec<ScanHit>>,
}

impl ContactScanner {
    /// An envelope entered the mempool; `from` is the link that brought it.
    pub(super) fn on_pooled(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: Option<LinkId>,
        envelope: &Envelope,
        pow: PowChecked,
    ) {
        let rank = work_rank(envelope, &pow, now.unix);
        let path = DeliveryPath::Gossip { pow: pow.best() };
        let source = TrialSource::of(from);
        self.waiting.push(source, rank, envelope.hash(), path);
        Self::schedule(fx, now.mono);
    }

    /// The mempool dropped these envelopes: they expired or were evicted.
    pub(super) fn on_dropped(&mut self, fx: &mut Effects, hashes: &[EnvelopeHash]) {
        let dropped = hashes.iter().filter(|hash| self.waiting.remove(hash));
        let dropped = dropped.count();
        fx.count_many(Counter::PooledUntried, dropped);
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        self.waiting.on_link_closed(link);
    }

    /// Passes the mempool again, for keys that were added.
    pub(super) fn rescan(&mut self, fx: &mut Effects, now: Instant, what: Rescan) {
        self.rescan.add(what);
        Self::schedule(fx, now);
    }

    /// Whether envelopes wait or are being scanned, or the mempool is being passed again.
    #[cfg(test)]
    pub(super) fn is_busy(&self) -> bool {
        self.waiting.len() > 0 || self.rescan.is_active() || !self.running.is_empty()
    }

    fn schedule(fx: &mut Effects, now: Instant) {
        fx.expedite(TimerId::ScanContacts, now.after(TRY_DECRYPT_DELAY));
    }

    /// Begins batches while there are envelopes and jobs are free.
    pub(super) fn dispatch(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        keys: &impl WatchedKeys,
        pool: &Pool,
    ) {
        self.waiting.merge_closed();
        let mut budget = MAX_LOOKED_UP;
        while self.running.len() < MAX_SCAN_JOBS && budget > 0 {
            let mut plan = ScanPlan::new(keys, budget);
            self.collect_waiting(&mut plan, pool);
            self.collect_rescan(&mut plan, pool);
            budget = plan.budget;
            if !plan.begin(fx, &mut self.running) {
                break;
            }
        }
        let is_free = self.running.len() < MAX_SCAN_JOBS;
        if is_free && (self.waiting.len() > 0 || self.rescan.is_active()) {
            Self::schedule(fx, now);
        }
    }

    fn collect_waiting(&mut self, plan: &mut ScanPlan<'_, impl WatchedKeys>, pool: &Pool) {
        while plan.has_room()
            && let Some((envelope, _)) = self.waiting.pop(pool)
        {
            plan.add(&envelope, true);
        }
    }

    fn collect_rescan(&mut self, plan: &mut ScanPlan<'_, impl WatchedKeys>, pool: &Pool) {
        if !self.rescan.is_active() || !plan.has_room() {
            return;
        }
        let is_full = self.rescan.keys().contains(&Rescan::Recipients);
        let waiting = &self.waiting;
        self.rescan.advance(pool, |pooled: &PooledEnvelope| {
            // What waits is scanned with every key anyway.
            if !waiting.contains(&pooled.envelope.hash()) {
                plan.add(&pooled.envelope, is_full);
            }
            plan.has_room()
        });
    }

    /// A job has ended, with this result unless it was lost: the shell stopped it, or it failed. Returns
    /// whether the job was a scan.
    pub(super) fn on_ended(
        &mut self,
        fx: &mut Effects,
        job: JobId,
        result: Option<ContactJobResult>,
    ) -> bool {
        let Some(scan) = self.running.iter_mut().find(|scan| scan.job == job) else {
            return false;
        };
        let hits = match result {
            Some(ContactJobResult::Scan(hits)) => Some(hits),
            _ => None,
        };
        if hits.is_none() {
            fx.count_many(Counter::PooledUntried, scan.envelopes.len());
        }
        scan.hits = Some(hits.unwrap_or_default());
        true
    }

    /// Takes the hits of the batch that began first, if it has ended, each with the hash of its envelope.
    pub(super) fn take_ended(&mut self) -> Option<Vec<(EnvelopeHash, ScanHit)>> {
        self.running.front()?.hits.as_ref()?;
        let RunningScan {
            envelopes, hits, ..
        } = self.running.pop_front()?;
        let hits = hits.unwrap_or_default().into_iter();
        let named = hits.filter_map(|hit| Some((*envelopes.get(hit.envelope)?, hit)));
        Some(named.collect())
    }
}

/// Collects envelopes for one batch.
struct ScanPlan<'a, K> {
    watched: &'a K,
    recipients: Arc<ScanKeys>,
    /// For envelopes that only topics are looked up for. Such a batch never mixes with the other kind.
    is_full: bool,
    envelopes: Vec<ScanEnvelope>,
    bytes: usize,
    time: Duration,
    /// Number of envelopes that may still be looked at in this turn.
    budget: usize,
}

impl<'a, K: WatchedKeys> ScanPlan<'a, K> {
    fn new(watched: &'a K, budget: usize) -> Self {
        Self {
            watched,
            recipients: watched.recipients(),
            is_full: false,
            envelopes: Vec::new(),
            bytes: 0,
            time: Duration::ZERO,
            budget,
        }
    }

    fn has_room(&self) -> bool {
        self.budget > 0
            && self.envelopes.len() < MAX_BATCH_ENVELOPES
            && self.bytes < MAX_BATCH_BYTES
            && self.time < MAX_BATCH_TIME
    }

    /// Adds an envelope if a key can be tried on it. `is_full` stands for the recipients of first messages;
    /// an envelope of the other kind joins a full batch only at the cost of trying them.
    fn add(&mut self, envelope: &Envelope, is_full: bool) {
        self.budget = self.budget.saturating_sub(1);
        let is_full = is_full && !self.recipients.is_empty();
        let candidates = self.watched.candidates(envelope.topic());
        if candidates.is_empty() && !is_full {
            return;
        }
        self.is_full |= is_full;
        self.bytes = self.bytes.saturating_add(envelope.size());
        if is_full {
            self.time = self.time.saturating_add(self.recipients.time());
        }
        self.envelopes.push(ScanEnvelope {
            envelope: envelope.clone(),
            candidates,
        });
    }

    /// Starts the job of the batch; `false` if there is nothing to scan.
    fn begin(self, fx: &mut Effects, running: &mut VecDeque<RunningScan>) -> bool {
        if self.envelopes.is_empty() {
            return false;
        }
        let hashes = self.envelopes.iter().map(|one| one.envelope.hash());
        let hashes = hashes.collect();
        let keys = if self.is_full {
            self.recipients
        } else {
            Arc::default()
        };
        let batch = ContactJob::Scan(ScanBatch::new(keys, self.envelopes));
        let job = fx.start_job(JobOwner::Contact, Job::Contact(Box::new(batch)));
        running.push_back(RunningScan {
            job,
            envelopes: hashes,
            hits: None,
        });
        true
    }
}

/// Maximum number of batches that are scanned at once, and so of threads that are used.
const MAX_SCAN_JOBS: usize = 2;
/// Maximum number of envelopes in a batch, which bounds the turn that delivers what was found.
const MAX_BATCH_ENVELOPES: usize = 256;
/// A batch with so many bytes is full.
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// A batch of so much work for one core is full.
const MAX_BATCH_TIME: Duration = Duration::from_millis(50);
/// Maximum number of envelopes that one turn looks at.
const MAX_LOOKED_UP: usize = 2_048;

#[cfg(test)]
mod tests;
