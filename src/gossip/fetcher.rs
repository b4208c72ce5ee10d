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
pub(super) struct Pulls {
    wanted: BTreeMap<EnvelopeHash, Wanted>,
    /// When each of them has its next turn.
    turns: BTreeSet<(Instant, EnvelopeHash)>,
    peers: BTreeMap<LinkId, Announcer>,
    /// What was refused for good, and until when it is not asked for again.
    declined: BTreeMap<EnvelopeHash, Instant>,
}

/// An envelope that we do not hold.
#[derive(Debug)]
struct Wanted {
    /// Whose bound it counts against.
    first: LinkId,
    /// Who announced it and has not been asked.
    announcers: Vec<LinkId>,
    /// Who was asked, and when.
    asked: Option<(LinkId, Instant)>,
    /// When its next turn is.
    turn: Instant,
}

/// What one peer has announced, and how it delivers.
#[derive(Debug, Default)]
struct Announcer {
    /// Envelopes that count against it.
    named: usize,
    /// Envelopes that it was asked for and has not delivered.
    asked: usize,
    /// When it last delivered something.
    delivered: Instant,
    /// It let a request go unanswered, and has delivered nothing since.
    owes: bool,
}

/// What is to be done now.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Turn {
    /// Whom to ask for what; at most [`MAX_HASHES`] of each.
    pub(super) ask: BTreeMap<LinkId, Vec<EnvelopeHash>>,
    /// Peers that did not deliver, once for each envelope.
    pub(super) failed: Vec<LinkId>,
}

impl Pulls {
    /// A peer announced an envelope that the pool does not hold.
    pub(super) fn announced(
        &mut self,
        rng: &mut ChaCha20Rng,
        now: Instant,
        link: LinkId,
        envelope: EnvelopeHash,
    ) {
        if let Some(wanted) = self.wanted.get_mut(&envelope) {
            let asked = wanted.asked.is_some_and(|(asked, _)| asked == link);
            let room = wanted.announcers.len() < MOST_ANNOUNCERS;
            if room && !asked && !wanted.announcers.contains(&link) {
                wanted.announcers.push(link);
            }
            return;
        }
        if self.is_declined(now, &envelope) || self.wanted.len() >= MOST_WANTED {
            return;
        }
        let peer = self.peers.entry(link).or_default();
        if peer.named >= MOST_NAMED {
            return;
        }
        peer.named += 1;
        let turn = now.after(distributions::exponential(rng, MEAN_WAIT));
        self.turns.insert((turn, envelope));
        self.wanted.insert(
            envelope,
            Wanted {
                first: link,
                announcers: vec![link],
                asked: None,
                turn,
            },
        );
    }

    /// The envelope is here, whoever brought it; gives those who had announced it.
    pub(super) fn arrived(&mut self, now: Instant, envelope: &EnvelopeHash) -> Vec<LinkId> {
        let Some(wanted) = self.remove(envelope) else {
            return Vec::new();
        };
        let mut announcers = wanted.announcers;
        if let Some((asked, _)) = wanted.asked {
            announcers.push(asked);
            if let Some(peer) = self.peers.get_mut(&asked) {
                peer.delivered = now;
                peer.owes = false;
            }
        }
        announcers
    }

    /// The envelope is here and is not kept: it is not asked for again for a while.
    pub(super) fn declined(&mut self, now: Instant, envelope: EnvelopeHash) {
        self.remove(&envelope);
        if self.declined.len() >= MOST_DECLINED {
            self.declined.retain(|_, until| now < *until);
        }
        if self.declined.len() < MOST_DECLINED {
            self.declined.insert(envelope, now.after(DECLINED));
        }
    }

    fn is_declined(&self, now: Instant, envelope: &EnvelopeHash) -> bool {
        self.declined
            .get(envelope)
            .is_some_and(|until| now < *until)
    }

    /// A link was closed: what it announced is asked of others.
    pub(super) fn close(&mut self, now: Instant, link: LinkId) {
        if self.peers.remove(&link).is_none() && self.wanted.is_empty() {
            return;
        }
        let mut orphans = Vec::new();
        let mut heirs = Vec::new();
        for (envelope, wanted) in &mut self.wanted {
            wanted.announcers.retain(|announcer| *announcer != link);
            if wanted.asked.is_some_and(|(asked, _)| asked == link) {
                wanted.asked = None;
                self.turns.remove(&(wanted.turn, *envelope));
                wanted.turn = now;
                self.turns.insert((wanted.turn, *envelope));
            }
            if wanted.asked.is_none() && wanted.announcers.is_empty() {
                orphans.push(*envelope);
            } else if wanted.first == link {
                let heir = wanted.asked.map(|(asked, _)| asked);
                let heir = heir.or_else(|| wanted.announcers.first().copied());
                wanted.first = heir.unwrap_or(link);
                heirs.extend(heir);
            }
        }
        for envelope in orphans {
            self.remove(&envelope);
        }
        for heir in heirs {
            self.peers.entry(heir).or_default().named += 1;
        }
    }

