//! The identities of a running node: created, stored, unlocked, and handed to the node.
//!
//! The order is fixed: first the durable file, then the node, so that a message is never encrypted
//! to a key that is lost afterwards. Operations run one at a time, on a thread that may block: a
//! key derivation takes a second and 256 MB, and two of them must not race for a name.

use circuits::erasing_rng::ErasingRng;
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::data_dir::DataDir;
use super::identity_files::{self, IdentityError, SealParams, StoredIdentity};
use super::state_store;
use super::store::Storage;
use super::{Handle, Stopped, seeded_rng};
use crate::identity::{IdentityName, NewIdentity};
use crate::keystore::{Cost, Password, SealedIdentity};
use crate::node::{Command, Identity, IdentityView, LockRequest, OpenedState, Refusal, Reply};

/// The identities of a running node. Clones refer to the same ones.
#[derive(Clone, Debug)]
pub struct IdentityService {
    location: IdentityLocation,
    lock: Arc<Mutex<()>>,
}

/// The storage of identities. The service does not hold the data directory: the directory is free
/// for the next node as soon as this one has ended.
#[derive(Clone, Debug)]
enum IdentityLocation {
    Memory,
    Disk(Weak<DataDir>),
}

impl From<&Storage> for IdentityService {
    fn from(storage: &Storage) -> Self {
        Self {
            location: match storage {
                Storage::Memory => IdentityLocation::Memory,
                Storage::Disk(dir) => IdentityLocation::Disk(Arc::downgrade(dir)),
            },
            lock: Arc::default(),
        }
    }
}

/// The result of an unlock.
#[derive(Debug, Default)]
pub struct UnlockResult {
    /// Identities that were unlocked.
    pub opened: Vec<IdentityName>,
    /// Identities that are still locked.
    pub locked: Vec<IdentityName>,
    /// Whether contacts and messages were unlocked too.
    pub state: bool,
}

/// The result of a lock.
#[derive(Debug, Default)]
pub struct LockResult {
    /// Identities that were locked.
    pub identities: Vec<IdentityName>,
    /// Whether contacts and messages are locked.
    pub state: bool,
}

impl IdentityService {
    /// Creates an identity, stores it, and adds it to the node. An ephemeral node needs no
    /// password.
    ///
    /// # Errors
    ///
    /// [`IdentityServiceError`]; the identity is then unknown to the node.
    pub async fn create(
        &self,
        node: &Handle,
        name: IdentityName,
        wanted: NewIdentity,
        password: Option<Password>,
        cost: Cost,
    ) -> Result<(), IdentityServiceError> {
        let kept_as = name.clone();
        let identity = self
            .blocking(move |dir, rng| match dir {
                None => Ok(wanted.make(rng)),
                Some(dir) => {
                    let password = password.ok_or(IdentityError::NeedsPassword)?;
                    let seal_params = SealParams {
                        password: &password,
                        cost,
                    };
                    identity_files::create(dir, &kept_as, wanted, seal_params, rng)
                }
            })
            .await?;
        listen(node, name, identity).await
    }

    /// Imports a key file, and adds its identity to the node.
    ///
    /// # Errors
    ///
    /// [`IdentityServiceError`] if the file or the password is wrong, or the name is in use.
    pub async fn import(
        &self,
        node: &Handle,
        file: String,
        name: Option<IdentityName>,
        password: Password,
        cost: Cost,
    ) -> Result<IdentityName, IdentityServiceError> {
        let (name, identity) = self
            .blocking(move |dir, rng| {
                let seal_params = SealParams {
                    password: &password,
                    cost,
                };
                let dir = dir.ok_or(IdentityError::KeepsNothing)?;
                identity_files::import(dir, &file, name, seal_params, rng)
            })
            .await?;
        listen(node, name.clone(), identity).await?;
        Ok(name)
    }

    /// The encrypted file of an identity.
    ///
    /// # Errors
    ///
    /// [`IdentityServiceError`] if there is none.
    pub async fn export(&self, name: IdentityName) -> Result<SealedIdentity, IdentityServiceError> {
        self.blocking(move |dir, _| {
            identity_files::export(dir.ok_or(IdentityError::KeepsNothing)?, &name)
        })
        .await
    }

