//! Receives packets of peers: decodes, validates, records, and returns results to the node.

use std::collections::BTreeSet;

use circuits::ids::LinkId;
use circuits::time::Now;
use sha3::{Digest, Keccak256};

use crate::envelope::{Envelope, EnvelopeHash, NotExpired, ProtocolVersion};
use crate::envelope_pool::Pool;
use crate::pow::{PowChecked, PowHashes};

use super::envelope_times::EnvelopeTimes;
use super::packet::outgoing::ResponseErrorCode;
use super::packet::{Envelopes, P2pKind, ShhPacket, code, outgoing};
use super::rejection_quota::REJECTION_QUOTA;
use super::waste_quota::Waste;
use super::{
    EnvelopeRejected, Gossip, GossipFault, OutboundPacket, PacketOutcome, ProtocolViolation, shh,
};

impl Gossip {
    /// Handles a `shh` packet in the version of this link, with its payload decompressed.
    ///
    /// # Errors
    ///
    /// Says which side is at fault. If it is the peer, the caller disconnects the link; the content
    /// of this packet is lost, and its records are removed with the link.
    pub fn receive(
        &mut self,
        now: Now,
        link: LinkId,
        code: u8,
        payload: &[u8],
        pool: &Pool,
    ) -> Result<PacketOutcome, GossipFault> {
        let outcome = self.receive_packet(now, link, code, payload, pool);
        self.reschedule(link);
        outcome
    }

    fn receive_packet(
        &mut self,
        now: Now,
        link: LinkId,
        code: u8,
        payload: &[u8],
        pool: &Pool,
    ) -> Result<PacketOutcome, GossipFault> {
        let longest = self.policy.max_size().max(MAX_PACKET);
        let peer = self.peers.get_mut(&link).ok_or(GossipFault::NoSuchLink)?;
        let protocol = peer.protocol();
        // go-ethereum sends its whole pool in one packet of any size. All other packets are limited
        // to the largest message.
        if payload.len() > longest && (protocol, code) != (ProtocolVersion::V6, code::MESSAGES) {
            return Err(ProtocolViolation::Oversized.into());
        }
        let packet = match protocol {
            ProtocolVersion::V5 => ShhPacket::decode_v5(code, payload)?,
            ProtocolVersion::V6 => ShhPacket::decode(code, payload)?,
        };
        if !peer.has_status() && !may_precede_status(&packet) {
            return Err(ProtocolViolation::BeforeStatus.into());
        }
        let mut received = PacketOutcome::default();
        match packet {
            ShhPacket::Status(status) if status.light && self.light && !peer.has_status() => {
                return Err(ProtocolViolation::BothLight.into());
            }
            ShhPacket::Status(status) => peer.on_status(&status),
            ShhPacket::PowRequirement(min_pow) => peer.set_min_pow(min_pow),
            ShhPacket::BloomExchange(bloom) => peer.set_bloom(bloom),
            ShhPacket::Messages(envelopes) => {
                received = self.receive_messages(now, (link, protocol), envelopes, pool)?;
                received.replies = self.confirm(now, link, payload, &received.rejected);
            }
            ShhPacket::P2p(P2pKind::Message, envelopes) if peer.trusted => {
                let envelopes = match protocol {
                    ProtocolVersion::V5 => Envelopes::single(envelopes)?,
                    ProtocolVersion::V6 => Envelopes::p2p(envelopes)?,
                };
                received.direct = envelopes.collect::<Result<_, _>>()?;
            }
            // From an untrusted peer the packet is not decoded. Mail responses carry `shh/6`
            // envelopes, which a peer of `shh/5` does not understand.
            ShhPacket::P2p(P2pKind::Message, _) | ShhPacket::Unknown(_) => {
                self.charge_waste(now, link, Waste::Unread)?;
            }
            ShhPacket::P2p(..) if protocol == ProtocolVersion::V5 => {
                self.charge_waste(now, link, Waste::Unread)?;
            }
            ShhPacket::P2p(kind, payload) => received.p2p = Some((kind, payload.to_vec())),
            ShhPacket::RateLimits(Some(limits)) => peer.set_rate_limits(limits),
            // Confirmations prove nothing: success is observed when an envelope comes back.
            ShhPacket::BatchAcknowledged(_)
            | ShhPacket::MessagesResponse(_)
            | ShhPacket::RateLimits(None) => {}
        }
        Ok(received)
    }

