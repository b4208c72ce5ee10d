//! Trial decryption: every key is tried on every envelope, by jobs on other threads.
//!
//! A trial of a key pair takes 50 microseconds, and there may be 256 identities, so the trials must
//! not take place in the node's turns. A turn only collects envelopes into batches ([`TrialBatch`])
//! and delivers results. Three kinds of envelopes take turns: direct envelopes, untried envelopes of
//! the mempool, and envelopes that a new identity searches. Results are delivered in the order in
//! which the batches began, whichever ends first, so the order of messages does not depend on the
//! threads.
//!
//! Batches begin after the envelopes were scheduled for all peers, on a timer of their own or when
//! an earlier batch ends, so neither their duration nor their result influences forwarding.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use circuits::fair_queue::{FairQueue, FairQueueLimits, QueueSize, WorkRank};
use circuits::ids::LinkId;
use circuits::time::Instant;

use crate::envelope::{Envelope, EnvelopeHash};
use crate::envelope_pool::Pool;
use crate::node::effects::{Counter, Effects};
use crate::node::jobs::{Job, JobId, JobOwner};
use crate::node::pool_scan::PoolScan;
use crate::node::timers::{TRY_DECRYPT_DELAY, TimerId};
use crate::node::untried::{TrialSource, UntriedIndex};
use crate::subscriptions::{DeliveryPath, FilterId, Filters, TrialBatch, TrialKeys, TrialResult};

/// Envelopes to try, and the batches that are being tried.
pub(super) struct TrialQueue {
    untried: UntriedIndex,
    direct: FairQueue<TrialSource, (), Envelope>,
    scan: PoolScan<FilterId>,
    /// The kind of the last batch.
    last: BatchKind,
    /// Batches in the order in which they began.
    running: VecDeque<RunningBatch>,
}

/// The envelopes of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BatchKind {
    /// Direct envelopes of trusted peers.
    Direct,
    /// Untried envelopes of the mempool.
    Untried,
    /// Envelopes of the mempool that were tried, for new identities.
    Scan,
}

struct RunningBatch {
    job: JobId,
    kind: BatchKind,
    envelopes: Vec<(Envelope, DeliveryPath)>,
    /// The filters of a scan; `None` stands for all filters.
    only: Option<BTreeSet<FilterId>>,
    /// The results, once the job has ended.
    results: Option<Vec<TrialResult>>,
}

/// One envelope of a batch that has ended, in the order of delivery.
pub(super) struct TriedEnvelope<'a> {
    pub(super) envelope: Envelope,
    pub(super) path: DeliveryPath,
    /// Whether it came in a direct message.
    pub(super) is_direct: bool,
    /// The filters that it was tried for; `None` stands for all filters.
    pub(super) only: Option<&'a BTreeSet<FilterId>>,
    /// What our keys decrypted, at least one message.
    pub(super) results: Vec<TrialResult>,
}

impl Default for TrialQueue {
    fn default() -> Self {
        Self {
            untried: UntriedIndex::default(),
            direct: FairQueue::new(DIRECT_LIMITS),
            scan: PoolScan::default(),
            last: BatchKind::Scan,
            running: VecDeque::new(),
        }
    }
}

impl TrialQueue {
    // -- envelopes come and go

    /// An envelope entered the mempool.
    pub(super) fn push_pooled(
        &mut self,
        from: Option<LinkId>,
        rank: WorkRank,
        hash: EnvelopeHash,
        path: DeliveryPath,
    ) {
        self.untried.push(TrialSource::of(from), rank, hash, path);
    }

    /// A direct envelope arrived. Above the bounds, envelopes of the link that has most are dropped
    /// and counted; they can be requested again.
    pub(super) fn push_direct(&mut self, fx: &mut Effects, from: LinkId, envelope: Envelope) {
        let bytes = envelope.size();
        let pushed = self
            .direct
            .push(TrialSource::Link(from), (), bytes, envelope);
        fx.count_many(Counter::DirectUntried, pushed.overflow.len());
    }

