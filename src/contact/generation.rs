//! The secret keys behind the cards of one generation.
//!
//! An outer X25519 key, an X-Wing key and an Olm account with one fallback key are drawn together two
//! periods before the generation begins, and erased together five periods after it ends, so that a seized
//! node opens no older first message. They are durable before any card names them.

use core::fmt;

use rand_core::CryptoRng;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::codec::{BadState, StateReader, StateWriter};
use super::elligator::OuterSecret;
use super::id::ContactId;
use super::kdf::Key32;
use super::key_block::KeyBlock;
use super::period::KeyGeneration;
use super::ratchet::PreKeys;
use super::scan::FirstRecipient;
use super::x_wing::XWingSecret;

/// The secret keys of one generation. Erased on drop.
pub struct GenerationKeys {
    generation: KeyGeneration,
    outer: Key32,
    x_wing: XWingSecret,
    pre_keys: PreKeys,
    block: KeyBlock,
}

impl fmt::Debug for GenerationKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GenerationKeys(..)")
    }
}

impl GenerationKeys {
    /// Draws the keys of a generation. The Olm keys come from the system's generator
    /// (docs/decisions/0021).
    #[must_use]
    pub fn create(rng: &mut impl CryptoRng, generation: KeyGeneration) -> Self {
        loop {
            let mut outer = Zeroizing::new([0; 32]);
            rng.fill_bytes(outer.as_mut_slice());
            let x_wing = XWingSecret::draw(rng);
            // Fails for a public key of low order, which no clamped secret has.
            if let Ok(keys) = Self::assemble(generation, outer, x_wing, PreKeys::create()) {
                return keys;
            }
        }
    }

    fn assemble(
        generation: KeyGeneration,
        outer: Key32,
        x_wing: XWingSecret,
        pre_keys: PreKeys,
    ) -> Result<Self, BadState> {
        let public = PublicKey::from(&StaticSecret::from(*outer)).to_bytes();
        let block = KeyBlock::new(
            generation.0,
            public,
            pre_keys.identity_key(),
            pre_keys.fallback_key(),
            x_wing.public(),
        );
        Ok(Self {
            generation,
            outer,
            x_wing,
            pre_keys,
            block: block.map_err(|_| BadState::Field("key of a generation"))?,
        })
    }

    /// The generation.
    #[must_use]
    pub const fn generation(&self) -> KeyGeneration {
        self.generation
    }

    /// What opens first messages to the owner of `id` that are encrypted to these keys. The secrets in it
    /// are copies, erased with the last of them.
    #[must_use]
    pub fn recipient(&self, id: ContactId) -> FirstRecipient {
        let outer = OuterSecret::from_bytes(&self.outer);
        let x_wing = XWingSecret::from_seed(self.x_wing.seed().clone());
        FirstRecipient::new(id, self.block.kappa(), outer, x_wing)
    }

    /// The keys of Olm. Accepting a first message changes nothing that must be stored.
    #[must_use]
    pub const fn pre_keys(&mut self) -> &mut PreKeys {
        &mut self.pre_keys
    }

    /// The public keys, as a card contains them.
    #[must_use]
    pub const fn block(&self) -> &KeyBlock {
        &self.block
    }

    /// The record of the state.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = StateWriter::new(VERSION);
        writer.u32(self.generation.0);
        writer.array(self.outer.as_slice());
        writer.array(self.x_wing.seed().as_slice());
        writer.bytes(&self.pre_keys.to_bytes());
        writer.finish()
    }

    /// Reads a record of the state.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the record is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut reader = StateReader::new(bytes, VERSION)?;
        let generation = KeyGeneration(reader.u32()?);
        let outer = reader.key()?;
        let x_wing = XWingSecret::from_seed(reader.key()?);
        let pre_keys = PreKeys::from_bytes(reader.bytes()?)?;
        reader.finish()?;
        Self::assemble(generation, outer, x_wing, pre_keys)
    }
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn stored_keys_have_the_same_public_block() {
        let mut rng = ChaCha20Rng::from_seed([4; 32]);
        let keys = GenerationKeys::create(&mut rng, KeyGeneration(2_976));
        let bytes = keys.to_bytes();
        let read = GenerationKeys::from_bytes(&bytes).unwrap();
        assert_eq!(read.block(), keys.block());
        assert_eq!(read.generation(), KeyGeneration(2_976));
        let id = ContactId([3; 32]);
        assert_eq!(read.recipient(id).kappa(), &keys.block().kappa());
    }

    #[test]
    fn damaged_record_is_refused() {
        let mut rng = ChaCha20Rng::from_seed([4; 32]);
        let bytes = GenerationKeys::create(&mut rng, KeyGeneration(1)).to_bytes();
        let (cut, _) = bytes.split_at(bytes.len() - 1);
        assert!(GenerationKeys::from_bytes(cut).is_err());
        assert!(GenerationKeys::from_bytes(&[]).is_err());
    }
}
