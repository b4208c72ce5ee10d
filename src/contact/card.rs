//! Cards: the keys and terms under which an address is reached in one period, signed by its owner.
//!
//! A card is 1,604 bytes. The long-term key of the address certifies a signing key for at most 31 periods,
//! and the signing key signs the cards, so the long-term key can be offline. A card travels as an envelope
//! like any other: its topic and key follow from the id and the period ([`key`]), so only those who have the
//! address can find or open it, and the cards of two periods have nothing in common.
//!
//! A [`VerifiedCard`] is the proof that a card is of the owner of an id, for a period, with keys that can be
//! used. Nothing else may be encrypted to. This module does not decide which of several cards is used in
//! the end, beyond comparing two ([`VerifiedCard::replaces`]).

pub mod file;
pub mod key;
pub mod search;
pub mod signer;

use core::fmt;

use circuits::bytes::ByteReader;
use circuits::level::Level;
use circuits::time::UnixSecs;
use ed25519_dalek::{Signature, VerifyingKey};

use super::address_key::certified_bytes;
use super::id::{ContactId, Root};
use super::kdf::Label;
use super::key_block::{BadKeyBlock, KEY_BLOCK_LEN, KeyBlock};
use super::period::Period;

/// Length of a card, in bytes.
pub const CARD_LEN: usize = 1_604;

/// Maximum number of periods from the first to the last of a certificate.
pub const MAX_CERTIFIED: u32 = 31;

/// What the owner of a card asks of messages to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CardTerms {
    /// Least privacy level: normal, hush or dark.
    pub least_level: Level,
    /// Bits of the inner ticket of a first message, at most [`MAX_TICKET_BITS`].
    pub ticket_bits: u8,
    /// Whether the owner accepts letters.
    pub letters: bool,
    /// Whether the owner accepts files.
    pub files: bool,
}

/// Maximum number of bits of an inner ticket: about four minutes of a core.
pub const MAX_TICKET_BITS: u8 = 28;

impl Default for CardTerms {
    fn default() -> Self {
        Self {
            least_level: Level::Normal,
            ticket_bits: DEFAULT_TICKET_BITS,
            // This node does not read letters yet.
            letters: false,
            files: false,
        }
    }
}

/// A sixteenth of a second of a core.
const DEFAULT_TICKET_BITS: u8 = 16;

impl CardTerms {
    /// The three bytes in a card: level, bits, flags. `None` if the terms cannot be expressed.
    #[must_use]
    pub fn encode(self) -> Option<[u8; 3]> {
        let level = LEVELS
            .iter()
            .find(|(_, level)| *level == self.least_level)?
            .0;
        let flags = u8::from(self.letters) | (u8::from(self.files) << 1);
        (self.ticket_bits <= MAX_TICKET_BITS).then_some([level, self.ticket_bits, flags])
    }

    /// Reads the three bytes.
    ///
    /// # Errors
    ///
    /// [`CardError`] if the level, the number of bits or a flag is unknown.
    pub fn decode([level, ticket_bits, flags]: [u8; 3]) -> Result<Self, CardError> {
        let known = LEVELS.iter().find(|(code, _)| *code == level);
        let (_, least_level) = known.ok_or(CardError::Level(level))?;
        if ticket_bits > MAX_TICKET_BITS {
            return Err(CardError::TicketBits(ticket_bits));
        }
        if flags & !KNOWN_FLAGS != 0 {
            return Err(CardError::Flags(flags));
        }
        Ok(Self {
            least_level: *least_level,
            ticket_bits,
            letters: flags & 1 != 0,
            files: flags & 2 != 0,
        })
    }
}

const LEVELS: [(u8, Level); 3] = [(2, Level::Normal), (3, Level::Hush), (4, Level::Dark)];
const KNOWN_FLAGS: u8 = 3;

/// The bytes of a card that claims to be signed.
#[derive(Clone, Eq, PartialEq)]
pub struct SignedCard(Box<[u8; CARD_LEN]>);

impl fmt::Debug for SignedCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedCard(..)")
    }
}

