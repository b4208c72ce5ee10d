//! Key derivation from a password: scrypt (RFC 7914), or PBKDF2 with HMAC-SHA-256 (RFC 8018).
//!
//! New files use scrypt. The parameters of an imported file are checked against bounds before any
//! derivation, so that a file cannot exhaust the memory or the time of the computer. The scrypt
//! crate frees its working memory without wiping it.

use core::fmt;

use circuits::secret::Secret;
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The password of a key file. May be empty; then anyone who can read the file has the key.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes ownership of a password.
    ///
    /// # Errors
    ///
    /// [`PasswordTooLong`] beyond 1,024 bytes: most likely the wrong file was given.
    pub fn new(text: Zeroizing<String>) -> Result<Self, PasswordTooLong> {
        if text.len() <= MAX_PASSWORD_LEN {
            Ok(Self(text))
        } else {
            Err(PasswordTooLong)
        }
    }

    /// The empty password, which protects nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(Zeroizing::default())
    }

    /// Whether the password is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The password itself, to send it to a node. The caller must not log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The text is too long for a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a password has at most {MAX_PASSWORD_LEN} bytes; check that the right file was given")]
pub struct PasswordTooLong;

/// The work that a new file demands for each guess at its password.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cost {
    /// scrypt with N = 2^18, r = 8, p = 1: 256 MB and about a second per guess, as go-ethereum's
    /// default.
    #[default]
    Standard,
    /// scrypt with N = 2^12, r = 8, p = 6: 4 MB and some hundredths of a second, as go-ethereum's
    /// `--lightkdf`. For tests, and for the empty password, which no work protects.
    DangerLight,
}

/// A key derivation with its parameters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kdf {
    pub(super) function: KdfFunction,
    pub(super) salt: Vec<u8>,
}

/// The two functions that the format defines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KdfFunction {
    Pbkdf2 { rounds: u32 },
    Scrypt { log_n: u8, r: u32, p: u32 },
}

impl Kdf {
    /// scrypt with a random salt.
    pub fn scrypt(cost: Cost, rng: &mut impl CryptoRng) -> Self {
        let (log_n, r, p) = match cost {
            Cost::Standard => (18, 8, 1),
            Cost::DangerLight => (12, 8, 6),
        };
        Self::salted(KdfFunction::Scrypt { log_n, r, p }, rng)
    }

    /// PBKDF2 with a random salt, for programs without scrypt.
    ///
    /// # Errors
    ///
    /// [`BadKdf`] if `rounds` is out of bounds.
    pub fn pbkdf2(rounds: u64, rng: &mut impl CryptoRng) -> Result<Self, BadKdf> {
        Ok(Self::salted(pbkdf2(rounds)?, rng))
    }

    fn salted(function: KdfFunction, rng: &mut impl CryptoRng) -> Self {
        let mut salt = vec![0; 32];
        rng.fill_bytes(&mut salt);
        Self { function, salt }
    }

    /// The key derivation that a file names.
    pub(super) fn new(function: KdfFunction, salt: Vec<u8>) -> Result<Self, BadKdf> {
        if salt.len() <= MAX_SALT_LEN {
            Ok(Self { function, salt })
        } else {
            Err(BadKdf::Malformed)
        }
    }

    /// Derives the key. Time and memory depend on the parameters.
    ///
    /// # Errors
    ///
    /// [`BadKdf::TooCostly`] if the parameters exceed the bounds, which the constructors check.
    pub(super) fn derive(&self, password: &Password) -> Result<DerivedKey, BadKdf> {
        let password = password.expose().as_bytes();
        let mut derived = Ok(());
        let key = Secret::init_with(|key| match self.function {
            KdfFunction::Pbkdf2 { rounds } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(password, &self.salt, rounds, key);
            }
            KdfFunction::Scrypt { log_n, r, p } => {
                derived = scrypt::Params::new(log_n, r, p)
                    .map_err(|_| BadKdf::TooCostly)
                    .and_then(|params| {
                        scrypt::scrypt(password, &self.salt, &params, key)
                            .map_err(|_| BadKdf::Malformed)
                    });
            }
        });
        derived.map(|()| DerivedKey(key))
    }
}

/// PBKDF2 with this number of rounds, if it is within bounds.
pub(super) fn pbkdf2(rounds: u64) -> Result<KdfFunction, BadKdf> {
    match u32::try_from(rounds) {
        Ok(0) => Err(BadKdf::Malformed),
        Ok(rounds) if rounds <= MAX_ROUNDS => Ok(KdfFunction::Pbkdf2 { rounds }),
        _ => Err(BadKdf::TooCostly),
    }
}

