//! Trial decryption: trying several shared keys on the data of one envelope.
//!
//! A trial checks the tag only, which takes equal time for the envelopes of others and for ours.
//! The decryption, which needs the right key, runs once per envelope: with that key, or with a
//! dummy key, so that timing does not reveal success. So an additional key costs little, and the
//! time does not depend on which envelopes it decrypts.

use aes::Aes256;
use aes_gcm::aead::{AeadInOut, inout::InOutBuf};
use ctr::Ctr32BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use zeroize::Zeroizing;

use super::plaintext::ParsedPlaintext;
use super::{DecryptError, SymKey, TAG_LEN, UnverifiedMessage};
use crate::envelope::{AesNonce, ProtocolVersion};

/// The data of an envelope, prepared for trials with shared keys.
pub(crate) struct TrialDecryption<'a> {
    protocol: ProtocolVersion,
    nonce: AesNonce,
    sealed: &'a [u8],
    tag: &'a [u8; TAG_LEN],
    /// A copy of the ciphertext, which the right key decrypts in place and all others leave
    /// unchanged.
    body: Zeroizing<Vec<u8>>,
    tried: bool,
    opened: bool,
}

impl<'a> TrialDecryption<'a> {
    /// Of an envelope of `shh/6`: the nonce follows the ciphertext.
    ///
    /// # Errors
    ///
    /// [`DecryptError::TooShort`].
    pub(crate) fn v6(data: &'a [u8]) -> Result<Self, DecryptError> {
        let (sealed, nonce) = data
            .split_last_chunk::<{ AesNonce::LEN }>()
            .ok_or(DecryptError::TooShort)?;
        Self::new(ProtocolVersion::V6, AesNonce(*nonce), sealed)
    }

    /// Of an envelope of `shh/5`, which has a field for the nonce.
    ///
    /// # Errors
    ///
    /// [`DecryptError::TooShort`].
    pub(crate) fn v5(nonce: AesNonce, data: &'a [u8]) -> Result<Self, DecryptError> {
        Self::new(ProtocolVersion::V5, nonce, data)
    }

    fn new(
        protocol: ProtocolVersion,
        nonce: AesNonce,
        sealed: &'a [u8],
    ) -> Result<Self, DecryptError> {
        let (sealed, tag) = sealed
            .split_last_chunk::<TAG_LEN>()
            .ok_or(DecryptError::TooShort)?;
        Ok(Self {
            protocol,
            nonce,
            sealed,
            tag,
            body: Zeroizing::new(sealed.to_vec()),
            tried: false,
            opened: false,
        })
    }

    /// Tries a key.
    ///
    /// # Errors
    ///
    /// [`DecryptError::Symmetric`] for nearly every key, [`DecryptError::Malformed`] if the right
    /// key decrypts to an invalid message.
    pub(crate) fn attempt(&mut self, key: &SymKey) -> Result<UnverifiedMessage, DecryptError> {
        self.tried = true;
        let AesNonce(nonce) = &self.nonce;
        let body = InOutBuf::from(self.body.as_mut_slice());
        key.cipher()
            .decrypt_inout_detached(nonce.into(), b"", body, self.tag.into())
            .map_err(|_| DecryptError::Symmetric)?;
        self.opened = true;
        let next = Zeroizing::new(self.sealed.to_vec());
        let plaintext = core::mem::replace(&mut self.body, next);
        Ok(UnverifiedMessage {
            parsed: ParsedPlaintext::new(self.protocol, plaintext)?,
            recipient: None,
        })
    }

    /// Takes the time of a decryption if no key matched.
    pub(crate) fn finish(mut self) {
        if self.opened || !self.tried {
            return;
        }
        let AesNonce(nonce) = self.nonce;
        let mut counter = [0; 16];
        for (to, from) in counter.iter_mut().zip(nonce) {
            *to = from;
        }
        let key = core::hint::black_box([0; 32]);
        Ctr32BE::<Aes256>::new(&key.into(), &counter.into()).apply_keystream(&mut self.body);
        core::hint::black_box(&*self.body);
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::message::{Padding, Plaintext, seal_symmetric};

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(12)
    }

    fn sealed(rng: &mut ChaCha20Rng, key: &SymKey) -> Vec<u8> {
        let plaintext = Plaintext::build(rng, b"a heron", Padding::Align, None).unwrap();
        seal_symmetric(rng, key, &plaintext)
    }

    #[test]
    fn right_key_decrypts_among_wrong_keys() {
        let mut rng = rng();
        let right = SymKey::generate(&mut rng);
        let data = sealed(&mut rng, &right);
        let mut trials = TrialDecryption::v6(&data).unwrap();
        for _ in 0..3 {
            for _ in 0..50 {
                let wrong = trials.attempt(&SymKey::generate(&mut rng));
                assert_eq!(wrong.err(), Some(DecryptError::Symmetric));
            }
            let opened = trials.attempt(&right).unwrap().verify().unwrap();
            assert_eq!(*opened.payload, b"a heron");
        }
        trials.finish();
    }

    #[test]
    fn failed_trials_end_with_dummy_decryption() {
        let mut rng = rng();
        let stranger = SymKey::generate(&mut rng);
        let data = sealed(&mut rng, &stranger);
        let mut trials = TrialDecryption::v6(&data).unwrap();
        let wrong = trials.attempt(&SymKey::generate(&mut rng));
        assert!(wrong.is_err() && !trials.opened);
        assert_eq!(*trials.body, trials.sealed);
        trials.finish();
        for len in 0..TAG_LEN + AesNonce::LEN {
            assert_eq!(
                TrialDecryption::v6(&vec![0; len]).err(),
                Some(DecryptError::TooShort)
            );
        }
    }
}