    /// The mempool dropped these envelopes.
    pub(super) fn on_dropped(&mut self, fx: &mut Effects, hashes: &[EnvelopeHash]) {
        let untried = hashes.iter().filter(|hash| self.untried.remove(hash));
        let untried = untried.count();
        fx.count_many(Counter::PooledUntried, untried);
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, link: LinkId) {
        self.untried.on_link_closed(link);
    }

    /// Searches the mempool for messages that a new filter accepts.
    pub(super) fn scan_for(&mut self, filter: FilterId) {
        self.scan.add(filter);
    }

    /// A filter was removed.
    pub(super) fn on_uninstalled(&mut self, filter: FilterId) {
        self.scan.remove(filter);
    }

    // -- state

    /// Whether a direct envelope waits, or is being tried.
    pub(super) fn has_direct(&self) -> bool {
        let mut running = self.running.iter();
        !self.direct.is_empty() || running.any(|batch| batch.kind == BatchKind::Direct)
    }

    /// Number of envelopes that no key, or not every key, has been tried on.
    pub(super) fn waiting(&self) -> usize {
        let running = self.running.iter().map(|batch| batch.envelopes.len());
        let waiting = self
            .untried
            .len()
            .saturating_add(self.direct.size().entries);
        running.fold(waiting, usize::saturating_add)
    }

    /// Whether an envelope of the mempool waits for a key of ours.
    pub(super) fn is_untried(&self, hash: &EnvelopeHash) -> bool {
        self.scan.is_active() || self.untried.contains(hash)
    }

    // -- batches

    /// Makes batches begin soon.
    pub(super) fn schedule(fx: &mut Effects, now: Instant) {
        fx.expedite(TimerId::TryDecrypt, now.after(TRY_DECRYPT_DELAY));
    }

    /// Begins batches while there are envelopes and jobs are free.
    pub(super) fn dispatch(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        filters: &mut Filters,
        pool: &Pool,
    ) {
        self.untried.merge_closed();
        while self.running.len() < MAX_TRIAL_JOBS && self.begin_batch(fx, filters, pool) {}
        if self.scan.is_active() && self.running.is_empty() {
            // All envelopes that the scan has just passed wait for every key anyway.
            Self::schedule(fx, now);
        }
    }

    /// Begins the next batch; `false` if there is none.
    fn begin_batch(&mut self, fx: &mut Effects, filters: &mut Filters, pool: &Pool) -> bool {
        let kinds = match self.last {
            BatchKind::Direct => [BatchKind::Untried, BatchKind::Scan, BatchKind::Direct],
            BatchKind::Untried => [BatchKind::Scan, BatchKind::Direct, BatchKind::Untried],
            BatchKind::Scan => [BatchKind::Direct, BatchKind::Untried, BatchKind::Scan],
        };
        for kind in kinds {
            let mut plan = match kind {
                BatchKind::Scan => BatchPlan::new(filters.keys_of(self.scan.keys().into_iter())),
                _ => BatchPlan::new(filters.keys()),
            };
            let mut only = None;
            match kind {
                BatchKind::Direct => self.collect_direct(&mut plan),
                BatchKind::Untried => self.collect_untried(&mut plan, pool),
                BatchKind::Scan => only = self.collect_scan(&mut plan, pool),
            }
            if plan.envelopes.is_empty() {
                continue;
            }
            let envelopes = plan.envelopes.iter().map(|(envelope, _)| envelope.clone());
            let batch = TrialBatch::new(plan.keys, envelopes.collect());
            let job = fx.start_job(JobOwner::Trials, Job::Trials(Box::new(batch)));
            self.running.push_back(RunningBatch {
                job,
                kind,
                envelopes: plan.envelopes,
                only,
                results: None,
            });
            self.last = kind;
            return true;
        }
        false
    }

    fn collect_direct(&mut self, plan: &mut BatchPlan) {
        while plan.has_room()
            && let Some((_, envelope)) = self.direct.pop()
        {
            // One trial is enough if the mempool has it as well.
            self.untried.remove(&envelope.hash());
            plan.add(envelope, DeliveryPath::Direct);
        }
    }

    fn collect_untried(&mut self, plan: &mut BatchPlan, pool: &Pool) {
        while plan.has_room()
            && let Some((envelope, path)) = self.untried.pop(pool)
        {
            plan.add(envelope, path);
        }
    }