/// scrypt with these parameters, if they are within bounds.
pub(super) fn scrypt(n: u64, r: u64, p: u64) -> Result<KdfFunction, BadKdf> {
    if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 {
        return Err(BadKdf::Malformed);
    }
    let memory = n
        .checked_add(p)
        .and_then(|blocks| blocks.checked_mul(r))
        .and_then(|blocks| blocks.checked_mul(128));
    let work = n.checked_mul(r).and_then(|work| work.checked_mul(p));
    let bounded = memory.is_some_and(|memory| memory <= MAX_MEMORY)
        && work.is_some_and(|work| work <= MAX_WORK);
    let narrow = (
        u8::try_from(n.trailing_zeros()),
        u32::try_from(r),
        u32::try_from(p),
    );
    match narrow {
        (Ok(log_n), Ok(r), Ok(p)) if bounded => Ok(KdfFunction::Scrypt { log_n, r, p }),
        _ => Err(BadKdf::TooCostly),
    }
}

/// The result of a key derivation: a cipher key and a MAC key, each of 16 bytes.
pub(super) struct DerivedKey(Secret<32>);

impl DerivedKey {
    /// The AES key, and the prefix of the hashed ciphertext.
    pub(super) fn halves(&self) -> (&[u8; 16], &[u8; 16]) {
        let key = self.0.expose();
        #[expect(
            clippy::expect_used,
            reason = "an array of 32 bytes has two halves of 16"
        )]
        let halves = key.split_first_chunk().expect("16 bytes");
        #[expect(clippy::expect_used, reason = "the second half has 16 bytes")]
        let second = halves.1.first_chunk().expect("16 more bytes");
        (halves.0, second)
    }

    /// All 32 bytes.
    pub(super) const fn whole(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// Why a key derivation is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadKdf {
    /// The function is not defined for these parameters.
    #[error("the parameters of the key derivation are invalid")]
    Malformed,
    /// More memory or work than the bounds permit.
    #[error(
        "the key derivation needs more than {} MB of memory, or about ten times the usual work",
        MAX_MEMORY >> 20
    )]
    TooCostly,
}

/// Bytes.
const MAX_PASSWORD_LEN: usize = 1024;
/// Bytes; common programs use 32.
const MAX_SALT_LEN: usize = 256;
/// About forty times what common programs write.
const MAX_ROUNDS: u32 = 10_000_000;
/// Bytes: twice the memory of go-ethereum's default, plus some for `p`.
const MAX_MEMORY: u64 = (512 << 20) + (1 << 20);
/// In units of N r p: eight times go-ethereum's default.
const MAX_WORK: u64 = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    #[test]
    fn scrypt_matches_rfc_7914() {
        let kdf = Kdf::new(scrypt(1024, 8, 16).unwrap(), b"NaCl".to_vec()).unwrap();
        let key = kdf.derive(&password("password")).unwrap();
        let expected = "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162";
        assert_eq!(hex::encode(key.whole()), expected);
    }

    #[test]
    fn usual_parameters_and_twice_their_memory_are_within_bounds() {
        for (n, r, p) in [
            (1 << 18, 8, 1),
            (1 << 12, 8, 6),
            (1 << 18, 1, 8),
            (1 << 19, 8, 1),
        ] {
            assert!(scrypt(n, r, p).is_ok(), "{n} {r} {p}");
        }
        assert!(pbkdf2(262_144).is_ok());
    }

    #[test]
    fn excessive_parameters_are_refused() {
        let (much, most) = (1 << 31, u64::MAX);
        for (n, r, p) in [
            (1 << 20, 8, 1),
            (2, 1, much),
            (2, much, 1),
            (1 << 63, 1, 1),
            (1 << 63, most, most),
            (1 << 18, 8, 9),
        ] {
            assert_eq!(scrypt(n, r, p), Err(BadKdf::TooCostly), "{n} {r} {p}");
        }
        assert_eq!(pbkdf2(10_000_001), Err(BadKdf::TooCostly));
        assert_eq!(pbkdf2(most), Err(BadKdf::TooCostly));
    }

    #[test]
    fn invalid_parameters_are_refused() {
        for (n, r, p) in [(0, 8, 1), (1, 8, 1), (3, 8, 1), (2, 0, 1), (2, 8, 0)] {
            assert_eq!(scrypt(n, r, p), Err(BadKdf::Malformed), "{n} {r} {p}");
        }
        assert_eq!(pbkdf2(0), Err(BadKdf::Malformed));
        let salt = vec![0; MAX_SALT_LEN + 1];
        let refused = Kdf::new(pbkdf2(1).unwrap(), salt);
        assert_eq!(refused, Err(BadKdf::Malformed));
    }

    #[test]
    fn password_debug_is_redacted() {
        assert_eq!(format!("{:?}", password("hunter2")), "Password(..)");
        assert!(Password::new(Zeroizing::new("x".repeat(1025))).is_err());
    }
}
