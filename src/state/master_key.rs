//! The key of the state, and how a password protects it.
//!
//! The key is drawn once. A password unwraps it through Argon2id, so another password wraps the same key
//! again and no row is written anew. An empty password protects nothing, and therefore costs nothing.
//! `state.key` is `version 1 | memory 4 | rounds 4 | lanes 4 | salt 16 | nonce 24 | sealed key 48`; what
//! comes before the sealed key is authenticated with it.

use core::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{AeadInOut, inout::InOutBuf};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use circuits::bytes::{ByteReader, Truncated};
use circuits::secret::Secret;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// The key under which the rows of one state are sealed.
pub struct MasterKey(Secret<32>);

/// The work that a guess at the password costs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyCost {
    /// Memory in KiB.
    memory: u32,
    /// Passes over the memory.
    rounds: u32,
    /// Lanes, one thread each.
    lanes: u32,
}

impl KeyCost {
    /// 64 MiB and three passes: 0.4 s on the reference machine.
    pub const STANDARD: Self = Self {
        memory: 65_536,
        rounds: 3,
        lanes: 1,
    };

    /// Hardly any work: for tests, and for the empty password, which no work protects.
    pub const DANGER_LIGHT: Self = Self {
        memory: 64,
        rounds: 1,
        lanes: 1,
    };

    /// The parameters of a file, within bounds: a file must not exhaust the memory or the time.
    fn checked(self) -> Result<Params, UnwrapError> {
        let is_bounded = self.memory <= MAX_MEMORY_KIB
            && self.rounds <= MAX_ROUNDS
            && self.lanes <= MAX_LANES
            && self.rounds > 0;
        let params = Params::new(self.memory, self.rounds, self.lanes, Some(KEY_LEN));
        match params {
            Ok(params) if is_bounded => Ok(params),
            _ => Err(UnwrapError::Damaged),
        }
    }
}

impl MasterKey {
    /// Draws a key.
    #[must_use]
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::init_with(|key| rng.fill_bytes(key)))
    }

    /// The key, to derive others from.
    pub(super) const fn expose(&self) -> &[u8; KEY_LEN] {
        self.0.expose()
    }

    /// The content of `state.key`. Takes as long as the key derivation.
    ///
    /// # Errors
    ///
    /// [`UnwrapError`] if the memory for the derivation is not there.
    pub fn wrap(
        &self,
        password: &[u8],
        cost: KeyCost,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, UnwrapError> {
        let cost = if password.is_empty() {
            KeyCost::DANGER_LIGHT
        } else {
            cost
        };
        let (mut salt, mut nonce) = ([0; SALT_LEN], [0; NONCE_LEN]);
        rng.fill_bytes(&mut salt);
        rng.fill_bytes(&mut nonce);
        let mut file = vec![VERSION];
        for parameter in [cost.memory, cost.rounds, cost.lanes] {
            file.extend_from_slice(&parameter.to_be_bytes());
        }
        file.extend_from_slice(&salt);
        file.extend_from_slice(&nonce);
        let mut key = Zeroizing::new(*self.0.expose());
        let tag = cipher(password, cost, &salt)?
            .encrypt_inout_detached(&nonce.into(), &file, InOutBuf::from(key.as_mut_slice()))
            .map_err(|_| UnwrapError::Damaged)?;
        file.extend_from_slice(key.as_slice());
        file.extend_from_slice(&tag);
        Ok(file)
    }

    /// The key of a file. Takes as long as the key derivation that the file names.
    ///
    /// # Errors
    ///
    /// [`UnwrapError`] if the password is wrong or the file is not one of ours.
    pub fn unwrap(file: &[u8], password: &[u8]) -> Result<Self, UnwrapError> {
        let WrappedKey {
            cost,
            salt,
            nonce,
            head,
            mut key,
            tag,
        } = WrappedKey::read(file)?;
        cipher(password, cost, &salt)?
            .decrypt_inout_detached(
                &nonce.into(),
                head,
                InOutBuf::from(key.as_mut_slice()),
                &tag.into(),
            )
            .map_err(|_| UnwrapError::WrongPassword)?;
        Ok(Self(Secret::take(&mut key)))
    }

    /// Whether a file has the form of a wrapped key. Costs no work, and proves nothing of its content.
    #[must_use]
    pub fn is_well_formed(file: &[u8]) -> bool {
        WrappedKey::read(file).is_ok()
    }

    /// Whether no password protects the key of a file. Costs no work.
    #[must_use]
    pub fn is_unprotected(file: &[u8]) -> bool {
        let is_light = WrappedKey::read(file).is_ok_and(|file| file.cost == KeyCost::DANGER_LIGHT);
        is_light && Self::unwrap(file, b"").is_ok()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// The fields of `state.key`.
struct WrappedKey<'a> {
    cost: KeyCost,
    salt: [u8; SALT_LEN],
    nonce: [u8; NONCE_LEN],
    /// Everything before the sealed key.
    head: &'a [u8],
    key: Zeroizing<[u8; KEY_LEN]>,
    tag: [u8; TAG_LEN],
}

impl<'a> WrappedKey<'a> {
    fn read(file: &'a [u8]) -> Result<Self, UnwrapError> {
        let head = file.get(..HEAD_LEN).ok_or(UnwrapError::Damaged)?;
        let mut reader = ByteReader::new(file);
        if reader.u8()? != VERSION {
            return Err(UnwrapError::Later);
        }
        let cost = KeyCost {
            memory: reader.u32()?,
            rounds: reader.u32()?,
            lanes: reader.u32()?,
        };
        let read = Self {
            cost,
            salt: reader.array()?,
            nonce: reader.array()?,
            head,
            key: Zeroizing::new(reader.array()?),
            tag: reader.array()?,
        };
        reader.finish().map_err(|_| UnwrapError::Damaged)?;
        Ok(read)
    }
}

/// The cipher that a password gives.
fn cipher(
    password: &[u8],
    cost: KeyCost,
    salt: &[u8; SALT_LEN],
) -> Result<XChaCha20Poly1305, UnwrapError> {
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, cost.checked()?);
    let mut key = Zeroizing::new([0; KEY_LEN]);
    argon
        .hash_password_into(password, salt, key.as_mut_slice())
        .map_err(|_| UnwrapError::Memory)?;
    XChaCha20Poly1305::new_from_slice(key.as_slice()).map_err(|_| UnwrapError::Damaged)
}

