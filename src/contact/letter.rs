//! Letters: contact for a source that stores nothing but twelve words.
//!
//! Every letter is a first message. The source derives keys of its own for each reader from the seed of its
//! words, and sends them in its first letter, inside the box. Replies are first messages to these keys.
//! Letters name each other by random numbers; a letter states which letters its sender has seen. From the
//! source to the reader, erased generations give forward secrecy; from the reader to the source there is
//! none against the words.
//!
//! Nothing here is stored or sent. The keys of a source must not reach a disk.

use core::fmt;

use circuits::bytes::{ByteReader, Truncated};
use hmac::{Hmac, KeyInit, Mac};
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::codec::{BadState, StateReader, StateWriter};
use super::elligator::OuterSecret;
use super::first_contact::{FirstBox, Tau};
use super::id::ContactId;
use super::kdf::{Key32, Label, expand, extract, hash};
use super::key_block::{BadKeyBlock, KeyBlock};
use super::scan::FirstRecipient;
use super::x_wing::{XWingPublic, XWingSecret};

/// What a source derives from its words.
pub struct LetterRoot(Key32);

impl LetterRoot {
    /// The root of a BIP-39 seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 64]) -> Self {
        Self(extract(Label::LETTER_SALT, &[seed]))
    }

    /// The seed by which a node of this source chooses its guards, so that each session has the same
    /// (spec M1).
    #[must_use]
    pub fn guard_seed(&self) -> Zeroizing<[u8; 16]> {
        expand::<16>(&self.0, Label::LETTER_GUARD, &[])
    }

    /// The keys of the source for one reader. Two readers cannot tell that they have the same source.
    ///
    /// # Errors
    ///
    /// [`BadKeyBlock`] never, as derived keys are in the prime-order subgroup.
    pub fn for_reader(&self, reader: &ContactId) -> Result<LetterSource, BadKeyBlock> {
        let key = |label| expand::<32>(&self.0, label, &[&reader.0]);
        let outer = OuterSecret::from_bytes(&key(Label::LETTER_X25519));
        let x_wing = XWingSecret::from_seed(key(Label::LETTER_X_WING));
        let address =
            LetterAddress::new(*outer.public(), x_wing.public(), key(Label::LETTER_AUTH))?;
        Ok(LetterSource {
            outer,
            x_wing,
            address,
        })
    }
}

impl fmt::Debug for LetterRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LetterRoot(..)")
    }
}

/// The keys of a source for one reader.
pub struct LetterSource {
    outer: OuterSecret,
    x_wing: XWingSecret,
    address: LetterAddress,
}

impl LetterSource {
    /// What the reader knows of the source.
    #[must_use]
    pub const fn address(&self) -> &LetterAddress {
        &self.address
    }

    /// The keys with which replies are opened.
    #[must_use]
    pub fn recipient(self) -> FirstRecipient {
        let kappa = self.address.block.kappa();
        FirstRecipient::new(self.address.reply_id, kappa, self.outer, self.x_wing)
    }
}

impl fmt::Debug for LetterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LetterSource(..)")
    }
}

/// Identifies a source to one reader.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LetterSourceId(pub [u8; 16]);

impl fmt::Debug for LetterSourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LetterSourceId(..)")
    }
}

/// What a reader knows of a source: the keys to which replies are sealed, and the key that authenticates
/// letters both ways.
pub struct LetterAddress {
    id: LetterSourceId,
    reply_id: ContactId,
    block: KeyBlock,
    auth: Key32,
}

impl LetterAddress {
    fn new(outer: [u8; 32], x_wing: XWingPublic, auth: Key32) -> Result<Self, BadKeyBlock> {
        let public: [&[u8]; 2] = [&outer, x_wing.as_bytes()];
        let reply_id = ContactId(hash(Label::LETTER_TO, &public));
        let [outer_part, x_wing_part] = public;
        let digest = hash(
            Label::LETTER_ID,
            &[outer_part, x_wing_part, auth.as_slice()],
        );
        let mut id = [0; 16];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Ok(Self {
            id: LetterSourceId(id),
            reply_id,
            block: KeyBlock::of_letters(outer, x_wing)?,
            auth,
        })
    }

