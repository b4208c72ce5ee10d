//! `whisht id`: identities.
//!
//! Where a node runs, it makes and keeps them, so that it listens for them at once. Where none
//! does, they are written into the data directory, and the next run finds them. Either way each
//! lies sealed in a file of its own, in the format of Ethereum's wallets.

mod keys;
mod transfer;

use std::path::PathBuf;

use serde_json::Value;

use self::keys::{IdentityRequest, IdentityStore};
use super::output::{Printer, field, rows};
use super::passwords::{self, PasswordArgs};
use super::remote_node::runtime;
use super::{Exit, Failure, GlobalArgs};
use crate::envelope::Topic;
use crate::identity::{IdentityName, parse_topic};
use crate::shell::password;

/// Options of `whisht id`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: IdAction,
}

#[derive(Debug, clap::Subcommand)]
enum IdAction {
    /// Make an identity: a key pair, or with --shared a key for a group
    New(New),
    /// List identities; needs no password
    List,
    /// Write the sealed key file of an identity, for a backup or for another program
    Export(transfer::Export),
    /// Take in a key file of another whisht, of go-ethereum, or of a wallet
    Import(transfer::Import),
    /// Change the password of an identity
    Passwd(Passwd),
}

#[derive(Debug, clap::Args)]
struct New {
    /// What to call it
    name: IdentityName,
    /// Make a key that a group shares
    #[arg(long, requires = "topic")]
    shared: bool,
    /// The topic that the group uses, like 0x1a2b3c4d
    #[arg(long, requires = "shared", value_parser = parse_topic)]
    topic: Option<Topic>,
    /// Derive the shared key from the password in this file, as every Whisper program does; `-`
    /// reads standard input
    #[arg(long, requires = "shared", value_name = "FILE")]
    group_password_file: Option<PathBuf>,
    #[command(flatten)]
    sealed: PasswordArgs,
}

#[derive(Debug, clap::Args)]
struct Passwd {
    /// The identity
    name: IdentityName,
    /// Take the old password from the first line of this file; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    old_password_file: Option<PathBuf>,
    #[command(flatten)]
    sealed: PasswordArgs,
}

/// Does something with identities.
///
/// # Errors
///
/// [`Failure`] if a name is taken or unknown, a password is wrong, or the directory cannot be used.
pub(super) fn run(common: &GlobalArgs, args: Args) -> Result<Exit, Failure> {
    let printer = Printer {
        json: common.json,
        local: false,
    };
    runtime()?.block_on(async {
        let mut keys = IdentityStore::find(common).await?;
        match args.action {
            IdAction::New(new) => new.run(&mut keys, printer).await,
            IdAction::List => list(printer, &keys.list().await?),
            IdAction::Export(export) => export.run(&mut keys, printer).await,
            IdAction::Import(import) => import.run(&mut keys, printer).await,
            IdAction::Passwd(passwd) => passwd.run(&mut keys, printer).await,
        }
    })
}

impl New {
    async fn run(self, keys: &mut IdentityStore, printer: Printer) -> Result<Exit, Failure> {
        let path = self.group_password_file.as_deref();
        let new = IdentityRequest {
            name: self.name,
            topic: self.topic,
            group_password: path.map(password::first_line).transpose()?,
        };
        let cost = self.sealed.kdf().cost();
        let given = self.sealed.given()?;
        let made = match keys.create(&new, given.as_ref(), cost).await {
            // A node that keeps nothing needs no password; the others say so.
            Err(failure) if given.is_none() && failure.exit() == Exit::Locked => {
                let asked = passwords::ask_new(&format!("`{}`", new.name))?;
                keys.create(&new, Some(&asked), cost).await?
            }
            made => made?,
        };
        show_new(printer, "made", &made)
    }
}

impl Passwd {
    async fn run(self, keys: &mut IdentityStore, printer: Printer) -> Result<Exit, Failure> {
        let Self { name, sealed, .. } = &self;
        // What lies in the clear cannot be exported, and has no password either.
        let exported = keys.export(name).await;
        let protected = exported.is_ok_and(|exported| exported.is_protected());
        let old = match (&self.old_password_file, protected) {
            (Some(path), _) => Some(passwords::from_file(path)?),
            (None, true) => Some(passwords::ask(&format!("old password for `{name}`: "))?),
            (None, false) => None,
        };
        let new = match sealed.given()? {
            Some(new) => new,
            None => passwords::ask_new(&format!("`{name}`"))?,
        };
        let cost = sealed.kdf().cost();
        keys.change_password(name, old.as_ref(), &new, cost).await?;
        match printer.json {
            true => printer.value(&serde_json::json!({"changed": name.as_str()}))?,
            false => printer.line(format_args!(
                "{name} is sealed under its new password; copies of the old file still open with \
                 the old one"
            ))?,
        }
        Ok(Exit::Done)
    }
}

/// Shows an identity that is new here.
fn show_new(printer: Printer, how: &str, view: &Value) -> Result<Exit, Failure> {
    let name = field(view, "name");
    if printer.json {
        printer.value(view)?;
    } else if view.get("public_key").is_some_and(Value::is_string) {
        printer.line(format_args!("{how} {name}; others write to"))?;
        printer.line(format_args!("0x{}", plain(view, "public_key")))?;
    } else {
        printer.line(format_args!(
            "{how} {name}, topic 0x{}; everybody who has the key can read and write",
            plain(view, "topic")
        ))?;
    }
    Ok(Exit::Done)
}

fn list(printer: Printer, views: &Value) -> Result<Exit, Failure> {
    if printer.json {
        printer.value(views)?;
        return Ok(Exit::Done);
    }
    let row = |view: &Value| {
        let key = plain(view, "public_key");
        let address = if key.is_empty() {
            plain(view, "topic")
        } else {
            key
        };
        let locked = view.get("locked").and_then(Value::as_bool);
        [
            field(view, "name"),
            field(view, "kind"),
            if locked.unwrap_or_default() {
                "locked"
            } else {
                ""
            }
            .to_owned(),
            format!("0x{address}"),
        ]
    };
    let heading = ["NAME", "KIND", "", "PUBLIC KEY OR TOPIC"];
    printer.table(
        heading,
        &rows(views, row),
        "no identities; make one with `whisht id new NAME`",
    )?;
    Ok(Exit::Done)
}

/// Hexadecimal digits without prefix, whichever way they were sent.
fn plain(view: &Value, name: &str) -> String {
    let digits = field(view, name);
    digits
        .strip_prefix("0x")
        .map(str::to_owned)
        .unwrap_or(digits)
}
