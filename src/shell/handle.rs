//! How the rest of the process talks to a running node.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::node::{Command, Event, Refusal, Reply};

/// What a handle asks of the driver.
#[derive(Debug)]
pub(super) enum DriverRequest {
    /// Carry out a command and answer.
    Command(Command, oneshot::Sender<Result<Reply, Refusal>>),
    /// End in good order.
    Shutdown,
}

/// A running node. Clones talk to the same node, which ends when the last of them is dropped.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) requests: mpsc::Sender<DriverRequest>,
    pub(super) events: broadcast::WeakSender<Arc<Event>>,
    pub(super) addresses: Arc<[SocketAddr]>,
    pub(super) driver: AbortHandle,
    /// Closes when the driver is gone.
    pub(super) finished: watch::Receiver<()>,
}

impl Handle {
    /// Asks the node for something.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if the node has ended. The inner error is the node's own refusal.
    pub async fn command(&self, command: Command) -> Result<Result<Reply, Refusal>, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.requests
            .send(DriverRequest::Command(command, answer))
            .await
            .map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// Everything the node notifies from now on.
    #[must_use]
    pub fn subscribe(&self) -> Events {
        Events(self.events.upgrade().map(|events| events.subscribe()))
    }

    /// Where the node listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Closes all links in good order, makes durable what was to be stored, and waits until that
    /// is done.
    pub async fn shutdown(&self) {
        // If the driver is gone already, there is nothing to wait for.
        let _ = self.requests.send(DriverRequest::Shutdown).await;
        self.finished().await;
    }

    /// Drops everything at once, as a crash would: no goodbye to peers, no last write.
    pub fn abort(&self) {
        self.driver.abort();
    }

    /// Completes when the node has ended, for whatever reason.
    pub async fn finished(&self) {
        // Nothing is ever sent, so an error is the only way out: the driver is gone.
        while self.finished.clone().changed().await.is_ok() {}
    }
}

/// A stream of events. Who reads too slowly loses the oldest, and is told how many.
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

/// What a subscriber sees.
#[derive(Clone, Debug)]
pub enum EventItem {
    /// Something happened.
    Event(Arc<Event>),
    /// So many events were not read in time.
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
    async fn a_slow_subscriber_loses_the_oldest_and_is_told_how_many() {
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
