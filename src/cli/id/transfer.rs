//! `whisht id export` and `whisht id import`: key files that come and go.
//!
//! A key file leaves as it lies in the keystore: sealed under its password, readable by every
//! program that knows the format. Nothing is overwritten, and nobody else can read what is written.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::keys::IdentityStore;
use super::show_new;
use crate::cli::output::Printer;
use crate::cli::passwords::{self, PasswordArgs};
use crate::cli::{Exit, Failure};
use crate::identity::IdentityName;
use crate::keystore::{SealedIdentity, geth_name};
use crate::shell::clock::Clock;

/// Options of `whisht id export`.
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// The identity
    name: IdentityName,
    /// The file to write, or the directory; `-` for standard output [default: named as go-ethereum
    /// does, here]
    file: Option<PathBuf>,
}

/// Options of `whisht id import`.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The key file; `-` for standard input
    file: PathBuf,
    /// What to call it [default: what the file says, or the head of its address]
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
        write_new(&path, text.as_bytes())?;
        match printer.json {
            true => printer.value(&json!({"exported": name.as_str(), "file": path}))?,
            false => {
                printer.line(format_args!("wrote {}", path.display()))?;
                if !sealed.is_protected() {
                    printer
                        .line("it has no password: every user who can read the file has the key")?;
                }
            }
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
        // A file that is no good should not cost anybody a password.
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

/// As go-ethereum names it: by time, and address if it has one.
fn file_name(name: &IdentityName, sealed: &SealedIdentity) -> String {
    let address = sealed.address().map(|address| hex::encode(address.0));
    geth_name(
        Clock::start().now().unix,
        address.as_deref().unwrap_or(name.as_str()),
    )
}

/// Writes a file that is not there yet. One that could not be finished does not stay.
fn write_new(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let fail = |error: io::Error| {
        let remedy = match error.kind() {
            ErrorKind::AlreadyExists => "it stays as it is; name another file",
            _ => "name a file that can be written",
        };
        Failure::usage(format_args!(
            "cannot write {}: {error}; {remedy}",
            path.display()
        ))
    };
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(fail)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a key file is worse than none; if it stays, the error says where.
        let _ = fs::remove_file(path);
        fail(error)
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match path.as_os_str() == "-" {
        true => io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text),
        false => {
            fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text))
        }
    };
    read.map_err(|error| {
        Failure::usage(format_args!(
            "cannot read the key file {}: {error}; name a readable one",
            path.display()
        ))
    })?;
    Ok(text)
}

/// No key file is longer.
const MAX_BYTES: u64 = 128 * 1024;
