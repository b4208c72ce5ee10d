//! Client identities in the data directory: one encrypted file each, `keystore/<name>.json`.
//!
//! Version 0.1 stored them unencrypted, as `identities/<name>.json`. Such a file is still read, and
//! [`seal_plain`] replaces it once there is a password: the encrypted file is written, made
//! durable, read back and decrypted before the other one is erased. A crash in between leaves both,
//! and the next attempt starts again. While both exist, the unencrypted one counts.
//!
//! Every function blocks; a key derivation takes about a second.

mod error;
mod moves;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::data_dir::{DataDir, DirError, IDENTITIES, KEYSTORE, at, files};
use super::state_store;
use crate::identity::{self, IdentityName, NewIdentity};
use crate::keystore::{Cost, EthereumAddress, KeystoreError, Password, SealedIdentity};
use crate::node::{Identity, PublicIdentity};

pub use error::IdentityError;
pub use moves::{remove, rename};

/// A stored identity.
pub enum StoredIdentity {
    /// Unencrypted: a file of version 0.1.
    Plain(Identity),
    /// Encrypted under a password, which may be empty.
    Sealed(Box<SealedIdentity>),
}

impl StoredIdentity {
    /// The public part, which needs no password.
    #[must_use]
    pub fn public_identity(&self) -> Option<PublicIdentity> {
        match self {
            Self::Plain(identity) => Some(identity.public_identity()),
            Self::Sealed(sealed) => sealed.public_identity(),
        }
    }

    /// Whether a password is needed to use it.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Sealed(sealed) => sealed.is_protected(),
        }
    }
}

/// Parameters for encrypting a new file.
#[derive(Clone, Copy, Debug)]
pub struct SealParams<'a> {
    /// The password; empty for none.
    pub password: &'a Password,
    /// The cost of the key derivation.
    pub cost: Cost,
}

/// The identities of a directory.
#[derive(Default)]
pub struct Listing {
    /// What can be read, ordered by name.
    pub identities: Vec<(IdentityName, StoredIdentity)>,
    /// A cause for each file that is not an identity. These files are left alone.
    pub skipped: Vec<DirError>,
}

impl Listing {
    fn add_sealed(&mut self, root: &Path, path: PathBuf) -> Result<(), DirError> {
        if path.extension().is_none_or(|extension| extension != "json") {
            let cause = NOT_JSON.to_owned();
            return Err(DirError::KeyFile { path, cause });
        }
        let sealed = read_sealed(&path)?;
        let Some(name) = sealed.name().filter(|name| sealed_in(root, name) == path) else {
            return Err(DirError::KeyFile {
                path,
                cause: NOT_OURS.to_owned(),
            });
        };
        let name = name.clone();
        let sealed = StoredIdentity::Sealed(Box::new(sealed));
        self.identities.push((name, sealed));
        Ok(())
    }

    fn add_plain(&mut self, path: PathBuf) -> Result<(), DirError> {
        let (name, identity) = read_plain(&path)?;
        let public_identity = Some(identity.public_identity());
        let mut identities = self.identities.iter_mut();
        match identities.find(|(taken, _)| *taken == name) {
            Some((_, sealed)) if sealed.public_identity() != public_identity => {
                let cause = TWICE.to_owned();
                return Err(DirError::KeyFile { path, cause });
            }
            Some((_, sealed)) => *sealed = StoredIdentity::Plain(identity),
            None => self
                .identities
                .push((name, StoredIdentity::Plain(identity))),
        }
        Ok(())
    }
}

/// All identities. A file that cannot be read as one is skipped, so that it does not take the others
/// with it.
///
/// # Errors
///
/// [`DirError`] if a directory cannot be read.
pub fn list(dir: &DataDir) -> Result<Listing, DirError> {
    list_at(dir.path())
}

/// As [`list`], for a directory that another process may use.
///
/// # Errors
///
/// [`DirError`] if a directory cannot be read.
pub fn list_at(root: &Path) -> Result<Listing, DirError> {
    let mut listing = Listing::default();
    for path in paths(&root.join(KEYSTORE))? {
        if let Err(error) = listing.add_sealed(root, path) {
            listing.skipped.push(error);
        }
    }
    for path in paths(&root.join(IDENTITIES))? {
        if let Err(error) = listing.add_plain(path) {
            listing.skipped.push(error);
        }
    }
    listing
        .identities
        .sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(listing)
}

