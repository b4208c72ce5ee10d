//! The data directory: permissions, small files, keystore, files that the settings name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{CheckResult, Finding};
use crate::config::Config;
use crate::config::mail::MailStore;
use crate::config::tor::TorBackend;
use crate::shell::data_dir;
use crate::shell::identity_files;
use crate::shell::password;
use crate::shell::store;

/// Examines the directory of a node. A directory that does not exist is made at the first start.
pub(super) fn examine(dir: &Path, config: &Config) -> Vec<Finding> {
    if !dir.exists() {
        let text = format!("{} does not exist; the first start makes it", dir.display());
        return vec![Finding::not_checked(PERMISSIONS, text)];
    }
    let mut found = permissions(dir);
    found.extend(small_files(dir, config));
    found.extend(keystore(dir));
    found.extend(named_files(config));
    found
}

fn permissions(dir: &Path) -> Vec<Finding> {
    let problems = data_dir::open_to_others(dir);
    if problems.is_empty() {
        let text = format!("{} is closed to other users", dir.display());
        return vec![Finding::ok(PERMISSIONS, text)];
    }
    let wrong = |error| Finding::of_error(PERMISSIONS, CheckResult::Wrong, error);
    problems.into_iter().map(wrong).collect()
}

/// Keys and small files that the next start reads.
fn small_files(dir: &Path, config: &Config) -> Vec<Finding> {
    let (profile, network) = (config.node.profile, &config.node.network);
    let damaged = data_dir::damaged_files(dir, profile, network);
    let mut found: Vec<Finding> = damaged
        .into_iter()
        .map(|error| Finding::of_error(FILES, CheckResult::Wrong, error))
        .collect();
    let guards = store::damaged_guards(dir);
    found.extend(guards.map(|error| Finding::of_error("guard", CheckResult::Wrong, error)));
    if store::is_directory_damaged(dir) {
        found.push(Finding::warning(
            FILES,
            "directory.bin, the list of relays, is damaged",
            "nothing to do: the node starts without it, and peers send it again",
        ));
    }
    if data_dir::is_token_damaged(dir) {
        found.push(Finding::warning(
            FILES,
            "rpc-token is damaged",
            "the next start makes another; programs must read it again",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok(FILES, "keys, guards and network fit together"));
    }
    found
}

fn keystore(dir: &Path) -> Vec<Finding> {
    match identity_files::list_at(dir) {
        Err(error) => vec![Finding::of_error(KEYSTORE, CheckResult::Wrong, error)],
        Ok(listing) if listing.skipped.is_empty() => {
            let text = format!("identities: {}", listing.identities.len());
            vec![Finding::ok(KEYSTORE, text)]
        }
        Ok(listing) => {
            let wrong = |error| Finding::of_error(KEYSTORE, CheckResult::Wrong, error);
            listing.skipped.into_iter().map(wrong).collect()
        }
    }
}

/// Password files that the settings name, and a configuration file that holds a password.
fn named_files(config: &Config) -> Vec<Finding> {
    let mail = config.mail.as_ref();
    let files = config
        .password_file
        .iter()
        .chain(mail.and_then(|mail| mail.password_file.as_ref()));
    files
        // Standard input belongs to the node.
        .filter(|path| path.as_os_str() != "-")
        .map(|path| match password::from_file(path) {
            Ok(_) => Finding::ok(PASSWORD, format!("{} can be read", path.display())),
            Err(error) => Finding::of_error(PASSWORD, CheckResult::Wrong, error),
        })
        .collect()
}

/// Judges the permissions of the configuration file, which may be outside of the data directory.
pub(super) fn configuration_file(path: &Path, config: &Config) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let mail = config.mail.as_ref();
    let has_password = mail.is_some_and(|mail| matches!(mail.store, MailStore::Postgres(_)));
    let has_bridges =
        matches!(&config.tor.backend, TorBackend::Arti(arti) if !arti.bridges.is_empty());
    if mode & 0o077 == 0 || !(has_password || has_bridges) {
        return None;
    }
    Some(Finding::warning(
        PERMISSIONS,
        format!(
            "{} holds the address of a database or of bridges, and other users can read it (mode {mode:04o})",
            path.display()
        ),
        format!("run `chmod 0600 {}`", path.display()),
    ))
}

const PERMISSIONS: &str = "permissions";
const FILES: &str = "files";
const KEYSTORE: &str = "keystore";
const PASSWORD: &str = "password file";