    fn receive_messages(
        &mut self,
        now: Now,
        from: (LinkId, ProtocolVersion),
        mut envelopes: Envelopes<'_>,
        pool: &Pool,
    ) -> Result<PacketOutcome, GossipFault> {
        self.bound_memory(pool);
        let mut received = PacketOutcome::default();
        let mut seen = BTreeSet::new();
        loop {
            let batch = envelopes.next_batch()?;
            if batch.is_empty() {
                break;
            }
            for candidate in self.candidates(now, batch, pool) {
                let hash = candidate.envelope.hash();
                self.stats.on_received(candidate.envelope.size());
                let is_first = seen.insert(hash);
                if !is_first || self.index.has_received(hash, from.0) {
                    self.charge_waste(now, from.0, Waste::Repeated)?;
                }
                if is_first {
                    self.receive_envelope(now, from, candidate, &mut received)?;
                }
            }
        }
        let brought = u64::try_from(seen.len()).unwrap_or(u64::MAX);
        if let Some(peer) = self.peers.get_mut(&from.0) {
            peer.received = peer.received.saturating_add(brought);
        }
        Ok(received)
    }

    /// Looks each envelope up in the pool, and hashes those whose work must be counted.
    fn candidates(&self, now: Now, batch: Vec<Envelope>, pool: &Pool) -> Vec<Candidate> {
        let look_up = |envelope: Envelope| Candidate {
            pooled: pool.get(&envelope.hash()).map(|pooled| pooled.pow),
            hashes: None,
            envelope,
        };
        let mut candidates: Vec<_> = batch.into_iter().map(look_up).collect();
        let needs_hashes = |one: &&mut Candidate| {
            one.pooled.is_none() && self.policy.needs_pow_hashes(now, &one.envelope)
        };
        let mut new: Vec<_> = candidates.iter_mut().filter(needs_hashes).collect();
        let envelopes: Vec<_> = new.iter().map(|one| &one.envelope).collect();
        let hashes = PowHashes::of_all(&envelopes);
        for (one, hashes) in new.iter_mut().zip(hashes) {
            one.hashes = Some(hashes);
        }
        candidates
    }

    fn receive_envelope(
        &mut self,
        now: Now,
        (link, protocol): (LinkId, ProtocolVersion),
        candidate: Candidate,
        received: &mut PacketOutcome,
    ) -> Result<(), GossipFault> {
        let judged = self.judge(now, &candidate);
        let Candidate {
            envelope, pooled, ..
        } = candidate;
        let hash = envelope.hash();
        self.note_times(link, &envelope);
        match judged {
            Ok(new) => {
                let pow = new.map(|(pow, _)| pow).or(pooled);
                self.record_received(now, link, hash, pow);
                received.accepted.push(hash);
                if let Some((pow, not_expired)) = new {
                    self.reward_work(link, pow);
                    received.admitted.push((envelope, pow, not_expired));
                }
            }
            // Peers learn of the pressure late, and may not learn of it at all.
            Err(EnvelopeRejected::Shed) => self.fetcher.reject(now.mono, hash),
            Err(refused) if refused.is_innocent(protocol) => {
                self.charge_waste(now, link, Waste::JustExpired)?;
                let _announcers = self.fetcher.on_arrived(now.mono, &hash);
            }
            Err(refused) => {
                self.fetcher.reject(now.mono, hash);
                // A peer cannot know that our size limit is below the common one.
                if refused != EnvelopeRejected::TooLarge || envelope.size() > MAX_PACKET {
                    self.penalize(now, link, refused)?;
                }
                received.rejected.push((hash, refused));
            }
        }
        Ok(())
    }

    /// Records what an envelope shows of the peer's clock, whether or not it is accepted here.
    fn note_times(&mut self, link: LinkId, envelope: &Envelope) {
        if let Some(peer) = self.peers.get_mut(&link)
            && let Some(times) = EnvelopeTimes::of(envelope)
        {
            let before = peer.envelope_times;
            peer.envelope_times = Some(before.map_or(times, |before| before.with(times)));
        }
    }

    /// Validates a received envelope, and counts the result.
    fn judge(
        &mut self,
        now: Now,
        candidate: &Candidate,
    ) -> Result<Option<(PowChecked, NotExpired)>, EnvelopeRejected> {
        let judged = self.admit(now, candidate);
        let size = candidate.envelope.size();
        match &judged {
            Ok(new) => self.stats.on_accepted(new.is_some(), size),
            Err(rejected) => self.stats.on_rejected(*rejected),
        }
        judged
    }

