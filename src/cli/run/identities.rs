//! The password at the start of a node.
//!
//! The prompt comes before the node starts, so that no log line gets between prompt and answer. A node
//! without a terminal starts locked: it relays, and decrypts nothing until `whisht unlock`.

use crate::cli::Failure;
use crate::cli::output::say;
use crate::cli::passwords;
use crate::config::Config;
use crate::keystore::{Cost, Password};
use crate::shell::data_dir::DataDir;
use crate::shell::identity_files::SealParams;
use crate::shell::identity_set::IdentitySet;
use crate::shell::state_store;
use crate::shell::store::Storage;

/// Reads the identities, and unlocks those that the password decrypts.
///
/// # Errors
///
/// [`Failure`] if a file is damaged, or the password of the file decrypts nothing.
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
    let idle = identities.locked().len() == 0
        && identities.plain().is_empty()
        && !state_store::needs_password(dir)?;
    match &config.password_file {
        _ if idle => {}
        _ if stay_locked => report_locked(&identities, dir)?,
        Some(path) => {
            let password = passwords::from_file(path)?;
            if identities.locked().len() > 0 {
                identities.unlock(&password)?;
            }
            seal(&mut identities, dir, &password, cost)?;
            unlock_state(dir, &password, cost)?;
            report_locked(&identities, dir)?;
        }
        None if passwords::can_ask() => {
            ask(&mut identities, dir, cost)?;
            report_locked(&identities, dir)?;
        }
        None => report_locked(&identities, dir)?,
    }
    Ok(identities)
}

/// Asks until every identity is unlocked, the user presses Enter, or [`TRIES`] prompts were answered.
fn ask(identities: &mut IdentitySet, dir: &DataDir, cost: Cost) -> Result<(), Failure> {
    let mut worked = None;
    for _ in 0..TRIES {
        let mut names: Vec<&str> = identities.locked().map(|name| name.as_str()).collect();
        if state_store::needs_password(dir)? {
            names.push("contacts and messages");
        }
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
        let had_locked = identities.locked().len() > 0;
        let identity = identities.unlock(&password);
        // A mistyped password must not become the one of a new state.
        let is_proven = had_locked && identity.is_ok();
        let wants_state = is_proven || state_store::needs_password(dir)?;
        let state = wants_state.then(|| state_store::unlock(dir, &password, cost));
        match (identity, state) {
            (Err(error), _) if !error.is_locked() => return Err(error.into()),
            (_, Some(Err(error))) if !error.is_wrong_password() => return Err(error.into()),
            (Err(error), None | Some(Err(_))) => say(error),
            (Ok(()), Some(Err(error))) if !had_locked => say(error),
            _ => worked = Some(password),
        }
    }
    if identities.plain().is_empty() {
        return Ok(());
    }
    let password = match worked {
        Some(password) => password,
        None => {
            say("identities of an earlier version are not encrypted; they are encrypted now");
            passwords::ask_new("your identities")?
        }
    };
    seal(identities, dir, &password, cost)
}

/// Encrypts the identities of an earlier version.
fn seal(
    identities: &mut IdentitySet,
    dir: &DataDir,
    password: &Password,
    cost: Cost,
) -> Result<(), Failure> {
    let count = identities.plain().len();
    identities.seal_plain(dir, SealParams { password, cost })?;
    if count > 0 {
        tracing::info!(count, "encrypted identities of an earlier version");
    }
    Ok(())
}

/// Unlocks contacts and messages with the password of the identities. They stay locked if they have
/// another one.
fn unlock_state(dir: &DataDir, password: &Password, cost: Cost) -> Result<(), Failure> {
    match state_store::unlock(dir, password, cost) {
        Err(error) if error.is_wrong_password() => Ok(()),
        opened => Ok(opened?),
    }
}

/// Logs how many identities are locked, whether contacts and messages are, and how many identities are
/// not encrypted.
fn report_locked(identities: &IdentitySet, dir: &DataDir) -> Result<(), Failure> {
    if state_store::needs_password(dir)? {
        tracing::warn!(
            "contacts and messages are locked: conversations wait, and messages of earlier runs are \
             not shown until `whisht unlock`"
        );
    }
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
            "identities of an earlier version are not encrypted; give a password at start, or \
             encrypt each with `whisht id passwd NAME`"
        );
    }
    Ok(())
}

/// Number of prompts, as at a login.
const TRIES: usize = 3;
