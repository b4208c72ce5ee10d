//! Why operations on stored identities fail, each with its remedy.

use crate::identity::IdentityName;
use crate::keystore::{BadKdf, KeystoreError, LOST};
use crate::shell::NoRandomness;
use crate::shell::data_dir::DirError;
use crate::shell::state_store::StateError;
use crate::state::master_key::UnwrapError;

/// Why an operation on an identity failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The data directory.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A file to be imported does not decrypt.
    #[error("the file does not open: {error}{}", lost(*error))]
    Importing {
        /// The cause.
        error: KeystoreError,
    },
    /// The key derivation failed.
    #[error(transparent)]
    Kdf(#[from] BadKdf),
    /// There is no data directory.
    #[error("the node has no data directory; start one without --ephemeral")]
    KeepsNothing,
    /// Neither the user nor the file gives a name.
    #[error("the file contains no name; choose one with --name")]
    NeedsName,
    /// A password is needed, and none was given.
    #[error("a password is required; type it at the prompt, or name its file with --password-file")]
    NeedsPassword,
    /// The system gave no random numbers for a key.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// No identity is locked.
    #[error("no identity `{0}` is locked; `whisht id list` shows which are")]
    NotLocked(IdentityName),
    /// The identity is unencrypted, so it is not exported.
    #[error("`{0}` is not encrypted; seal it first with `whisht id passwd {0}`")]
    NotSealed(IdentityName),
    /// Nothing has a password, so that nothing can be locked.
    #[error(
        "no password protects identities, contacts and messages; set one first with `whisht id passwd NAME`"
    )]
    NothingProtected,
    /// The file does not decrypt.
    #[error("`{name}` does not open: {error}{}", lost(*error))]
    Opening {
        /// The identity.
        name: IdentityName,
        /// The cause.
        error: KeystoreError,
    },
    /// The user's state does not take the password.
    #[error(transparent)]
    State(#[from] StateError),
    /// The name is in use.
    #[error("there is an identity named `{0}` already; choose another name")]
    Taken(IdentityName),
    /// No identity has this name.
    #[error("there is no identity named `{0}`; `whisht id list` shows those there are")]
    Unknown(IdentityName),
}

impl IdentityError {
    /// Whether a password is missing or wrong.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        matches!(
            self,
            Self::NeedsPassword
                | Self::Importing {
                    error: KeystoreError::WrongPassword
                }
                | Self::State(StateError::Key {
                    error: UnwrapError::WrongPassword,
                    ..
                })
                | Self::Opening {
                    error: KeystoreError::WrongPassword,
                    ..
                }
        )
    }
}

/// The wrong-password error inside, if that is the cause.
fn lost(error: KeystoreError) -> String {
    match error {
        KeystoreError::WrongPassword => format!("; try again. {LOST}"),
        _ => String::new(),
    }
}