    /// When [`run`](Self::run) has something to do next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.turns.first().map(|(turn, _)| *turn)
    }

    /// Draws whom to ask for what is due, and gives up on those who did not deliver.
    pub(super) fn run(&mut self, rng: &mut ChaCha20Rng, now: Instant) -> Turn {
        let mut turn = Turn::default();
        while let Some(&(due, envelope)) = self.turns.first() {
            if due > now {
                break;
            }
            self.turns.remove(&(due, envelope));
            self.take_turn(rng, now, envelope, &mut turn);
        }
        turn
    }

    fn take_turn(
        &mut self,
        rng: &mut ChaCha20Rng,
        now: Instant,
        envelope: EnvelopeHash,
        turn: &mut Turn,
    ) {
        let Some(wanted) = self.wanted.get_mut(&envelope) else {
            return;
        };
        if let Some((link, since)) = wanted.asked {
            let peer = self.peers.entry(link).or_default();
            let patience = peer.delivered.max(since).after(PATIENCE);
            let until = patience.min(since.after(LAST_PATIENCE));
            if now < until {
                wanted.turn = until;
                self.turns.insert((until, envelope));
                return;
            }
            wanted.asked = None;
            peer.asked = peer.asked.saturating_sub(1);
            peer.owes = true;
            turn.failed.push(link);
        }
        if wanted.announcers.is_empty() {
            self.remove(&envelope);
            return;
        }
        let free = |link: &LinkId| {
            let peer = self.peers.get(link);
            peer.is_none_or(|peer| peer.asked < MAX_HASHES)
        };
        let owes = |link: &LinkId| self.peers.get(link).is_some_and(|peer| peer.owes);
        let ready: Vec<LinkId> = wanted.announcers.iter().copied().filter(free).collect();
        let good: Vec<LinkId> = ready.iter().copied().filter(|link| !owes(link)).collect();
        // Who still owes an answer is asked when there is nobody else.
        let drawn = distributions::pick(rng, &good).or_else(|| distributions::pick(rng, &ready));
        wanted.turn = match drawn {
            Some(&link) => {
                wanted.announcers.retain(|announcer| *announcer != link);
                wanted.asked = Some((link, now));
                self.peers.entry(link).or_default().asked += 1;
                turn.ask.entry(link).or_default().push(envelope);
                now.after(PATIENCE)
            }
            None => now.after(BUSY),
        };
        self.turns.insert((wanted.turn, envelope));
    }

    fn remove(&mut self, envelope: &EnvelopeHash) -> Option<Wanted> {
        let wanted = self.wanted.remove(envelope)?;
        self.turns.remove(&(wanted.turn, *envelope));
        if let Some(peer) = self.peers.get_mut(&wanted.first) {
            peer.named = peer.named.saturating_sub(1);
        }
        if let Some(peer) = wanted
            .asked
            .and_then(|(asked, _)| self.peers.get_mut(&asked))
        {
            peer.asked = peer.asked.saturating_sub(1);
        }
        Some(wanted)
    }

    /// Envelopes that are to be asked for or were asked for.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.wanted.len()
    }
}

/// How long an announced envelope waits before it is asked for, on average: others announce it
/// meanwhile, and whom we ask says less about who was first.
const MEAN_WAIT: Duration = Duration::from_millis(100);
/// How long a peer may deliver nothing of what it was asked for; several round trips through Tor.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one envelope may take altogether, however busily its bearer delivers others.
const LAST_PATIENCE: Duration = Duration::from_secs(60);
/// When to look again for a peer with less to deliver.
const BUSY: Duration = Duration::from_millis(250);
/// Peers remembered for one envelope.
const MOST_ANNOUNCERS: usize = 8;
/// Envelopes that one peer was the first to announce.
const MOST_NAMED: usize = 2_048;
/// Envelopes of all peers together.
const MOST_WANTED: usize = 32_768;
/// Refused envelopes that are remembered.
const MOST_DECLINED: usize = 4_096;
/// For how long.
const DECLINED: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