/// Why a state cannot be unlocked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnwrapError {
    /// The file is not one that this program wrote.
    #[error("the file is damaged; restore it from a backup, with the database of the same backup")]
    Damaged,
    /// A later version wrote the file.
    #[error("a later version of whisht wrote the file; use that version")]
    Later,
    /// The derivation needs more memory than there is.
    #[error("the memory that checking the password takes is not there; free 64 MiB and try again")]
    Memory,
    /// The password is another one, or the file was changed.
    #[error("the password does not unlock the contacts and messages of this node; try another one")]
    WrongPassword,
}

impl From<Truncated> for UnwrapError {
    fn from(_: Truncated) -> Self {
        Self::Damaged
    }
}

const VERSION: u8 = 1;
const KEY_LEN: usize = 32;
const SALT_LEN: usize = 16;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
const HEAD_LEN: usize = 1 + 3 * 4 + SALT_LEN + NONCE_LEN;
/// 1 GiB: more than any version of this program asks for.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_ROUNDS: u32 = 16;
const MAX_LANES: u32 = 16;

#[cfg(test)]
mod tests {
    use circuits::erasing_rng::ErasingRng;

    use super::*;

    fn rng() -> ErasingRng {
        ErasingRng::from_seed(&[3; 32])
    }

    #[test]
    fn key_unwraps_with_its_password_and_no_other() {
        let key = MasterKey::draw(&mut rng());
        let file = key
            .wrap(b"correct horse", KeyCost::DANGER_LIGHT, &mut rng())
            .unwrap();
        assert_eq!(file.len(), HEAD_LEN + KEY_LEN + TAG_LEN);
        let opened = MasterKey::unwrap(&file, b"correct horse").unwrap();
        assert_eq!(opened.expose(), key.expose());
        for wrong in [&b""[..], b"correct horsf", b"correct horse "] {
            let refused = MasterKey::unwrap(&file, wrong).unwrap_err();
            assert_eq!(refused, UnwrapError::WrongPassword);
        }
        assert!(!MasterKey::is_unprotected(&file));
    }

    #[test]
    fn empty_password_costs_no_work_and_is_recognised() {
        let key = MasterKey::draw(&mut rng());
        let file = key.wrap(b"", KeyCost::STANDARD, &mut rng()).unwrap();
        assert_eq!(WrappedKey::read(&file).unwrap().cost, KeyCost::DANGER_LIGHT);
        assert!(MasterKey::is_unprotected(&file));
    }

    #[test]
    fn wrapped_key_with_one_altered_bit_is_refused() {
        let key = MasterKey::draw(&mut rng());
        let file = key
            .wrap(b"password", KeyCost::DANGER_LIGHT, &mut rng())
            .unwrap();
        for at in 0..file.len() {
            let mut altered = file.clone();
            altered[at] ^= 1;
            assert!(MasterKey::unwrap(&altered, b"password").is_err(), "{at}");
            assert!(MasterKey::unwrap(&file[..at], b"password").is_err(), "{at}");
        }
    }

    /// A file must not make the node allocate what it names.
    #[test]
    fn costs_beyond_the_bounds_are_refused_before_any_work() {
        let key = MasterKey::draw(&mut rng());
        let file = key
            .wrap(b"password", KeyCost::DANGER_LIGHT, &mut rng())
            .unwrap();
        for at in [1, 5, 9] {
            let mut costly = file.clone();
            costly[at] = 0xff;
            let refused = MasterKey::unwrap(&costly, b"password").unwrap_err();
            assert_eq!(refused, UnwrapError::Damaged);
        }
    }
}
