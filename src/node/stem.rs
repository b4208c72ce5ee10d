//! Envelopes on their way to the place where they enter the network.
//!
//! An envelope on the stem is nobody's to see: it is not in the pool, is answered to no request
//! and reaches no filter until gossip brings it or it is given to gossip here. Own and foreign
//! envelopes take the same path through this file (spec M10, M11).

use std::collections::{BTreeMap, BTreeSet};

use circuits::dandelion::{Embargo, StemOrigin, StemRoute, StemRouter};
use circuits::ids::LinkId;
use circuits::time::{Instant, Now};
use rand_chacha::ChaCha20Rng;

use super::event::Trace;
use super::{Node, hex};
use crate::envelope::{Envelope, EnvelopeHash, NotExpired};
use crate::link::Priority;
use crate::onion_wire::OnionMessage;
use crate::pow::PowChecked;

/// Routes, embargoes, and the envelopes themselves.
pub(super) struct StemState {
    pub(super) stem: StemRouter,
    embargo: Embargo,
    in_transit: BTreeMap<EnvelopeHash, InTransit>,
    bytes: usize,
}

struct InTransit {
    envelope: Envelope,
    /// Links that brought it here; the second time from one of them ends the stem.
    brought_by: BTreeSet<LinkId>,
}

impl StemState {
    pub(super) fn new(rng: &mut ChaCha20Rng, now: Instant) -> Self {
        Self {
            stem: StemRouter::new(rng, now),
            embargo: Embargo::new(MAX_IN_TRANSIT + MAX_OWN),
            in_transit: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// When the next embargo ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.embargo.next_due()
    }

    /// Gossip brought the envelope: the embargo has done its work.
    pub(super) fn seen(&mut self, hash: EnvelopeHash) {
        self.embargo.seen(&hash.0);
        self.take(hash);
    }

    fn take(&mut self, hash: EnvelopeHash) -> Option<Envelope> {
        let in_transit = self.in_transit.remove(&hash)?;
        self.bytes = self.bytes.saturating_sub(in_transit.envelope.size());
        Some(in_transit.envelope)
    }

    /// Whether there is room for one more.
    fn has_room(&self, envelope: &Envelope) -> bool {
        self.in_transit.contains_key(&envelope.hash())
            || self.in_transit.len() < MAX_IN_TRANSIT
                && self.bytes.saturating_add(envelope.size()) <= MAX_IN_TRANSIT_BYTES
    }

    /// Notes that an envelope is here; `false` if it came this way before.
    fn note(&mut self, envelope: &Envelope, origin: StemOrigin) -> bool {
        let size = envelope.size();
        let bytes = &mut self.bytes;
        let entry = self.in_transit.entry(envelope.hash()).or_insert_with(|| {
            *bytes = bytes.saturating_add(size);
            InTransit {
                envelope: envelope.clone(),
                brought_by: BTreeSet::new(),
            }
        });
        match origin {
            StemOrigin::Own => true,
            StemOrigin::From(link) => entry.brought_by.insert(link),
        }
    }
}

impl Node {
    /// A neighbour passes an envelope on along the stem. It is checked like any other.
    pub(super) fn on_stem(&mut self, now: Now, from: LinkId, envelope: Envelope) {
        if self.pool.contains(&envelope.hash()) || !self.stem.has_room(&envelope) {
            return;
        }
        if self.check_envelope(now, &envelope).is_none() {
            self.counters.malformed += 1;
            return;
        }
        self.pass_along_stem(now, &envelope, StemOrigin::From(from));
    }

    /// Sends an envelope that begins its public life here, as its sender or as a rendezvous;
    /// `false` if there is no stem for it now.
    pub(super) fn insert_by_stem(&mut self, now: Now, envelope: &Envelope) -> bool {
        self.stem.stem.can_stem() && self.pass_along_stem(now, envelope, StemOrigin::Own)
    }

    /// Stems whose time is up are given to gossip.
    pub(super) fn end_embargoes(&mut self, now: Now) {
        while let Some(hash) = self.stem.embargo.pop_due(now.mono) {
            self.diffuse(now, EnvelopeHash(hash));
        }
    }

    fn pass_along_stem(&mut self, now: Now, envelope: &Envelope, origin: StemOrigin) -> bool {
        let hash = envelope.hash();
        if !self.stem.note(envelope, origin) {
            // It has run in a circle of stems: without a diffuser on it, it would run for ever.
            self.diffuse(now, hash);
            return true;
        }
        match self.stem.stem.route(&mut self.rng, now.mono, origin) {
            StemRoute::To(link) => {
                self.trace(|| Trace::Stem {
                    envelope: hex(&hash.0),
                });
                let message = OnionMessage::Stem(envelope.clone());
                // A full queue loses it; the embargo brings it back.
                self.send_onion(link, Priority::Control, &message);
                if let Some(cut_short) = self.stem.embargo.watch(&mut self.rng, now.mono, hash.0) {
                    self.diffuse(now, EnvelopeHash(cut_short));
                }
                true
            }
            StemRoute::Fluff => {
                self.diffuse(now, hash);
                true
            }
            StemRoute::NoSuccessors => {
                self.stem.take(hash);
                false
            }
        }
    }

    /// Gives an envelope to gossip, as if a peer had brought it.
    fn diffuse(&mut self, now: Now, hash: EnvelopeHash) {
        self.stem.embargo.seen(&hash.0);
        let Some(envelope) = self.stem.take(hash) else {
            return;
        };
        if let Some((pow, not_expired)) = self.check_envelope(now, &envelope) {
            self.trace(|| Trace::Fluff {
                envelope: hex(&hash.0),
            });
            self.pool_envelope(now, envelope, pow, not_expired, None);
        }
    }

    /// What every envelope must pass before it is passed on, wherever it comes from.
    pub(super) fn check_envelope(
        &self,
        now: Now,
        envelope: &Envelope,
    ) -> Option<(PowChecked, NotExpired)> {
        let not_expired = NotExpired::check(envelope.expiry(), envelope.ttl(), now.unix).ok()?;
        let pow = PowChecked::check(envelope, not_expired, self.own_min_pow()).ok()?;
        Some((pow, not_expired))
    }
}

/// Foreign envelopes on the stem at once; more are dropped, and the embargo of whoever sent them
/// brings them out. Diffusing another in their place would let a flood name whose that one is.
const MAX_IN_TRANSIT: usize = 4096;

/// Room for our own, and those rebuilt here, beyond that.
const MAX_OWN: usize = 4096;

/// The same in bytes.
const MAX_IN_TRANSIT_BYTES: usize = 32 * 1024 * 1024;
