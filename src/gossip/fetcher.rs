//! Requests envelopes that peers announced and our pool lacks: what, from which peer, and when.
//!
//! Every unknown hash is requested: no class, topic or key matters, and the fetcher cannot
//! distinguish an own envelope that has not come back yet, or one that is held or on a stem, from
//! an unknown one (spec M11). The request follows a delay drawn for the envelope, to a peer drawn
//! from those that have announced it by then; if a peer does not deliver, the next one is asked.
//!
//! An announcement costs a peer 32 bytes, so the number of hashes that one peer alone has announced
//! is bounded per peer, and the bound of all peers together leaves each its share. Announcements over
//! the bound are counted and dropped: other peers will announce what exists.
//!
//! A peer is asked for more at once than it announces of its old envelopes, so that a request for a
//! fresh one never waits for the answers to those (`request_queue` serves it first).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use circuits::bounded_map::BoundedMap;
use circuits::distributions;
use circuits::fair_queue::{EntryId, FairQueue};
use circuits::ids::LinkId;
use circuits::time::Instant;
use rand_core::CryptoRng;

use super::request_queue::MAX_REQUESTED;
use super::source::{EnvelopeSource, by_number};
use crate::envelope::EnvelopeHash;

/// All pending fetches.
#[derive(Debug)]
pub(super) struct EnvelopeFetcher {
    pending: BTreeMap<EnvelopeHash, PendingFetch>,
    /// When each of them is due next.
    schedule: BTreeSet<(Instant, EnvelopeHash)>,
    /// What each pending fetch is charged to: the peer that announced it first.
    charges: FairQueue<EnvelopeSource, (), EnvelopeHash>,
    /// The connected peers that announced something.
    peers: BTreeMap<LinkId, PeerFetchState>,
    /// Rejected envelopes, ranked by the time until which they are not requested again.
    rejected: BoundedMap<EnvelopeHash, (), Instant>,
    /// Earliest time of the next requests.
    not_before: Instant,
}

/// An envelope that our pool lacks.
#[derive(Debug)]
struct PendingFetch {
    charge: EntryId,
    /// The peers that announced it and have not been asked. Some may be closed.
    announcers: Vec<LinkId>,
    /// The peer that was asked, and when.
    requested_from: Option<(LinkId, Instant)>,
    /// When it is due next.
    due: Instant,
}

/// The deliveries of one peer.
#[derive(Debug, Default)]
struct PeerFetchState {
    /// Envelopes that were requested from it and not delivered yet.
    in_flight: BTreeSet<EnvelopeHash>,
    /// Time of its last delivery.
    last_delivery: Instant,
    /// A request to it timed out, and it has delivered nothing since.
    timed_out: bool,
}

/// The requests to send now.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct FetchRound {
    /// Hashes to request from each peer; at most [`MAX_REQUESTED`] each.
    pub(super) requests: BTreeMap<LinkId, Vec<EnvelopeHash>>,
    /// Peers that did not deliver, once per envelope.
    pub(super) failed: Vec<LinkId>,
}

impl EnvelopeFetcher {
    pub(super) const fn new() -> Self {
        Self {
            pending: BTreeMap::new(),
            schedule: BTreeSet::new(),
            charges: FairQueue::new(by_number(MAX_CHARGED, MAX_PENDING)),
            peers: BTreeMap::new(),
            rejected: BoundedMap::new(MAX_REJECTED),
            not_before: Instant::ZERO,
        }
    }

    /// Records that a peer announced an envelope that the pool lacks.
    pub(super) fn on_announced(
        &mut self,
        rng: &mut impl CryptoRng,
        now: Instant,
        link: LinkId,
        envelope: EnvelopeHash,
    ) {
        self.peers.entry(link).or_default();
        if let Some(fetch) = self.pending.get_mut(&envelope) {
            let asked = fetch.requested_from.is_some_and(|(asked, _)| asked == link);
            let room = fetch.announcers.len() < MAX_ANNOUNCERS;
            if room && !asked && !fetch.announcers.contains(&link) {
                fetch.announcers.push(link);
            }
            return;
        }
        if self.is_rejected(now, &envelope) {
            return;
        }
        let charged = self
            .charges
            .push(EnvelopeSource::Link(link), (), 1, envelope);
        if let Some(charge) = charged.id {
            let due = now.after(distributions::exponential(rng, MEAN_REQUEST_DELAY));
            let fetch = PendingFetch {
                charge,
                announcers: vec![link],
                requested_from: None,
                due,
            };
            self.schedule.insert((due, envelope));
            self.pending.insert(envelope, fetch);
        }
        for (_, envelope) in charged.overflow {
            self.remove(&envelope);
        }
    }

    /// Records that an envelope arrived, from any peer; returns the peers that had announced it.
    pub(super) fn on_arrived(&mut self, now: Instant, envelope: &EnvelopeHash) -> Vec<LinkId> {
        let Some(fetch) = self.remove(envelope) else {
            return Vec::new();
        };
        let mut announcers = fetch.announcers;
        if let Some((asked, _)) = fetch.requested_from {
            announcers.push(asked);
            if let Some(peer) = self.peers.get_mut(&asked) {
                peer.last_delivery = now;
                peer.timed_out = false;
            }
        }
        announcers.retain(|link| self.peers.contains_key(link));
        announcers
    }

    /// Records that an envelope arrived and was rejected: it is not requested again for a while.
    pub(super) fn reject(&mut self, now: Instant, envelope: EnvelopeHash) {
        self.remove(&envelope);
        while self.rejected.pop_first_if(|until| until <= now).is_some() {}
        if !self.rejected.is_full() {
            let until = now.after(REJECTED_TIMEOUT);
            self.rejected.insert(envelope, until, ());
        }
    }

