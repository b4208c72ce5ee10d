//! `whisht id export` and `whisht id import`: key files for other programs, and from them.
//!
//! An exported file is the file of the keystore: encrypted under its password, readable by every
//! program that knows the format. No file is overwritten, and other users cannot read a written file.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::keys::IdentityStore;
use super::show_new;
use crate::cli::new_file::{Readers, write_new};
use crate::cli::output::Printer;
use crate::cli::passwords::{self, PasswordArgs};
use crate::cli::{Exit, Failure};
use crate::identity::IdentityName;
use crate::keystore::{SealedIdentity, geth_name};
use crate::shell::clock::Clock;

/// Options of `whisht id export`.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Name of the identity
    name: IdentityName,
    /// File to write, or its directory; `-` writes to standard output [default: in the working
    /// directory, named as go-ethereum names key files]
    file: Option<PathBuf>,
}

/// Options of `whisht id import`.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// Key file to import; `-` reads standard input
    file: PathBuf,
    /// Name of the identity [default: the name in the file, or the first digits of its address]
    #[arg(long)]
    name: Option<IdentityName>,
    #[command(flatten)]
    sealed: PasswordArgs,
}

impl Export {
    pub(super) async fn run(
        self,
        keys: &mut IdentityStore,
        printer: Printer,
    ) -> Result<Exit, Failure> {
        let Self { name, file } = self;
        let sealed = keys.export(&name).await?;
        let mut text = sealed.to_json();
        text.push('\n');
        if file.as_deref() == Some(Path::new("-")) {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.flush()?;
            return Ok(Exit::Done);
        }
        let path = match file {
            Some(path) if path.is_dir() => path.join(file_name(&name, &sealed)),
            Some(path) => path,
            None => PathBuf::from(file_name(&name, &sealed)),
        };
        write_new(&path, text.as_bytes(), Readers::Owner)?;
        if printer.json {
            printer.value(&json!({"exported": name.as_str(), "file": path}))?;
            return Ok(Exit::Done);
        }
        printer.line(format_args!("wrote {}", path.display()))?;
        if !sealed.is_protected() {
            printer.line("the file has no password: every user who can read it has the key")?;
        }
        Ok(Exit::Done)
    }
}

impl Import {
    pub(super) async fn run(
        self,
        keys: &mut IdentityStore,
        printer: Printer,
    ) -> Result<Exit, Failure> {
        let Self { file, name, sealed } = self;
        let text = read(&file)?;
        // An invalid file is refused before the user types a password.
        SealedIdentity::parse(&text).map_err(|error| {
            Failure::usage(format_args!("cannot import {}: {error}", file.display()))
        })?;
        let password = match sealed.given()? {
            Some(password) => password,
            None => passwords::ask(&format!("password of {}: ", file.display()))?,
        };
        let cost = sealed.kdf().cost();
        let imported = keys.import(&text, name, &password, cost).await?;
        show_new(printer, "imported", &imported)
    }
}

/// The name that go-ethereum gives a key file: the time, and the address if there is one.
fn file_name(name: &IdentityName, sealed: &SealedIdentity) -> String {
    let address = sealed.address().map(|address| hex::encode(address.0));
    geth_name(
        Clock::start().now().unix,
        address.as_deref().unwrap_or(name.as_str()),
    )
}

/// Reads a key file; `-` is standard input.
pub(in crate::cli) fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
    };
    read.map_err(|error| {
        Failure::usage(format_args!(
            "cannot read the key file {}: {error}; name a file that can be read",
            path.display()
        ))
    })?;
    Ok(text)
}

/// More than any key file has, in bytes.
const MAX_BYTES: u64 = 128 * 1024;
