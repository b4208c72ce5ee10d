//! `whisht unlock`: gives a password to a node that runs without it.

use std::path::PathBuf;

use serde_json::json;

use super::output::{Printer, one_line};
use super::passwords;
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::identity::IdentityName;
use crate::node::{IdentityView, StatusView};
use crate::rpc::UnlockView;

/// Options of `whisht unlock`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Unlock this identity only [default: every identity that the password decrypts]
    name: Option<IdentityName>,
    /// Take the password from the first line of this file; `-` reads standard input [default: ask]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Unlocks identities.
///
/// # Errors
///
/// [`Failure`] if the password decrypts none of them.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    let known: Vec<IdentityView> = node.call("whisht_identities", json!([])).await?;
    let only = args.name.as_ref().map(IdentityName::as_str);
    let wanted = |view: &&IdentityView| view.locked && only.is_none_or(|only| only == view.name);
    let locked: Vec<&str> = known
        .iter()
        .filter(wanted)
        .map(|view| view.name.as_str())
        .collect();
    if locked.is_empty() {
        let status: StatusView = node.call("whisht_status", json!([])).await?;
        if only.is_some() || !status.state_locked {
            return nothing_locked(node.printer, only);
        }
    }
    let password = match &args.password_file {
        Some(path) => passwords::from_file(path)?,
        None if locked.is_empty() => passwords::ask("password for contacts and messages: ")?,
        None => passwords::ask(&format!("password for {}: ", locked.join(", ")))?,
    };
    let params = json!([{"password": password.expose(), "name": only}]);
    let unlocked: UnlockView = node.call("whisht_unlock", params).await?;
    report(node.printer, &unlocked)?;
    Ok(Exit::Done)
}

fn nothing_locked(printer: Printer, only: Option<&str>) -> Result<Exit, Failure> {
    if let Some(name) = only {
        return Err(Failure::usage(format_args!(
            "no identity `{name}` is locked; `whisht id list` shows the locked identities"
        )));
    }
    if printer.json {
        printer.value(&UnlockView {
            opened: Vec::new(),
            locked: Vec::new(),
            state: false,
        })?;
    } else {
        printer.line("nothing is locked")?;
    }
    Ok(Exit::Done)
}

fn report(printer: Printer, unlocked: &UnlockView) -> std::io::Result<()> {
    if printer.json {
        return printer.value(unlocked);
    }
    let names = |names: &[String]| one_line(&names.join(", "));
    if !unlocked.opened.is_empty() {
        printer.line(format_args!("unlocked {}", names(&unlocked.opened)))?;
    }
    if unlocked.state {
        printer.line("unlocked contacts and messages")?;
    }
    if unlocked.locked.is_empty() {
        return Ok(());
    }
    printer.line(format_args!(
        "still locked, under another password: {}",
        names(&unlocked.locked)
    ))
}
