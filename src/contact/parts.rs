//! What stands inside the ratchet: number, acknowledgements, and the parts of a message.
//!
//! `version 1 | flags 0 | number 8 | ack 8 | bitmap 4 | bind 16 | parts`, where a part is
//! `type 1 | len 4 | value`. Types below 128 that this version does not know are skipped; one above
//! reaches the user as [`Part::NeedsNewer`]. The bytes are authentic, but their author may be hostile:
//! texts are not yet fit for a terminal, and nothing here is believed.

use core::fmt;

use circuits::bytes::{ByteReader, Truncated};
use zeroize::Zeroizing;

use super::id::ContactId;
use super::kdf::Key32;
use super::x_wing::{X_WING_CIPHERTEXT_LEN, X_WING_PUBLIC_LEN};

mod codec;
#[cfg(test)]
mod tests;

/// The longest text of a message, in bytes.
pub const MAX_TEXT_LEN: usize = 65_332;
/// The longest name in an introduction, in bytes.
pub const MAX_INTRODUCED_NAME_LEN: usize = 64;
/// The longest note of an introduction, in bytes.
pub const MAX_INTRODUCED_NOTE_LEN: usize = 512;
/// The most numbers of a [`Part::AlsoCame`].
pub const MAX_ALSO_CAME: usize = 8;
/// The most parts that a message may have.
pub const MAX_PARTS: usize = 64;

/// Names a conversation: a hash of the transcript of its first contact and of the keys of its initiator.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConversationId(pub [u8; 32]);

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConversationId(..)")
    }
}

/// A part of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Part {
    /// Text.
    Text(String),
    /// The keys of the next epoch, offered. The conversation adds and consumes it.
    Offer(EpochOffer),
    /// The answer to an offer. The conversation adds and consumes it.
    Accept(EpochAccept),
    /// The sender claims this address. Unproven; the user compares it with what is known.
    Address(ContactId),
    /// An offer of a file, in the format of the hand-over.
    FileOffer(Vec<u8>),
    /// The answer to an offer of a file.
    FileAnswer(Vec<u8>),
    /// An introduction to a third person.
    Introduction(Introduction),
    /// The sender ends the conversation.
    Goodbye,
    /// A file that fits into the message.
    SmallFile {
        /// Its name, at most 255 bytes.
        name: String,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Proof that the sender also has an older conversation.
    Continuity(Continuity),
    /// All numbers below this one that have not come will not come. The conversation adds and consumes it.
    GivenUp(u64),
    /// Numbers that have come, too, beyond the bitmap; at most [`MAX_ALSO_CAME`]. The conversation adds and
    /// consumes it.
    AlsoCame(Vec<u64>),
    /// An offer of a talk line, in the format of the hand-over. A stored message has it without its bytes:
    /// they hold a secret.
    TalkOffer(Vec<u8>),
    /// The answer to an offer of a talk line.
    TalkAnswer(Vec<u8>),
    /// A part that a newer version of the program must read, with its type.
    NeedsNewer(u8),
}

/// The keys of the next epoch.
#[derive(Clone, Eq, PartialEq)]
pub struct EpochOffer {
    /// Number of the epoch.
    pub epoch: u16,
    /// X-Wing key to encapsulate to. Unchecked.
    pub key: Box<[u8; X_WING_PUBLIC_LEN]>,
    /// 32 bytes that enter the secret of the epoch.
    pub seed: Key32,
}

/// The answer to an offer.
#[derive(Clone, Eq, PartialEq)]
pub struct EpochAccept {
    /// Number of the epoch.
    pub epoch: u16,
    /// X-Wing ciphertext.
    pub ciphertext: Box<[u8; X_WING_CIPHERTEXT_LEN]>,
    /// 32 bytes that enter the secret of the epoch.
    pub seed: Key32,
}

impl fmt::Debug for EpochOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochOffer({})", self.epoch)
    }
}

impl fmt::Debug for EpochAccept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochAccept({})", self.epoch)
    }
}

/// An introduction: whom the sender says to know. Unsigned, so that it proves nothing to others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Introduction {
    /// The id in the address of the person.
    pub id: ContactId,
    /// The day of the introduction, in days since 1970.
    pub day: u32,
    /// How the sender says to know the address: 0 not said, 1 by voice, 2 in person.
    pub how: u8,
    /// A name, at most [`MAX_INTRODUCED_NAME_LEN`] bytes.
    pub name: String,
    /// A note, at most [`MAX_INTRODUCED_NOTE_LEN`] bytes.
    pub note: String,
}

/// Proof of an older conversation, made for one new conversation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Continuity {
    /// The older conversation.
    pub old: ConversationId,
    /// Authentication code under a secret of the older conversation.
    pub proof: [u8; 32],
}

/// What a message acknowledges.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Acks {
    /// All numbers up to this one have come, or were given up by their sender.
    pub up_to: u64,
    /// Bit `b`: number `up_to + 2 + b` has come. (`up_to + 1` has not.)
    pub beyond: u32,
}