impl SignedCard {
    /// A card as bytes.
    ///
    /// # Errors
    ///
    /// [`CardError::Length`] if these are not 1,604 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CardError> {
        let bytes =
            <[u8; CARD_LEN]>::try_from(bytes).map_err(|_| CardError::Length(bytes.len()))?;
        Ok(Self(Box::new(bytes)))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; CARD_LEN] {
        &self.0
    }

    /// The period that the card claims to be for.
    #[must_use]
    pub fn claimed_period(&self) -> Option<Period> {
        let mut fields = ByteReader::new(&*self.0);
        let _before = fields.take(PERIOD_AT).ok()?;
        fields.u32().ok().map(Period)
    }

    /// Checks everything that makes the card usable to write to the owner of `id`, in the order of cost:
    /// about 0.13 ms for a good card.
    ///
    /// # Errors
    ///
    /// [`CardError`] names the first rule that the card breaks.
    pub fn verify(self, id: &ContactId, period: Period) -> Result<VerifiedCard, CardError> {
        let fields = CardFields::read(&self.0)?;
        fields.check_claims(id, period)?;
        let terms = CardTerms::decode(fields.terms)?;
        self.check_signatures(&fields, id)?;
        let block = KeyBlock::decode(&fields.block).map_err(CardError::Keys)?;
        Ok(VerifiedCard {
            id: *id,
            period,
            rank: CardRank {
                serial: fields.serial,
                revision: fields.revision,
            },
            block,
            terms,
            card: self,
        })
    }

    fn check_signatures(&self, fields: &CardFields, id: &ContactId) -> Result<(), CardError> {
        let certified = certified_bytes(id, &fields.signing_key, fields.from.0, fields.to.0);
        let identity = VerifyingKey::from_bytes(&fields.root.identity_key);
        identity
            .and_then(|key| {
                key.verify_strict(&certified, &Signature::from_bytes(&fields.certificate))
            })
            .map_err(|_| CardError::Certificate)?;
        let (signed, _) = self.0.split_at(SIGNED_LEN);
        let signed = [Label::CARD_SIG.bytes(), signed].concat();
        let signing = VerifyingKey::from_bytes(&fields.signing_key);
        signing
            .and_then(|key| key.verify_strict(&signed, &Signature::from_bytes(&fields.signature)))
            .map_err(|_| CardError::Signature)
    }
}

/// Bytes before the period.
const PERIOD_AT: usize = 1 + Root::LEN;
/// Bytes that the signature covers.
const SIGNED_LEN: usize = CARD_LEN - 64;
const VERSION: u8 = 1;
const ZEROS: usize = 8;

/// The fields of a card, none of them checked but version and zeros.
struct CardFields {
    root: Root,
    period: Period,
    serial: Period,
    revision: u8,
    signing_key: [u8; 32],
    from: Period,
    to: Period,
    certificate: [u8; 64],
    block: [u8; KEY_BLOCK_LEN],
    terms: [u8; 3],
    signature: [u8; 64],
}

impl CardFields {
    fn read(card: &[u8; CARD_LEN]) -> Result<Self, CardError> {
        let short = |_| CardError::Length(CARD_LEN);
        let mut reader = ByteReader::new(card);
        let version = reader.u8().map_err(short)?;
        if version != VERSION {
            return Err(CardError::Version(version));
        }
        let root = reader.array().map_err(short)?;
        let fields = Self {
            root: Root::from_bytes(&root).map_err(|_| CardError::Root)?,
            period: Period(reader.u32().map_err(short)?),
            serial: Period(reader.u32().map_err(short)?),
            revision: reader.u8().map_err(short)?,
            signing_key: reader.array().map_err(short)?,
            from: Period(reader.u32().map_err(short)?),
            to: Period(reader.u32().map_err(short)?),
            certificate: reader.array().map_err(short)?,
            block: reader.array().map_err(short)?,
            terms: reader.array().map_err(short)?,
            signature: {
                if reader.array().map_err(short)? != [0; ZEROS] {
                    return Err(CardError::Zeros);
                }
                reader.array().map_err(short)?
            },
        };
        reader.finish().map_err(|_| CardError::Length(CARD_LEN))?;
        Ok(fields)
    }

    /// Whether the card is for this id and period, and says nothing that contradicts itself.
    fn check_claims(&self, id: &ContactId, period: Period) -> Result<(), CardError> {
        if self.root.id() != *id {
            return Err(CardError::OtherId);
        }
        if self.period != period {
            return Err(CardError::OtherPeriod);
        }
        let [a, b, c, d, ..] = self.block;
        if u32::from_be_bytes([a, b, c, d]) != period.generation().0 {
            return Err(CardError::Generation);
        }
        let certified = self.to.0.checked_sub(self.from.0);
        if certified.is_none_or(|periods| periods > MAX_CERTIFIED) {
            return Err(CardError::CertifiedPeriods);
        }
        if period < self.from || self.to < period {
            return Err(CardError::NotCertified);
        }
        if self.serial > period {
            return Err(CardError::Serial);
        }
        Ok(())
    }
}

