//! The data directory: its files, their permissions, and the lock that excludes a second node.
//!
//! ```text
//! lock             held by the process that uses the directory; its process number
//! profile          `main`, or `local` and the network's name; never mixed (spec M17)
//! nodekey          the link key, 64 hexadecimal digits, as go-ethereum writes it
//! guard-seed       ranks the guards (spec M1); apart from the link key, so that neither
//!                  reveals the other
//! port             the port last listened on
//! rpc-token        the token of programs that connect over TCP
//! onion/           <epoch>.key and <epoch>.tags, together or not at all (spec M9)
//! descriptor/      <epoch>: our own published descriptors
//! directory.bin    the descriptors of relays
//! relay-lists      the signed relay lists, if signers are pinned
//! keystore/        <name>.json: client keys, sealed
//! identities/      <name>.json: client keys in the clear, as version 0.1 left them
//! state.db         contacts, conversations, messages: sealed rows; state.db-wal and -shm belong to it
//! state.key        the key of these rows, under a password
//! state.guard      recognises an old copy of state.db; a backup leaves it out
//! files/           files that are handed over, in sealed chunks; their keys are rows of state.db
//! mail.db          a mail server's envelopes; mail.db-wal and mail.db-shm belong to it
//! ```
//!
//! Directories are 0700 and files 0600. A file that others can read is refused, not repaired: its
//! owner has to decide whether the key was exposed.

mod examine;
pub(super) mod files;
mod permissions;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use circuits::ids::Profile;
use circuits::secret::Secret;
use zeroize::Zeroizing;

use self::permissions::{check_all, check_mode, check_owner, make_private};
use super::state_store::StateSlot;
use super::{NoRandomness, random};

pub use examine::{damaged_files, is_token_damaged, open_to_others};

/// A data directory that this process has locked.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    state: StateSlot,
    _lock: Lock,
}

/// The lock on a directory, released on drop.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough while a child process is being started: until its exec,
        // the child has all files of this process open.
        let _ = self.0.unlock();
    }
}

impl DataDir {
    /// Opens a directory for one network, and creates it if it does not exist.
    ///
    /// # Errors
    ///
    /// [`DirError`] if another process uses it, if others can read it, if it belongs to another
    /// network, or if the operating system refuses.
    pub fn open(path: &Path, profile: Profile, network: &str) -> Result<Self, DirError> {
        let dir = Self::lock(path)?;
        dir.claim(profile, network)?;
        Ok(dir)
    }