impl Acks {
    /// Whether a number is acknowledged.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let bit = |distance: u64| {
            u32::try_from(distance)
                .ok()
                .and_then(|distance| self.beyond.checked_shr(distance))
                .is_some_and(|bits| bits & 1 == 1)
        };
        number <= self.up_to
            || number
                .checked_sub(self.up_to)
                .and_then(|above| above.checked_sub(2))
                .is_some_and(bit)
    }
}

/// The plaintext of one message of the ratchet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InnerMessage {
    /// Number of the message, from 1 in each direction.
    pub number: u64,
    /// What its sender has received.
    pub acks: Acks,
    /// The parts that this version knows, and [`Part::NeedsNewer`] for those that it must not ignore.
    pub parts: Vec<Part>,
}

/// Reason why a decrypted message cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InnerError {
    /// The version or a flag is unknown.
    #[error("the message is of an unknown version: it needs a newer version of this program")]
    Version,
    /// The message was made for another conversation or the other direction.
    #[error("the message belongs to another conversation")]
    OtherConversation,
    /// A field is cut off, too long, or not in its format.
    #[error("the message has an invalid field")]
    Field,
    /// The number is 0, or further ahead than an honest sender gets.
    #[error("the number of the message is out of range")]
    Number,
}

impl From<Truncated> for InnerError {
    fn from(_: Truncated) -> Self {
        Self::Field
    }
}

impl InnerMessage {
    /// Length of everything before the parts, in bytes.
    pub const HEAD_LEN: usize = 38;

    /// Encodes a message whose parts are encoded already.
    #[must_use]
    pub fn encode(
        number: u64,
        acks: Acks,
        bind: &[u8; 16],
        encoded_parts: &[u8],
    ) -> Zeroizing<Vec<u8>> {
        let head: [&[u8]; 6] = [
            &[VERSION, NO_FLAGS],
            &number.to_be_bytes(),
            &acks.up_to.to_be_bytes(),
            &acks.beyond.to_be_bytes(),
            bind,
            encoded_parts,
        ];
        Zeroizing::new(head.concat())
    }

    /// Decodes a message.
    ///
    /// # Errors
    ///
    /// [`InnerError`] names the first check that failed.
    pub fn decode(bytes: &[u8], bind: &[u8; 16]) -> Result<Self, InnerError> {
        let mut fields = ByteReader::new(bytes);
        if (fields.u8()?, fields.u8()?) != (VERSION, NO_FLAGS) {
            return Err(InnerError::Version);
        }
        let number = fields.u64()?;
        let acks = Acks {
            up_to: fields.u64()?,
            beyond: fields.u32()?,
        };
        if fields.array::<16>()? != *bind {
            return Err(InnerError::OtherConversation);
        }
        let parts = codec::decode_parts(fields.rest())?;
        Ok(Self {
            number,
            acks,
            parts,
        })
    }
}

impl Part {
    /// Encodes parts one after another.
    ///
    /// # Errors
    ///
    /// [`PartTooLong`] names the first part that exceeds its maximum.
    pub fn encode_all(parts: &[Self]) -> Result<Zeroizing<Vec<u8>>, PartTooLong> {
        codec::encode_parts(parts)
    }

    /// Decodes parts that [`encode_all`](Self::encode_all) encoded.
    ///
    /// # Errors
    ///
    /// [`InnerError`] if a part is not in its format.
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Self>, InnerError> {
        codec::decode_parts(bytes)
    }

    /// Whether only the conversation itself may add the part.
    #[must_use]
    pub const fn is_reserved(&self) -> bool {
        matches!(
            self,
            Self::Offer(_)
                | Self::Accept(_)
                | Self::GivenUp(_)
                | Self::AlsoCame(_)
                | Self::NeedsNewer(_)
        )
    }
}

/// A part exceeds its maximum.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a {what} of {len} bytes exceeds the maximum of {max}: shorten it")]
pub struct PartTooLong {
    /// What is too long.
    pub what: &'static str,
    /// Its length.
    pub len: usize,
    /// The maximum.
    pub max: usize,
}

const VERSION: u8 = 1;
const NO_FLAGS: u8 = 0;

/// Length of an encoded offer, with its head.
pub const OFFER_LEN: usize = PART_HEAD_LEN + 2 + X_WING_PUBLIC_LEN + 32;
/// Length of an encoded accept, with its head.
pub const ACCEPT_LEN: usize = PART_HEAD_LEN + 2 + X_WING_CIPHERTEXT_LEN + 32;
/// Length of an encoded [`Part::GivenUp`], with its head.
pub const GIVEN_UP_LEN: usize = PART_HEAD_LEN + 8;
/// Length of an encoded [`Part::AlsoCame`] of so many numbers, with its head.
#[must_use]
pub const fn also_came_len(numbers: usize) -> usize {
    PART_HEAD_LEN.saturating_add(numbers.saturating_mul(8))
}
/// Type and length before each part.
pub const PART_HEAD_LEN: usize = 5;
