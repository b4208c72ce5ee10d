//! Removes and renames stored identities.
//!
//! The name is a part of what the password protects, so a new name needs the password: the key is
//! encrypted again under it. The file of the new name is durable and has been read back before the old
//! one is erased. A crash in between leaves both, and the same command completes the rename.

use rand_core::CryptoRng;

use super::{
    DataDir, IdentityError, SealParams, StoredIdentity, at, files, find, free, open, opening,
    plain_path, read_sealed, sealed_path, write,
};
use crate::identity::IdentityName;
use crate::keystore::{KeystoreError, SealedIdentity};

/// Erases the files of an identity. Its key is gone afterwards, unless there is a copy elsewhere.
///
/// # Errors
///
/// [`IdentityError::Unknown`] if there is none.
pub fn remove(dir: &DataDir, name: &IdentityName) -> Result<(), IdentityError> {
    find(dir, name)?;
    for path in [sealed_path(dir, name), plain_path(dir, name)] {
        files::erase(&path).map_err(|error| at(&path, error))?;
    }
    Ok(())
}

/// Gives an identity another name; its key and its password stay.
///
/// # Errors
///
/// [`IdentityError::Taken`] if another identity has the new name, [`IdentityError::Opening`] if the
/// password is wrong, [`IdentityError::NotSealed`] for a file of version 0.1. The identity then still has
/// its old name.
pub fn rename(
    dir: &DataDir,
    old: &IdentityName,
    new: &IdentityName,
    seal_params: SealParams<'_>,
    rng: &mut impl CryptoRng,
) -> Result<(), IdentityError> {
    let StoredIdentity::Sealed(sealed) = find(dir, old)? else {
        return Err(IdentityError::NotSealed(old.clone()));
    };
    let identity = open(old, &sealed, Some(seal_params.password))?;
    let path = sealed_path(dir, new);
    if old == new {
        return Err(IdentityError::Taken(new.clone()));
    }
    // A rename that a crash interrupted has written the new file already.
    let is_ours = |written: &SealedIdentity| {
        let opened = written.open(seal_params.password);
        opened.is_ok_and(|opened| opened.public_identity() == identity.public_identity())
    };
    if !read_sealed(&path).is_ok_and(|written| is_ours(&written)) {
        free(dir, new)?;
        let password = seal_params.password;
        let renamed = SealedIdentity::seal(new, &identity, password, seal_params.cost, rng)?;
        write(&path, &renamed)?;
        if !is_ours(&read_sealed(&path)?) {
            return Err(opening(new, KeystoreError::Damaged("key")));
        }
    }
    let old = sealed_path(dir, old);
    files::erase(&old).map_err(|error| at(&old, error))?;
    Ok(())
}
