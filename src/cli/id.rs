//! `whisht id`: manages identities.
//!
//! A running node makes and keeps identities, so that it listens for them at once. Without a running
//! node they are written into the data directory, where the next run finds them. In both cases each
//! identity is one encrypted file, in the format of Ethereum's wallets.

pub(super) mod address;
mod keys;
mod moves;
pub(super) mod transfer;

use std::path::PathBuf;

use self::keys::{IdentityRequest, IdentityStore};
use super::output::{Printer, one_line};
use super::passwords::{self, PasswordArgs};
use super::remote_node::{self, runtime};
use super::{Exit, Failure, GlobalArgs};
use crate::envelope::Topic;
use crate::identity::{IdentityName, parse_topic};
use crate::node::IdentityView;
use crate::shell::password;

/// Options of `whisht id`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: IdAction,
}

#[derive(Debug, clap::Subcommand)]
enum IdAction {
    /// Make an identity: a key pair, with --shared a key for a group, or with --address an address
    New(New),
    /// Show the addresses of this node, as text or as QR code
    Address(address::Args),
    #[command(flatten)]
    Stored(StoredAction),
}

/// Actions on identities that exist, on a running node or without one.
#[derive(Debug, clap::Subcommand)]
enum StoredAction {
    /// List identities; needs no password
    List,
    /// Write the encrypted key file of an identity, for a backup or for another program
    Export(transfer::Export),
    /// Import a key file of another whisht, of go-ethereum, or of a wallet
    Import(transfer::Import),
    /// Change the password of an identity
    Passwd(Passwd),
    /// Erase an identity; messages to its key cannot be read afterwards
    Rm(moves::Remove),
    /// Give an identity another name; its key and its password stay
    Rename(moves::Rename),
}

#[derive(Debug, clap::Args)]
struct New {
    /// Name of the identity
    name: IdentityName,
    /// Make an address by which others find this user; needs a running node [default: a key pair]
    #[arg(long, conflicts_with_all = ["shared", "password_file", "no_password"])]
    address: bool,
    /// Make the address from 12 words, and show them once on the terminal; they restore it
    #[arg(long, requires = "address")]
    words: bool,
    /// Make a key that a group shares [default: a key pair]
    #[arg(long, requires = "topic")]
    shared: bool,
    /// Topic of the group (4 bytes), such as 0x1a2b3c4d; required with --shared
    #[arg(long, requires = "shared", value_parser = parse_topic)]
    topic: Option<Topic>,
    /// Derive the shared key from the first line of this file, as every Whisper program does; `-`
    /// reads standard input [default: a random key]
    #[arg(long, requires = "shared", value_name = "FILE")]
    group_password_file: Option<PathBuf>,
    #[command(flatten)]
    sealed: PasswordArgs,
}

#[derive(Debug, clap::Args)]
struct Passwd {
    /// Name of the identity
    name: IdentityName,
    /// Take the old password from the first line of this file; `-` reads standard input [default: ask]
    #[arg(long, value_name = "FILE")]
    old_password_file: Option<PathBuf>,
    #[command(flatten)]
    sealed: PasswordArgs,
}

/// Runs an action on identities.
///
/// # Errors
///
/// [`Failure`] if a name is taken or unknown, a password is wrong, or the directory cannot be used.
pub(super) fn run(common: &GlobalArgs, args: Args) -> Result<Exit, Failure> {
    let printer = Printer {
        json: common.json,
        local: false,
    };
    match args.action {
        IdAction::Address(show) => {
            remote_node::with(common, async |node| address::run(node, show).await)
        }
        IdAction::New(New {
            address: true,
            words,
            name,
            ..
        }) => remote_node::with(common, async |node| address::new(node, &name, words).await),
        IdAction::New(new) => runtime()?.block_on(async {
            let mut keys = IdentityStore::find(common).await?;
            new.run(&mut keys, printer).await
        }),
        IdAction::Stored(action) => runtime()?.block_on(action.run(common, printer)),
    }
}

