//! Client identities in the data directory: one file each, `identities/<name>.json`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::data_dir::{DataDir, DirError, IDENTITIES, at};
use crate::identity::{self, IdentityName};
use crate::node::Identity;
use zeroize::Zeroizing;

/// Writes a new identity.
///
/// # Errors
///
/// [`SaveError::Taken`] if there is one of that name: its key would be lost.
pub fn save(dir: &DataDir, name: &IdentityName, identity: &Identity) -> Result<(), SaveError> {
    let path = path(dir, name);
    let json = identity::to_json(identity);
    let mut options = OpenOptions::new();
    let mut file = match options.write(true).create_new(true).mode(0o600).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(SaveError::Taken(name.clone()));
        }
        Err(error) => return Err(at(&path, error).into()),
    };
    file.write_all(json.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| SaveError::Dir(at(&path, error)))
}

/// Reads every identity, in the order of their names.
///
/// # Errors
///
/// [`DirError`] names the file that is damaged or cannot be read.
pub fn load(dir: &DataDir) -> Result<Vec<(IdentityName, Identity)>, DirError> {
    let folder = dir.path().join(IDENTITIES);
    let mut identities = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|error| at(&folder, error))? {
        let path = entry.map_err(|error| at(&folder, error))?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str());
        let Some(name) = name.and_then(|name| name.parse::<IdentityName>().ok()) else {
            return Err(DirError::Damaged { path });
        };
        let json = fs::read_to_string(&path)
            .map(Zeroizing::new)
            .map_err(|error| at(&path, error))?;
        let identity = identity::from_json(&json).map_err(|_| DirError::Damaged { path })?;
        identities.push((name, identity));
    }
    identities.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(identities)
}

fn path(dir: &DataDir, name: &IdentityName) -> PathBuf {
    dir.path().join(IDENTITIES).join(format!("{name}.json"))
}

/// Why an identity is not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The directory cannot be written.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// There is one of that name.
    #[error("there is an identity named `{0}` already; choose another name")]
    Taken(IdentityName),
}

#[cfg(test)]
mod tests {
    use circuits::ids::Profile;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::envelope::Topic;
    use crate::identity::Wanted;

    fn name(name: &str) -> IdentityName {
        name.parse().unwrap()
    }

    #[test]
    fn identities_come_back_by_name() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("data");
        let dir = DataDir::open(&path, Profile::Main, "test").unwrap();
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        save(&dir, &name("zoe"), &Wanted::KeyPair.make(&mut rng)).unwrap();
        save(
            &dir,
            &name("group"),
            &Wanted::Shared(Topic([7; 4])).make(&mut rng),
        )
        .unwrap();
        let read = load(&dir).unwrap();
        let names: Vec<_> = read.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["group", "zoe"]);

        drop(dir);
        assert!(
            DataDir::open(&path, Profile::Main, "test").is_ok(),
            "the files are private"
        );
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&scratch.path().join("data"), Profile::Main, "test").unwrap();
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        save(&dir, &name("me"), &Wanted::KeyPair.make(&mut rng)).unwrap();
        let again = save(&dir, &name("me"), &Wanted::KeyPair.make(&mut rng));
        assert!(matches!(again, Err(SaveError::Taken(_))));
    }

    #[test]
    fn a_damaged_identity_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = DataDir::open(&scratch.path().join("data"), Profile::Main, "test").unwrap();
        fs::write(dir.path().join("identities/me.json"), "{}").unwrap();
        let error = load(&dir).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("me.json is damaged"), "{error}");
    }
}