/// Creates an identity and stores it.
///
/// # Errors
///
/// [`IdentityError::Taken`] if the name is in use: its key would be lost.
pub fn create(
    dir: &DataDir,
    name: &IdentityName,
    wanted: NewIdentity,
    seal_params: SealParams<'_>,
    rng: &mut impl CryptoRng,
) -> Result<Identity, IdentityError> {
    free(dir, name)?;
    let identity = wanted.make(rng);
    save(dir, name, &identity, seal_params, rng)?;
    Ok(identity)
}

/// The encrypted file of an identity, unchanged.
///
/// # Errors
///
/// [`IdentityError::NotSealed`] if the identity is not encrypted.
pub fn export(dir: &DataDir, name: &IdentityName) -> Result<SealedIdentity, IdentityError> {
    match find(dir, name)? {
        StoredIdentity::Sealed(sealed) => Ok(*sealed),
        StoredIdentity::Plain(_) => Err(IdentityError::NotSealed(name.clone())),
    }
}

/// Imports an identity from a key file of this or another program, encrypted again under the same
/// password at this program's cost.
///
/// # Errors
///
/// [`IdentityError::Importing`] if the file or the password is wrong; [`IdentityError::Taken`].
pub fn import(
    dir: &DataDir,
    file: &str,
    name: Option<IdentityName>,
    seal_params: SealParams<'_>,
    rng: &mut impl CryptoRng,
) -> Result<(IdentityName, Identity), IdentityError> {
    let sealed = SealedIdentity::parse(file).map_err(importing)?;
    let identity = sealed.open(seal_params.password).map_err(importing)?;
    let name = name.or_else(|| given_name(&sealed, &identity));
    let name = name.ok_or(IdentityError::NeedsName)?;
    save(dir, &name, &identity, seal_params, rng)?;
    Ok((name, identity))
}

/// Encrypts an identity under another password. An unencrypted identity needs no old password.
///
/// # Errors
///
/// [`IdentityError::Opening`] if the old password is wrong; the file is then unchanged.
pub fn change_password(
    dir: &DataDir,
    name: &IdentityName,
    old: Option<&Password>,
    new: SealParams<'_>,
    rng: &mut impl CryptoRng,
) -> Result<(), IdentityError> {
    let identity = match find(dir, name)? {
        StoredIdentity::Plain(identity) => return seal_plain(dir, name, &identity, new, rng),
        StoredIdentity::Sealed(sealed) => open(name, &sealed, old)?,
    };
    let sealed = SealedIdentity::seal(name, &identity, new.password, new.cost, rng)?;
    write(&sealed_path(dir, name), &sealed)?;
    Ok(state_store::follow_password(
        dir,
        old,
        new.password,
        new.cost,
    )?)
}

/// Decrypts an identity; one without a password needs none.
///
/// # Errors
///
/// [`IdentityError::NeedsPassword`], or [`IdentityError::Opening`] if the password is wrong.
pub fn open(
    name: &IdentityName,
    sealed: &SealedIdentity,
    password: Option<&Password>,
) -> Result<Identity, IdentityError> {
    let none = Password::none();
    let password = match (sealed.is_protected(), password) {
        (false, _) => &none,
        (true, Some(password)) => password,
        (true, None) => return Err(IdentityError::NeedsPassword),
    };
    sealed.open(password).map_err(|error| opening(name, error))
}

/// Encrypts an unencrypted identity, and erases the old file.
///
/// # Errors
///
/// [`IdentityError`]; the unencrypted file is then still there.
pub fn seal_plain(
    dir: &DataDir,
    name: &IdentityName,
    identity: &Identity,
    seal_params: SealParams<'_>,
    rng: &mut impl CryptoRng,
) -> Result<(), IdentityError> {
    let sealed = SealedIdentity::seal(name, identity, seal_params.password, seal_params.cost, rng)?;
    let path = sealed_path(dir, name);
    write(&path, &sealed)?;
    // The new file is the only copy from here on.
    let written = read_sealed(&path)?;
    let reread = written
        .open(seal_params.password)
        .map_err(|error| opening(name, error))?;
    if reread.public_identity() != identity.public_identity() {
        return Err(opening(name, KeystoreError::Damaged("key")));
    }
    let plain = plain_path(dir, name);
    files::erase(&plain).map_err(|error| at(&plain, error))?;
    // The directory may hold other files or be deleted already; both are fine.
    let _ = fs::remove_dir(dir.path().join(IDENTITIES));
    Ok(state_store::protect(
        dir,
        seal_params.password,
        seal_params.cost,
    )?)
}

