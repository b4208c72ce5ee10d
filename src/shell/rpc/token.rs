//! The token that programs present over TCP.
//!
//! Its file is readable by the node's owner alone. A program that can read it can also open the
//! local socket, so the token grants no further rights. It admits the owner's programs where the
//! kernel does not tell the caller's user.

use core::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use circuits::secret::Secret;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::shell::data_dir::{DataDir, DirError, RPC_TOKEN, at, files};

/// The token: 64 hexadecimal digits, as in the file.
#[derive(Clone)]
pub(super) struct Token(Arc<Zeroizing<String>>);

impl Token {
    pub(super) fn new(secret: &Secret<32>) -> Self {
        Self(Arc::new(Zeroizing::new(hex::encode(secret.expose()))))
    }

    /// Compares in constant time.
    pub(super) fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The token and its file.
#[derive(Debug)]
pub struct TokenFile {
    token: Token,
    path: PathBuf,
    /// The temporary directory of an ephemeral node's token.
    ephemeral: bool,
}

impl TokenFile {
    /// The token of a data directory; generated if the file does not exist.
    ///
    /// # Errors
    ///
    /// [`DirError`] if the file holds no token or cannot be read or written.
    pub fn of(dir: &DataDir) -> Result<Self, DirError> {
        Ok(Self {
            token: Token::new(&dir.rpc_token()?),
            path: dir.path().join(RPC_TOKEN),
            ephemeral: false,
        })
    }

    /// A token for this run only, in a directory that only its owner can enter.
    ///
    /// # Errors
    ///
    /// [`DirError`] if the file cannot be written.
    pub fn ephemeral(dir: &Path) -> Result<Self, DirError> {
        let secret = Secret::take(&mut crate::shell::random()?);
        let token = Token::new(&secret);
        let path = dir.join(RPC_TOKEN);
        files::replace(&path, token.0.as_bytes()).map_err(|error| at(&path, error))?;
        Ok(Self {
            token,
            path,
            ephemeral: true,
        })
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn token(&self) -> Token {
        self.token.clone()
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        if self.ephemeral {
            // A file that stays behind grants nothing any more.
            let _ = files::remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_comparison_accepts_exact_token_only() {
        let token = Token::new(&Secret::take(&mut [0xab; 32]));
        let digits = "ab".repeat(32);
        assert!(token.is(digits.as_bytes()));
        for wrong in [
            "",
            "ab",
            &"ab".repeat(31),
            &"AB".repeat(32),
            &format!("{digits}\n"),
        ] {
            assert!(!token.is(wrong.as_bytes()), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
