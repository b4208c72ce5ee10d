//! The public keys of one generation, to which first messages are encrypted.
//!
//! `generation 4 | outer key 32 | Olm identity key 32 | Olm fallback key 32 | X-Wing key 1216`, as a card
//! contains it. Every key of a [`KeyBlock`] is checked (spec M6): canonical, in the prime-order subgroup, and
//! not the identity.

use circuits::bytes::ByteReader;
use circuits::keys::OnionPublic;

use super::kdf::{Label, hash};
use super::x_wing::{X_WING_PUBLIC_LEN, XWingPublic};

/// Length of an encoded block, in bytes.
pub const KEY_BLOCK_LEN: usize = 4 + 3 * 32 + X_WING_PUBLIC_LEN;

/// The public keys of one generation, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyBlock {
    generation: u32,
    outer: [u8; 32],
    olm_identity: [u8; 32],
    olm_fallback: [u8; 32],
    x_wing: XWingPublic,
}

/// The hash of a key block, which binds a first message to all its keys.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Kappa(pub [u8; 32]);

impl KeyBlock {
    /// A block of one's own keys.
    ///
    /// # Errors
    ///
    /// [`BadKeyBlock`] names the first key that a reader of the block would refuse.
    pub fn new(
        generation: u32,
        outer: [u8; 32],
        olm_identity: [u8; 32],
        olm_fallback: [u8; 32],
        x_wing: XWingPublic,
    ) -> Result<Self, BadKeyBlock> {
        check(&outer, BadKeyBlock::Outer)?;
        check(&olm_identity, BadKeyBlock::OlmIdentity)?;
        check(&olm_fallback, BadKeyBlock::OlmFallback)?;
        Ok(Self {
            generation,
            outer,
            olm_identity,
            olm_fallback,
            x_wing,
        })
    }

    /// The block of a source of letters: no generation, and zeros for the keys of Olm, which letters do
    /// not use.
    ///
    /// # Errors
    ///
    /// [`BadKeyBlock::Outer`] if the X25519 key is refused.
    pub fn of_letters(outer: [u8; 32], x_wing: XWingPublic) -> Result<Self, BadKeyBlock> {
        check(&outer, BadKeyBlock::Outer)?;
        Ok(Self {
            generation: 0,
            outer,
            olm_identity: [0; 32],
            olm_fallback: [0; 32],
            x_wing,
        })
    }

    /// Decodes a block.
    ///
    /// # Errors
    ///
    /// [`BadKeyBlock`] names the first key that is not canonical, has a component of low order, or does
    /// not decode.
    pub fn decode(bytes: &[u8; KEY_BLOCK_LEN]) -> Result<Self, BadKeyBlock> {
        let mut fields = ByteReader::new(bytes);
        let missing = |_| BadKeyBlock::XWing;
        let generation = fields.u32().map_err(missing)?;
        let outer = fields.array().map_err(missing)?;
        let olm_identity = fields.array().map_err(missing)?;
        let olm_fallback = fields.array().map_err(missing)?;
        let x_wing = fields.array().map_err(missing)?;
        let x_wing = XWingPublic::decode(&x_wing).map_err(|_| BadKeyBlock::XWing)?;
        Self::new(generation, outer, olm_identity, olm_fallback, x_wing)
    }

    /// Encodes the block.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [
            &self.generation.to_be_bytes()[..],
            &self.outer,
            &self.olm_identity,
            &self.olm_fallback,
            self.x_wing.as_bytes(),
        ]
        .concat()
    }

    /// The hash of the block.
    #[must_use]
    pub fn kappa(&self) -> Kappa {
        Kappa(hash(Label::FIRST_BLOCK, &[&self.to_bytes()]))
    }

    /// The generation.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The X25519 key of the outer layer.
    #[must_use]
    pub const fn outer(&self) -> &[u8; 32] {
        &self.outer
    }

    /// The Curve25519 identity key of Olm.
    #[must_use]
    pub const fn olm_identity(&self) -> &[u8; 32] {
        &self.olm_identity
    }

    /// The fallback key of Olm.
    #[must_use]
    pub const fn olm_fallback(&self) -> &[u8; 32] {
        &self.olm_fallback
    }

    /// The X-Wing key.
    #[must_use]
    pub const fn x_wing(&self) -> &XWingPublic {
        &self.x_wing
    }
}

/// Checks a key as that of a relay is checked: canonical, on the curve, in the prime-order subgroup, not
/// the identity.
fn check(key: &[u8; 32], error: BadKeyBlock) -> Result<(), BadKeyBlock> {
    OnionPublic::check(*key).map(|_| ()).map_err(|_| error)
}

/// The key of a block that is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadKeyBlock {
    /// The X25519 key of the outer layer.
    #[error("the outer key is not a canonical X25519 key of prime order")]
    Outer,
    /// The identity key of Olm.
    #[error("the identity key of Olm is not a canonical X25519 key of prime order")]
    OlmIdentity,
    /// The fallback key of Olm.
    #[error("the fallback key of Olm is not a canonical X25519 key of prime order")]
    OlmFallback,
    /// The X-Wing key.
    #[error("the X-Wing key does not decode")]
    XWing,
}

#[cfg(test)]
mod tests;
