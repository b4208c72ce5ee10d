//! The identities of a running node: made, kept, unlocked, and given to the node.
//!
//! The order is always the same: first the file, durable, then the node, so that a message can
//! never be sealed to a key that is lost afterwards. One thing is done at a time, on a thread that
//! may block: a key derivation takes a second and 256 MB, and two of them must not race for a name.

use std::sync::{Arc, Weak};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::data_dir::DataDir;
use super::identities::{self, Kept, KeyError, Sealing};
use super::store::Storage;
use super::{Handle, Stopped, random};
use crate::identity::{IdentityName, NewIdentity};
use crate::keystore::{Cost, Password, SealedIdentity};
use crate::node::{Command, Identity, Refusal, Reply};

/// Keeps a running node's identities. Clones keep the same ones.
#[derive(Clone, Debug)]
pub struct Keeper {
    place: Place,
    turn: Arc<Mutex<()>>,
}

/// Where identities are kept. A keeper does not hold the data directory: it is free for the next
/// node as soon as this one has ended, whatever its clients do.
#[derive(Clone, Debug)]
enum Place {
    Memory,
    Disk(Weak<DataDir>),
}

impl From<&Storage> for Keeper {
    fn from(storage: &Storage) -> Self {
        Self {
            place: match storage {
                Storage::Memory => Place::Memory,
                Storage::Disk(dir) => Place::Disk(Arc::downgrade(dir)),
            },
            turn: Arc::default(),
        }
    }
}

/// What came of a password.
#[derive(Debug, Default)]
pub struct Unlocked {
    /// Identities that it opened.
    pub opened: Vec<IdentityName>,
    /// Identities that are still locked.
    pub locked: Vec<IdentityName>,
}

impl Keeper {
    /// Makes an identity, keeps it, and has the node listen for it. A node that keeps nothing
    /// needs no password.
    ///
    /// # Errors
    ///
    /// [`KeepError`]; the node then does not know it.
    pub async fn create(
        &self,
        node: &Handle,
        name: IdentityName,
        wanted: NewIdentity,
        password: Option<Password>,
        cost: Cost,
    ) -> Result<(), KeepError> {
        let kept_as = name.clone();
        let identity = self
            .blocking(move |dir, rng| match dir {
                None => Ok(wanted.make(rng)),
                Some(dir) => {
                    let password = password.ok_or(KeyError::NeedsPassword)?;
                    let sealing = Sealing {
                        password: &password,
                        cost,
                    };
                    identities::create(dir, &kept_as, wanted, sealing, rng)
                }
            })
            .await?;
        listen(node, name, identity).await
    }

    /// Keeps the identity of a key file, and has the node listen for it.
    ///
    /// # Errors
    ///
    /// [`KeepError`] if the file or the password is no good, or the name is taken.
    pub async fn import(
        &self,
        node: &Handle,
        file: String,
        name: Option<IdentityName>,
        password: Password,
        cost: Cost,
    ) -> Result<IdentityName, KeepError> {
        let (name, identity) = self
            .blocking(move |dir, rng| {
                let sealing = Sealing {
                    password: &password,
                    cost,
                };
                let dir = dir.ok_or(KeyError::KeepsNothing)?;
                identities::import(dir, &file, name, sealing, rng)
            })
            .await?;
        listen(node, name.clone(), identity).await?;
        Ok(name)
    }

    /// The sealed file of an identity.
    ///
    /// # Errors
    ///
    /// [`KeepError`] if there is none.
    pub async fn export(&self, name: IdentityName) -> Result<SealedIdentity, KeepError> {
        self.blocking(move |dir, _| identities::export(dir.ok_or(KeyError::KeepsNothing)?, &name))
            .await
    }

