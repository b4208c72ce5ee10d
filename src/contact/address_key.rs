//! The long-term key of an address: Ed25519, which certifies the signing keys of cards and nothing else.
//!
//! The secret is 32 bytes. An address made from twelve words derives them from the words; any other address
//! draws them. Nothing that a conversation protects hangs on this key.

use ed25519_dalek::{Signer, SigningKey};

use super::id::{ContactId, Root};
use super::kdf::{Key32, Label, expand, extract};
use super::mnemonic::Mnemonic;

/// The long-term key of an address. The secret is erased on drop.
pub struct AddressKey {
    seed: Key32,
    public: [u8; 32],
}

impl AddressKey {
    /// The key that twelve words restore.
    #[must_use]
    pub fn from_mnemonic(words: &Mnemonic) -> Self {
        let seed = words.seed();
        let prk = extract(Label::ROOT_SALT, &[seed.as_slice()]);
        Self::from_seed(expand(&prk, Label::ROOT_ED25519, &[]))
    }

    /// The key of 32 secret bytes.
    #[must_use]
    pub fn from_seed(seed: Key32) -> Self {
        let public = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        Self { seed, public }
    }

    /// The secret, for storage.
    #[must_use]
    pub const fn seed(&self) -> &Key32 {
        &self.seed
    }

    /// The root that the address commits to.
    #[must_use]
    pub const fn root(&self) -> Root {
        Root {
            identity_key: self.public,
            secp256k1: None,
            later_key: None,
        }
    }

    /// The id of the root.
    #[must_use]
    pub fn id(&self) -> ContactId {
        self.root().id()
    }

    /// Signs that `signing_key` signs cards of this address in the periods from `from` to `to`, both
    /// included.
    #[must_use]
    pub fn certify(&self, signing_key: &[u8; 32], from: u32, to: u32) -> [u8; 64] {
        let id = self.id();
        let signed = certified_bytes(&id, signing_key, from, to);
        SigningKey::from_bytes(&self.seed).sign(&signed).to_bytes()
    }
}

/// What the certificate of a signing key signs.
#[must_use]
pub fn certified_bytes(id: &ContactId, signing_key: &[u8; 32], from: u32, to: u32) -> Vec<u8> {
    let label = Label::CARD_CERT.bytes();
    [
        label,
        &id.0,
        signing_key,
        &from.to_be_bytes(),
        &to.to_be_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, VerifyingKey};
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn certificate_verifies_for_its_key_and_periods_only() {
        let key = AddressKey::from_seed(Zeroizing::new([5; 32]));
        let signature = Signature::from_bytes(&key.certify(&[9; 32], 10, 40));
        let public = VerifyingKey::from_bytes(&key.root().identity_key).unwrap();
        let verifies = |signing_key, from, to| {
            let signed = certified_bytes(&key.id(), signing_key, from, to);
            public.verify_strict(&signed, &signature).is_ok()
        };
        assert!(verifies(&[9; 32], 10, 40));
        assert!(!verifies(&[8; 32], 10, 40));
        assert!(!verifies(&[9; 32], 11, 40));
        assert!(!verifies(&[9; 32], 10, 41));
    }
}
