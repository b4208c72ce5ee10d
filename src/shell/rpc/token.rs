//! The token that a program shows at the doors over TCP.
//!
//! It stands in a file that only the node's owner can read; who can read it could open the local
//! socket as well, so the token gives nobody more than they had. It lets other programs of the
//! owner in where the kernel does not say who is calling, and nobody else.

use core::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use circuits::secret::Secret;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::shell::data_dir::{DataDir, DirError, RPC_TOKEN, at, files};

/// What has to be shown: 64 hexadecimal digits, as they stand in the file.
#[derive(Clone)]
pub(super) struct Token(Arc<Zeroizing<String>>);

impl Token {
    pub(super) fn new(secret: &Secret<32>) -> Self {
        Self(Arc::new(Zeroizing::new(hex::encode(secret.expose()))))
    }

    /// Compares without telling by its time where the first difference is.
    pub(super) fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The token and where programs find it.
#[derive(Debug)]
pub struct TokenFile {
    token: Token,
    path: PathBuf,
    /// An ephemeral node takes its token along.
    ephemeral: bool,
}

impl TokenFile {
    /// The token of a data directory; drawn anew if there is none yet.
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

    /// A token for this run only, in a directory that nobody else can enter.
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

    /// Where it is.
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
            // If it stays, it opens nothing any more.
            let _ = files::remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_token_is_the_token() {
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