    /// The identifier of the source.
    #[must_use]
    pub const fn id(&self) -> LetterSourceId {
        self.id
    }

    /// What stands for the id of the source in replies to it.
    #[must_use]
    pub const fn reply_id(&self) -> &ContactId {
        &self.reply_id
    }

    /// The keys to which replies are sealed.
    #[must_use]
    pub const fn block(&self) -> &KeyBlock {
        &self.block
    }

    /// Encodes the address for the state of the reader.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut record = StateWriter::new(VERSION);
        record.array(self.block.outer());
        record.array(self.block.x_wing().as_bytes());
        record.array(self.auth.as_slice());
        record.finish()
    }

    /// Reads a stored address.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the bytes are not those of an address.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut record = StateReader::new(bytes, VERSION)?;
        let bad = BadState::Field("keys of a source of letters");
        let outer = record.array()?;
        let x_wing = XWingPublic::decode(&record.array()?).map_err(|_| bad)?;
        let auth = record.key()?;
        record.finish()?;
        Self::new(outer, x_wing, auth).map_err(|_| bad)
    }

    fn mac(&self, way: LetterWay, tau: &Tau, letter: &Letter) -> Option<Hmac<Sha256>> {
        let key = expand::<32>(&self.auth, Label::LETTER_MAC, &[&[way.byte()]]);
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).ok()?;
        mac.update(&tau.0);
        mac.update(&self.id.0);
        mac.update(&letter.number.0);
        mac.update(&letter.tail());
        Some(mac)
    }
}

impl fmt::Debug for LetterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LetterAddress(..)")
    }
}

/// The direction of a letter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LetterWay {
    /// From the source to the reader.
    ToReader,
    /// From the reader to the source.
    ToSource,
}

impl LetterWay {
    const fn byte(self) -> u8 {
        match self {
            Self::ToReader => 0,
            Self::ToSource => 1,
        }
    }
}

/// The random number of a letter. A letter that is sent again keeps it.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LetterNumber(pub [u8; 8]);

impl LetterNumber {
    /// Draws the number of a new letter.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        let mut number = [0; 8];
        rng.fill_bytes(&mut number);
        Self(number)
    }
}

impl fmt::Debug for LetterNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LetterNumber(..)")
    }
}

/// A letter.
#[derive(Eq, PartialEq)]
pub struct Letter {
    /// Its number.
    pub number: LetterNumber,
    /// Numbers of letters of the other end that its sender has seen, at most 255.
    pub seen: Vec<LetterNumber>,
    /// The text.
    pub text: Zeroizing<Vec<u8>>,
}

impl Letter {
    /// Encodes the first letter of a source, with its keys: mode 2.
    #[must_use]
    pub fn encode_with_keys(&self, address: &LetterAddress) -> Zeroizing<Vec<u8>> {
        let parts: [&[u8]; 5] = [
            address.block.outer(),
            address.block.x_wing().as_bytes(),
            address.auth.as_slice(),
            &self.number.0,
            &self.tail(),
        ];
        Zeroizing::new(parts.concat())
    }

    /// Decodes the first letter of a source. What the keys are proves nothing about who sent them.
    ///
    /// # Errors
    ///
    /// [`LetterError`] names the rule that the content breaks.
    pub fn decode_with_keys(content: &[u8]) -> Result<(LetterAddress, Self), LetterError> {
        let mut fields = ByteReader::new(content);
        let outer = fields.array()?;
        let x_wing = XWingPublic::decode(&fields.array()?).map_err(|_| LetterError::Keys)?;
        let auth = Zeroizing::new(fields.array()?);
        let address = LetterAddress::new(outer, x_wing, auth).map_err(|_| LetterError::Keys)?;
        let number = LetterNumber(fields.array()?);
        Ok((address, Self::read(number, fields)?))
    }