/// Which of two cards of one owner is newer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CardRank {
    /// The period in which the card was made.
    pub serial: Period,
    /// Its number among the cards of changed terms that were made in that period, from 0.
    pub revision: u8,
}

/// A card that passed every check of [`SignedCard::verify`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedCard {
    id: ContactId,
    period: Period,
    rank: CardRank,
    block: KeyBlock,
    terms: CardTerms,
    card: SignedCard,
}

impl VerifiedCard {
    /// The id of its owner.
    #[must_use]
    pub const fn id(&self) -> &ContactId {
        &self.id
    }

    /// The period that it is for.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    /// When it was made.
    #[must_use]
    pub const fn rank(&self) -> CardRank {
        self.rank
    }

    /// The keys to encrypt to.
    #[must_use]
    pub const fn block(&self) -> &KeyBlock {
        &self.block
    }

    /// What its owner asks for.
    #[must_use]
    pub const fn terms(&self) -> CardTerms {
        self.terms
    }

    /// Its bytes, to keep it. They are verified again when they are read.
    #[must_use]
    pub const fn card(&self) -> &SignedCard {
        &self.card
    }

    /// Whether a first message may be encrypted to it now: until a period after its own has ended, as its
    /// owner may have erased the keys of an older one. A card for more than one period ahead is not used:
    /// one of the two clocks is wrong.
    #[must_use]
    pub fn is_current(&self, now: UnixSecs) -> bool {
        let today = Period::at(&self.id, now);
        today.acceptable().any(|period| period == self.period)
    }

    /// When it ceases to be current.
    #[must_use]
    pub fn ends(&self) -> UnixSecs {
        self.period.after(2).begin(&self.id)
    }

    /// Whether it is used in place of another card of the same owner: the newer one is, and of two that
    /// were made together, the one whose period is nearest. An older card never replaces a newer one, so a
    /// replayed card cannot bring back old keys.
    #[must_use]
    pub fn replaces(&self, other: &Self, now: UnixSecs) -> bool {
        let today = Period::at(&self.id, now);
        let distance = |card: &Self| card.period.0.abs_diff(today.0);
        match self.rank.cmp(&other.rank) {
            core::cmp::Ordering::Greater => true,
            core::cmp::Ordering::Equal => distance(self) < distance(other),
            core::cmp::Ordering::Less => false,
        }
    }
}

/// The rule that a card breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CardError {
    /// The length is not that of a card, or of the data of an envelope with one.
    #[error("a card has {CARD_LEN} bytes; this has {0}")]
    Length(usize),
    /// The data do not decrypt under the key of the period.
    #[error("not encrypted under the key of this address and period")]
    NotDecrypted,
    /// Unknown version.
    #[error("version {0} of cards is not supported; this program reads version 1")]
    Version(u8),
    /// A byte that must be zero is not.
    #[error("the card has a byte that must be zero and is not")]
    Zeros,
    /// The root is malformed.
    #[error("the root in the card is not of version 1")]
    Root,
    /// The root has another id.
    #[error("the card is of another address")]
    OtherId,
    /// The card is for another period than its envelope.
    #[error("the card is for another period than its envelope")]
    OtherPeriod,
    /// The keys are not of the generation of the period.
    #[error("the keys of the card are of another generation than its period")]
    Generation,
    /// The certificate covers too many periods, or none.
    #[error("the certificate of the card does not cover 1 to {MAX_CERTIFIED} periods in order")]
    CertifiedPeriods,
    /// The certificate does not cover the period.
    #[error("the period of the card is not within its certificate")]
    NotCertified,
    /// The card claims to be made after its period.
    #[error("the card was made after its period")]
    Serial,
    /// Unknown level.
    #[error("the card asks for level {0}; 2, 3 and 4 are known")]
    Level(u8),
    /// Too many bits of the ticket.
    #[error("the card asks for a ticket of {0} bits; the maximum is {MAX_TICKET_BITS}")]
    TicketBits(u8),
    /// Unknown flag.
    #[error("the card has unknown flags ({0:#04x})")]
    Flags(u8),
    /// The signature of the certificate is wrong.
    #[error("the signing key of the card is not certified by the address")]
    Certificate,
    /// The signature of the card is wrong.
    #[error("the card is not signed by its signing key")]
    Signature,
    /// A key cannot be used.
    #[error(transparent)]
    Keys(BadKeyBlock),
}

#[cfg(test)]
mod tests;
