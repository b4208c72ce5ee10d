//! Attempts: each uses up a step of the chain, or a resync slot, and gets an envelope key of its own.

use circuits::time::UnixSecs;
use rand_core::CryptoRng;

use super::compose::Attempted;
use super::{ComposedMessage, Conversation, ConversationState};
use crate::contact::first_contact::FirstMode;
use crate::contact::outer::EnvelopeSealer;
use crate::contact::ratchet::RatchetError;
use crate::contact::resync::next_day;

/// What one attempt sends.
#[derive(Debug)]
pub struct Attempt {
    /// Encrypts the envelopes of the attempt.
    pub sealer: EnvelopeSealer,
    /// The next index of the chain, if the attempt uses a resync slot; the plaintext contains it.
    pub resync: Option<u32>,
    /// The body.
    pub body: Vec<u8>,
}

/// No attempt can be made now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AttemptRefusal {
    /// The message is answered, or was given up.
    #[error("the message is answered or was given up")]
    NotOpen,
    /// The state of this end was restored.
    #[error(
        "the conversation was restored from an older state, and nothing is sent on it: renew it"
    )]
    Stale,
    /// The keys of the conversation are erased.
    #[error("the keys of the conversation are erased: start a new one")]
    Erased,
    /// The first message has no ticket.
    #[error("the ticket of the first message is not found yet")]
    NoTicket,
    /// Too much is without answer. An answer or the next day makes room; worth another look at this time.
    #[error("too much is without answer: wait for one, or for the next day")]
    WaitUntil(UnixSecs),
    /// The ratchet cannot encrypt.
    #[error("the ratchet cannot encrypt: {0}")]
    Ratchet(#[from] RatchetError),
}

impl AttemptRefusal {
    /// Looking again costs nothing, so that an answer makes room soon.
    pub(super) fn wait(unix: UnixSecs) -> Self {
        Self::WaitUntil(next_day(unix).min(unix.after(LOOK_AGAIN_SECS)))
    }
}

/// How soon a refused attempt is worth another look.
const LOOK_AGAIN_SECS: u32 = 900;

impl Conversation {
    /// Makes an attempt of a message. The message may be encrypted again, so its record is stored with that
    /// of the conversation.
    ///
    /// # Errors
    ///
    /// [`AttemptRefusal`] names the obstacle.
    pub fn attempt(
        &mut self,
        rng: &mut impl CryptoRng,
        unix: UnixSecs,
        message: &mut ComposedMessage,
    ) -> Result<Attempt, AttemptRefusal> {
        if self.state == ConversationState::Stale {
            return Err(AttemptRefusal::Stale);
        }
        if !self.outgoing.is_open(message.number()) {
            return Err(AttemptRefusal::NotOpen);
        }
        self.refresh(unix, message)?;
        if self.opening.is_some() {
            let attempt = self.first_attempt(rng, message)?;
            message.note_attempt(Attempted::FirstForm);
            return Ok(attempt);
        }
        let (sealer, resync) = self.take_step(unix, message)?;
        Ok(Attempt {
            sealer,
            resync,
            body: message.encrypted().to_vec(),
        })
    }

    /// An attempt to the card. Every one has the same box and session, and unrelated outer bytes.
    fn first_attempt(
        &self,
        rng: &mut impl CryptoRng,
        message: &ComposedMessage,
    ) -> Result<Attempt, AttemptRefusal> {
        let opening = self.opening.as_ref().ok_or(AttemptRefusal::Erased)?;
        let first_box = self.first_box.as_ref().ok_or(AttemptRefusal::Erased)?;
        let ticket = opening.ticket.ok_or(AttemptRefusal::NoTicket)?;
        let mode = FirstMode::Conversation;
        Ok(Attempt {
            sealer: EnvelopeSealer::first(&opening.id, &opening.block),
            resync: None,
            body: first_box.wrap(rng, ticket, mode, message.encrypted()),
        })
    }

    fn take_step(
        &mut self,
        unix: UnixSecs,
        message: &mut ComposedMessage,
    ) -> Result<(EnvelopeSealer, Option<u32>), AttemptRefusal> {
        let number = message.number();
        let place = self.send_epoch;
        let epoch = self.epoch_mut(place).ok_or(AttemptRefusal::Erased)?;
        let chain = epoch.send_mut().ok_or(AttemptRefusal::Erased)?;
        if !chain.is_blocked() {
            let is_certain = message.note_attempt(Attempted::InEpoch(place));
            return Ok((EnvelopeSealer::Step(chain.step(number, is_certain)), None));
        }
        let next = chain.next();
        let key = epoch
            .take_resync(unix)
            .ok_or_else(|| AttemptRefusal::wait(unix))?;
        if let Some(chain) = epoch.send_mut() {
            let is_certain = message.note_attempt(Attempted::InEpoch(place));
            chain.note(number, is_certain);
        }
        Ok((EnvelopeSealer::Step(key), Some(next)))
    }

    /// Asks the peer for a renewal, from a stale state. Uses a resync slot, whose key is fresh in each
    /// envelope, and contains nothing. `None` if the slots of today are used up.
    pub fn ask_renewal(&mut self, unix: UnixSecs) -> Option<Attempt> {
        if self.state != ConversationState::Stale {
            return None;
        }
        let epoch = self.send_epoch;
        let key = self.epoch_mut(epoch)?.take_resync(unix)?;
        Some(Attempt {
            sealer: EnvelopeSealer::Step(key),
            resync: Some(0),
            body: Vec::new(),
        })
    }
}
