//! What is asked for, of whom, and when: envelopes that neighbours announced and we do not hold.
//!
//! Every unknown hash is asked for, whatever it names: no class, topic or key has a say in it, and
//! nothing here can tell an envelope of our own that has not come back yet, or one that is held or
//! on a stem, from one that was never heard of (spec M11). It is asked for after a wait drawn for
//! it, of a peer drawn from those that have announced it by then; who does not deliver is asked no
//! further, and the next one is.
//!
//! Announcing costs a peer 32 bytes, so what one peer alone has announced is bounded for each, and
//! what goes beyond is not remembered: others will announce what exists.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use circuits::distributions;
use circuits::ids::LinkId;
use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;

use crate::envelope::EnvelopeHash;
use crate::onion_wire::MAX_HASHES;

/// Everything that is to be asked for or was asked for.
#[derive(Debug, Default)]
pub(super) struct EnvelopeFetcher {
    pending: BTreeMap<EnvelopeHash, PendingFetch>,
    /// When each of them has its next turn.
    schedule: BTreeSet<(Instant, EnvelopeHash)>,
    peers: BTreeMap<LinkId, PeerFetchState>,
    /// What was refused for good, and until when it is not asked for again.
    rejected: BTreeMap<EnvelopeHash, Instant>,
}

/// An envelope that we do not hold.
#[derive(Debug)]
struct PendingFetch {
    /// Whose bound it counts against.
    charged_to: LinkId,
    /// Who announced it and has not been asked.
    announcers: Vec<LinkId>,
    /// Who was asked, and when.
    requested_from: Option<(LinkId, Instant)>,
    /// When its next turn is.
    due: Instant,
}

/// What one peer has announced, and how it delivers.
#[derive(Debug, Default)]
struct PeerFetchState {
    /// Envelopes that count against it.
    charged: usize,
    /// Envelopes that it was asked for and has not delivered.
    in_flight: usize,
    /// When it last delivered something.
    last_delivery: Instant,
    /// It let a request go unanswered, and has delivered nothing since.
    timed_out: bool,
}

/// What is to be done now.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct FetchRound {
    /// Whom to ask for what; at most [`MAX_HASHES`] of each.
    pub(super) requests: BTreeMap<LinkId, Vec<EnvelopeHash>>,
    /// Peers that did not deliver, once for each envelope.
    pub(super) failed: Vec<LinkId>,
}

impl EnvelopeFetcher {
    /// A peer announced an envelope that the pool does not hold.
    pub(super) fn on_announced(
        &mut self,
        rng: &mut ChaCha20Rng,
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

    /// The envelope is here, whoever brought it; gives those who had announced it.
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

    /// The envelope is here and is not kept: it is not asked for again for a while.
    pub(super) fn reject(&mut self, now: Instant, envelope: EnvelopeHash) {
        self.remove(&envelope);
        if self.rejected.len() >= MAX_REJECTED {
            self.rejected.retain(|_, until| now < *until);
        }
        if self.rejected.len() < MAX_REJECTED {
            self.rejected.insert(envelope, now.after(REJECTED_TIMEOUT));
        }
    }

    fn is_rejected(&self, now: Instant, envelope: &EnvelopeHash) -> bool {
        self.rejected
            .get(envelope)
            .is_some_and(|until| now < *until)
    }

    /// A link was closed: what it announced is asked of others.
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

    /// Draws whom to ask for what is due, and gives up on those who did not deliver.
    pub(super) fn run(&mut self, rng: &mut ChaCha20Rng, now: Instant) -> FetchRound {
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
        rng: &mut ChaCha20Rng,
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
        // Who still owes an answer is asked when there is nobody else.
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

    /// Envelopes that are to be asked for or were asked for.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }
}

/// How long an announced envelope waits before it is asked for, on average: others announce it
/// meanwhile, and whom we ask says less about who was first.
const MEAN_REQUEST_DELAY: Duration = Duration::from_millis(100);
/// How long a peer may deliver nothing of what it was asked for; several round trips through Tor.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one envelope may take altogether, however busily its bearer delivers others.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);
/// When to look again for a peer with less to deliver.
const BUSY_RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// Peers remembered for one envelope.
const MAX_ANNOUNCERS: usize = 8;
/// Envelopes that one peer was the first to announce.
const MAX_CHARGED: usize = 2_048;
/// Envelopes of all peers together.
const MAX_PENDING: usize = 32_768;
/// Refused envelopes that are remembered.
const MAX_REJECTED: usize = 4_096;
/// For how long.
const REJECTED_TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
