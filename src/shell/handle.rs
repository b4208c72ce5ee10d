//! The handle of a running node, for the rest of the process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::idle_lock::LastUse;
use crate::node::{ClientId, Command, Event, Refusal, Reply};

/// A request to the driver.
#[derive(Debug)]
pub(super) enum DriverRequest {
    /// Execute a command of a client and reply.
    Command(ClientId, Command, oneshot::Sender<Result<Reply, Refusal>>),
    /// Shut down in order.
    Shutdown,
    /// End at once, without goodbye to peers and without further records.
    Panic,
}

/// A running node. Clones refer to the same node, which ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) client: ClientId,
    pub(super) requests: mpsc::Sender<DriverRequest>,
    pub(super) events: broadcast::WeakSender<Arc<Event>>,
    pub(super) addresses: Arc<[SocketAddr]>,
    pub(super) driver: AbortHandle,
    /// When the user gave the last command.
    pub(super) last_use: LastUse,
    /// Whether the user has ended the node in an emergency.
    pub(super) panicked: Arc<AtomicBool>,
    /// Closes when the driver has ended.
    pub(super) finished: watch::Receiver<()>,
}

impl Handle {
    /// A handle for a new client: what clients share is divided between them.
    pub(super) fn for_new_client(&self) -> Self {
        Self {
            client: ClientId(NEXT_CLIENT.fetch_add(1, Ordering::Relaxed)),
            ..self.clone()
        }
    }

    /// Sends the node a command and waits for its reply.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the node has ended. The inner error is the node's own refusal.
    pub async fn command(&self, command: Command) -> Result<Result<Reply, Refusal>, Stopped> {
        if command.is_use() {
            self.last_use.note();
        }
        let (answer, answered) = oneshot::channel();
        self.requests
            .send(DriverRequest::Command(self.client, command, answer))
            .await
            .map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// All events from now on.
    #[must_use]
    pub fn subscribe(&self) -> Events {
        Events(self.events.upgrade().map(|events| events.subscribe()))
    }

    /// The listening addresses.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Closes all links in order, makes pending records durable, and waits until both are done.
    pub async fn shutdown(&self) {
        // If the driver has ended already, there is nothing to wait for.
        let _ = self.requests.send(DriverRequest::Shutdown).await;
        self.finished().await;
    }

    /// Ends the node in an emergency: its keys are erased from memory and its links dropped, without
    /// goodbye to peers, and no further record becomes durable on request.
    pub(super) async fn panic(&self) {
        self.panicked.store(true, Ordering::Release);
        // If the driver has ended already, there is nothing left to do.
        let _ = self.requests.send(DriverRequest::Panic).await;
        self.finished().await;
    }

    /// Whether the user has ended the node in an emergency.
    #[must_use]
    pub fn is_panicked(&self) -> bool {
        self.panicked.load(Ordering::Acquire)
    }

    /// Drops everything at once, as a crash would: no disconnect messages, no last write.
    pub fn abort(&self) {
        self.driver.abort();
    }

    /// Completes when the node has ended, for any reason.
    pub async fn finished(&self) {
        // Nothing is ever sent, so an error is the only result: the driver has ended.
        while self.finished.clone().changed().await.is_ok() {}
    }
}

/// The number of the next client of any node of this process; 0 is the process itself.
static NEXT_CLIENT: AtomicU64 = AtomicU64::new(1);

/// A stream of events. A reader that is too slow loses the oldest events, and receives their
/// number.
#[derive(Debug)]
pub struct Events(Option<broadcast::Receiver<Arc<Event>>>);

impl Events {
    /// Waits for the next event; `None` once the node has ended.
    pub async fn next(&mut self) -> Option<EventItem> {
        match self.0.as_mut()?.recv().await {
            Ok(event) => Some(EventItem::Event(event)),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(EventItem::Lagged(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// An item of an event stream.
#[derive(Clone, Debug)]
pub enum EventItem {
    /// An event.
    Event(Arc<Event>),
    /// The number of events that were dropped because the reader was too slow.
    Lagged(u64),
}

/// The node has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the node has stopped; start it again with `whisht run`")]
pub struct Stopped;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slow_subscriber_gets_count_of_lost_events() {
        let (events, receiver) = broadcast::channel(2);
        let mut slow = Events(Some(receiver));
        for peers in 0..5 {
            events.send(Arc::new(Event::Peers(peers))).unwrap();
        }
        drop(events);
        assert!(matches!(slow.next().await, Some(EventItem::Lagged(3))));
        for expected in 3..5 {
            let Some(EventItem::Event(event)) = slow.next().await else {
                panic!("an event")
            };
            assert!(matches!(*event, Event::Peers(peers) if peers == expected));
        }
        assert!(slow.next().await.is_none());
    }
}
