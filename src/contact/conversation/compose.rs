//! Messages before their first attempt: number and parts. The first attempt encrypts them.

use circuits::time::UnixSecs;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::numbers::MAX_UNANSWERED;
use super::rekey::RekeyPlan;
use super::{AttemptRefusal, Conversation, ConversationState};
use crate::contact::chain::Direction;
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::kdf::{Label, hash};
use crate::contact::parts::{
    GIVEN_UP_LEN, InnerMessage, MAX_PARTS, Part, PartTooLong, also_came_len,
};
use crate::contact::ratchet::{MAX_SKIPPED_MESSAGES, RatchetError, SendingPosition};

/// Messages that an initiator may write before something comes back. Olm keeps keys for 40 skipped ones.
pub const MAX_OPENING_MESSAGES: u64 = 32;
/// Chains of ours after which a message is encrypted again; Olm keeps five chains of the peer.
const STALE_CHAINS: u32 = 3;

/// A message with its number. The first attempt encrypts it, and further ones send it again until it is
/// answered.
pub struct ComposedMessage {
    number: u64,
    /// Its parts, to encrypt them again if the ratchet has moved on too far.
    parts: Zeroizing<Vec<u8>>,
    /// The message of the ratchet; empty before the first attempt.
    encrypted: Vec<u8>,
    position: SendingPosition,
    is_first: bool,
    attempted: Attempted,
}

/// Where the first attempt of a message was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Attempted {
    Never,
    /// To the card.
    FirstForm,
    InEpoch(u16),
}

/// A message cannot be composed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ComposeError {
    /// The state of this end was restored.
    #[error(
        "the conversation was restored from an older state, and nothing is sent on it: renew it"
    )]
    Stale,
    /// The request of the other end is not accepted.
    #[error(
        "the other side asked, and you have not answered: accept the conversation before you reply"
    )]
    NotAccepted,
    /// The conversation is over.
    #[error("the conversation is closed: start a new one")]
    Closed,
    /// The part belongs to the conversation itself.
    #[error("parts of this type are added by the conversation, never by its user")]
    Reserved,
    /// There are too many parts.
    #[error("a message of {0} parts exceeds the maximum of {max}", max = MAX_USER_PARTS)]
    TooManyParts(usize),
    /// A part is too long.
    #[error(transparent)]
    TooLong(#[from] PartTooLong),
    /// Too many messages are without answer.
    #[error("{0} messages are without answer, which is the maximum: wait for one")]
    TooManyUnanswered(u64),
}

/// Room for the parts of the conversation itself.
const MAX_USER_PARTS: usize = MAX_PARTS - 4;

impl ComposedMessage {
    /// The number, from 1.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The record of the message, for the outbox.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = StateWriter::new(VERSION);
        writer.u64(self.number);
        writer.bytes(&self.parts);
        writer.bytes(&self.encrypted);
        writer.u32(self.position.chain);
        writer.u32(self.position.index);
        writer.bool(self.is_first);
        let (code, epoch) = match self.attempted {
            Attempted::Never => (0, 0),
            Attempted::FirstForm => (1, 0),
            Attempted::InEpoch(epoch) => (2, epoch),
        };
        writer.u8(code);
        writer.u16(epoch);
        writer.finish()
    }

    /// Reads the record.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the record is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut reader = StateReader::new(bytes, VERSION)?;
        let message = Self {
            number: reader.u64()?,
            parts: Zeroizing::new(reader.bytes()?.to_vec()),
            encrypted: reader.bytes()?.to_vec(),
            position: SendingPosition {
                chain: reader.u32()?,
                index: reader.u32()?,
            },
            is_first: reader.bool()?,
            attempted: match (reader.u8()?, reader.u16()?) {
                (0, _) => Attempted::Never,
                (1, _) => Attempted::FirstForm,
                (2, epoch) => Attempted::InEpoch(epoch),
                _ => return Err(BadState::Field("first attempt")),
            },
        };
        reader.finish()?;
        Ok(message)
    }

    /// Notes an attempt. Returns whether all attempts so far were made in the same place.
    pub(super) fn note_attempt(&mut self, place: Attempted) -> bool {
        if self.attempted == Attempted::Never {
            self.attempted = place;
        }
        self.attempted == place
    }

    /// The message of the ratchet.
    pub(super) fn encrypted(&self) -> &[u8] {
        &self.encrypted
    }
}

const VERSION: u8 = 1;