/// Makes a key pair in the data directory, or in the running node.
///
/// # Errors
///
/// [`Failure`] if the name is taken, or no password is given.
pub(super) fn make_key_pair(
    common: &GlobalArgs,
    name: IdentityName,
    sealed: PasswordArgs,
) -> Result<IdentityView, Failure> {
    let new = New {
        name,
        address: false,
        words: false,
        shared: false,
        topic: None,
        group_password_file: None,
        sealed,
    };
    runtime()?.block_on(async {
        let mut keys = IdentityStore::find(common).await?;
        new.make(&mut keys).await
    })
}

impl StoredAction {
    async fn run(self, common: &GlobalArgs, printer: Printer) -> Result<Exit, Failure> {
        let mut keys = IdentityStore::find(common).await?;
        match self {
            Self::List => list(printer, &keys.list().await?),
            Self::Export(export) => export.run(&mut keys, printer).await,
            Self::Import(import) => import.run(&mut keys, printer).await,
            Self::Passwd(passwd) => passwd.run(&mut keys, printer).await,
            Self::Rm(remove) => remove.run(&mut keys, printer).await,
            Self::Rename(rename) => rename.run(&mut keys, printer).await,
        }
    }
}

impl New {
    async fn run(self, keys: &mut IdentityStore, printer: Printer) -> Result<Exit, Failure> {
        let made = self.make(keys).await?;
        show_new(printer, "made", &made)
    }

    async fn make(self, keys: &mut IdentityStore) -> Result<IdentityView, Failure> {
        let path = self.group_password_file.as_deref();
        let new = IdentityRequest {
            name: self.name,
            topic: self.topic,
            group_password: path.map(password::first_line).transpose()?,
        };
        let cost = self.sealed.kdf().cost();
        let given = self.sealed.given()?;
        match keys.create(&new, given.as_ref(), cost).await {
            // An ephemeral node needs no password; any other requires one with this error.
            Err(failure) if given.is_none() && failure.exit() == Exit::Locked => {
                let asked = passwords::ask_new(&format!("`{}`", new.name))?;
                keys.create(&new, Some(&asked), cost).await
            }
            made => made,
        }
    }
}

impl Passwd {
    async fn run(self, keys: &mut IdentityStore, printer: Printer) -> Result<Exit, Failure> {
        let Self { name, sealed, .. } = &self;
        // An unencrypted key cannot be exported, and has no password.
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
        if printer.json {
            printer.value(&serde_json::json!({"changed": name.as_str()}))?;
        } else {
            printer.line(format_args!(
                "{name} is encrypted under its new password; copies of the old file keep the old \
                 password"
            ))?;
        }
        Ok(Exit::Done)
    }
}

/// Shows an identity that is new here.
fn show_new(printer: Printer, how: &str, view: &IdentityView) -> Result<Exit, Failure> {
    if printer.json {
        printer.value(view)?;
        return Ok(Exit::Done);
    }
    let name = one_line(&view.name);
    if view.public_key.is_some() {
        printer.line(format_args!("{how} {name}; others write to"))?;
        printer.line(address(view))?;
    } else {
        printer.line(format_args!(
            "{how} {name}, topic {}; every holder of the key can read and write",
            address(view)
        ))?;
    }
    Ok(Exit::Done)
}

fn list(printer: Printer, views: &[IdentityView]) -> Result<Exit, Failure> {
    if printer.json {
        printer.value(&views)?;
        return Ok(Exit::Done);
    }
    let row = |view: &IdentityView| {
        [
            one_line(&view.name),
            view.kind.word().to_owned(),
            if view.locked { "locked" } else { "" }.to_owned(),
            address(view),
        ]
    };
    let heading = ["NAME", "KIND", "STATE", "KEY OR TOPIC"];
    let rows: Vec<_> = views.iter().map(row).collect();
    let empty = "no identities; make one with `whisht id new NAME`";
    printer.table(heading, &rows, empty)?;
    Ok(Exit::Done)
}

/// What others need in order to write: the public key, or the topic of a shared key.
fn address(view: &IdentityView) -> String {
    let digits = view.public_key.as_ref().or(view.topic.as_ref());
    format!("0x{}", one_line(digits.map_or("", String::as_str)))
}
