//! The identities that a node starts with: unlocked ones, and ones that need a password.
//!
//! An identity without a password is unlocked at once. An unencrypted identity of version 0.1 is
//! unlocked too; it is encrypted once there is a password.

use super::data_dir::DataDir;
use super::identity_files::{self, IdentityError, SealParams, StoredIdentity};
use super::seeded_rng;
use super::store::Storage;
use crate::identity::IdentityName;
use crate::keystore::{Password, SealedIdentity};
use crate::node::{Command, Identity};

/// Identities before the node runs.
#[derive(Default)]
pub struct IdentitySet {
    open: Vec<(IdentityName, Identity)>,
    locked: Vec<(IdentityName, SealedIdentity)>,
    /// Unlocked identities that are stored unencrypted.
    plain: Vec<IdentityName>,
}

impl IdentitySet {
    /// Reads all identities, and decrypts those without a password.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if the directory cannot be read. A file that is not an identity is skipped with
    /// a warning.
    pub fn read(storage: &Storage) -> Result<Self, IdentityError> {
        let Storage::Disk(dir) = storage else {
            return Ok(Self::default());
        };
        let mut set = Self::default();
        let listing = identity_files::list(dir)?;
        for skipped in listing.skipped {
            tracing::warn!("skipped a file that is not an identity: {skipped}");
        }
        for (name, kept) in listing.identities {
            match kept {
                StoredIdentity::Plain(identity) => {
                    set.plain.push(name.clone());
                    set.open.push((name, identity));
                }
                StoredIdentity::Sealed(sealed) if sealed.is_protected() => {
                    set.locked.push((name, *sealed));
                }
                StoredIdentity::Sealed(sealed) => {
                    match identity_files::open(&name, &sealed, None) {
                        Ok(identity) => set.open.push((name, identity)),
                        Err(error) => tracing::warn!("skipped an identity: {error}"),
                    }
                }
            }
        }
        Ok(set)
    }

    /// The number of unlocked identities.
    #[must_use]
    pub const fn open(&self) -> usize {
        self.open.len()
    }

    /// Identities that need a password.
    pub fn locked(&self) -> impl ExactSizeIterator<Item = &IdentityName> {
        self.locked.iter().map(|(name, _)| name)
    }

    /// Identities that are stored unencrypted.
    #[must_use]
    pub fn plain(&self) -> &[IdentityName] {
        &self.plain
    }

    /// Unlocks what a password decrypts. Takes about a second for each locked identity.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if it unlocks none.
    pub fn unlock(&mut self, password: &Password) -> Result<(), IdentityError> {
        let mut refusal = None;
        let before = self.open.len();
        for (name, sealed) in std::mem::take(&mut self.locked) {
            match identity_files::open(&name, &sealed, Some(password)) {
                Ok(identity) => self.open.push((name, identity)),
                Err(error) => {
                    refusal = refusal.or(Some(error));
                    self.locked.push((name, sealed));
                }
            }
        }
        match refusal {
            Some(refusal) if self.open.len() == before => Err(refusal),
            _ => Ok(()),
        }
    }

    /// Encrypts the unencrypted identities.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]; identities that are not encrypted yet remain so.
    pub fn seal_plain(
        &mut self,
        dir: &DataDir,
        seal_params: SealParams<'_>,
    ) -> Result<(), IdentityError> {
        let mut rng = seeded_rng()?;
        while let Some(name) = self.plain.last() {
            if let Some((_, identity)) = self.open.iter().find(|(own, _)| own == name) {
                identity_files::seal_plain(dir, name, identity, seal_params, &mut rng)?;
            }
            self.plain.pop();
        }
        Ok(())
    }

    /// The commands that add these identities to a node.
    pub(super) fn into_commands(self) -> impl Iterator<Item = Command> {
        let open = self.open.into_iter();
        let open = open.map(|(name, identity)| Command::AddIdentity(name.to_string(), identity));
        let locked = self.locked.into_iter().filter_map(|(name, sealed)| {
            Some(Command::AddLocked(
                name.to_string(),
                sealed.public_identity()?,
            ))
        });
        open.chain(locked)
    }
}

impl std::fmt::Debug for IdentitySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentitySet")
            .field("open", &self.open.len())
            .field("locked", &self.locked.len())
            .finish_non_exhaustive()
    }
}
