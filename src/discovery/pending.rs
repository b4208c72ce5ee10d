//! Requests that wait for an answer: pings, and queries for nodes near a target (FindNode).
//!
//! An answer counts only if a request to the same node at the same address is pending. A request is kept for
//! [`RESPONSE_TIMEOUT`]; the number of pings is bounded, and each query of a lookup takes the place of an
//! earlier one to the same node. What an answer means is decided elsewhere.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

use circuits::ids::RelayKey;
use circuits::time::Instant;

use super::contact::Contact;

/// All requests without an answer.
#[derive(Debug, Default)]
pub(super) struct PendingRequests {
    /// By the hash of the ping, which its answer repeats.
    pings: BTreeMap<[u8; 32], PendingPing>,
    /// By the queried node.
    queries: BTreeMap<RelayKey, PendingQuery>,
}

/// A ping without an answer.
#[derive(Debug)]
pub(super) struct PendingPing {
    /// The pinged node.
    pub(super) contact: Contact,
    /// A lookup waits for the answer.
    pub(super) for_lookup: bool,
    due: Instant,
}

#[derive(Debug)]
struct PendingQuery {
    ip: IpAddr,
    due: Instant,
    /// Nodes named in answers so far.
    named: usize,
}

/// A query whose time is over.
#[derive(Debug)]
pub(super) struct OverdueQuery {
    /// The queried node.
    pub(super) key: RelayKey,
    /// Whether no answer came at all.
    pub(super) is_unanswered: bool,
}

/// What one answer to a query may add.
#[derive(Debug)]
pub(super) struct NeighborsQuota {
    /// Number of nodes of the answer to read.
    pub(super) nodes: usize,
    /// Whether the query has all its nodes, and is over.
    pub(super) is_last: bool,
}

impl PendingRequests {
    /// Whether a ping for our own purposes may be sent: neither is one pending, nor are too many.
    pub(super) fn may_ping(&self, key: &RelayKey, ip: IpAddr) -> bool {
        self.pings.len() < MAX_PENDING_PINGS && !self.pings.values().any(|ping| ping.is_to(key, ip))
    }

    /// Whether there is room for a ping that an unknown node caused.
    pub(super) fn may_ping_back(&self) -> bool {
        self.pings.len() < MAX_PENDING_PINGS_BACK
    }

    /// Notes a ping that was sent.
    pub(super) fn pinged(
        &mut self,
        now: Instant,
        hash: [u8; 32],
        contact: Contact,
        for_lookup: bool,
    ) {
        let ping = PendingPing {
            contact,
            for_lookup,
            due: now.after(RESPONSE_TIMEOUT),
        };
        self.pings.insert(hash, ping);
    }

    /// The ping that a node at this address answers.
    pub(super) fn answered_ping(
        &mut self,
        hash: &[u8; 32],
        key: &RelayKey,
        ip: IpAddr,
    ) -> Option<PendingPing> {
        self.pings
            .get(hash)
            .is_some_and(|ping| ping.is_to(key, ip))
            .then(|| self.pings.remove(hash))
            .flatten()
    }

    /// Notes a query that is being sent; `true` if it takes the place of one without an answer.
    pub(super) fn queried(&mut self, now: Instant, contact: &Contact) -> bool {
        let query = PendingQuery {
            ip: contact.ip,
            due: now.after(RESPONSE_TIMEOUT),
            named: 0,
        };
        self.queries.insert(contact.key, query).is_some()
    }

    /// Counts the nodes that an answer names; `None` if the node was not queried at this address.
    pub(super) fn answered_query(
        &mut self,
        key: &RelayKey,
        ip: IpAddr,
        nodes: usize,
    ) -> Option<NeighborsQuota> {
        let query = self.queries.get_mut(key).filter(|query| query.ip == ip)?;
        let left = MAX_NODES.saturating_sub(query.named);
        query.named = query.named.saturating_add(nodes);
        let is_last = query.named >= MAX_NODES;
        if is_last {
            self.queries.remove(key);
        }
        Some(NeighborsQuota {
            nodes: left,
            is_last,
        })
    }

    /// Removes the pings whose time is over.
    pub(super) fn overdue_pings(&mut self, now: Instant) -> Vec<PendingPing> {
        let overdue = self.pings.extract_if(.., |_, ping| ping.due <= now);
        overdue.map(|(_, ping)| ping).collect()
    }

    /// Removes the queries whose time is over.
    pub(super) fn overdue_queries(&mut self, now: Instant) -> Vec<OverdueQuery> {
        let overdue = self.queries.extract_if(.., |_, query| query.due <= now);
        overdue
            .map(|(key, query)| OverdueQuery {
                key,
                is_unanswered: query.named == 0,
            })
            .collect()
    }

    /// Number of pings without an answer.
    #[cfg(test)]
    pub(super) fn pings(&self) -> usize {
        self.pings.len()
    }

    /// When the time of the next request is over.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let pings = self.pings.values().map(|ping| ping.due);
        let queries = self.queries.values().map(|query| query.due);
        pings.chain(queries).min()
    }
}

impl PendingPing {
    fn is_to(&self, key: &RelayKey, ip: IpAddr) -> bool {
        self.contact.key == *key && self.contact.ip == ip
    }
}

/// Nodes named in one answer: Kademlia's k.
pub(super) const MAX_NODES: usize = 16;
/// Timeout of a ping or a query.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(750);
/// Unanswered pings.
const MAX_PENDING_PINGS: usize = 128;
/// Unanswered pings that unknown nodes caused; the rest is reserved for our own lookups.
pub(super) const MAX_PENDING_PINGS_BACK: usize = MAX_PENDING_PINGS / 2;