    /// Encrypts an identity under another password.
    ///
    /// # Errors
    ///
    /// [`IdentityServiceError`] if the old one is wrong.
    pub async fn change_password(
        &self,
        name: IdentityName,
        old: Option<Password>,
        new: Password,
        cost: Cost,
    ) -> Result<(), IdentityServiceError> {
        self.blocking(move |dir, rng| {
            let seal_params = SealParams {
                password: &new,
                cost,
            };
            let dir = dir.ok_or(IdentityError::KeepsNothing)?;
            identity_files::change_password(dir, &name, old.as_ref(), seal_params, rng)
        })
        .await
    }

    /// Erases an identity, and receives nothing for it any more.
    ///
    /// # Errors
    ///
    /// [`IdentityServiceError`] if there is none.
    pub async fn remove(
        &self,
        node: &Handle,
        name: IdentityName,
    ) -> Result<(), IdentityServiceError> {
        let erased = name.clone();
        self.blocking(move |dir, _| {
            // Without a directory the node alone has it.
            dir.map_or(Ok(()), |dir| identity_files::remove(dir, &erased))
        })
        .await?;
        let removed = Command::RemoveIdentity(name.to_string());
        node.command(removed).await??;
        Ok(())
    }

    /// Gives an identity another name. It keeps its key, and misses no message.
    ///
    /// # Errors
    ///
    /// [`IdentityServiceError`] if a name is unknown or taken, or the password is wrong.
    pub async fn rename(
        &self,
        node: &Handle,
        old: IdentityName,
        new: IdentityName,
        password: Password,
        cost: Cost,
    ) -> Result<(), IdentityServiceError> {
        let known = node.command(Command::Identities).await??;
        let is_taken = |view: &IdentityView| view.name == new.as_str();
        if matches!(&known, Reply::Identities(views) if views.iter().any(is_taken)) {
            return Err(IdentityError::Taken(new).into());
        }
        let (from, to) = (old.clone(), new.clone());
        self.blocking(move |dir, rng| {
            let seal_params = SealParams {
                password: &password,
                cost,
            };
            dir.map_or(Ok(()), |dir| {
                identity_files::rename(dir, &from, &to, seal_params, rng)
            })
        })
        .await?;
        let renamed = Command::RenameIdentity(old.to_string(), new.to_string());
        node.command(renamed).await??;
        Ok(())
    }

    /// Unlocks one identity, or all that the password decrypts, and adds them to the node. The password
    /// unlocks contacts and messages too, if it is theirs.
    ///
    /// # Errors
    ///
    /// [`IdentityServiceError`] if it unlocks nothing, though something is locked.
    pub async fn unlock(
        &self,
        node: &Handle,
        password: Password,
        only: Option<IdentityName>,
    ) -> Result<UnlockResult, IdentityServiceError> {
        let locked = node.command(Command::Identities).await??;
        let locked = names(&locked, |view| view.locked);
        let ((opened, left), state) = self
            .blocking(move |dir, _| {
                let dir = dir.ok_or(IdentityError::KeepsNothing)?;
                open_with(dir, &locked, &password, only.as_ref())
            })
            .await?;
        let mut unlocked = UnlockResult {
            locked: left,
            state: state.is_some(),
            ..UnlockResult::default()
        };
        if let Some(state) = state {
            node.command(Command::OpenState(state)).await??;
        }
        for (name, identity) in opened {
            listen(node, name.clone(), identity).await?;
            unlocked.opened.push(name);
        }
        Ok(unlocked)
    }

    /// Locks everything that a password protects: identities, contacts and messages. The node goes on as a
    /// relay. Nothing happens to what is locked already.
    ///
    /// # Errors
    ///
    /// [`IdentityServiceError`] if no password protects anything, or the node keeps everything in memory.
    pub async fn lock(&self, node: &Handle) -> Result<LockResult, IdentityServiceError> {
        let known = node.command(Command::Identities).await??;
        let open = names(&known, |view| !view.locked);
        let (identities, state) = self
            .blocking(move |dir, _| protected(dir.ok_or(IdentityError::KeepsNothing)?, &open))
            .await?;
        let request = LockRequest {
            identities: identities.iter().map(ToString::to_string).collect(),
            state,
        };
        // Answered when every change is durable: the key of the state is not needed any more.
        node.command(Command::Lock(request)).await??;
        self.blocking(move |dir, _| {
            if let Some(dir) = dir.filter(|_| state) {
                dir.state().close();
            }
            Ok(())
        })
        .await?;
        Ok(LockResult { identities, state })
    }

