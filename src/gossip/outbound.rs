//! What peers are sent, and when.

use core::time::Duration;

use circuits::ids::LinkId;
use circuits::sample;
use circuits::time::{Instant, Now};
use rand_chacha::ChaCha20Rng;

use crate::envelope::{Envelope, EnvelopeHash, Form};
use crate::pool::Pool;

use super::known::Known;
use super::packet::{code, outgoing, v5};
use super::peer::{Peer, Verdict};
use super::{Gossip, Send, shh, shh_5};

impl Gossip {
    /// An envelope entered the public pool; `from` is the link that brought it, if one did.
    pub fn pooled(&mut self, now: Now, envelope: &Envelope, from: Option<LinkId>) {
        let hash = envelope.hash();
        if let Some(link) = from.filter(|link| self.peers.contains_key(link)) {
            self.known.brought(hash, link);
        }
        let known_by = self.known.by(&hash);
        for (link, peer) in &mut self.peers {
            if peer.wants(envelope) && known_by.binary_search(link).is_err() {
                let wait = sample::exponential(&mut self.rng, self.mean_wait);
                peer.queue.push(now.mono.after(wait), hash);
            }
        }
    }

    /// Sends what is due: to each peer at most one packet, and at most three in a second; in
    /// `shh/5`, where a packet holds one envelope, as many at a time as one packet would. A peer
    /// whose link is `congested` is left alone for a moment.
    #[must_use]
    pub fn tick(&mut self, now: Now, pool: &Pool, congested: impl Fn(LinkId) -> bool) -> Vec<Send> {
        self.bound_memory(pool);
        let mut sends = Vec::new();
        for (link, peer) in &mut self.peers {
            if !peer.queue.due(now.mono) {
                continue;
            }
            if congested(*link) {
                peer.queue.shut(now.mono.after(CONGESTION_PAUSE));
                continue;
            }
            if peer.queue.rescan_due(now.mono) {
                let mut unknown = unknown_to(*link, peer, &self.known, now, pool);
                shuffle(&mut self.rng, &mut unknown);
                peer.queue.refill(now.mono, unknown);
            }
            let envelopes = next_packet(*link, peer, &mut self.known, now, pool);
            if !envelopes.is_empty() {
                peer.queue.shut(now.mono.after(PACKET_GAP));
                match peer.form() {
                    Form::V5 => sends.extend(
                        envelopes
                            .iter()
                            .map(|envelope| shh_5(*link, v5::code::MESSAGE, v5::message(envelope))),
                    ),
                    Form::V6 => {
                        sends.push(shh(*link, code::MESSAGES, outgoing::messages(&envelopes)));
                    }
                }
            }
        }
        sends
    }

    /// When [`tick`](Self::tick) has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let peers = self.peers.values();
        peers.filter_map(|peer| peer.queue.next_due()).min()
    }
}

/// Everything in the pool that the peer wants and that never crossed its link.
fn unknown_to(
    link: LinkId,
    peer: &Peer,
    known: &Known,
    now: Now,
    pool: &Pool,
) -> Vec<EnvelopeHash> {
    pool.iter()
        .filter(|pooled| peer.verdict(now.unix, pooled) != Verdict::Never)
        .map(|pooled| pooled.envelope.hash())
        .filter(|hash| !known.knows(hash, link))
        .collect()
}

/// Takes as many envelopes off the peer's line as one packet holds, and notes them as known.
fn next_packet(
    link: LinkId,
    peer: &mut Peer,
    known: &mut Known,
    now: Now,
    pool: &Pool,
) -> Vec<Envelope> {
    let mut packet = Vec::new();
    let mut body = 0;
    while let Some(hash) = peer.queue.pop(now.mono) {
        let Some(pooled) = pool.get(&hash).filter(|_| !known.knows(&hash, link)) else {
            continue;
        };
        match peer.verdict(now.unix, pooled) {
            Verdict::Never => continue,
            Verdict::Later(secs) => {
                let due = now.mono.after(Duration::from_secs(secs.into()));
                peer.queue.push(due, hash);
                continue;
            }
            Verdict::Send => {}
        }
        let alone = pooled.envelope.as_rlp().len();
        if packet_len(alone) > MAX_PACKET {
            continue;
        }
        let burst = peer.form() == Form::V5 && packet.len() == MAX_BURST;
        if burst || (!packet.is_empty() && packet_len(body + alone) > FULL_PACKET) {
            peer.queue.put_back(hash);
            break;
        }
        body += alone;
        known.given(hash, link);
        peer.sent = peer.sent.saturating_add(1);
        packet.push(pooled.envelope.clone());
    }
    packet
}

const fn packet_len(body: usize) -> usize {
    body + outgoing::messages_header_len(body)
}

/// Fisher and Yates: every order has the same probability.
fn shuffle(rng: &mut ChaCha20Rng, envelopes: &mut [EnvelopeHash]) {
    for last in (1..envelopes.len()).rev() {
        let bound = u32::try_from(last).unwrap_or(u32::MAX).saturating_add(1);
        let other = usize::try_from(sample::below(rng, bound)).unwrap_or(last);
        envelopes.swap(last, other);
    }
}

/// Least time between two packets of messages to one peer: three in a second, which is below
/// every rate limit in use.
const PACKET_GAP: Duration = Duration::from_millis(334);
/// How long a peer is left alone whose link has no room.
const CONGESTION_PAUSE: Duration = Duration::from_millis(250);
/// Bytes of a packet at the most, unless a single envelope is longer: long frames would hold up
/// the cells on the same connection.
const FULL_PACKET: usize = 16_384;
/// Packets of `shh/5` that leave at once. The shortest message that go-ethereum pads has 300 bytes, so
/// a burst of its like is as long as the packets of `shh/6`, and a flood of shorter ones costs the
/// peer no more frames than it takes from others in one tick.
const MAX_BURST: usize = 32;
/// Bytes of any packet at the most: go-ethereum's limit on what it takes.
const MAX_PACKET: usize = 1 << 20;
