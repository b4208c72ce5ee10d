//! The password at the start of a node.
//!
//! It is asked for before anything else of the node is there, so that no log gets between prompt
//! and answer. A node that has nobody to ask starts all the same: it relays, and reads nothing
//! until `whisht unlock`.

use crate::cli::Failure;
use crate::cli::passwords;
use crate::config::Config;
use crate::keystore::{Cost, Password};
use crate::shell::data_dir::DataDir;
use crate::shell::identity_files::SealParams;
use crate::shell::identity_set::IdentitySet;
use crate::shell::store::Storage;

/// Reads the identities and opens what can be opened.
///
/// # Errors
///
/// [`Failure`] if a file is damaged, or the password file opens nothing.
pub(super) fn open(
    storage: &Storage,
    config: &Config,
    stay_locked: bool,
    cost: Cost,
) -> Result<IdentitySet, Failure> {
    let mut identities = IdentitySet::read(storage)?;
    let Storage::Disk(dir) = storage else {
        return Ok(identities);
    };
    let idle = identities.locked().len() == 0 && identities.plain().is_empty();
    match &config.password_file {
        _ if idle => {}
        _ if stay_locked => say_what_waits(&identities),
        Some(path) => {
            let password = passwords::from_file(path)?;
            if identities.locked().len() > 0 {
                identities.unlock(&password)?;
            }
            seal(&mut identities, dir, &password, cost)?;
            say_what_waits(&identities);
        }
        None if passwords::can_ask() => {
            ask(&mut identities, dir, cost)?;
            say_what_waits(&identities);
        }
        None => say_what_waits(&identities),
    }
    Ok(identities)
}

/// Asks until everything is open, or the user has had enough.
fn ask(identities: &mut IdentitySet, dir: &DataDir, cost: Cost) -> Result<(), Failure> {
    let mut worked = None;
    for _ in 0..TRIES {
        let names: Vec<&str> = identities.locked().map(|name| name.as_str()).collect();
        if names.is_empty() {
            break;
        }
        let prompt = format!(
            "password for {} (Enter to start locked): ",
            names.join(", ")
        );
        let password = passwords::ask(&prompt)?;
        if password.is_empty() {
            break;
        }
        match identities.unlock(&password) {
            Ok(()) => worked = Some(password),
            Err(error) if error.is_locked() => passwords::say(error),
            Err(error) => return Err(error.into()),
        }
    }
    if identities.plain().is_empty() {
        return Ok(());
    }
    let password = match worked {
        Some(password) => password,
        None => {
            passwords::say(
                "identities of an earlier version lie on the disk in the clear; they are sealed now",
            );
            passwords::ask_new("your identities")?
        }
    };
    seal(identities, dir, &password, cost)
}

/// Seals what an earlier version left in the clear.
fn seal(
    identities: &mut IdentitySet,
    dir: &DataDir,
    password: &Password,
    cost: Cost,
) -> Result<(), Failure> {
    let count = identities.plain().len();
    identities.seal_plain(dir, SealParams { password, cost })?;
    if count > 0 {
        tracing::info!(count, "sealed identities that lay in the clear");
    }
    Ok(())
}

/// Tells the log what will not be read, and what lies open.
fn say_what_waits(identities: &IdentitySet) {
    let locked = identities.locked().len();
    if locked > 0 {
        tracing::warn!(
            locked,
            "identities are locked: the node relays, but reads and signs nothing with them until \
             `whisht unlock`"
        );
    }
    let plain = identities.plain().len();
    if plain > 0 {
        tracing::warn!(
            plain,
            "identities of an earlier version lie on the disk in the clear; give a password at \
             start, or seal each with `whisht id passwd NAME`"
        );
    }
}

/// As often as a login asks.
const TRIES: usize = 3;
