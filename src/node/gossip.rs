//! Envelopes that everybody has: the pool, and the gossip that fills and empties it.
//!
//! There is one door into the pool ([`Node::pool_envelope`]), for our own envelopes as for foreign
//! ones; behind it an envelope is scheduled for every peer first, and tried with our keys later,
//! on a chore of its own.

use circuits::ids::LinkId;
use circuits::time::Now;

use super::event::Trace;
use super::peers::bans::BanScope;
use super::timers::Timer;
use super::{Node, hex};
use crate::envelope::{Envelope, EnvelopeHash, NotExpired, ProtocolVersion};
use crate::envelope_pool::InsertOutcome;
use crate::gossip::{GossipFault, OutboundPacket};
use crate::link::{Capability, DisconnectReason, Priority};
use crate::pow::PowChecked;
use crate::subscriptions::DeliveryPath;

impl Node {
    pub(super) fn on_shh(&mut self, now: Now, from: LinkId, code: u16, payload: &[u8]) {
        let Ok(code) = u8::try_from(code) else { return };
        match self.gossip.receive(now, from, code, payload, &self.pool) {
            Ok(received) => {
                for (envelope, pow, not_expired) in received.admitted {
                    self.pool_envelope(now, envelope, pow, not_expired, Some(from));
                }
                self.acknowledge_mail(received.replies);
                for hash in received.accepted {
                    self.on_echo(hash);
                }
                self.on_direct_envelopes(now, from, received.direct);
                if let Some((kind, payload)) = received.p2p {
                    self.on_direct_packet(now, from, kind, &payload);
                }
            }
            Err(GossipFault::Peer(fault)) => {
                self.counters.malformed += 1;
                if fault.is_incompatible() {
                    self.strike(now, from, BanScope::Key);
                } else if fault.is_strike() {
                    self.strike(now, from, BanScope::KeyAndAddress);
                }
                self.disconnect(now, from, DisconnectReason::SubprotocolError);
            }
            Err(GossipFault::NoSuchLink) => {}
        }
    }

    /// The one door into the pool.
    pub(super) fn pool_envelope(
        &mut self,
        now: Now,
        envelope: Envelope,
        pow: PowChecked,
        not_expired: NotExpired,
        from: Option<LinkId>,
    ) {
        let hash = envelope.hash();
        self.stem.seen(hash);
        match self.pool.insert(envelope.clone(), pow, not_expired) {
            InsertOutcome::New => {}
            InsertOutcome::Known => return,
            InsertOutcome::NoRoom => {
                // Only what everybody can see is remembered: an envelope from a stem is not.
                if from.is_some() {
                    self.gossip.mark_rejected(now, hash);
                }
                return;
            }
        }
        if from.is_some() {
            // One of `shh/5` says nothing of whether ours would get anywhere.
            if envelope.protocol() == ProtocolVersion::V6 {
                self.last_foreign = now.mono;
            }
            self.trace(|| Trace::Pooled {
                envelope: hex(&hash.0),
            });
        }
        self.gossip.on_pooled(now, &envelope, from);
        self.archive_envelope(&envelope);
        let arrival = match from {
            // To a light node all that peers bring counts as handed over, as in go-ethereum.
            Some(_) if self.gossip.is_light() => DeliveryPath::Direct,
            _ => DeliveryPath::Gossip { pow: pow.best() },
        };
        self.offer_to_filters(now, envelope, arrival);
    }

    /// Puts an envelope in line to be tried with our keys.
    pub(super) fn offer_to_filters(&mut self, now: Now, envelope: Envelope, arrival: DeliveryPath) {
        if self.inbox.offer(envelope, arrival) {
            self.timers.expedite(
                Timer::TryDecrypt,
                now.mono.after(Timer::TryDecrypt.period()),
            );
        }
    }

    /// Gives peers what is due to them.
    pub(super) fn run_gossip(&mut self, now: Now) {
        if self.gossip.next_due().is_none_or(|due| due > now.mono) {
            return;
        }
        let connections = &self.connections;
        // With nothing waiting, a link takes any one packet; what it refused would count as given.
        let congested = |link| {
            connections
                .get(link)
                .is_none_or(|link| link.link.queued_bytes() > 0)
        };
        let sends = self.gossip.tick(now, &self.pool, congested);
        self.trace_gossip();
        self.queue_shh(sends);
    }

    pub(super) fn queue_shh(&mut self, sends: Vec<OutboundPacket>) {
        for OutboundPacket {
            link,
            capability,
            code,
            payload,
        } in sends
        {
            let priority = match capability {
                Capability::ONION_1 => Priority::Control,
                _ => Priority::Gossip,
            };
            self.queue(link, priority, capability, u16::from(code), payload);
        }
    }

    /// Tells, for a demonstration, which envelopes were given to a peer for the first time.
    fn trace_gossip(&mut self) {
        if !self.config.danger_reveal_paths {
            return;
        }
        let given: Vec<EnvelopeHash> = self
            .pool
            .iter()
            .map(|pooled| pooled.envelope.hash())
            .filter(|hash| !self.traced.contains(hash) && self.gossip.sent_to_count(*hash) > 0)
            .collect();
        for hash in given {
            self.traced.insert(hash);
            self.trace(|| Trace::Gossiped {
                envelope: hex(&hash.0),
            });
        }
    }

    /// A whisht peer announces envelopes; those that we hold have come back from it, as if it had
    /// brought them.
    pub(super) fn on_announce(&mut self, now: Now, from: LinkId, envelopes: Vec<EnvelopeHash>) {
        for hash in self.gossip.on_announced(now, from, envelopes, &self.pool) {
            self.on_echo(hash);
        }
    }

    /// Drops envelopes whose life is over, and what is remembered of them.
    pub(super) fn expire_pool(&mut self, now: Now) {
        let expired = self.pool.expire(now.unix);
        self.gossip.forget(&expired);
        self.confirm_gossiped_messages();
    }
}
