//! The agreement on the next epoch: who offers, what is repeated, and when both ends use it.
//!
//! An offer contains an X-Wing key and a seed, an accept the ciphertext and a second seed, both inside the
//! ratchet. The offerer sends in the new epoch as soon as it has the accept; the accepter only after
//! something of the new epoch has come. If offers cross, that of the initiator stands.

use circuits::time::UnixSecs;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::contact::chain::Direction;
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::epoch::EpochSecret;
use crate::contact::kdf::Key32;
use crate::contact::parts::{ACCEPT_LEN, EpochAccept, EpochOffer, OFFER_LEN, Part};
use crate::contact::resync::day_of;
use crate::contact::x_wing::{XWingPublic, XWingSecret};

/// Messages after which the side whose turn it is offers an epoch.
const MESSAGES_PER_EPOCH: u32 = 32;
/// Days after which it does.
const DAYS_PER_EPOCH: u32 = 7;
/// An offer is repeated in each such message until it is accepted.
const OFFER_EVERY: u32 = 4;

/// An offer of ours without answer.
struct OpenOffer {
    epoch: u16,
    secret: XWingSecret,
    seed: Key32,
    /// Messages since the offer was made.
    messages: u32,
}

/// The agreement at one end.
pub(super) struct Rekey {
    newest: u16,
    carry: Key32,
    offer: Option<OpenOffer>,
    /// Our answer to an offer of the peer, until something of the new epoch comes.
    accept: Option<EpochAccept>,
    /// Whether the last offer that was accepted, or is open, was ours.
    offered_last: bool,
    messages: u32,
    since_day: u32,
}

/// What the next message contains for the agreement.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct RekeyPlan {
    pub(super) makes_offer: bool,
    pub(super) shows_offer: bool,
    pub(super) shows_accept: bool,
}

impl RekeyPlan {
    /// Length of the parts.
    pub(super) const fn len(self) -> usize {
        let offer = if self.shows_offer { OFFER_LEN } else { 0 };
        let accept = if self.shows_accept { ACCEPT_LEN } else { 0 };
        offer.saturating_add(accept)
    }
}

impl Rekey {
    pub(super) fn start(carry: Key32, unix: UnixSecs) -> Self {
        Self {
            newest: 0,
            carry,
            offer: None,
            accept: None,
            offered_last: false,
            messages: 0,
            since_day: day_of(unix),
        }
    }

    /// What the next message will contain. `must_offer` is for the reader's first answer.
    pub(super) fn plan(&self, unix: UnixSecs, must_offer: bool) -> RekeyPlan {
        let days = day_of(unix).saturating_sub(self.since_day);
        let is_due = self.messages >= MESSAGES_PER_EPOCH || days >= DAYS_PER_EPOCH;
        let may_offer = self.offer.is_none() && self.accept.is_none() && self.newest < u16::MAX;
        let makes_offer = may_offer && (must_offer || (!self.offered_last && is_due));
        let repeats = self
            .offer
            .as_ref()
            .is_some_and(|offer| offer.messages.is_multiple_of(OFFER_EVERY));
        RekeyPlan {
            makes_offer,
            shows_offer: makes_offer || repeats,
            shows_accept: self.accept.is_some(),
        }
    }

    /// The parts of the next message, as planned.
    pub(super) fn parts(&mut self, rng: &mut impl CryptoRng, plan: RekeyPlan) -> Vec<Part> {
        if plan.makes_offer {
            let mut seed = Zeroizing::new([0; 32]);
            rng.fill_bytes(seed.as_mut_slice());
            self.offer = Some(OpenOffer {
                epoch: self.newest.saturating_add(1),
                secret: XWingSecret::draw(rng),
                seed,
                messages: 0,
            });
            self.offered_last = true;
        }
        self.messages = self.messages.saturating_add(1);
        let mut parts = Vec::new();
        if let Some(offer) = &mut self.offer {
            offer.messages = offer.messages.saturating_add(1);
            if plan.shows_offer {
                parts.push(Part::Offer(EpochOffer {
                    epoch: offer.epoch,
                    key: Box::new(*offer.secret.public().as_bytes()),
                    seed: offer.seed.clone(),
                }));
            }
        }
        parts.extend(self.accept.clone().map(Part::Accept));
        parts
    }

