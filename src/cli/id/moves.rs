//! `whisht id rm` and `whisht id rename`: identities that go, and identities with another name.

use std::io;

use serde_json::json;

use super::keys::IdentityStore;
use crate::cli::output::{Printer, say};
use crate::cli::passwords::{self, PasswordArgs, can_ask};
use crate::cli::{Exit, Failure};
use crate::identity::IdentityName;

/// Options of `whisht id rm`.
#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// Name of the identity
    name: IdentityName,
    /// Erase without asking [default: ask]
    #[arg(long)]
    yes: bool,
}

/// Options of `whisht id rename`.
#[derive(Debug, clap::Args)]
pub(super) struct Rename {
    /// Name of the identity
    old: IdentityName,
    /// Its new name
    new: IdentityName,
    #[command(flatten)]
    sealed: PasswordArgs,
}

impl Remove {
    pub(super) async fn run(
        self,
        keys: &mut IdentityStore,
        printer: Printer,
    ) -> Result<Exit, Failure> {
        let Self { name, yes } = self;
        let known = keys.list().await?;
        let found = known.into_iter().find(|view| view.name == name.as_str());
        let Some(found) = found else {
            return Err(Failure::usage(format_args!(
                "there is no identity named `{name}`; `whisht id list` shows those there are, and \
                 `whisht id address` the addresses, which this command does not remove"
            )));
        };
        if !yes {
            let key = found.public_key.or(found.topic).unwrap_or_default();
            confirm(&name, &key)?;
        }
        keys.remove(&name).await?;
        if printer.json {
            printer.value(&json!({"removed": name.as_str()}))?;
        } else {
            printer.line(format_args!("{name} is erased"))?;
        }
        Ok(Exit::Done)
    }
}

/// Asks for the name once more, after the text that states what is lost.
fn confirm(name: &IdentityName, key: &str) -> Result<(), Failure> {
    if !can_ask() {
        return Err(Failure::usage(
            "there is no terminal for the question; use --yes to erase without it",
        ));
    }
    say(format_args!(
        "this erases the key of {name} (0x{key}). Messages that others encrypt to it cannot be read any more, \
         nothing can be signed with it, and the key cannot be restored without a copy: `whisht id \
         export {name}` makes one. Addresses, contacts and conversations stay. Type `{name}` to do it:"
    ));
    let mut typed = String::new();
    io::stdin().read_line(&mut typed)?;
    if typed.trim() == name.as_str() {
        Ok(())
    } else {
        Err(Failure::usage(
            "nothing was erased: the name does not match",
        ))
    }
}

impl Rename {
    pub(super) async fn run(
        self,
        keys: &mut IdentityStore,
        printer: Printer,
    ) -> Result<Exit, Failure> {
        let Self { old, new, sealed } = self;
        let protected = keys.export(&old).await;
        let protected = protected.is_ok_and(|exported| exported.is_protected());
        let password = match sealed.given()? {
            Some(password) => password,
            None if protected => passwords::ask(&format!("password of `{old}`: "))?,
            None => crate::keystore::Password::none(),
        };
        let cost = sealed.kdf().cost();
        keys.rename(&old, &new, &password, cost).await?;
        if printer.json {
            printer.value(&json!({"renamed": old.as_str(), "name": new.as_str()}))?;
        } else {
            printer.line(format_args!(
                "{old} is called {new} now; key and password stay"
            ))?;
        }
        Ok(Exit::Done)
    }
}