    fn collect_scan(&mut self, plan: &mut BatchPlan, pool: &Pool) -> Option<BTreeSet<FilterId>> {
        if !self.scan.is_active() {
            return None;
        }
        let filters = self.scan.keys();
        let untried = &self.untried;
        self.scan.advance(pool, |pooled| {
            if !untried.contains(&pooled.envelope.hash()) {
                let pow = pooled.pow.best();
                plan.add(pooled.envelope.clone(), DeliveryPath::Gossip { pow });
            }
            plan.has_room()
        });
        Some(filters)
    }

    /// A job has ended, with these results unless it was lost: the shell stopped it, or it failed.
    pub(super) fn on_ended(
        &mut self,
        fx: &mut Effects,
        job: JobId,
        results: Option<Vec<TrialResult>>,
    ) {
        let Some(batch) = self.running.iter_mut().find(|batch| batch.job == job) else {
            return;
        };
        if results.is_none() {
            let counter = match batch.kind {
                BatchKind::Direct => Counter::DirectUntried,
                BatchKind::Untried | BatchKind::Scan => Counter::PooledUntried,
            };
            fx.count_many(counter, batch.envelopes.len());
        }
        batch.results = Some(results.unwrap_or_default());
    }

    /// Takes the batch that began first, if it has ended, and passes its messages to `deliver`.
    /// Returns whether there was such a batch.
    pub(super) fn take_ended(&mut self, mut deliver: impl FnMut(TriedEnvelope<'_>)) -> bool {
        let has_ended = |batch: &&RunningBatch| batch.results.is_some();
        if self.running.front().filter(has_ended).is_none() {
            return false;
        }
        let Some(batch) = self.running.pop_front() else {
            return false;
        };
        let is_direct = batch.kind == BatchKind::Direct;
        let mut results = batch.results.unwrap_or_default().into_iter().peekable();
        for (number, (envelope, path)) in batch.envelopes.into_iter().enumerate() {
            let own = core::iter::from_fn(|| results.next_if(|one| one.envelope == number));
            let own: Vec<_> = own.collect();
            if !own.is_empty() {
                deliver(TriedEnvelope {
                    envelope,
                    path,
                    is_direct,
                    only: batch.only.as_ref(),
                    results: own,
                });
            }
        }
        true
    }
}

/// Collects envelopes for one batch.
struct BatchPlan {
    keys: Arc<TrialKeys>,
    envelopes: Vec<(Envelope, DeliveryPath)>,
    bytes: usize,
    time: Duration,
}

impl BatchPlan {
    const fn new(keys: Arc<TrialKeys>) -> Self {
        Self {
            keys,
            envelopes: Vec::new(),
            bytes: 0,
            time: Duration::ZERO,
        }
    }

    fn has_room(&self) -> bool {
        self.envelopes.len() < MAX_BATCH_ENVELOPES
            && self.bytes < MAX_BATCH_BYTES
            && self.time < MAX_BATCH_TIME
    }

    fn add(&mut self, envelope: Envelope, path: DeliveryPath) {
        self.bytes = self.bytes.saturating_add(envelope.size());
        self.time = self.time.saturating_add(self.keys.time(&envelope));
        self.envelopes.push((envelope, path));
    }
}

/// Maximum number of batches that are tried at once, and so of threads that are used.
const MAX_TRIAL_JOBS: usize = 4;
/// Maximum number of envelopes in a batch, which bounds the turn that delivers their messages.
const MAX_BATCH_ENVELOPES: usize = 256;
/// A batch with so many bytes is full.
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// A batch of so much work for one core is full. It bounds what an urgent envelope waits for.
const MAX_BATCH_TIME: Duration = Duration::from_millis(50);

/// Bounds of direct envelopes that wait. A trusted peer may have all the room.
const DIRECT_LIMITS: FairQueueLimits = {
    let size = QueueSize {
        entries: 65_536,
        bytes: 64 * 1024 * 1024,
    };
    FairQueueLimits {
        per_source: size,
        total: size,
    }
};
