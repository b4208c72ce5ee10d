//! `whisht unlock`: the password, for a node that runs without it.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::output::field;
use super::passwords;
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::identity::IdentityName;

/// Options of `whisht unlock`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this identity [default: all that the password opens]
    name: Option<IdentityName>,
    /// Take the password from the first line of this file; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Unlocks identities.
///
/// # Errors
///
/// [`Failure`] if the password opens none of them.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    let known = node.call("whisht_identities", json!([])).await?;
    let wanted = |view: &&Value| {
        let locked = view.get("locked").and_then(Value::as_bool);
        let name = field(view, "name");
        locked == Some(true) && args.name.as_ref().is_none_or(|only| only.as_str() == name)
    };
    let locked = known.as_array().into_iter().flatten().filter(wanted);
    let locked: Vec<String> = locked.map(|view| field(view, "name")).collect();
    if locked.is_empty() {
        return match args.name {
            Some(name) => Err(Failure::usage(format_args!(
                "no identity `{name}` is locked; `whisht id list` shows which are"
            ))),
            None => {
                match node.printer.json {
                    true => node.printer.value(&json!({"opened": [], "locked": []}))?,
                    false => node.printer.line("nothing is locked")?,
                }
                Ok(Exit::Done)
            }
        };
    }
    let password = match &args.password_file {
        Some(path) => passwords::from_file(path)?,
        None => passwords::ask(&format!("password for {}: ", locked.join(", ")))?,
    };
    let params = json!([{
        "password": password.expose(),
        "name": args.name.as_ref().map(IdentityName::as_str),
    }]);
    let unlocked = node.call("whisht_unlock", params).await?;
    if node.printer.json {
        node.printer.value(&unlocked)?;
        return Ok(Exit::Done);
    }
    let opened = field(&unlocked, "opened");
    node.printer.line(format_args!("unlocked {opened}"))?;
    let locked = field(&unlocked, "locked");
    if !locked.is_empty() {
        node.printer.line(format_args!(
            "still locked, under another password: {locked}"
        ))?;
    }
    Ok(Exit::Done)
}
