//! Threads for long computations: proof of work, tickets, puzzles, trial decryption.
//!
//! One pool serves all nodes of a process. Jobs take turns of one step (a few milliseconds), so
//! that a ticket does not wait behind minutes of proof of work. A proof of work is one job with one
//! part per thread: the first part that finds a nonce completes the job. Jobs can be cancelled and
//! time out between two steps, and a part that panics is given up without its thread.
//!
//! The threads have the lowest scheduling priority, so that they use only idle time; their best
//! hash rate is measured when they start.

#![expect(
    clippy::disallowed_methods,
    reason = "the threads measure their own run time"
)]

mod rate;
mod task;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use self::rate::WorkerHashRate;
use self::task::{JobPart, ResultCallback, SplitJob, StepResult};
use crate::node::{Job, JobResult};

/// A pool of threads; they end when the pool is dropped.
#[derive(Debug)]
pub struct Workers {
    shared: Arc<WorkerPool>,
    threads: usize,
}

impl Workers {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    ///
    /// The error of the operating system if no thread starts.
    pub fn start(threads: usize) -> io::Result<Self> {
        let threads = threads.max(1);
        let shared = Arc::new(WorkerPool::new(threads));
        let workers = Self {
            shared: Arc::clone(&shared),
            threads,
        };
        for _ in 0..threads {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name(THREAD_NAME.into())
                .spawn(move || {
                    yield_to_others();
                    shared.rate.measure();
                    shared.work();
                })?;
        }
        Ok(workers)
    }

    /// The number of the machine's cores.
    #[must_use]
    pub fn available() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    /// Queues a job. While it runs, `progress` receives the number of hashes tried so far, now and
    /// then; `report` is called once with the result, or with `None` if the job was cancelled. Both
    /// are called on a thread of the pool.
    pub(super) fn run(
        &self,
        job: Job,
        progress: impl Fn(u64) + Send + Sync + 'static,
        report: impl FnOnce(Option<JobResult>) + Send + 'static,
    ) -> CancelOnDrop {
        let report: ResultCallback = Box::new(report);
        let (task, parts) = SplitJob::new(job, self.threads, Box::new(progress), report);
        self.shared.lock().parts.extend(parts);
        self.shared.wake.notify_all();
        CancelOnDrop(task)
    }

    /// Calls back with the hash rate of all threads together once it is measured, possibly at once.
    pub(super) fn when_measured(&self, tell: impl FnOnce(f64) + Send + 'static) {
        self.shared.rate.when_known(Box::new(tell));
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.wake.notify_all();
    }
}

/// Stops a job at its next step when dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct CancelOnDrop(Arc<SplitJob>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[derive(Debug)]
struct WorkerPool {
    queue: Mutex<PartQueue>,
    wake: Condvar,
    rate: WorkerHashRate,
}

#[derive(Debug, Default)]
struct PartQueue {
    parts: VecDeque<JobPart>,
    stopped: bool,
}

impl WorkerPool {
    fn new(threads: usize) -> Self {
        Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            rate: WorkerHashRate::of(threads, Workers::available()),
        }
    }

    /// No update is left half-done under this lock, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, PartQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The main loop of one thread.
    fn work(&self) {
        while let Some(part) = self.next() {
            if let StepResult::Unfinished(part) = part.step() {
                self.lock().parts.push_back(part);
            }
        }
    }

    /// Waits for a part; `None` once the pool is dropped.
    fn next(&self) -> Option<JobPart> {
        let mut queue = self.lock();
        loop {
            if queue.stopped {
                return None;
            }
            if let Some(part) = queue.parts.pop_front() {
                return Some(part);
            }
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Lowers the thread's priority below every other thread. On Linux a priority belongs to a thread;
/// elsewhere it belongs to the whole process, and stays unchanged.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::setpriority_process(Some(rustix::thread::gettid()), LOWEST_PRIORITY)
    {
        tracing::debug!(%error, "searches run at ordinary priority");
    }
}

/// The thread's name in tools that list threads.
const THREAD_NAME: &str = "whisht-search";
/// The highest nice value: about a seventieth of an ordinary thread's share under contention.
#[cfg(target_os = "linux")]
const LOWEST_PRIORITY: i32 = 19;

#[cfg(test)]
mod tests;