    /// Runs an operation on the data directory, if there is one, on a blocking thread.
    async fn blocking<T: Send + 'static>(
        &self,
        task: impl FnOnce(Option<&DataDir>, &mut ErasingRng) -> Result<T, IdentityError>
        + Send
        + 'static,
    ) -> Result<T, IdentityServiceError> {
        let lock = Arc::clone(&self.lock).lock_owned().await;
        let location = self.location.clone();
        let done = spawn_blocking(move || {
            // The lock is returned on this thread, so that a cancelled wait does not end the
            // operation.
            let _lock = lock;
            let dir = match &location {
                IdentityLocation::Memory => None,
                IdentityLocation::Disk(dir) => Some(
                    dir.upgrade()
                        .ok_or(IdentityServiceError::Stopped(Stopped))?,
                ),
            };
            let mut rng = seeded_rng().map_err(IdentityError::NoRandomness)?;
            Ok(task(dir.as_deref(), &mut rng)?)
        });
        done.await
            .map_err(|_| IdentityServiceError::Stopped(Stopped))?
    }
}

/// Identities that were unlocked, and those that were not.
type OpenedIdentities = (Vec<(IdentityName, Identity)>, Vec<IdentityName>);

/// Unlocks identities, and the user's state with them.
fn open_with(
    dir: &DataDir,
    locked: &[IdentityName],
    password: &Password,
    only: Option<&IdentityName>,
) -> Result<(OpenedIdentities, Option<OpenedState>), IdentityError> {
    let identities = open_locked(dir, locked, password, only);
    let is_proven = matches!(&identities, Ok((opened, _)) if !opened.is_empty());
    // A mistyped password must not become the one of a new state.
    let state = if dir.state().is_open() || !(is_proven || state_store::needs_password(dir)?) {
        None
    } else {
        match state_store::unlock(dir, password, Cost::Standard) {
            Ok(()) => dir.state().take_opened()?,
            Err(error) if error.is_wrong_password() && (is_proven || identities.is_err()) => None,
            Err(error) => return Err(error.into()),
        }
    };
    match identities {
        Err(_) if state.is_some() => Ok(((Vec::new(), locked.to_vec()), state)),
        identities => Ok((identities?, state)),
    }
}

/// Decrypts the files of locked identities.
fn open_locked(
    dir: &DataDir,
    locked: &[IdentityName],
    password: &Password,
    only: Option<&IdentityName>,
) -> Result<OpenedIdentities, IdentityError> {
    if let Some(only) = only
        && !locked.contains(only)
    {
        return Err(IdentityError::NotLocked(only.clone()));
    }
    let (mut opened, mut left) = (Vec::new(), Vec::new());
    let mut refusal = None;
    for (name, kept) in identity_files::list(dir)?.identities {
        let StoredIdentity::Sealed(sealed) = kept else {
            continue;
        };
        if !locked.contains(&name) {
            continue;
        }
        if only.is_some_and(|only| *only != name) {
            left.push(name);
            continue;
        }
        match identity_files::open(&name, &sealed, Some(password)) {
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

/// What a password protects: those of the identities `open`, and whether the state is one of it.
fn protected(
    dir: &DataDir,
    open: &[IdentityName],
) -> Result<(Vec<IdentityName>, bool), IdentityError> {
    let state = state_store::is_protected(dir)?;
    let stored = identity_files::list(dir)?.identities.into_iter();
    let protected = stored.filter(|(_, stored)| stored.is_protected());
    let protected: Vec<IdentityName> = protected.map(|(name, _)| name).collect();
    if !state && protected.is_empty() {
        return Err(IdentityError::NothingProtected);
    }
    let open = protected.into_iter().filter(|name| open.contains(name));
    Ok((open.collect(), state))
}

/// The names of the identities that the node lists and that `selects` takes.
fn names(reply: &Reply, selects: impl Fn(&IdentityView) -> bool) -> Vec<IdentityName> {
    let Reply::Identities(views) = reply else {
        return Vec::new();
    };
    let selected = views.iter().filter(|view| selects(view));
    selected.filter_map(|view| view.name.parse().ok()).collect()
}

async fn listen(
    node: &Handle,
    name: IdentityName,
    identity: Identity,
) -> Result<(), IdentityServiceError> {
    node.command(Command::AddIdentity(name.to_string(), identity))
        .await??;
    Ok(())
}

/// Why an identity operation of a running node failed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityServiceError {
    /// The key, its file or its password.
    #[error(transparent)]
    Key(#[from] IdentityError),
    /// The node refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