/// Writes a new file. The caller holds the directory's lock, so no other process takes the name
/// meanwhile.
fn save(
    dir: &DataDir,
    name: &IdentityName,
    identity: &Identity,
    seal_params: SealParams<'_>,
    rng: &mut impl CryptoRng,
) -> Result<(), IdentityError> {
    let sealed = SealedIdentity::seal(name, identity, seal_params.password, seal_params.cost, rng)?;
    free(dir, name)?;
    write(&sealed_path(dir, name), &sealed)?;
    Ok(state_store::protect(
        dir,
        seal_params.password,
        seal_params.cost,
    )?)
}

/// Refuses a name that is in use.
fn free(dir: &DataDir, name: &IdentityName) -> Result<(), IdentityError> {
    for path in [sealed_path(dir, name), plain_path(dir, name)] {
        match fs::symlink_metadata(&path) {
            Ok(_) => return Err(IdentityError::Taken(name.clone())),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(at(&path, error).into()),
        }
    }
    Ok(())
}

fn find(dir: &DataDir, name: &IdentityName) -> Result<StoredIdentity, IdentityError> {
    let listing = list(dir)?;
    let mut kept = listing.identities.into_iter();
    if let Some((_, kept)) = kept.find(|(own, _)| own == name) {
        return Ok(kept);
    }
    let paths = [sealed_path(dir, name), plain_path(dir, name)];
    let mut skipped = listing.skipped.into_iter();
    match skipped.find(|error| {
        error
            .path()
            .is_some_and(|path| paths.iter().any(|own| own == path))
    }) {
        Some(damaged) => Err(damaged.into()),
        None => Err(IdentityError::Unknown(name.clone())),
    }
}

/// The name of an imported identity if the user gives none: the name in its file, or the start of
/// its address.
fn given_name(sealed: &SealedIdentity, identity: &Identity) -> Option<IdentityName> {
    match (sealed.name(), identity.public_identity()) {
        (Some(name), _) => Some(name.clone()),
        (None, PublicIdentity::KeyPair(public)) => {
            let digits = hex::encode(EthereumAddress::of(&public).0);
            format!("key-{}", digits.get(..8)?).parse().ok()
        }
        (None, PublicIdentity::Shared(_)) => None,
    }
}

/// The files of a folder, if it exists, without unfinished files of a crash.
fn paths(folder: &Path) -> Result<Vec<PathBuf>, DirError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(folder, error)),
    };
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(|error| at(folder, error))?;
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "new"));
    Ok(paths)
}

fn read_sealed(path: &Path) -> Result<SealedIdentity, DirError> {
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => damaged_key_file(path),
        _ => at(path, error),
    })?;
    SealedIdentity::parse(&text).map_err(|error| DirError::KeyFile {
        path: path.to_owned(),
        cause: error.to_string(),
    })
}

fn read_plain(path: &Path) -> Result<(IdentityName, Identity), DirError> {
    let damaged = || damaged_key_file(path);
    let name = path.file_stem().and_then(|stem| stem.to_str());
    let name = name.and_then(|name| name.parse().ok());
    let json = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| match error.kind() {
            ErrorKind::InvalidData => damaged(),
            _ => at(path, error),
        })?;
    let identity = identity::from_json(&json).map_err(|_| damaged())?;
    Ok((name.ok_or_else(damaged)?, identity))
}

fn damaged_key_file(path: &Path) -> DirError {
    DirError::KeyFile {
        path: path.to_owned(),
        cause: "it contains no identity; restore it from a backup".to_owned(),
    }
}

fn write(path: &Path, sealed: &SealedIdentity) -> Result<(), DirError> {
    files::replace(path, sealed.to_json().as_bytes()).map_err(|error| at(path, error))
}

fn sealed_path(dir: &DataDir, name: &IdentityName) -> PathBuf {
    sealed_in(dir.path(), name)
}

fn sealed_in(root: &Path, name: &IdentityName) -> PathBuf {
    root.join(KEYSTORE).join(format!("{name}.json"))
}

fn plain_path(dir: &DataDir, name: &IdentityName) -> PathBuf {
    dir.path().join(IDENTITIES).join(format!("{name}.json"))
}

fn opening(name: &IdentityName, error: KeystoreError) -> IdentityError {
    IdentityError::Opening {
        name: name.clone(),
        error,
    }
}

const fn importing(error: KeystoreError) -> IdentityError {
    IdentityError::Importing { error }
}

const NOT_JSON: &str =
    "it is not the file of an identity, whose name ends with .json; move it away";
const NOT_OURS: &str = "\
    it is not the file of an identity of that name; move it away, and bring its key in with \
    `whisht id import FILE`";
const TWICE: &str = "\
    there is another identity of that name in keystore/; rename one of the two files, or move it \
    away";

#[cfg(test)]
mod tests;