    /// Seals an identity under another password.
    ///
    /// # Errors
    ///
    /// [`KeepError`] if the old one is wrong.
    pub async fn change_password(
        &self,
        name: IdentityName,
        old: Option<Password>,
        new: Password,
        cost: Cost,
    ) -> Result<(), KeepError> {
        self.blocking(move |dir, rng| {
            let sealing = Sealing {
                password: &new,
                cost,
            };
            let dir = dir.ok_or(KeyError::KeepsNothing)?;
            identities::change_password(dir, &name, old.as_ref(), sealing, rng)
        })
        .await
    }

    /// Opens what the password opens, of all identities that are locked or of one, and has the
    /// node listen for them.
    ///
    /// # Errors
    ///
    /// [`KeepError`] if it opens none of them, though there is one to open.
    pub async fn unlock(
        &self,
        node: &Handle,
        password: Password,
        only: Option<IdentityName>,
    ) -> Result<Unlocked, KeepError> {
        let locked = node.command(Command::Identities).await??;
        let locked = locked_names(&locked);
        let (opened, left) = self
            .blocking(move |dir, _| {
                let dir = dir.ok_or(KeyError::KeepsNothing)?;
                open_locked(dir, &locked, &password, only.as_ref())
            })
            .await?;
        let mut unlocked = Unlocked {
            locked: left,
            ..Unlocked::default()
        };
        for (name, identity) in opened {
            listen(node, name.clone(), identity).await?;
            unlocked.opened.push(name);
        }
        Ok(unlocked)
    }

    /// Does something with the data directory, if there is one, where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        task: impl FnOnce(Option<&DataDir>, &mut ChaCha20Rng) -> Result<T, KeyError> + Send + 'static,
    ) -> Result<T, KeepError> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let place = self.place.clone();
        let done = spawn_blocking(move || {
            // Given back on this thread, so that giving up the wait does not end the turn.
            let _turn = turn;
            let dir = match &place {
                Place::Memory => None,
                Place::Disk(dir) => Some(dir.upgrade().ok_or(KeepError::Stopped(Stopped))?),
            };
            let seed = random().map_err(KeyError::NoRandomness)?;
            Ok(task(dir.as_deref(), &mut ChaCha20Rng::from_seed(seed))?)
        });
        done.await.map_err(|_| KeepError::Stopped(Stopped))?
    }
}

/// Who opened, and who did not.
type Opened = (Vec<(IdentityName, Identity)>, Vec<IdentityName>);

/// Opens the files of locked identities.
fn open_locked(
    dir: &DataDir,
    locked: &[IdentityName],
    password: &Password,
    only: Option<&IdentityName>,
) -> Result<Opened, KeyError> {
    if let Some(only) = only
        && !locked.contains(only)
    {
        return Err(KeyError::NotLocked(only.clone()));
    }
    let (mut opened, mut left) = (Vec::new(), Vec::new());
    let mut refusal = None;
    for (name, kept) in identities::list(dir)? {
        let Kept::Sealed(sealed) = kept else { continue };
        if !locked.contains(&name) {
            continue;
        }
        if only.is_some_and(|only| *only != name) {
            left.push(name);
            continue;
        }
        match identities::open(&name, &sealed, Some(password)) {
            Ok(identity) => opened.push((name, identity)),
            Err(error) => {
                left.push(name);
                refusal = refusal.or(Some(error));
            }
        }
    }
    match refusal {
        Some(refusal) if opened.is_empty() => Err(refusal),
        _ => Ok((opened, left)),
    }
}

/// The identities that the node knows to be locked.
fn locked_names(reply: &Reply) -> Vec<IdentityName> {
    let Reply::Identities(views) = reply else {
        return Vec::new();
    };
    let locked = views.iter().filter(|view| view.locked);
    locked.filter_map(|view| view.name.parse().ok()).collect()
}

async fn listen(node: &Handle, name: IdentityName, identity: Identity) -> Result<(), KeepError> {
    node.command(Command::AddIdentity(name.to_string(), identity))
        .await??;
    Ok(())
}

/// Why a running node's identities are as they were.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The key, its file or its password.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The node does not take it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
