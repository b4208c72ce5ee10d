//! Encrypted keys at rest: the file format and its rules. The shell does the file I/O.
//!
//! Each identity is one file of the Web3 Secret Storage format, version 3, which go-ethereum and
//! most wallets read. A key pair's file is a standard one; our additions (the name, the public key)
//! are in a member `whisht` that other programs ignore. A shared key with its topic uses the same
//! container, without an address, so that no wallet takes it for an account.
//!
//! Without the password, a file reveals the name, the public key or topic, and whether a password
//! is set; with it, the key, and that nothing was changed. A lost password cannot be reset: see
//! [`LOST`].

mod file;
mod kdf;
mod label;
mod v3;

use circuits::secret::Secret;
use rand_core::CryptoRng;
use sha3::{Digest, Keccak256};

use self::label::IdentityLabel;
use self::v3::Container;
use crate::identity::IdentityName;
use crate::message::{ClientPublic, ClientSecret, SymKey};
use crate::node::{Identity, PublicIdentity};

#[cfg(feature = "shell")]
pub(crate) use file::date;
pub use file::geth_name;
pub use kdf::{BadKdf, Cost, Kdf, Password, PasswordTooLong};
pub use v3::EthereumAddress;

/// An identity as stored in its file.
#[derive(Clone, Debug)]
pub struct SealedIdentity {
    container: Container,
    label: Option<IdentityLabel>,
}

impl SealedIdentity {
    /// Seals an identity. Takes as long as the key derivation: about a second at
    /// [`Cost::Standard`]. With an empty password the light cost is used, because no work protects
    /// a password that is guessed at once.
    ///
    /// # Errors
    ///
    /// [`BadKdf`], which does not occur with our own parameters.
    pub fn seal(
        name: &IdentityName,
        identity: &Identity,
        password: &Password,
        cost: Cost,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, BadKdf> {
        let cost = if password.is_empty() {
            Cost::DangerLight
        } else {
            cost
        };
        let kdf = Kdf::scrypt(cost, rng);
        Self::seal_with(name, identity, password, kdf, rng)
    }

    /// Seals an identity with a given key derivation.
    ///
    /// # Errors
    ///
    /// [`BadKdf`] if the derivation fails.
    fn seal_with(
        name: &IdentityName,
        identity: &Identity,
        password: &Password,
        kdf: Kdf,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, BadKdf> {
        let (secret, address) = match identity {
            Identity::KeyPair(secret) => {
                (secret.expose(), Some(EthereumAddress::of(&secret.public())))
            }
            Identity::Shared(key, _) => (key.expose(), None),
        };
        let (mut container, key) = Container::seal(secret, address, kdf, password, rng)?;
        let label = IdentityLabel {
            name: name.clone(),
            public_identity: identity.public_identity(),
            protected: !password.is_empty(),
        };
        label.attach(&mut container, &key);
        Ok(Self {
            container,
            label: Some(label),
        })
    }

    /// Parses the text of a file, ours or of another program.
    ///
    /// # Errors
    ///
    /// [`KeystoreError`] says whether it is damaged, or of an unsupported kind.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        let container = Container::parse(text)?;
        let label = container
            .label
            .as_ref()
            .map(IdentityLabel::read)
            .transpose()?;
        Ok(Self { container, label })
    }

    /// The text of the file.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.container.to_json()
    }

    /// Unseals the identity. Takes as long as the file's key derivation.
    ///
    /// # Errors
    ///
    /// [`KeystoreError::WrongPassword`], or [`KeystoreError::Damaged`] if the password is right
    /// and another part of the file was changed.
    pub fn open(&self, password: &Password) -> Result<Identity, KeystoreError> {
        let (secret, key) = self.container.open(password)?;
        if let Some(label) = &self.label {
            label.check(&self.container, &key)?;
        }
        match self.public_identity() {
            Some(PublicIdentity::Shared(topic)) => {
                let key = SymKey::new(secret).map_err(|_| KeystoreError::Damaged("key"))?;
                Ok(Identity::Shared(key, topic))
            }
            Some(PublicIdentity::KeyPair(public)) => self.key_pair(&secret, Some(public)),
            None => self.key_pair(&secret, None),
        }
    }

    /// The name of the identity; `None` for a file of another program.
    #[must_use]
    pub fn name(&self) -> Option<&IdentityName> {
        self.label.as_ref().map(|label| &label.name)
    }

    /// The public part, readable without the password; `None` for a file of another program.
    #[must_use]
    pub fn public_identity(&self) -> Option<PublicIdentity> {
        self.label.as_ref().map(|label| label.public_identity)
    }

    /// Whether a password is set, as far as the file tells.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.label.as_ref().is_none_or(|label| label.protected)
    }

    /// The account address of a key pair.
    #[must_use]
    pub const fn address(&self) -> Option<EthereumAddress> {
        self.container.address
    }

    fn key_pair(
        &self,
        secret: &Secret<32>,
        public: Option<ClientPublic>,
    ) -> Result<Identity, KeystoreError> {
        let secret = ClientSecret::from_bytes(secret).map_err(|_| KeystoreError::Damaged("key"))?;
        if public.is_some_and(|public| public != secret.public()) {
            return Err(KeystoreError::Damaged("public key"));
        }
        let address = EthereumAddress::of(&secret.public());
        if self.container.address.is_some_and(|said| said != address) {
            return Err(KeystoreError::Damaged("address"));
        }
        Ok(Identity::KeyPair(secret))
    }
}

impl EthereumAddress {
    /// The address of a public key.
    #[must_use]
    pub fn of(public: &ClientPublic) -> Self {
        let point = public.to_bytes();
        let hash: [u8; 32] = Keccak256::digest(point.split_at(1).1).into();
        let mut address = [0; 20];
        for (to, from) in address.iter_mut().zip(hash.iter().skip(12)) {
            *to = *from;
        }
        Self(address)
    }
}

/// Why a file yields no identity.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// This part of the file is invalid, or does not match the rest.
    #[error("the key file is damaged (its {0} is invalid); restore it from a backup")]
    Damaged(&'static str),
    /// The key derivation is refused.
    #[error(transparent)]
    Kdf(#[from] BadKdf),
    /// A cipher other than AES-128 in counter mode.
    #[error("the key file uses an unsupported cipher; the format requires aes-128-ctr")]
    UnknownCipher,
    /// A key derivation other than scrypt, or PBKDF2 with HMAC-SHA-256.
    #[error("the key file uses a key derivation other than scrypt or pbkdf2 with hmac-sha256")]
    UnknownKdf,
    /// A version other than 3.
    #[error("the key file does not have version 3, the only supported one")]
    UnknownVersion,
    /// The MAC does not match. A changed ciphertext cannot be distinguished from a wrong password.
    #[error("the password is wrong, or the file is damaged")]
    WrongPassword,
}

/// Advice for a user whose password does not work.
pub const LOST: &str = "\
    A password cannot be reset. Without it messages sealed to this identity can never be read, \
    and nothing can be signed with it again. If it is lost, make a new identity with `whisht id \
    new NAME` and tell your correspondents its key";

#[cfg(test)]
mod tests;
