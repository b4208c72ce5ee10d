//! The mempool: validation before insertion, the insertion itself, and expiry.

use circuits::ids::LinkId;
use circuits::time::Now;

use super::EnvelopeGossip;
use crate::envelope::{Envelope, EnvelopeHash, NotExpired, ProtocolVersion};
use crate::envelope_pool::InsertOutcome;
use crate::envelope_validation::{self, EnvelopeRejected, StemRejected};
use crate::node::effects::Effects;
use crate::node::event::Trace;
use crate::node::hex;
use crate::pow::PowChecked;
use crate::subscriptions::DeliveryPath;

impl EnvelopeGossip {
    /// Inserts an envelope and schedules it for every peer. `from` is the link that brought it,
    /// `None` if it enters the network here.
    ///
    /// Returns how subscriptions see it, or `None` if it was known or found no room.
    pub(in crate::node) fn insert(
        &mut self,
        fx: &mut Effects,
        now: Now,
        envelope: &Envelope,
        (pow, not_expired): (PowChecked, NotExpired),
        from: Option<LinkId>,
    ) -> Option<DeliveryPath> {
        let hash = envelope.hash();
        match self.pool.insert(envelope.clone(), pow, not_expired) {
            InsertOutcome::New => {}
            InsertOutcome::Known => return None,
            InsertOutcome::NoRoom => {
                // Only public envelopes are remembered: an envelope from a stem is not public.
                if from.is_some() {
                    self.machine.mark_rejected(now, hash);
                    self.arm(fx);
                }
                return None;
            }
        }
        if fx.reveals_paths() {
            self.unsent.insert(hash);
            for evicted in self.pool.last_evicted() {
                self.unsent.remove(evicted);
            }
        }
        if from.is_some() {
            // All our envelopes are of `shh/6`; one of `shh/5` does not show that they would
            // spread.
            if envelope.protocol() == ProtocolVersion::V6 {
                self.last_foreign = now.mono;
            }
            fx.trace(|| Trace::Pooled {
                envelope: hex(&hash.0),
            });
        }
        self.machine.on_pooled(now, envelope, &pow, from);
        self.arm(fx);
        Some(match from {
            // A light node treats all envelopes from peers as direct messages, as go-ethereum does.
            Some(_) if self.machine.is_light() => DeliveryPath::Direct,
            _ => DeliveryPath::Gossip { pow: pow.best() },
        })
    }

    /// Validates an envelope that enters the network here.
    ///
    /// The minimum is that of our own envelopes ([`own_min_pow`](Self::own_min_pow)): what an API
    /// client asked of our peers since the start may be less, but not more.
    ///
    /// # Errors
    ///
    /// The first rule that the envelope breaks.
    pub(in crate::node) fn validate(
        &self,
        now: Now,
        envelope: &Envelope,
    ) -> Result<(PowChecked, NotExpired), EnvelopeRejected> {
        let max_size = self.machine.max_size();
        envelope_validation::validate(envelope, now.unix, self.own_min_pow(), max_size)
    }

    /// Validates an envelope that a stem carries, or that a rendezvous rebuilt for its stem.
    ///
    /// # Errors
    ///
    /// The first rule that the envelope breaks.
    pub(in crate::node) fn validate_stem(
        &self,
        now: Now,
        envelope: &Envelope,
    ) -> Result<(), StemRejected> {
        let max_size = self.machine.max_size();
        envelope_validation::validate_stem(envelope, now.unix, self.own_min_pow(), max_size)
    }

    /// Whether the proof of work of this envelope suffices on a stem for the minimum that a peer has
    /// stated.
    pub(in crate::node) fn stem_suits(&self, link: LinkId, envelope: &Envelope) -> bool {
        let minimum = self.machine.peer(link).map_or(0.0, |peer| peer.min_pow);
        envelope_validation::stem_pow_suffices(envelope, minimum)
    }

    /// Drops expired envelopes, and returns their hashes.
    pub(in crate::node) fn expire(&mut self, now: Now) -> Vec<EnvelopeHash> {
        let expired = self.pool.expire(now.unix);
        for hash in &expired {
            self.unsent.remove(hash);
        }
        self.machine.forget(&expired);
        expired
    }
}
