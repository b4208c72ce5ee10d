//! Keys of API clients: in memory, each under a random id.
//!
//! The id does not depend on the key, and the same key may be stored twice. A filter keeps its key
//! when the key is deleted here, as in go-ethereum.

use std::collections::BTreeMap;
use std::sync::Arc;

use circuits::secret::Secret;
use rand_core::CryptoRng;

use super::ShhError;
use crate::message::{ClientSecret, SymKey};

/// All keys.
#[derive(Default)]
pub(super) struct ClientKeys {
    pairs: BTreeMap<String, Arc<ClientSecret>>,
    /// `None` is the key of zeros, which can be stored and read but not used.
    shared: BTreeMap<String, Option<Arc<SymKey>>>,
}

impl ClientKeys {
    /// Makes a key pair; returns its id.
    ///
    /// # Errors
    ///
    /// [`ShhError`] if there are too many.
    pub(super) fn new_pair(&mut self, rng: &mut impl CryptoRng) -> Result<String, ShhError> {
        let key = ClientSecret::generate(rng);
        self.add_pair(rng, key)
    }

    /// Keeps a key pair of a client; returns its id.
    ///
    /// # Errors
    ///
    /// [`ShhError`] if there are too many.
    pub(super) fn add_pair(
        &mut self,
        rng: &mut impl CryptoRng,
        key: ClientSecret,
    ) -> Result<String, ShhError> {
        insert(&mut self.pairs, rng, Arc::new(key))
    }

    /// Forgets a key pair.
    ///
    /// # Errors
    ///
    /// [`ShhError::KeyPairNotFound`].
    pub(super) fn delete_pair(&mut self, id: String) -> Result<(), ShhError> {
        match self.pairs.remove(&id) {
            Some(_) => Ok(()),
            None => Err(ShhError::KeyPairNotFound { id }),
        }
    }

    /// A key pair.
    ///
    /// # Errors
    ///
    /// [`ShhError::InvalidId`] if there is none of this id, as in go-ethereum.
    pub(super) fn pair(&self, id: &str) -> Result<&Arc<ClientSecret>, ShhError> {
        self.pairs.get(id).ok_or(ShhError::InvalidId)
    }

    /// A copy of the secret of a key pair.
    ///
    /// # Errors
    ///
    /// As [`pair`](Self::pair).
    pub(super) fn secret_of_pair(&self, id: &str) -> Result<Secret<32>, ShhError> {
        Ok(copy(self.pair(id)?.expose()))
    }

    /// Makes a shared key; returns its id.
    ///
    /// # Errors
    ///
    /// [`ShhError`] if there are too many.
    pub(super) fn new_shared(&mut self, rng: &mut impl CryptoRng) -> Result<String, ShhError> {
        let key = SymKey::generate(rng);
        insert(&mut self.shared, rng, Some(Arc::new(key)))
    }

    /// Keeps a shared key of a client; returns its id.
    ///
    /// # Errors
    ///
    /// [`ShhError`] if there are too many.
    pub(super) fn add_shared(
        &mut self,
        rng: &mut impl CryptoRng,
        key: Secret<32>,
    ) -> Result<String, ShhError> {
        let key = SymKey::new(key).ok().map(Arc::new);
        insert(&mut self.shared, rng, key)
    }

    /// Forgets a shared key; returns whether it was there.
    pub(super) fn delete_shared(&mut self, id: &str) -> bool {
        self.shared.remove(id).is_some()
    }

    /// Whether there is a shared key of this id, usable or not.
    pub(super) fn has_shared(&self, id: &str) -> bool {
        self.shared.contains_key(id)
    }

    /// A usable key.
    pub(super) fn shared(&self, id: &str) -> Result<&Arc<SymKey>, ShhError> {
        let key = self.shared.get(id).ok_or(ShhError::NoSymKey)?;
        key.as_ref().ok_or(ShhError::InvalidSymKey)
    }

    /// A copy of a shared key, usable or not.
    ///
    /// # Errors
    ///
    /// [`ShhError::NoSymKey`].
    pub(super) fn secret_of_shared(&self, id: &str) -> Result<Secret<32>, ShhError> {
        let key = self.shared.get(id).ok_or(ShhError::NoSymKey)?;
        Ok(copy(key.as_ref().map_or(&[0; 32], |key| key.expose())))
    }
}

/// Stores a value under a new id.
fn insert<T>(
    map: &mut BTreeMap<String, T>,
    rng: &mut impl CryptoRng,
    value: T,
) -> Result<String, ShhError> {
    if map.len() >= MAX_KEYS_PER_KIND {
        return Err(ShhError::TooManyKeys(MAX_KEYS_PER_KIND));
    }
    let id = new_id(rng);
    map.insert(id.clone(), value);
    Ok(id)
}

/// A random id of 64 hexadecimal digits.
pub(super) fn new_id(rng: &mut impl CryptoRng) -> String {
    let mut id = [0; 32];
    rng.fill_bytes(&mut id);
    super::super::hex(&id)
}

fn copy(key: &[u8; 32]) -> Secret<32> {
    Secret::init_with(|bytes| bytes.copy_from_slice(key))
}

/// Maximum number of keys of one kind.
const MAX_KEYS_PER_KIND: usize = 4096;
