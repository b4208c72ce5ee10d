//! The stem: envelopes on their way to the node where they enter the network.
//!
//! An envelope on the stem is not public: it is not in the mempool, answers no request, and reaches
//! no filter until gossip delivers it or this node diffuses it. Envelopes of this node and of
//! others take the same path through this component (spec M10, M11).
//!
//! No embargo makes this node diffuse its own message. A full table refuses nothing
//! ([`in_transit`]), and an embargo that ends sends the envelope over the other successor. If that
//! fails too, a message of this node waits for other successors and its user is told; any other
//! envelope is diffused. An envelope that returns twice over one link is diffused whether or not it
//! is of this node: a difference would tell a successor which node is the sender.

mod in_transit;

use circuits::dandelion::{Embargo, StemRoute, StemRouter};
use circuits::erasing_rng::ErasingRng;
use circuits::ids::LinkId;
use circuits::time::{Instant, Now};

use self::in_transit::{Bringer, InTransit};
use super::action::{Action, StemSource};
use super::effects::{Counter, Effects};
use super::event::Trace;
use super::gossip::EnvelopeGossip;
use super::hex;
use super::timers::TimerId;
use crate::envelope::{Envelope, EnvelopeHash};
use crate::envelope_validation::{MIN_STEM_LIFE_SECS, StemRejected};
use crate::link::Priority;
use crate::onion_wire::OnionMessage;

/// Stem routes, embargoes, and the envelopes in transit.
pub(super) struct Stem {
    router: StemRouter,
    embargo: Embargo,
    in_transit: InTransit,
}

impl Stem {
    /// A stem without peers.
    pub(super) fn new(rng: &mut ErasingRng, now: Instant) -> Self {
        Self {
            router: StemRouter::new(rng, now),
            embargo: Embargo::default(),
            in_transit: InTransit::new(),
        }
    }

    /// Whether our envelopes, and those rebuilt here, have a stem.
    pub(super) const fn can_stem(&self) -> bool {
        self.router.can_stem()
    }

    /// Whether an envelope is on its way and not known to be public.
    pub(super) fn is_in_transit(&self, hash: EnvelopeHash) -> bool {
        self.in_transit.get(hash).is_some()
    }

    /// Sets the peers that may be successors.
    pub(super) fn set_successor_candidates(&mut self, fx: &mut Effects, links: &[LinkId]) {
        self.router.set_successor_candidates(fx.path_rng(), links);
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, fx: &mut Effects, link: LinkId) {
        let forgotten = self.in_transit.on_link_closed(link);
        self.end_watches(&forgotten);
        self.arm(fx);
    }

    /// A peer passes an envelope on.
    ///
    /// # Errors
    ///
    /// The rule that the envelope breaks; it is dropped.
    pub(super) fn on_stem(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        envelope: &Envelope,
        gossip: &EnvelopeGossip,
    ) -> Result<(), StemRejected> {
        if gossip.pool().contains(&envelope.hash()) {
            return Ok(());
        }
        if let Err(rejected) = gossip.validate_stem(now, envelope) {
            fx.count(Counter::Malformed);
            return Err(rejected);
        }
        self.pass_along(fx, now, envelope, Bringer::Peer(from));
        Ok(())
    }

    /// Sends an envelope on its way whose public life begins here, as its sender or as its
    /// rendezvous; `false` if there is no stem now.
    pub(super) fn insert(
        &mut self,
        fx: &mut Effects,
        now: Now,
        envelope: &Envelope,
        source: StemSource,
    ) -> bool {
        self.can_stem() && self.pass_along(fx, now, envelope, source.into())
    }

    /// The message of this envelope has ended: no further successor gets it from here.
    pub(super) fn withdraw(&mut self, fx: &mut Effects, hash: EnvelopeHash) {
        let entry = self.in_transit.get(hash);
        if entry.is_some_and(|entry| matches!(entry.bringer, Bringer::Message(_))) {
            self.embargo.seen(&hash.0);
            self.in_transit.take(hash);
            self.arm(fx);
        }
    }

    /// Gossip delivered the envelope, so its embargo is not needed any more.
    pub(super) fn on_public(&mut self, fx: &mut Effects, hash: EnvelopeHash) {
        self.embargo.seen(&hash.0);
        self.in_transit.take(hash);
        self.arm(fx);
    }

