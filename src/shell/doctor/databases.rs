//! The databases: whether SQLite finds them whole, and whether the key of the state is there.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::Finding;
use crate::state::master_key::MasterKey;

/// Examines the databases of a directory. They are opened for reading, also while a node uses them.
pub(super) fn examine(dir: &Path) -> Vec<Finding> {
    let mut found = Vec::new();
    let state = dir.join("state.db");
    if state.exists() {
        found.push(check(
            &state,
            "contacts, conversations and messages cannot all be read",
            "stop the node, keep a copy of the directory, and restore state.db and state.key together \
             from a backup",
        ));
        found.extend(state_key(dir));
    }
    let mail = dir.join("mail.db");
    if mail.exists() {
        found.push(check(
            &mail,
            "the mail server's envelopes cannot all be read",
            "stop the node and move mail.db away; the server begins anew",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok(CHECK, "none yet"));
    }
    found
}

fn check(path: &Path, loss: &str, remedy: &str) -> Finding {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if bytes > MAX_CHECKED {
        let text = format!("{name} has {} MB, which takes long to read", bytes >> 20);
        return Finding::not_checked(CHECK, text);
    }
    match quick_check(path) {
        Ok(result) if result == "ok" => Finding::ok(CHECK, format!("{name} is whole")),
        Ok(damage) => {
            let damage = damage.lines().next().unwrap_or_default().to_owned();
            Finding::wrong(
                CHECK,
                format!("{name} is damaged ({damage}): {loss}"),
                remedy,
            )
        }
        Err(error) if is_busy(&error) => {
            Finding::not_checked(CHECK, format!("{name} is in use: {error}"))
        }
        Err(error) if is_damage(&error) => Finding::wrong(
            CHECK,
            format!("{name} is damaged ({error}): {loss}"),
            remedy,
        ),
        Err(error) => Finding::wrong(
            CHECK,
            format!("{name} cannot be read ({error}), which does not prove damage"),
            "make room on the disk, check its health and the permissions, then run this command again",
        ),
    }
}

fn quick_check(path: &Path) -> rusqlite::Result<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags)?;
    database.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}

/// Whether SQLite found wrong content. A full or failing disk, or a missing right, is another matter:
/// a backup that is restored for it would replace newer messages.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}

/// The key without which the state cannot be decrypted.
fn state_key(dir: &Path) -> Option<Finding> {
    let remedy = "restore state.key from the backup of state.db; without it the state is lost";
    match fs::read(dir.join("state.key")) {
        Ok(file) if MasterKey::is_well_formed(&file) => None,
        Ok(_) => Some(Finding::wrong(CHECK, "state.key is damaged", remedy)),
        Err(error) => Some(Finding::wrong(
            CHECK,
            format!("state.key cannot be read: {error}"),
            remedy,
        )),
    }
}

const CHECK: &str = "database";
/// Size of the largest database that is read, in bytes: some seconds on a slow disk.
const MAX_CHECKED: u64 = 512 << 20;

#[cfg(test)]
mod tests {
    use super::super::CheckResult;
    use super::*;

    /// A backup that is restored because the disk is full loses the messages since.
    #[test]
    fn database_that_cannot_be_read_is_not_called_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        // SQLite cannot open it, as where its log finds no room on a full disk.
        fs::create_dir(&path).unwrap();
        let finding = check(&path, "LOSS", "restore it from a backup");
        assert_eq!(finding.result, CheckResult::Wrong);
        assert!(
            finding.text.contains("does not prove damage"),
            "{}",
            finding.text
        );
        assert!(!finding.remedy.unwrap().contains("backup"));
    }
}
