//! What the node's counters did in each minute of the last hour.
//!
//! Counts are of whole minutes: finer times would tell from the page when a message left. Nothing is stored
//! on disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::picture::Series;
use super::precision::Precision;
use crate::node::{Command, PeerView, Reply, StatusView};
use crate::shell::Handle;

/// Counts of the last hour. Clones refer to the same counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic(Arc<Mutex<Counts>>);

/// Each minute's counts, the oldest first, and the counters at the end of the last one.
#[derive(Debug, Default)]
struct Counts {
    minutes: VecDeque<Minute>,
    last: Option<NodeCounters>,
}

/// What happened in a minute.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Minute {
    received: u64,
    sent: u64,
    forwarded: u64,
    own: u64,
}

/// NodeCounters since the start of the node.
#[derive(Debug)]
struct NodeCounters {
    /// Envelopes received from and sent to each peer, by its key: a peer that leaves takes its counters along.
    peers: BTreeMap<String, (u64, u64)>,
    forwarded: u64,
    own: u64,
}

impl Traffic {
    /// Counts from now on until the node ends.
    pub(super) fn start(node: &Handle) -> Self {
        let traffic = Self::default();
        tokio::spawn(traffic.clone().count(node.clone()));
        traffic
    }

    async fn count(self, node: Handle) {
        let mut minutes = interval(MINUTE);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            minutes.tick().await;
            let (Ok(Ok(Reply::Status(status))), Ok(Ok(Reply::Peers(peers)))) = (
                node.command(Command::Status).await,
                node.command(Command::Peers).await,
            ) else {
                return;
            };
            self.add(&status, &peers);
        }
    }

    /// The rows of the picture. A coarse picture has no row of own cells: without cover traffic, they show
    /// when the user sent.
    pub(super) fn series(&self, precision: Precision) -> Vec<Series> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |name, count: fn(&Minute) -> u64| Series {
            name,
            minutes: counts
                .minutes
                .iter()
                .map(|minute| precision.of(count(minute)))
                .collect(),
        };
        let mut rows = vec![
            row("envelopes in", |minute| minute.received),
            row("envelopes out", |minute| minute.sent),
            row("cells relayed", |minute| minute.forwarded),
        ];
        if precision == Precision::Exact {
            rows.push(row("own cells", |minute| minute.own));
        }
        rows
    }

    /// Ends a minute with the counters that the node reports now.
    fn add(&self, status: &StatusView, peers: &[PeerView]) {
        let now = NodeCounters {
            peers: peers
                .iter()
                .map(|peer| (peer.key.clone(), (peer.received, peer.sent)))
                .collect(),
            forwarded: status.cells_forwarded,
            own: status.emission.sent,
        };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &counts.last {
            let minute = now.since(last);
            counts.minutes.push_back(minute);
            if counts.minutes.len() > MAX_MINUTES {
                counts.minutes.pop_front();
            }
        }
        counts.last = Some(now);
    }
}

impl NodeCounters {
    fn since(&self, last: &Self) -> Minute {
        let mut minute = Minute {
            forwarded: self.forwarded.saturating_sub(last.forwarded),
            own: self.own.saturating_sub(last.own),
            ..Minute::default()
        };
        for (key, (received, sent)) in &self.peers {
            // A peer that has come back counts from 0 again.
            let before = last.peers.get(key);
            let since = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
            minute.received += since(*received, before.map_or(0, |(received, _)| *received));
            minute.sent += since(*sent, before.map_or(0, |(_, sent)| *sent));
        }
        minute
    }
}

const MINUTE: Duration = Duration::from_mins(1);
const MAX_MINUTES: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(peers: &[(&str, u64, u64)], forwarded: u64) -> NodeCounters {
        NodeCounters {
            peers: peers
                .iter()
                .map(|(key, received, sent)| ((*key).to_owned(), (*received, *sent)))
                .collect(),
            forwarded,
            own: 0,
        }
    }

    #[test]
    fn minute_counts_peers_that_come_and_go() {
        let before = counters(&[("a", 10, 20), ("gone", 99, 99), ("back", 50, 50)], 7);
        let now = counters(&[("a", 13, 20), ("new", 5, 1), ("back", 2, 50)], 9);
        let minute = now.since(&before);
        assert_eq!(
            minute,
            Minute {
                received: 3 + 5 + 2,
                sent: 1,
                forwarded: 2,
                own: 0,
            }
        );
    }
}
