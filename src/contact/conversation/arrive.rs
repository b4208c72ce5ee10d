//! What arrives: steps and first messages, deduplicated by number, with what they acknowledge.

use circuits::time::UnixSecs;
use rand_core::CryptoRng;

use super::numbers::Noted;
use super::{Conversation, ConversationState};
use crate::contact::epoch::{ConversationEpoch, EpochSecret};
use crate::contact::parts::{InnerError, InnerMessage, Part};
use crate::contact::ratchet::RatchetError;
use crate::contact::watched::StepRef;

/// What arrived.
#[derive(Debug)]
pub struct Arrived {
    /// What it is for the user.
    pub outcome: ArrivalOutcome,
    /// Numbers of our messages that it answers.
    pub answered: Vec<u64>,
    /// Whether the conversation became open by it.
    pub has_opened: bool,
}

/// What an arrived message is for the user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ArrivalOutcome {
    /// A new message.
    Message {
        /// Its number.
        number: u64,
        /// Its parts, without those of the conversation itself.
        parts: Vec<Part>,
    },
    /// It has come before, or more were skipped than the ratchet keeps keys for. No event.
    Duplicate,
    /// The other end was restored from an older state, and asks for a renewal.
    RenewalAsked,
    /// The ratchet refuses it. The envelope was authentic, so the peer is at fault or was restored.
    Refused(RatchetError),
    /// It is authentic, and cannot be read.
    Unreadable(InnerError),
}

/// The envelope is not awaited: it is a repetition, or its time is over. Nothing has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the step is not awaited")]
pub struct NotAwaited;

impl Conversation {
    /// Takes the body of an awaited step, once all of it has come. `resync` is the index that the plaintext
    /// named, if it did.
    ///
    /// # Errors
    ///
    /// [`NotAwaited`] if the step was used before.
    pub fn arrived(
        &mut self,
        rng: &mut impl CryptoRng,
        unix: UnixSecs,
        at: StepRef,
        resync: Option<u32>,
        body: &[u8],
    ) -> Result<Arrived, NotAwaited> {
        if self.state == ConversationState::Asked {
            return Err(NotAwaited);
        }
        let epoch = self.epoch_mut(at.epoch).ok_or(NotAwaited)?;
        if !epoch.consume(unix, at, resync) {
            return Err(NotAwaited);
        }
        self.note_epoch(unix, at.epoch);
        if body.is_empty() && resync.is_some() {
            return Ok(Arrived::of(ArrivalOutcome::RenewalAsked));
        }
        Ok(self.decrypt(rng, unix, body))
    }

    /// Takes the content of a further first message of this conversation.
    pub fn arrived_first(
        &mut self,
        rng: &mut impl CryptoRng,
        unix: UnixSecs,
        content: &[u8],
    ) -> Arrived {
        self.decrypt(rng, unix, content)
    }

    fn decrypt(&mut self, rng: &mut impl CryptoRng, unix: UnixSecs, message: &[u8]) -> Arrived {
        match self.ratchet.decrypt(message) {
            Ok(text) => self.take_in(rng, unix, &text),
            Err(RatchetError::KeyGone) => Arrived::of(ArrivalOutcome::Duplicate),
            Err(error) => Arrived::of(ArrivalOutcome::Refused(error)),
        }
    }

    /// Takes the decrypted text of a message.
    pub(super) fn take_in(
        &mut self,
        rng: &mut impl CryptoRng,
        unix: UnixSecs,
        text: &[u8],
    ) -> Arrived {
        let bind = self.bind(self.role.reverse());
        let message = match InnerMessage::decode(text, &bind) {
            Ok(message) => message,
            Err(error) => return Arrived::of(ArrivalOutcome::Unreadable(error)),
        };
        let has_opened = self.note_answer();
        let given_up = message.parts.iter().find_map(|part| match part {
            Part::GivenUp(below) => Some(*below),
            _ => None,
        });
        let noted = self.incoming.note(message.number, given_up);
        if noted == Noted::OutOfRange {
            return Arrived::of(ArrivalOutcome::Unreadable(InnerError::Number));
        }
        let also: Vec<u64> = message.parts.iter().flat_map(also_came).copied().collect();
        let answered = self.outgoing.acknowledge(message.acks, &also);
        for chain in self
            .epochs
            .iter_mut()
            .filter_map(ConversationEpoch::send_mut)
        {
            chain.acknowledge(|number| message.acks.contains(number) || also.contains(&number));
        }
        let outcome = match noted {
            Noted::New => {
                self.rekey.note_message();
                ArrivalOutcome::Message {
                    number: message.number,
                    parts: self.take_parts(rng, unix, message.parts),
                }
            }
            _ => ArrivalOutcome::Duplicate,
        };
        Arrived {
            outcome,
            answered,
            has_opened,
        }
    }

    /// Anything that comes back shows that the reader has the first message: the keys for it are erased.
    fn note_answer(&mut self) -> bool {
        if self.opening.take().is_some() {
            self.first_box = None;
        }
        let has_opened = self.state == ConversationState::Opening;
        if has_opened {
            self.state = ConversationState::Open;
        }
        has_opened
    }

    /// Acts on the parts that are the conversation's own, and returns the others.
    pub(super) fn take_parts(
        &mut self,
        rng: &mut impl CryptoRng,
        unix: UnixSecs,
        parts: Vec<Part>,
    ) -> Vec<Part> {
        let mut others = Vec::new();
        for part in parts {
            match part {
                Part::Offer(offer) => {
                    if let Some((number, secret)) = self.rekey.on_offer(rng, self.role, &offer) {
                        self.add_epoch(unix, number, &secret);
                    }
                }
                Part::Accept(accept) => {
                    if let Some((number, secret)) = self.rekey.on_accept(unix, &accept) {
                        self.add_epoch(unix, number, &secret);
                        self.send_in(number);
                    }
                }
                Part::GivenUp(_) | Part::AlsoCame(_) => {}
                Part::Goodbye => {
                    self.close(unix);
                    others.push(part);
                }
                _ => others.push(part),
            }
        }
        others
    }

    fn add_epoch(&mut self, unix: UnixSecs, number: u16, secret: &EpochSecret) {
        self.epochs
            .push(ConversationEpoch::start(number, secret, self.role, unix));
    }

    /// Sends in an epoch from now on; the chains on which this end sent before are erased.
    fn send_in(&mut self, number: u16) {
        self.send_epoch = number;
        for epoch in &mut self.epochs {
            if epoch.number() < number {
                epoch.stop_sending();
            }
        }
    }

    /// The peer sends in an epoch: older ones end when their envelopes have expired, and this end follows.
    fn note_epoch(&mut self, unix: UnixSecs, number: u16) {
        for epoch in &mut self.epochs {
            if epoch.number() < number {
                epoch.retire(unix);
            }
        }
        if number > 0 && !self.is_initiator() {
            self.first_box = None;
        }
        if number > self.send_epoch {
            self.send_in(number);
            self.rekey.on_epoch_used(unix);
        }
    }
}

fn also_came(part: &Part) -> &[u64] {
    match part {
        Part::AlsoCame(numbers) => numbers,
        _ => &[],
    }
}

impl Arrived {
    const fn of(outcome: ArrivalOutcome) -> Self {
        Self {
            outcome,
            answered: Vec::new(),
            has_opened: false,
        }
    }
}