    /// Validates a received envelope. One that the pool has was validated before, and only its
    /// expiry is checked again.
    fn admit(
        &self,
        now: Now,
        candidate: &Candidate,
    ) -> Result<Option<(PowChecked, NotExpired)>, EnvelopeRejected> {
        let envelope = &candidate.envelope;
        if candidate.pooled.is_some() {
            let alive = NotExpired::check(envelope.expiry(), envelope.ttl(), now.unix);
            return Ok(alive.map(|_| None)?);
        }
        self.policy
            .validate(now, envelope, candidate.hashes)
            .map(Some)
    }

    /// Records which peers have the envelope: its sender, and all that had announced it.
    fn record_received(
        &mut self,
        now: Now,
        link: LinkId,
        envelope: EnvelopeHash,
        pow: Option<PowChecked>,
    ) {
        let is_first = self.index.mark_received(envelope, link);
        if let (true, Some(pow), Some(peer)) = (is_first, pow, self.peers.get_mut(&link)) {
            peer.on_relayed(&pow);
        }
        for announcer in self.fetcher.on_arrived(now.mono, &envelope) {
            self.index.mark_announced_by(envelope, announcer);
        }
    }

    fn reward_work(&mut self, link: LinkId, pow: PowChecked) {
        let minimum = self.policy.min_pow().value();
        if let Some(peer) = self.peers.get_mut(&link) {
            peer.score.reward(pow.best() / minimum);
        }
    }

    /// Charges a rejected envelope to the peer's quota.
    fn penalize(
        &mut self,
        now: Now,
        link: LinkId,
        refused: EnvelopeRejected,
    ) -> Result<(), GossipFault> {
        let peer = self.peers.get_mut(&link).ok_or(GossipFault::NoSuchLink)?;
        peer.score.penalize_rejected();
        if peer.rejections.take(REJECTION_QUOTA, now.mono) {
            Ok(())
        } else {
            Err(ProtocolViolation::TooManyRejected(refused).into())
        }
    }

    /// Charges traffic that is worth nothing to the peer's quota.
    pub(super) fn charge_waste(
        &mut self,
        now: Now,
        link: LinkId,
        waste: Waste,
    ) -> Result<(), GossipFault> {
        let peer = self.peers.get_mut(&link).ok_or(GossipFault::NoSuchLink)?;
        if peer.waste.take(waste, now.mono) {
            Ok(())
        } else {
            Err(ProtocolViolation::TooWasteful(waste).into())
        }
    }

    /// The replies that status-im expects after a packet of messages, named by its hash: first the errors, then the
    /// acknowledgement. Other peers get none.
    fn confirm(
        &mut self,
        now: Now,
        link: LinkId,
        payload: &[u8],
        refused: &[(EnvelopeHash, EnvelopeRejected)],
    ) -> Vec<OutboundPacket> {
        let peer = self.peers.get_mut(&link);
        let Some(peer) = peer.filter(|peer| peer.wants_confirmations()) else {
            return Vec::new();
        };
        peer.charge(now.mono, 2);
        let batch = Keccak256::digest(payload).into();
        let refused: Vec<_> = refused
            .iter()
            .map(|(envelope, refused)| (*envelope, ResponseErrorCode::from(*refused)))
            .collect();
        let response = outgoing::messages_response(&batch, &refused);
        vec![
            shh(link, code::MESSAGES_RESPONSE, response),
            shh(
                link,
                code::BATCH_ACKNOWLEDGED,
                outgoing::batch_acknowledged(&batch),
            ),
        ]
    }
}

/// A received envelope.
struct Candidate {
    envelope: Envelope,
    /// Its work, if the pool has it.
    pooled: Option<PowChecked>,
    /// Its hashes, if only its work and its topic decide about it.
    hashes: Option<PowHashes>,
}

/// go-ethereum accepts a peer before it has sent its own status, and then announces changes early.
const fn may_precede_status(packet: &ShhPacket<'_>) -> bool {
    matches!(
        packet,
        ShhPacket::Status(_)
            | ShhPacket::PowRequirement(_)
            | ShhPacket::BloomExchange(_)
            | ShhPacket::RateLimits(_)
            | ShhPacket::Unknown(_)
    )
}

/// Maximum size in bytes of any packet from an honest peer, even if our envelope limit is lower:
/// go-ethereum's own limit.
const MAX_PACKET: usize = 1 << 20;