    /// Opens a directory of any network, to change state that does not depend on the network.
    ///
    /// # Errors
    ///
    /// As [`DataDir::open`], but for the network.
    pub fn lock(path: &Path) -> Result<Self, DirError> {
        make_private(path)?;
        // The directory itself may be a link, as systemd's DynamicUser= makes one; the rules hold for
        // its target. Links inside are refused.
        let path = &fs::canonicalize(path).map_err(|error| at(path, error))?;
        check_owner(path)?;
        check_mode(path)?;
        let lock_path = path.join(LOCK);
        let mut lock = Lock(files::open_lock(&lock_path).map_err(|error| at(&lock_path, error))?);
        match lock.0.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&lock_path).unwrap_or_default();
                let holder = holder.trim().parse().ok();
                return Err(DirError::Locked {
                    path: path.to_owned(),
                    holder,
                });
            }
            Err(TryLockError::Error(error)) => return Err(at(&lock_path, error)),
        }
        for part in [ONION, DESCRIPTOR, KEYSTORE] {
            make_private(&path.join(part))?;
        }
        check_all(path)?;
        lock.0
            .set_len(0)
            .and_then(|()| writeln!(lock.0, "{}", std::process::id()))
            .map_err(|error| at(&lock_path, error))?;
        Ok(Self {
            path: path.to_owned(),
            state: StateSlot::default(),
            _lock: lock,
        })
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the local RPC socket.
    #[must_use]
    pub fn ipc_path(&self) -> PathBuf {
        self.path.join(IPC)
    }

    /// The user's state, once it is open.
    pub(super) const fn state(&self) -> &StateSlot {
        &self.state
    }

    /// The folder of files that are handed over.
    #[must_use]
    pub(super) fn files_path(&self) -> PathBuf {
        self.path.join(FILES)
    }

    /// The path of the mail server's archive.
    #[must_use]
    pub(super) fn mail_path(&self) -> PathBuf {
        self.path.join(MAIL)
    }

    /// The link key; generated if the file does not exist.
    ///
    /// # Errors
    ///
    /// [`DirError`] if the file holds no key or cannot be read or written.
    pub fn node_key(&self) -> Result<Secret<32>, DirError> {
        self.secret("nodekey")
    }

    /// The seed that ranks the guards; generated if the file does not exist.
    ///
    /// # Errors
    ///
    /// [`DirError`] if the file holds no seed or cannot be read or written.
    pub fn guard_seed(&self) -> Result<Secret<16>, DirError> {
        self.secret("guard-seed")
    }

    /// The token that RPC clients present over TCP; generated if the file does not exist or is
    /// damaged. Unlike a key, a token is worth nothing after its loss: programs read the new one.
    ///
    /// # Errors
    ///
    /// [`DirError`] if the file cannot be read or written.
    pub fn rpc_token(&self) -> Result<Secret<32>, DirError> {
        match self.secret(RPC_TOKEN) {
            Err(DirError::Damaged { path }) => {
                tracing::warn!(
                    path = %path.display(),
                    "the token of programs over TCP is damaged; it is made anew, and programs must \
                     read the file again"
                );
                generate(&path)
            }
            token => token,
        }
    }

    /// The port of the last run, if one is stored.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        fs::read_to_string(self.path.join(PORT))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// Stores the listening port.
    ///
    /// # Errors
    ///
    /// [`DirError`] if it cannot be written.
    pub fn remember_port(&self, port: u16) -> Result<(), DirError> {
        let path = self.path.join(PORT);
        files::replace(&path, format!("{port}\n").as_bytes()).map_err(|error| at(&path, error))
    }

    /// Binds the directory to one network permanently.
    fn claim(&self, profile: Profile, network: &str) -> Result<(), DirError> {
        let path = self.path.join(PROFILE);
        let wanted = format!("{} {network}\n", profile.label());
        match read_text(&path)? {
            Some(found) if *found == wanted => Ok(()),
            Some(found) if !is_claim(&found) => Err(DirError::DamagedProfile { path }),
            Some(found) => Err(DirError::OtherNetwork {
                path: self.path.clone(),
                found: found.trim().chars().filter(|c| !c.is_control()).collect(),
                wanted: wanted.trim().to_owned(),
            }),
            None => files::replace(&path, wanted.as_bytes()).map_err(|error| at(&path, error)),
        }
    }

    /// Reads a file of hexadecimal digits, or generates its content.
    fn secret<const N: usize>(&self, name: &'static str) -> Result<Secret<N>, DirError> {
        let path = self.path.join(name);
        match read_text(&path)? {
            Some(digits) => {
                let mut bytes = Zeroizing::new([0; N]);
                hex::decode_to_slice(digits.trim(), bytes.as_mut())
                    .map_err(|_| DirError::Damaged { path })?;
                Ok(Secret::take(&mut bytes))
            }
            None => generate(&path),
        }
    }
}

/// Writes a new secret into a file, as hexadecimal digits.
fn generate<const N: usize>(path: &Path) -> Result<Secret<N>, DirError> {
    let mut bytes = Zeroizing::new(random::<N>()?);
    let digits = Zeroizing::new(hex::encode(bytes.as_ref()));
    files::replace(path, digits.as_bytes()).map_err(|error| at(path, error))?;
    Ok(Secret::take(&mut bytes))
}

/// The default location of the data directory: `~/.whisper`.
#[must_use]
pub fn default_path() -> Option<PathBuf> {
    std::env::home_dir()
        .filter(|home| home.is_absolute())
        .map(|home| home.join(".whisper"))
}

impl DirError {
    /// The file or directory that the error is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::NoRandomness(_) => None,
            Self::Damaged { path }
            | Self::DamagedGuards { path }
            | Self::DamagedProfile { path }
            | Self::KeyFile { path, .. }
            | Self::Link { path }
            | Self::Locked { path, .. }
            | Self::NotADirectory { path }
            | Self::OtherNetwork { path, .. }
            | Self::OtherOwner { path, .. }
            | Self::System { path, .. }
            | Self::TooOpen { path, .. } => Some(path),
        }
    }
}

/// Whether a text is what [`DataDir::claim`] writes, for this or another network.
pub(super) fn is_claim(text: &str) -> bool {
    let claim = text
        .strip_suffix('\n')
        .and_then(|line| line.split_once(' '));
    let labels = [Profile::Main, Profile::Local].map(Profile::label);
    claim.is_some_and(|(label, network)| labels.contains(&label) && !network.is_empty())
}