    /// Passes on or diffuses envelopes whose embargo has ended.
    pub(super) fn end_embargoes(&mut self, fx: &mut Effects, now: Now) {
        while let Some(hash) = self.embargo.pop_due(now.mono) {
            self.end_embargo(fx, now, EnvelopeHash(hash));
        }
        self.arm(fx);
    }

    fn end_embargo(&mut self, fx: &mut Effects, now: Now, hash: EnvelopeHash) {
        let Some(entry) = self.in_transit.get(hash) else {
            return;
        };
        let (bringer, attempts) = (entry.bringer, entry.attempts);
        let lives = entry.envelope.expiry() >= now.unix.after(MIN_STEM_LIFE_SECS);
        let untried = match bringer {
            _ if !lives => None,
            // Every pair of successors that collude could recognize the sender of a message, so
            // the number of pairs is bounded.
            Bringer::Message(_) if attempts >= MAX_MESSAGE_ATTEMPTS => None,
            Bringer::Rendezvous | Bringer::Peer(_) if attempts >= MAX_ATTEMPTS => None,
            _ => Some(
                self.router
                    .reroute(fx.path_rng(), now.mono, bringer.origin(), &entry.tried),
            ),
        };
        match (untried, bringer) {
            (Some(StemRoute::To(link)), _) => {
                let envelope = entry.envelope.clone();
                self.forward(fx, now.mono, link, &envelope);
            }
            (Some(_), Bringer::Message(id)) => {
                self.embargo.watch(fx.path_rng(), now.mono, hash.0);
                fx.request(Action::StemBlocked(id));
            }
            (None, Bringer::Message(id)) => {
                self.in_transit.take(hash);
                fx.request(Action::StemFailed(id));
            }
            // The rendezvous has lost a successor, and waits for the next one.
            (Some(_), Bringer::Rendezvous) => self.embargo.watch(fx.path_rng(), now.mono, hash.0),
            (None, Bringer::Rendezvous) | (_, Bringer::Peer(_)) => self.diffuse(fx, hash),
        }
    }

    fn pass_along(
        &mut self,
        fx: &mut Effects,
        now: Now,
        envelope: &Envelope,
        bringer: Bringer,
    ) -> bool {
        let hash = envelope.hash();
        let mut forgotten = Vec::new();
        if self.in_transit.note(envelope, bringer, &mut forgotten) {
            match self.router.route(fx.path_rng(), now.mono, bringer.origin()) {
                StemRoute::To(link) => self.forward(fx, now.mono, link, envelope),
                StemRoute::Fluff => self.diffuse(fx, hash),
                StemRoute::NoSuccessors => {
                    self.in_transit.take(hash);
                    return false;
                }
            }
        } else {
            // The envelope has run in a circle of stems, where no node would ever diffuse it.
            self.diffuse(fx, hash);
        }
        self.end_watches(&forgotten);
        self.arm(fx);
        true
    }

    /// Sends an envelope to a successor. A full queue loses it, and the embargo recovers it.
    fn forward(&mut self, fx: &mut Effects, now: Instant, to: LinkId, envelope: &Envelope) {
        let hash = envelope.hash();
        fx.trace(|| Trace::Stem {
            envelope: hex(&hash.0),
        });
        let message = OnionMessage::Stem(envelope.clone());
        fx.request(Action::SendOnion(to, Priority::Control, message));
        self.in_transit.sent(hash, to);
        self.embargo.watch(fx.path_rng(), now, hash.0);
    }

    /// Gives an envelope to gossip, as if a peer had sent it.
    fn diffuse(&mut self, fx: &mut Effects, hash: EnvelopeHash) {
        self.embargo.seen(&hash.0);
        if let Some(envelope) = self.in_transit.take(hash) {
            fx.request(Action::Diffuse(envelope));
        }
    }

    /// Ends the embargoes of forgotten envelopes.
    fn end_watches(&mut self, forgotten: &[EnvelopeHash]) {
        for hash in forgotten {
            self.embargo.seen(&hash.0);
        }
    }

    fn arm(&self, fx: &mut Effects) {
        fx.arm(TimerId::Embargo, self.embargo.next_due());
    }
}

/// Number of successors that an envelope of another node is sent to before it is diffused here.
const MAX_ATTEMPTS: usize = 2;

/// Number of successors that a message of this node is sent to before it is given up: those of
/// three stem epochs.
const MAX_MESSAGE_ATTEMPTS: usize = 6;

#[cfg(test)]
mod tests;
