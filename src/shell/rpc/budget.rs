//! The memory and the processor time that the clients of an endpoint take together.
//!
//! The limits hold for all clients of one kind, over TCP or at the local socket, so that neither
//! takes the other's share. What does not fit waits, at the client that sent it: nothing that a
//! client asked for is executed before there is room for its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::sync::{Mutex, MutexGuard, Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::limits::{
    BUDGET_TIMEOUT, MAX_ANSWER_BYTES, MAX_QUEUED_DERIVATIONS, MAX_REQUEST_MEMORY,
    MAX_WAITING_ANSWER,
};
use super::session::stopped;
use crate::rpc::{self, RpcError, RpcErrorKind};
use crate::shell::Stopped;

/// The budgets of one kind of endpoint.
#[derive(Debug)]
pub(super) struct RpcBudget {
    /// Kilobytes of parsed requests.
    requests: Arc<Semaphore>,
    pub(super) answers: Arc<AnswerBudget>,
    pub(super) derivations: Arc<DerivationQueue>,
}

/// Memory for a parsed request, returned on drop.
#[derive(Debug)]
pub(super) struct RequestMemory(
    #[expect(dead_code, reason = "returned on drop")] OwnedSemaphorePermit,
);

impl RpcBudget {
    pub(super) fn new(derivations: Arc<DerivationQueue>) -> Self {
        Self {
            requests: Arc::new(Semaphore::new(MAX_REQUEST_MEMORY / KILOBYTE)),
            answers: Arc::new(AnswerBudget::default()),
            derivations,
        }
    }

    /// Waits for the memory to parse a text.
    pub(super) async fn memory_for(&self, text: &[u8]) -> Result<RequestMemory, RpcError> {
        let bytes = rpc::parsed_size(text).min(MAX_REQUEST_MEMORY);
        let kilobytes = u32::try_from(bytes.div_ceil(KILOBYTE)).unwrap_or(u32::MAX);
        let reserved = Arc::clone(&self.requests).acquire_many_owned(kilobytes);
        match timeout(BUDGET_TIMEOUT, reserved).await {
            Ok(Ok(permit)) => Ok(RequestMemory(permit)),
            Ok(Err(_)) | Err(_) => Err(busy("requests in progress take all memory for them")),
        }
    }
}

/// Answers that exist and are not written yet.
#[derive(Debug, Default)]
pub(super) struct AnswerBudget {
    bytes: AtomicUsize,
    freed: Notify,
    /// Held while a large answer is made: only one exists in its longer forms.
    maker: Mutex<()>,
}

impl AnswerBudget {
    /// Waits for the turn to make a large answer. `None` if a batch with `waiting` bytes would wait
    /// for memory: batches that wait for each other would never end.
    pub(super) async fn turn(&self, waiting: usize) -> Option<MutexGuard<'_, ()>> {
        let turn = self.maker.lock().await;
        while !self.has_room() {
            if waiting > MAX_WAITING_ANSWER {
                return None;
            }
            self.freed.notified().await;
        }
        Some(turn)
    }

    /// Whether one more answer may be made. The last one may exceed the limit.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Acquire) < MAX_ANSWER_BYTES
    }

    /// Counts an answer that begins.
    pub(super) fn begin(self: &Arc<Self>) -> AnswerMemory {
        AnswerMemory {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }
}

/// The counted bytes of an answer, until it is written or dropped.
#[derive(Debug)]
pub(super) struct AnswerMemory {
    budget: Arc<AnswerBudget>,
    bytes: usize,
}

impl AnswerMemory {
    /// Sets the size of the answer so far, which only grows.
    pub(super) fn grow_to(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes);
        self.budget.bytes.fetch_add(more, Ordering::AcqRel);
        self.bytes = self.bytes.saturating_add(more);
    }
}

impl Drop for AnswerMemory {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.freed.notify_one();
    }
}

/// Derivations of keys from passwords, each of which takes a core for a noticeable time. All
/// endpoints share one queue: as many run as there are cores, and few wait.
#[derive(Debug)]
pub(super) struct DerivationQueue {
    cores: Semaphore,
    places: Semaphore,
}

impl DerivationQueue {
    pub(super) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self::with_cores(cores)
    }

    fn with_cores(cores: usize) -> Self {
        Self {
            cores: Semaphore::new(cores),
            places: Semaphore::new(cores.saturating_add(MAX_QUEUED_DERIVATIONS)),
        }
    }

    /// Runs a derivation on a thread of its own when a core is free.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        derive: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RpcError> {
        let _place = self.place()?;
        let _core = self.cores.acquire().await.map_err(|_| stopped(Stopped))?;
        spawn_blocking(derive).await.map_err(|_| stopped(Stopped))
    }

    /// A place in the queue, for a call that runs its derivation elsewhere.
    pub(super) fn place(&self) -> Result<SemaphorePermit<'_>, RpcError> {
        self.places
            .try_acquire()
            .map_err(|_| busy("too many keys are being derived from passwords"))
    }
}

fn busy(cause: &str) -> RpcError {
    RpcError::server(RpcErrorKind::Busy, cause, "wait a moment, and try again")
}

const KILOBYTE: usize = 1024;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn derivations_run_one_per_core_and_few_wait() {
        let queue = DerivationQueue::with_cores(2);
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        let running = Arc::new(AtomicUsize::new(0));
        let derive = || {
            let (held, running) = (Arc::clone(&held), Arc::clone(&running));
            move || {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                held.lock().unwrap().recv().unwrap();
                running.fetch_sub(1, Ordering::SeqCst);
                now
            }
        };
        let mut waiting: Vec<_> = (0..2 + MAX_QUEUED_DERIVATIONS)
            .map(|_| Box::pin(queue.run(derive())))
            .collect();
        for derivation in &mut waiting {
            assert!(derivation.now_or_never().is_none());
        }
        let refused = queue.run(derive()).await.unwrap_err();
        assert_eq!(refused.kind, RpcErrorKind::Busy);
        for _ in 0..waiting.len() {
            release.send(()).unwrap();
        }
        for derivation in waiting {
            assert!(derivation.await.unwrap() <= 2);
        }
    }

    #[tokio::test]
    async fn large_answers_are_made_one_at_a_time_and_wait_for_room() {
        let budget = Arc::new(AnswerBudget::default());
        let first = budget.turn(0).await.unwrap();
        assert!(budget.turn(0).now_or_never().is_none());
        drop(first);
        let mut unwritten = budget.begin();
        unwritten.grow_to(MAX_ANSWER_BYTES);
        let mut next = Box::pin(budget.turn(0));
        assert!((&mut next).now_or_never().is_none());
        drop(unwritten);
        assert!(next.await.is_some());
    }

    #[tokio::test]
    async fn batch_with_many_bytes_does_not_wait_for_other_batches() {
        let budget = Arc::new(AnswerBudget::default());
        let mut unwritten = budget.begin();
        unwritten.grow_to(MAX_ANSWER_BYTES);
        assert!(budget.turn(MAX_WAITING_ANSWER + 1).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_above_memory_budget_are_refused_in_words() {
        let budget = RpcBudget::new(Arc::new(DerivationQueue::with_cores(1)));
        let text = format!("[{}0]", "0,".repeat(60_000));
        let mut held = Vec::new();
        let error = loop {
            match budget.memory_for(text.as_bytes()).await {
                Ok(memory) => held.push(memory),
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind, held.len()), (RpcErrorKind::Busy, 1));
        held.clear();
        assert!(budget.memory_for(text.as_bytes()).await.is_ok());
    }
}
