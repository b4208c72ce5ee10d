//! Database passwords from a file in the format of PostgreSQL's own programs.
//!
//! One line per entry: `host:port:database:user:password`, where `*` matches anything and a
//! backslash escapes a colon or a backslash. The first matching line counts. A file that others can
//! read is ignored, as those programs do.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// The login that needs a password.
pub(super) struct Login<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// The password of a file for a login; `None` without a file or a matching line.
pub(super) fn find(
    path: &Path,
    login: &Login<'_>,
) -> Result<Option<Zeroizing<String>>, PassfileError> {
    let fail = |error| PassfileError::System {
        path: path.to_owned(),
        error,
    };
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(fail)?,
    };
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(PassfileError::TooOpen {
            path: path.to_owned(),
        });
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(fail)?);
    Ok(text.lines().find_map(|line| password(line, login)))
}

fn password(line: &str, login: &Login<'_>) -> Option<Zeroizing<String>> {
    if line.starts_with('#') {
        return None;
    }
    let fields = split(line);
    let [host, port, database, user, password] = fields.as_slice() else {
        return None;
    };
    let port_wanted = login.port.to_string();
    let fits = |field: &str, wanted: &str| field == "*" || field == wanted;
    let all = fits(host, login.host)
        && fits(port, &port_wanted)
        && fits(database, login.database)
        && fits(user, login.user);
    all.then(|| password.clone())
}

/// Fields between unescaped colons. Colons in the password must be escaped.
fn split(line: &str) -> Vec<Zeroizing<String>> {
    let mut fields = vec![Zeroizing::new(String::new())];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            ':' => {
                fields.push(Zeroizing::new(String::new()));
                continue;
            }
            '\\' => characters.next(),
            other => Some(other),
        };
        if let Some(field) = fields.last_mut() {
            field.extend(literal);
        }
    }
    fields
}

/// Why a password file is not used.
#[derive(Debug, thiserror::Error)]
pub enum PassfileError {
    /// It cannot be read.
    #[error("{}: {error}", path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// Others can read it.
    #[error("{} can be read by other users; run `chmod 0600 {}`", path.display(), path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    const LOGIN: Login<'_> = Login {
        host: "db.example",
        port: 5432,
        database: "mail",
        user: "whisht",
    };

    #[test]
    fn first_matching_line_is_used() {
        for (line, expected) in [
            ("db.example:5432:mail:whisht:secret", Some("secret")),
            ("*:*:*:*:any", Some("any")),
            ("*:5433:*:*:other port", None),
            ("other:*:*:*:x", None),
            (r"*:*:*:whisht:with\:colon\\", Some(r"with:colon\")),
            ("# *:*:*:*:comment", None),
            ("too:few", None),
            ("", None),
        ] {
            let found = password(line, &LOGIN);
            assert_eq!(found.as_deref().map(String::as_str), expected, "{line}");
        }
    }

    #[test]
    fn file_readable_by_others_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("pgpass");
        assert!(find(&path, &LOGIN).unwrap().is_none());
        fs::write(&path, "*:*:*:*:secret\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(
            find(&path, &LOGIN),
            Err(PassfileError::TooOpen { .. })
        ));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(find(&path, &LOGIN).unwrap().unwrap().as_str(), "secret");
    }
}