    fn is_rejected(&self, now: Instant, envelope: &EnvelopeHash) -> bool {
        self.rejected
            .rank(envelope)
            .is_some_and(|until| now < until)
    }

    /// Removes a peer: the envelopes that it was asked for are requested from others at once. The
    /// bound of a peer bounds the work; what it announced besides is dropped when it is due.
    pub(super) fn remove_peer(&mut self, now: Instant, link: LinkId) {
        let Some(peer) = self.peers.remove(&link) else {
            return;
        };
        for envelope in peer.in_flight {
            if let Some(fetch) = self.pending.get_mut(&envelope) {
                fetch.requested_from = None;
                self.schedule.remove(&(fetch.due, envelope));
                fetch.due = now;
                self.schedule.insert((now, envelope));
            }
        }
        let charges = &mut self.charges;
        let lost = charges.merge(EnvelopeSource::Link(link), EnvelopeSource::Closed);
        for (_, envelope) in lost {
            self.remove(&envelope);
        }
    }

    /// Number of announced hashes that had no room since the start.
    pub(super) const fn displaced(&self) -> u64 {
        self.charges.overflowed()
    }

    /// When [`run`](Self::run) has something to do next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let first = self.schedule.first().map(|(due, _)| *due);
        first.map(|due| due.max(self.not_before))
    }

    /// Chooses a peer for each due envelope, and gives up on peers that did not deliver.
    pub(super) fn run(&mut self, rng: &mut impl CryptoRng, now: Instant) -> FetchRound {
        let mut round = FetchRound::default();
        while let Some(&(due, envelope)) = self.schedule.first() {
            if due > now {
                break;
            }
            self.schedule.remove(&(due, envelope));
            self.step(rng, now, envelope, &mut round);
        }
        if !round.requests.is_empty() {
            self.not_before = now.after(REQUEST_INTERVAL);
        }
        round
    }

    fn step(
        &mut self,
        rng: &mut impl CryptoRng,
        now: Instant,
        envelope: EnvelopeHash,
        round: &mut FetchRound,
    ) {
        let Some(fetch) = self.pending.get_mut(&envelope) else {
            return;
        };
        if let Some((link, since)) = fetch.requested_from {
            let peer = self.peers.entry(link).or_default();
            let deadline = peer.last_delivery.max(since).after(DELIVERY_TIMEOUT);
            let until = deadline.min(since.after(TOTAL_TIMEOUT));
            if now < until {
                fetch.due = until;
                self.schedule.insert((until, envelope));
                return;
            }
            fetch.requested_from = None;
            peer.in_flight.remove(&envelope);
            peer.timed_out = true;
            round.failed.push(link);
        }
        let peers = &mut self.peers;
        fetch.announcers.retain(|link| peers.contains_key(link));
        if fetch.announcers.is_empty() {
            self.remove(&envelope);
            return;
        }
        let announcers = fetch.announcers.iter();
        let announcers = announcers.filter_map(|link| Some((*link, peers.get(link)?)));
        let (mut ready, mut good) = (Vec::new(), Vec::new());
        for (link, peer) in announcers {
            if peer.in_flight.len() < MAX_REQUESTED {
                ready.push(link);
                good.extend((!peer.timed_out).then_some(link));
            }
        }
        // A peer with a timed-out request is asked only if no other peer announced the envelope.
        let drawn = distributions::pick(rng, &good).or_else(|| distributions::pick(rng, &ready));
        fetch.due = match drawn {
            Some(&link) => {
                fetch.announcers.retain(|announcer| *announcer != link);
                fetch.requested_from = Some((link, now));
                peers.entry(link).or_default().in_flight.insert(envelope);
                round.requests.entry(link).or_default().push(envelope);
                now.after(DELIVERY_TIMEOUT)
            }
            None => now.after(BUSY_RETRY_INTERVAL),
        };
        self.schedule.insert((fetch.due, envelope));
    }

    fn remove(&mut self, envelope: &EnvelopeHash) -> Option<PendingFetch> {
        let fetch = self.pending.remove(envelope)?;
        self.schedule.remove(&(fetch.due, *envelope));
        self.charges.remove(fetch.charge);
        if let Some(peer) = fetch
            .requested_from
            .and_then(|(asked, _)| self.peers.get_mut(&asked))
        {
            peer.in_flight.remove(envelope);
        }
        Some(fetch)
    }

    /// Number of pending fetches.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }
}

/// Mean delay between announcement and request: other peers announce the envelope meanwhile, and
/// the choice of peer reveals less about which was first.
const MEAN_REQUEST_DELAY: Duration = Duration::from_millis(100);
/// Minimum interval between two rounds of requests: those of a busy time share packets.
const REQUEST_INTERVAL: Duration = Duration::from_millis(20);
/// Time after which a peer that has delivered nothing times out; several round trips through Tor.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time of one fetch, even if the asked peer keeps delivering other envelopes.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);
/// Interval until the next attempt if all announcing peers are busy.
const BUSY_RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// Announcing peers stored per envelope.
const MAX_ANNOUNCERS: usize = 8;
/// Envelopes that one peer was the first to announce.
const MAX_CHARGED: usize = 2_048;
/// Pending fetches of all peers.
const MAX_PENDING: usize = 32_768;
/// Rejected envelopes that are remembered.
const MAX_REJECTED: usize = 4_096;
/// Time for which they are remembered.
const REJECTED_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
