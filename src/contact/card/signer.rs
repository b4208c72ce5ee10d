//! The signing key of an address, which signs its cards.
//!
//! It is certified by the long-term key for 31 periods and replaced before they end, so cards can be signed
//! for two weeks ahead at any time. Its secret signs cards and nothing else.

use core::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{CARD_LEN, CardRank, CardTerms, MAX_CERTIFIED, SIGNED_LEN, SignedCard, VERSION, ZEROS};
use crate::contact::address_key::AddressKey;
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::id::{ContactId, Root};
use crate::contact::kdf::{Key32, Label};
use crate::contact::key_block::KeyBlock;
use crate::contact::period::Period;

/// A certified signing key. The secret is erased on drop.
pub struct CardSigner {
    seed: Key32,
    root: Root,
    from: Period,
    to: Period,
    certificate: [u8; 64],
}

impl fmt::Debug for CardSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardSigner(..)")
    }
}

impl CardSigner {
    /// Draws a signing key and certifies it from the period before today on.
    #[must_use]
    pub fn issue(rng: &mut impl CryptoRng, key: &AddressKey, today: Period) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut_slice());
        let (from, to) = (today.before(1), today.before(1).after(MAX_CERTIFIED));
        let public = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        Self {
            seed,
            root: key.root(),
            from,
            to,
            certificate: key.certify(&public, from.0, to.0),
        }
    }

    /// The id of the address.
    #[must_use]
    pub fn id(&self) -> ContactId {
        self.root.id()
    }

    /// Whether the key may sign cards for this period.
    #[must_use]
    pub fn covers(&self, period: Period) -> bool {
        self.from <= period && period <= self.to
    }

    /// Signs a card of a period.
    ///
    /// # Errors
    ///
    /// [`CardNotSigned`] if a reader would refuse the card: the certificate does not cover the period, the
    /// keys are of another generation, or the terms cannot be expressed.
    pub fn sign(
        &self,
        period: Period,
        rank: CardRank,
        block: &KeyBlock,
        terms: CardTerms,
    ) -> Result<SignedCard, CardNotSigned> {
        if !self.covers(period) || rank.serial > period {
            return Err(CardNotSigned::Period);
        }
        if block.generation() != period.generation().0 {
            return Err(CardNotSigned::Generation);
        }
        let terms = terms.encode().ok_or(CardNotSigned::Terms)?;
        let signing = SigningKey::from_bytes(&self.seed);
        let card = [
            &[VERSION][..],
            &self.root.to_bytes(),
            &period.0.to_be_bytes(),
            &rank.serial.0.to_be_bytes(),
            &[rank.revision],
            &signing.verifying_key().to_bytes(),
            &self.from.0.to_be_bytes(),
            &self.to.0.to_be_bytes(),
            &self.certificate,
            &block.to_bytes(),
            &terms,
            &[0; ZEROS],
        ]
        .concat();
        debug_assert_eq!(card.len(), SIGNED_LEN);
        let signed = [Label::CARD_SIG.bytes(), &card].concat();
        let signature = signing.sign(&signed).to_bytes();
        let card = [card, signature.to_vec()].concat();
        debug_assert_eq!(card.len(), CARD_LEN);
        SignedCard::from_bytes(&card).map_err(|_| CardNotSigned::Terms)
    }

    /// The record of the state.
    pub fn write(&self, writer: &mut StateWriter) {
        writer.array(self.seed.as_slice());
        writer.array(&self.root.to_bytes());
        writer.u32(self.from.0);
        writer.u32(self.to.0);
        writer.array(&self.certificate);
    }

    /// Reads the record of the state.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the record is damaged.
    pub fn read(reader: &mut StateReader<'_>) -> Result<Self, BadState> {
        Ok(Self {
            seed: reader.key()?,
            root: Root::from_bytes(&reader.array()?).map_err(|_| BadState::Field("root"))?,
            from: Period(reader.u32()?),
            to: Period(reader.u32()?),
            certificate: reader.array()?,
        })
    }
}

#[cfg(test)]
impl CardSigner {
    /// Signs a card again whose bytes a test has changed.
    pub(super) fn sign_bytes(&self, card: &mut [u8; CARD_LEN]) {
        let signing = SigningKey::from_bytes(&self.seed);
        let signed = [Label::CARD_SIG.bytes(), &card[..SIGNED_LEN]].concat();
        card[SIGNED_LEN..].copy_from_slice(&signing.sign(&signed).to_bytes());
    }
}

/// Why a card cannot be signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CardNotSigned {
    /// The certificate does not cover the period, or the card would be made after it.
    #[error("the signing key is not certified for this period")]
    Period,
    /// The keys are of another generation.
    #[error("the keys are not of the generation of this period")]
    Generation,
    /// The terms cannot be expressed.
    #[error("a card can ask for normal, hush or dark, and for a ticket of 0 to 28 bits")]
    Terms,
}