impl Conversation {
    /// Composes a message: gives it a number, and adds what the agreement on epochs needs.
    ///
    /// # Errors
    ///
    /// [`ComposeError`] names the obstacle; the conversation has not changed.
    pub fn compose(
        &mut self,
        rng: &mut impl CryptoRng,
        unix: UnixSecs,
        parts: &[Part],
    ) -> Result<ComposedMessage, ComposeError> {
        let number = self.may_compose(parts)?;
        let user_parts = Part::encode_all(parts)?;
        let plan = self.plan(unix);
        let mut own = self.rekey.parts(rng, plan);
        own.extend(self.outgoing.given_up().map(Part::GivenUp));
        let also_came = self.incoming.also_came();
        if !also_came.is_empty() {
            own.push(Part::AlsoCame(also_came));
        }
        let own = Part::encode_all(&own)?;
        let parts = Zeroizing::new([&user_parts[..], &own].concat());
        self.outgoing.note_composed(number);
        Ok(ComposedMessage {
            number,
            parts,
            encrypted: Vec::new(),
            position: SendingPosition::default(),
            is_first: false,
            attempted: Attempted::Never,
        })
    }

    fn may_compose(&self, parts: &[Part]) -> Result<u64, ComposeError> {
        let max = match self.state {
            ConversationState::Opening => MAX_OPENING_MESSAGES,
            ConversationState::Open => MAX_UNANSWERED,
            ConversationState::Asked => return Err(ComposeError::NotAccepted),
            ConversationState::Stale => return Err(ComposeError::Stale),
            ConversationState::Closed => return Err(ComposeError::Closed),
        };
        if parts.iter().any(Part::is_reserved) {
            return Err(ComposeError::Reserved);
        }
        if parts.len() > MAX_USER_PARTS {
            return Err(ComposeError::TooManyParts(parts.len()));
        }
        let next = self.outgoing.next(max);
        next.ok_or(ComposeError::TooManyUnanswered(max))
    }

    /// What the next message contains for the agreement on epochs: nothing before something came back.
    fn plan(&self, unix: UnixSecs) -> RekeyPlan {
        match self.state {
            ConversationState::Opening => RekeyPlan::default(),
            _ => self.rekey.plan(unix, self.must_offer()),
        }
    }

    /// The first answer of a reader offers an epoch: the key block that began the conversation is kept for
    /// weeks, and an epoch with fresh keys ends what its seizure would open.
    fn must_offer(&self) -> bool {
        self.role == Direction::FromReader && self.outgoing.is_unused()
    }

    /// Length of the body of the message that `compose` would make of parts of `len` encoded bytes.
    #[must_use]
    pub fn body_len(&self, unix: UnixSecs, len: usize) -> usize {
        let given_up = self.outgoing.given_up().map_or(0, |_| GIVEN_UP_LEN);
        let also_came = match self.incoming.also_came().len() {
            0 => 0,
            numbers => also_came_len(numbers),
        };
        let inner = InnerMessage::HEAD_LEN
            .saturating_add(len)
            .saturating_add(self.plan(unix).len())
            .saturating_add(given_up)
            .saturating_add(also_came);
        let encrypted = self.ratchet.encrypted_len(inner);
        if self.opening.is_some() {
            crate::contact::first_contact::first_body_len(encrypted)
        } else {
            encrypted
        }
    }

    fn encrypt(&mut self, message: &mut ComposedMessage) -> Result<(), RatchetError> {
        let acks = self.incoming.acks();
        let bind = self.bind(self.role);
        let inner = InnerMessage::encode(message.number, acks, &bind, &message.parts);
        message.is_first = !self.ratchet.is_answered();
        (message.encrypted, message.position) = self.ratchet.encrypt(&inner)?;
        self.outgoing
            .note_encrypted(message.number, message.position);
        Ok(())
    }

    /// Encrypts a message at its first attempt, and again if the peer may no longer have the key for it or
    /// if a shorter form will do now. The number stays, so that the message counts once.
    ///
    /// A message waits while the ratchet of the peer could not keep the keys of those before it that are
    /// still tried. It waits for an answer: any message of the peer that follows one of them begins a chain.
    pub(super) fn refresh(
        &mut self,
        unix: UnixSecs,
        message: &mut ComposedMessage,
    ) -> Result<(), AttemptRefusal> {
        let now = self.ratchet.position();
        let chains = now.chain.saturating_sub(message.position.chain);
        let is_current = !message.encrypted.is_empty()
            && chains < STALE_CHAINS
            && !(message.is_first && self.ratchet.is_answered());
        if is_current {
            return Ok(());
        }
        let oldest = self.outgoing.oldest_on(now.chain).unwrap_or(now.index);
        if now.index.saturating_sub(oldest) >= MAX_SKIPPED_MESSAGES {
            return Err(AttemptRefusal::wait(unix));
        }
        Ok(self.encrypt(message)?)
    }

    /// Binds the plaintext of a direction to the conversation.
    pub(super) fn bind(&self, direction: Direction) -> [u8; 16] {
        let hash = hash(Label::CONV_BIND, &[&self.id.0, &[direction.byte()]]);
        *circuits::bytes::part::<0, 16, 32>(&hash)
    }
}