/// Reads a text file of this directory; bytes that are not text are damage.
fn read_text(path: &Path) -> Result<Option<Zeroizing<String>>, DirError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(None),
            io::ErrorKind::InvalidData => Err(DirError::Damaged {
                path: path.to_owned(),
            }),
            _ => Err(at(path, error)),
        },
    }
}

/// Adds a path to an error of the operating system.
pub(super) fn at(path: &Path, error: io::Error) -> DirError {
    DirError::System {
        path: path.to_owned(),
        error,
    }
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirError {
    /// The content of a file does not fit its name.
    #[error(
        "{} is damaged; restore it from a backup, or delete it to have a new one made",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The file of the guards is damaged. New guards are new relays that see this node, so the node
    /// does not choose them by itself.
    #[error(
        "{} is damaged; restore it from a backup, or delete it: the node then chooses guards anew, \
         and more relays learn its address",
        path.display()
    )]
    DamagedGuards {
        /// The file.
        path: PathBuf,
    },
    /// The file that names the network is damaged. It is not made anew: the keys of this directory
    /// must not meet another network.
    #[error(
        "{} is damaged; restore it from a backup, or write the profile and the name of this \
         directory's network into it, such as `main whisht`",
        path.display()
    )]
    DamagedProfile {
        /// The file.
        path: PathBuf,
    },
    /// A file in the keystore is damaged or cannot belong there.
    #[error("{}: {cause}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// The cause, and the remedy.
        cause: String,
    },
    /// A symbolic link where a file or directory should be.
    #[error(
        "{} is a symbolic link, whose target may be open to others; put the file itself there",
        path.display()
    )]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Another process uses it.
    #[error(
        "{} is in use{}; stop that node, or choose another directory with --data-dir",
        path.display(),
        holder.map(|id| format!(" by process {id}")).unwrap_or_default()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process id, if the lock file contains one.
        holder: Option<u32>,
    },
    /// The system gave no random numbers for a new key.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// A file exists where a directory is expected.
    #[error("{} is not a directory; choose another one with --data-dir", path.display())]
    NotADirectory {
        /// The file.
        path: PathBuf,
    },
    /// The directory belongs to another network.
    #[error(
        "{} belongs to the network `{found}`, not to `{wanted}`; keys of two networks must not \
         meet: choose another directory with --data-dir",
        path.display()
    )]
    OtherNetwork {
        /// The directory.
        path: PathBuf,
        /// The network whose keys it holds.
        found: String,
        /// The requested network.
        wanted: String,
    },
    /// The directory belongs to another user.
    #[error(
        "{} belongs to the user {owner}, and this command runs as the user {user}; run it as the owner \
         of the directory, or choose another directory with --data-dir",
        path.display()
    )]
    OtherOwner {
        /// The directory.
        path: PathBuf,
        /// The number of the owner.
        owner: u32,
        /// The number of the user of this process.
        user: u32,
    },
    /// The operating system refuses.
    #[error("{}: {error}; check that the path exists, is yours, and has room", path.display())]
    System {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// Others can read or write it.
    #[error(
        "{} is open to other users (mode {mode:04o}); run `chmod {allowed:04o} {}`, and \
         replace its keys if another user may have read them",
        path.display(),
        path.display()
    )]
    TooOpen {
        /// The file or directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// The maximum permissions.
        allowed: u32,
    },
}

/// State of the embedded Tor client.
pub(super) const ARTI: &str = "arti";
/// Onion keys and their replay logs.
pub(super) const ONION: &str = "onion";
/// Files that are handed over, sealed.
pub(super) const FILES: &str = "files";
/// Our descriptors.
pub(super) const DESCRIPTOR: &str = "descriptor";
/// Unencrypted client keys of version 0.1.
pub(super) const IDENTITIES: &str = "identities";
/// The local socket.
pub(super) const IPC: &str = "whisht.ipc";
/// The RPC token for TCP.
pub(super) const RPC_TOKEN: &str = "rpc-token";
/// Client keys.
pub(super) const KEYSTORE: &str = "keystore";
/// The file that the process that uses the directory holds locked.
pub(super) const LOCK: &str = "lock";
const MAIL: &str = "mail.db";
const PORT: &str = "port";
/// The network of the directory.
pub(super) const PROFILE: &str = "profile";
/// The user's state, its key, and what recognises an old copy of it.
pub(super) const STATE_DB: &str = "state.db";
pub(super) const STATE_KEY: &str = "state.key";
pub(super) const STATE_GUARD: &str = "state.guard";

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