    /// Counts a message of the peer.
    pub(super) const fn note_message(&mut self) {
        self.messages = self.messages.saturating_add(1);
    }

    /// Takes an offer. Returns the new epoch, if this end accepts it.
    pub(super) fn on_offer(
        &mut self,
        rng: &mut impl CryptoRng,
        role: Direction,
        offer: &EpochOffer,
    ) -> Option<(u16, EpochSecret)> {
        let stands = self.offer.is_some() && role == Direction::FromInitiator;
        if Some(offer.epoch) != self.newest.checked_add(1) || stands {
            return None;
        }
        let key = XWingPublic::decode(&offer.key).ok()?;
        let (ciphertext, shared) = key.encapsulate(rng).ok()?;
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        let secret = EpochSecret::next(&self.carry, &shared, &offer.seed, &seed);
        self.offer = None;
        self.accept = Some(EpochAccept {
            epoch: offer.epoch,
            ciphertext,
            seed,
        });
        self.offered_last = false;
        self.enter(offer.epoch, &secret);
        Some((offer.epoch, secret))
    }

    /// Takes an accept. Returns the new epoch, if it answers our offer.
    pub(super) fn on_accept(
        &mut self,
        unix: UnixSecs,
        accept: &EpochAccept,
    ) -> Option<(u16, EpochSecret)> {
        let offer = self.offer.take_if(|offer| offer.epoch == accept.epoch)?;
        let shared = offer.secret.decapsulate(&accept.ciphertext)?;
        let secret = EpochSecret::next(&self.carry, &shared, &offer.seed, &accept.seed);
        self.enter(offer.epoch, &secret);
        self.begin(unix);
        Some((offer.epoch, secret))
    }

    fn enter(&mut self, epoch: u16, secret: &EpochSecret) {
        self.newest = epoch;
        self.carry = secret.carry();
    }

    /// Notes that something of the newest epoch has come: the peer has our accept.
    pub(super) fn on_epoch_used(&mut self, unix: UnixSecs) {
        self.accept = None;
        self.begin(unix);
    }

    const fn begin(&mut self, unix: UnixSecs) {
        self.messages = 0;
        self.since_day = day_of(unix);
    }

    /// Number of the newest epoch whose secret this end has.
    pub(super) const fn newest(&self) -> u16 {
        self.newest
    }

    pub(super) fn write(&self, writer: &mut StateWriter) {
        writer.u16(self.newest);
        writer.array(self.carry.as_slice());
        writer.option(self.offer.as_ref(), |w, offer| {
            w.u16(offer.epoch);
            w.array(offer.secret.seed().as_slice());
            w.array(offer.seed.as_slice());
            w.u32(offer.messages);
        });
        writer.option(self.accept.as_ref(), |w, accept| {
            w.u16(accept.epoch);
            w.array(accept.ciphertext.as_slice());
            w.array(accept.seed.as_slice());
        });
        writer.bool(self.offered_last);
        writer.u32(self.messages);
        writer.u32(self.since_day);
    }

    pub(super) fn read(reader: &mut StateReader<'_>) -> Result<Self, BadState> {
        Ok(Self {
            newest: reader.u16()?,
            carry: reader.key()?,
            offer: reader.option(|r| {
                Ok(OpenOffer {
                    epoch: r.u16()?,
                    secret: XWingSecret::from_seed(r.key()?),
                    seed: r.key()?,
                    messages: r.u32()?,
                })
            })?,
            accept: reader.option(|r| {
                Ok(EpochAccept {
                    epoch: r.u16()?,
                    ciphertext: Box::new(r.array()?),
                    seed: r.key()?,
                })
            })?,
            offered_last: reader.bool()?,
            messages: reader.u32()?,
            since_day: reader.u32()?,
        })
    }
}
