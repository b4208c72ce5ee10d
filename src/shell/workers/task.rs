//! One job in parts: first result, timeout, progress.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::node::{Job, JobResult};

/// Called once with the result of a job.
pub(super) type ResultCallback = Box<dyn FnOnce(Option<JobResult>) + Send>;

/// Called now and then with the number of hashes tried.
pub(super) type ProgressCallback = Box<dyn Fn(u64) + Send + Sync>;

/// State that the parts of one job share.
pub(super) struct SplitJob {
    /// Cancelled or completed: the remaining parts stop.
    over: AtomicBool,
    tried: AtomicU64,
    limit: Option<Duration>,
    progress: ProgressCallback,
    state: Mutex<SplitJobState>,
}

struct SplitJobState {
    /// Taken by the part that completes the job.
    report: Option<ResultCallback>,
    /// Parts that have not ended.
    running: usize,
    /// Parts that ran until the timeout.
    ended: Vec<Job>,
    /// The start of the first step.
    begun: Option<Instant>,
    /// The time of the last progress report.
    told: Option<Instant>,
}

/// A part of a job in the queue.
pub(super) struct JobPart {
    job: Job,
    task: Arc<SplitJob>,
}

/// The result of a turn.
pub(super) enum StepResult {
    /// The part has ended.
    Ended,
    /// The part needs another turn.
    Unfinished(JobPart),
}

impl SplitJob {
    /// Splits a job into at most `threads` parts.
    pub(super) fn new(
        job: Job,
        threads: usize,
        progress: ProgressCallback,
        report: ResultCallback,
    ) -> (Arc<Self>, Vec<JobPart>) {
        let limit = job.limit();
        let jobs = job.split(threads);
        let state = SplitJobState {
            report: Some(report),
            running: jobs.len(),
            ended: Vec::new(),
            begun: None,
            told: None,
        };
        let task = Arc::new(Self {
            over: AtomicBool::new(false),
            tried: AtomicU64::new(0),
            limit,
            progress,
            state: Mutex::new(state),
        });
        let part = |job| JobPart {
            job,
            task: Arc::clone(&task),
        };
        let parts = jobs.into_iter().map(part).collect();
        (task, parts)
    }

    /// Prevents every part from taking another step.
    pub(super) fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Reports the result, unless one was reported already.
    fn answer(&self, done: Option<JobResult>) {
        self.stop();
        let report = self.lock().report.take();
        if let Some(report) = report {
            report(done);
        }
    }

    /// Ends a part. The last part to end reports the best result of all parts if none was reported.
    fn leave(&self, job: Option<Job>) {
        let mut state = self.lock();
        state.ended.extend(job);
        state.running = state.running.saturating_sub(1);
        if state.running == 0 {
            let ended = std::mem::take(&mut state.ended);
            drop(state);
            self.answer(Job::finish(ended));
        }
    }

    /// Whether the job has reached its time limit; time starts with the first call.
    fn out_of_time(&self, now: Instant) -> bool {
        let Some(limit) = self.limit else {
            return false;
        };
        let begun = *self.lock().begun.get_or_insert(now);
        now.saturating_duration_since(begun) >= limit
    }

    /// Counts hashes, and reports progress at intervals.
    fn count(&self, hashes: u64, now: Instant) {
        let tried = self.tried.fetch_add(hashes, Ordering::Relaxed);
        let mut state = self.lock();
        let told = *state.told.get_or_insert(now);
        if now.saturating_duration_since(told) >= PROGRESS_INTERVAL {
            state.told = Some(now);
            drop(state);
            (self.progress)(tried.saturating_add(hashes));
        }
    }

    /// Each update under this lock is a single step, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, SplitJobState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JobPart {
    /// Takes one step.
    pub(super) fn step(mut self) -> StepResult {
        if self.task.over.load(Ordering::Relaxed) {
            self.task.answer(None);
            return StepResult::Ended;
        }
        if self.task.out_of_time(Instant::now()) {
            let Self { job, task } = self;
            task.leave(Some(job));
            return StepResult::Ended;
        }
        let before = self.job.tried();
        // A job that panicked is never stepped again, so its state does not matter.
        match catch_unwind(AssertUnwindSafe(|| self.job.step())) {
            Ok(None) => {
                if let (Some(before), Some(tried)) = (before, self.job.tried()) {
                    self.task
                        .count(tried.saturating_sub(before), Instant::now());
                }
                return StepResult::Unfinished(self);
            }
            Ok(Some(done)) => self.task.answer(Some(done)),
            Err(_) => {
                tracing::error!("a job panicked; this is a bug, please report it");
                self.task.leave(None);
            }
        }
        StepResult::Ended
    }
}

impl fmt::Debug for SplitJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplitJob").finish_non_exhaustive()
    }
}

impl fmt::Debug for JobPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobPart").finish_non_exhaustive()
    }
}

/// The interval of progress reports.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