    /// Encodes a letter between a source and a reader who know each other: mode 3 or 4. The code binds it to
    /// the box that it travels in.
    ///
    /// # Errors
    ///
    /// [`LetterError::Forged`] never, as every key is long enough.
    pub fn encode(
        &self,
        address: &LetterAddress,
        way: LetterWay,
        within: &FirstBox,
    ) -> Result<Zeroizing<Vec<u8>>, LetterError> {
        let mac = address.mac(way, within.tau(), self);
        let mac = mac.ok_or(LetterError::Forged)?.finalize().into_bytes();
        let parts: [&[u8]; 4] = [&address.id.0, &self.number.0, &mac, &self.tail()];
        Ok(Zeroizing::new(parts.concat()))
    }

    /// The source that a letter of mode 3 or 4 names.
    ///
    /// # Errors
    ///
    /// [`LetterError::Length`] if the content is too short.
    pub fn source_of(content: &[u8]) -> Result<LetterSourceId, LetterError> {
        Ok(LetterSourceId(ByteReader::new(content).array()?))
    }

    /// Decodes a letter of mode 3 or 4.
    ///
    /// # Errors
    ///
    /// [`LetterError`] names the rule that the content breaks.
    pub fn decode(
        content: &[u8],
        address: &LetterAddress,
        way: LetterWay,
        tau: &Tau,
    ) -> Result<Self, LetterError> {
        let mut fields = ByteReader::new(content);
        if LetterSourceId(fields.array()?) != address.id {
            return Err(LetterError::OtherSource);
        }
        let number = LetterNumber(fields.array()?);
        let code: [u8; 32] = fields.array()?;
        let letter = Self::read(number, fields)?;
        let mac = address.mac(way, tau, &letter).ok_or(LetterError::Forged)?;
        mac.verify_slice(&code).map_err(|_| LetterError::Forged)?;
        Ok(letter)
    }

    fn read(number: LetterNumber, mut fields: ByteReader<'_>) -> Result<Self, LetterError> {
        let count = fields.u8()?;
        let seen = (0..count).map(|_| fields.array().map(LetterNumber));
        let seen = seen.collect::<Result<_, _>>()?;
        Ok(Self {
            number,
            seen,
            text: Zeroizing::new(fields.rest().to_vec()),
        })
    }

    /// `n 1 | seen 8n | text`. Only the newest 255 numbers fit.
    fn tail(&self) -> Zeroizing<Vec<u8>> {
        let skipped = self.seen.len().saturating_sub(MAX_SEEN);
        let seen: Vec<[u8; 8]> = self.seen.iter().skip(skipped).map(|one| one.0).collect();
        let count = u8::try_from(seen.len()).unwrap_or(u8::MAX);
        let parts: [&[u8]; 3] = [&[count], &seen.concat(), &self.text];
        Zeroizing::new(parts.concat())
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Letter(..)")
    }
}

/// Reason why a content is not a letter.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LetterError {
    /// The authentication code is that of another letter, box, source or direction.
    #[error("the authentication code of a letter is wrong")]
    Forged,
    /// A key of the source is refused.
    #[error("a key of a source of letters is not valid")]
    Keys,
    /// Bytes are missing.
    #[error("a letter does not have the length that it states")]
    Length,
    /// The letter names another source.
    #[error("a letter names another source")]
    OtherSource,
}

impl From<Truncated> for LetterError {
    fn from(_: Truncated) -> Self {
        Self::Length
    }
}

/// Bytes of a content of mode 2 beside the text, without seen numbers.
pub const LETTER_WITH_KEYS_OVERHEAD: usize = 32 + 1216 + 32 + 8 + 1;
/// Bytes of a content of mode 3 or 4 beside the text, without seen numbers of eight bytes each.
pub const LETTER_OVERHEAD: usize = 16 + 8 + 32 + 1;

/// Maximum number of seen letters that a letter states.
const MAX_SEEN: usize = 255;
const VERSION: u8 = 1;

#[cfg(test)]
mod tests;
