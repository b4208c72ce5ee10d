//! Threads for long searches: proof of work, tickets, puzzles.
//!
//! One pool serves all nodes of a process. Jobs take turns of one step (a few milliseconds), so
//! that a ticket does not wait behind a proof of work of minutes. A job can be cancelled between
//! two steps, and a job that panics is reported as not done instead of taking a thread with it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use crate::node::{Done, Job};

/// A pool of threads; they end when the pool is dropped.
#[derive(Debug)]
pub struct Workers {
    shared: Arc<Shared>,
}

impl Workers {
    /// Starts `threads` threads, at least one.
    ///
    /// # Errors
    ///
    /// What the operating system says if it starts no thread.
    pub fn start(threads: usize) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let workers = Self {
            shared: Arc::clone(&shared),
        };
        for _ in 0..threads.max(1) {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("whisht-search".into())
                .spawn(move || shared.work())?;
        }
        Ok(workers)
    }

    /// As many threads as the machine has cores.
    #[must_use]
    pub fn available() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    /// Queues a job. `report` is called once, on a thread of the pool, with what was found, or
    /// with `None` if the job was cancelled.
    pub(super) fn run(
        &self,
        job: Job,
        report: impl FnOnce(Option<Done>) + Send + 'static,
    ) -> Cancel {
        let cancelled = Arc::<AtomicBool>::default();
        let task = Task {
            job,
            cancelled: Arc::clone(&cancelled),
            report: Box::new(report),
        };
        self.shared.lock().tasks.push_back(task);
        self.shared.wake.notify_one();
        Cancel(cancelled)
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
pub(super) struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    tasks: VecDeque<Task>,
    stopped: bool,
}

struct Task {
    job: Job,
    cancelled: Arc<AtomicBool>,
    report: Box<dyn FnOnce(Option<Done>) + Send>,
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

impl Shared {
    /// Nothing is left half-done under this lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of one thread.
    fn work(&self) {
        while let Some(task) = self.next() {
            if task.cancelled.load(Ordering::Relaxed) {
                (task.report)(None);
            } else if let Some(unfinished) = turn(task) {
                self.lock().tasks.push_back(unfinished);
            }
        }
    }

    /// Waits for a task; `None` once the pool is gone.
    fn next(&self) -> Option<Task> {
        let mut queue = self.lock();
        loop {
            if queue.stopped {
                return None;
            }
            if let Some(task) = queue.tasks.pop_front() {
                return Some(task);
            }
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// One step of a task; gives it back if it is not done.
fn turn(mut task: Task) -> Option<Task> {
    // A job that panicked is never stepped again, so what state it is in does not matter.
    match catch_unwind(AssertUnwindSafe(|| task.job.step())) {
        Ok(None) => return Some(task),
        Ok(Some(done)) => (task.report)(Some(done)),
        Err(_) => {
            tracing::error!("a search panicked; this is a bug, please report it");
            (task.report)(None);
        }
    }
    None
}
