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
use crate::shell::identities::Sealing;
use crate::shell::keyring::Keyring;
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
) -> Result<Keyring, Failure> {
    let mut keyring = Keyring::read(storage)?;
    let Storage::Disk(dir) = storage else {
        return Ok(keyring);
    };
    let idle = keyring.locked().len() == 0 && keyring.plain().is_empty();
    match &config.password_file {
        _ if idle => {}
        _ if stay_locked => say_what_waits(&keyring),
        Some(path) => {
            let password = passwords::from_file(path)?;
            if keyring.locked().len() > 0 {
                keyring.unlock(&password)?;
            }
            seal(&mut keyring, dir, &password, cost)?;
            say_what_waits(&keyring);
        }
        None if passwords::can_ask() => {
            ask(&mut keyring, dir, cost)?;
            say_what_waits(&keyring);
        }
        None => say_what_waits(&keyring),
    }
    Ok(keyring)
}

/// Asks until everything is open, or the user has had enough.
fn ask(keyring: &mut Keyring, dir: &DataDir, cost: Cost) -> Result<(), Failure> {
    let mut worked = None;
    for _ in 0..TRIES {
        let names: Vec<&str> = keyring.locked().map(|name| name.as_str()).collect();
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
        match keyring.unlock(&password) {
            Ok(()) => worked = Some(password),
            Err(error) if error.is_locked() => passwords::say(error),
            Err(error) => return Err(error.into()),
        }
    }
    if keyring.plain().is_empty() {
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
    seal(keyring, dir, &password, cost)
}

/// Seals what an earlier version left in the clear.
fn seal(
    keyring: &mut Keyring,
    dir: &DataDir,
    password: &Password,
    cost: Cost,
) -> Result<(), Failure> {
    let count = keyring.plain().len();
    keyring.seal_plain(dir, Sealing { password, cost })?;
    if count > 0 {
        tracing::info!(count, "sealed identities that lay in the clear");
    }
    Ok(())
}

/// Tells the log what will not be read, and what lies open.
fn say_what_waits(keyring: &Keyring) {
    let locked = keyring.locked().len();
    if locked > 0 {
        tracing::warn!(
            locked,
            "identities are locked: the node relays, but reads and signs nothing with them until \
             `whisht unlock`"
        );
    }
    let plain = keyring.plain().len();
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
