//! Requests envelopes that peers announced and our pool lacks: what, from which peer, and when.
//!
//! Every unknown hash is requested: no class, topic or key matters, and the fetcher cannot
//! distinguish an own envelope that has not come back yet, or one that is held or on a stem, from
//! an unknown one (spec M11). The request follows a delay drawn for the envelope, to a peer drawn
//! from those that have announced it by then; if a peer does not deliver, the next one is asked.
//!
//! An announcement costs a peer 32 bytes, so the number of hashes that one peer alone has announced
//! is bounded per peer. Announcements over the bound are dropped: other peers will announce what
//! exists.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use circuits::bounded_map::BoundedMap;
use circuits::distributions;
use circuits::ids::LinkId;
use circuits::time::Instant;
use rand_core::CryptoRng;

use crate::envelope::EnvelopeHash;
use crate::onion_wire::MAX_HASHES;

/// All pending fetches.
#[derive(Debug)]
pub(super) struct EnvelopeFetcher {
    pending: BTreeMap<EnvelopeHash, PendingFetch>,
    /// When each of them is due next.
    schedule: BTreeSet<(Instant, EnvelopeHash)>,
    peers: BTreeMap<LinkId, PeerFetchState>,
    /// Rejected envelopes, ranked by the time until which they are not requested again.
    rejected: BoundedMap<EnvelopeHash, (), Instant>,
}

/// An envelope that our pool lacks.
#[derive(Debug)]
struct PendingFetch {
    /// The peer whose bound it counts against.
    charged_to: LinkId,
    /// The peers that announced it and have not been asked.
    announcers: Vec<LinkId>,
    /// The peer that was asked, and when.
    requested_from: Option<(LinkId, Instant)>,
    /// When it is due next.
    due: Instant,
}

/// The announcements of one peer, and its deliveries.
#[derive(Debug, Default)]
struct PeerFetchState {
    /// Envelopes that count against its bound.
    charged: usize,
    /// Envelopes that were requested from it and not delivered yet.
    in_flight: usize,
    /// Time of its last delivery.
    last_delivery: Instant,
    /// A request to it timed out, and it has delivered nothing since.
    timed_out: bool,
}

/// The requests to send now.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct FetchRound {
    /// Hashes to request from each peer; at most [`MAX_HASHES`] each.
    pub(super) requests: BTreeMap<LinkId, Vec<EnvelopeHash>>,
    /// Peers that did not deliver, once per envelope.
    pub(super) failed: Vec<LinkId>,
}

impl EnvelopeFetcher {
    pub(super) const fn new() -> Self {
        Self {
            pending: BTreeMap::new(),
            schedule: BTreeSet::new(),
            peers: BTreeMap::new(),
            rejected: BoundedMap::new(MAX_REJECTED),
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
        if let Some(fetch) = self.pending.get_mut(&envelope) {
            let asked = fetch.requested_from.is_some_and(|(asked, _)| asked == link);
            let room = fetch.announcers.len() < MAX_ANNOUNCERS;
            if room && !asked && !fetch.announcers.contains(&link) {
                fetch.announcers.push(link);
            }
            return;
        }
        if self.is_rejected(now, &envelope) || self.pending.len() >= MAX_PENDING {
            return;
        }
        let peer = self.peers.entry(link).or_default();
        if peer.charged >= MAX_CHARGED {
            return;
        }
        peer.charged += 1;
        let due = now.after(distributions::exponential(rng, MEAN_REQUEST_DELAY));
        self.schedule.insert((due, envelope));
        self.pending.insert(
            envelope,
            PendingFetch {
                charged_to: link,
                announcers: vec![link],
                requested_from: None,
                due,
            },
        );
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

    /// Removes a peer: the envelopes that it announced are requested from others.
    pub(super) fn remove_peer(&mut self, now: Instant, link: LinkId) {
        if self.peers.remove(&link).is_none() && self.pending.is_empty() {
            return;
        }
        let mut orphans = Vec::new();
        let mut heirs = Vec::new();
        for (envelope, fetch) in &mut self.pending {
            fetch.announcers.retain(|announcer| *announcer != link);
            if fetch.requested_from.is_some_and(|(asked, _)| asked == link) {
                fetch.requested_from = None;
                self.schedule.remove(&(fetch.due, *envelope));
                fetch.due = now;
                self.schedule.insert((fetch.due, *envelope));
            }
            if fetch.requested_from.is_none() && fetch.announcers.is_empty() {
                orphans.push(*envelope);
            } else if fetch.charged_to == link {
                let heir = fetch.requested_from.map(|(asked, _)| asked);
                let heir = heir.or_else(|| fetch.announcers.first().copied());
                fetch.charged_to = heir.unwrap_or(link);
                heirs.extend(heir);
            }
        }
        for envelope in orphans {
            self.remove(&envelope);
        }
        for heir in heirs {
            self.peers.entry(heir).or_default().charged += 1;
        }
    }

    /// When [`run`](Self::run) has something to do next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.schedule.first().map(|(due, _)| *due)
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
            peer.in_flight = peer.in_flight.saturating_sub(1);
            peer.timed_out = true;
            round.failed.push(link);
        }
        if fetch.announcers.is_empty() {
            self.remove(&envelope);
            return;
        }
        let free = |link: &LinkId| {
            let peer = self.peers.get(link);
            peer.is_none_or(|peer| peer.in_flight < MAX_HASHES)
        };
        let timed_out = |link: &LinkId| self.peers.get(link).is_some_and(|peer| peer.timed_out);
        let ready: Vec<LinkId> = fetch.announcers.iter().copied().filter(free).collect();
        let good: Vec<LinkId> = ready
            .iter()
            .copied()
            .filter(|link| !timed_out(link))
            .collect();
        // A peer with a timed-out request is asked only if no other peer announced the envelope.
        let drawn = distributions::pick(rng, &good).or_else(|| distributions::pick(rng, &ready));
        fetch.due = match drawn {
            Some(&link) => {
                fetch.announcers.retain(|announcer| *announcer != link);
                fetch.requested_from = Some((link, now));
                self.peers.entry(link).or_default().in_flight += 1;
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
        if let Some(peer) = self.peers.get_mut(&fetch.charged_to) {
            peer.charged = peer.charged.saturating_sub(1);
        }
        if let Some(peer) = fetch
            .requested_from
            .and_then(|(asked, _)| self.peers.get_mut(&asked))
        {
            peer.in_flight = peer.in_flight.saturating_sub(1);
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
