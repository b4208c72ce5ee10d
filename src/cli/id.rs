//! `whisht id`: identities.
//!
//! Where a node runs, it makes and keeps them, so that it listens for them at once. Where none
//! does, they are written into the data directory, and the next run finds them.

use std::path::{Path, PathBuf};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::node::runtime;
use super::print::{Screen, field, rows};
use super::{Common, Exit, Failure};
use crate::envelope::Topic;
use crate::identity::{IdentityName, Wanted, parse_topic};
use crate::node::Identity;
use crate::shell::data_dir::DataDir;
use crate::shell::rpc::{Client, ClientError};
use crate::shell::{identities, random};

/// Options of `whisht id`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make an identity: a key pair, or with --shared a key for a group
    New(New),
    /// List identities
    List,
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
    password_file: Option<PathBuf>,
}

/// Makes or lists identities.
///
/// # Errors
///
/// [`Failure`] if the name is taken, or the directory cannot be used.
pub(super) fn run(common: &Common, args: Args) -> Result<Exit, Failure> {
    let screen = Screen {
        json: common.json,
        local: false,
    };
    runtime()?.block_on(async {
        let client = match Client::connect(&common.ipc()?).await {
            Ok(client) => Some(client),
            Err(ClientError::NoNode { .. }) if common.ipc.is_none() => None,
            Err(error) => return Err(error.into()),
        };
        match (args.action, client) {
            (Action::New(new), Some(client)) => new.ask(client, screen).await,
            (Action::New(new), None) => new.make(&common.data_dir()?, screen),
            (Action::List, Some(mut client)) => {
                list(screen, client.call("whisht_identities", json!([])).await?)
            }
            (Action::List, None) => {
                let dir = DataDir::lock(&common.data_dir()?)?;
                let known = identities::load(&dir)?;
                list(
                    screen,
                    known
                        .iter()
                        .map(|(name, identity)| view(name, identity))
                        .collect(),
                )
            }
        }
    })
}

impl New {
    /// Has the running node make it.
    async fn ask(self, mut client: Client, screen: Screen) -> Result<Exit, Failure> {
        let password = self.password()?;
        let params = json!([{
            "name": self.name.as_str(),
            "topic": self.topic.map(|topic| hex::encode(topic.0)),
            "password": password.as_ref().map(|password| password.as_str()),
        }]);
        let view = client.call("whisht_newIdentity", params).await?;
        made(screen, &view)
    }

    /// Writes it into the data directory.
    fn make(self, path: &Path, screen: Screen) -> Result<Exit, Failure> {
        let wanted = match (self.topic, self.password()?) {
            (None, _) => Wanted::KeyPair,
            (Some(topic), None) => Wanted::Shared(topic),
            (Some(topic), Some(password)) => Wanted::FromPassword(topic, password),
        };
        let dir = DataDir::lock(path)?;
        let seed = random().map_err(|error| Failure::new(Exit::Failed, error))?;
        let identity = wanted.make(&mut ChaCha20Rng::from_seed(seed));
        identities::save(&dir, &self.name, &identity)?;
        made(screen, &view(&self.name, &identity))
    }

    /// The first line of the password file.
    fn password(&self) -> Result<Option<Zeroizing<String>>, Failure> {
        self.password_file.as_deref().map(first_line).transpose()
    }
}

/// The first line of a file, or of standard input for `-`: a password.
///
/// # Errors
///
/// [`Failure`] if there is none.
pub(super) fn first_line(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let read = match path.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(path),
    };
    let text = read.map(Zeroizing::new).map_err(|error| {
        Failure::usage(format_args!(
            "cannot read the password from {}: {error}; name a readable file",
            path.display()
        ))
    })?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::usage(
            "the password file is empty; write one line into it",
        ));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// An identity as the node would show it.
fn view(name: &IdentityName, identity: &Identity) -> Value {
    match identity {
        Identity::KeyPair(secret) => json!({
            "name": name.as_str(),
            "kind": "key pair",
            "public_key": hex::encode(secret.public().to_bytes()),
            "topic": null,
        }),
        Identity::Shared(_, topic) => json!({
            "name": name.as_str(),
            "kind": "shared key",
            "public_key": null,
            "topic": hex::encode(topic.0),
        }),
    }
}

fn made(screen: Screen, view: &Value) -> Result<Exit, Failure> {
    if screen.json {
        screen.value(view)?;
    } else if view.get("public_key").is_some_and(Value::is_string) {
        screen.line(format_args!(
            "made {}; others write to",
            field(view, "name")
        ))?;
        screen.line(format_args!("0x{}", plain(view, "public_key")))?;
    } else {
        screen.line(format_args!(
            "made {}, topic 0x{}; everybody who has the key can read and write",
            field(view, "name"),
            plain(view, "topic")
        ))?;
    }
    Ok(Exit::Done)
}

fn list(screen: Screen, views: Value) -> Result<Exit, Failure> {
    if screen.json {
        screen.value(&views)?;
        return Ok(Exit::Done);
    }
    let row = |view: &Value| {
        let key = plain(view, "public_key");
        let address = if key.is_empty() {
            plain(view, "topic")
        } else {
            key
        };
        [
            field(view, "name"),
            field(view, "kind"),
            format!("0x{address}"),
        ]
    };
    let heading = ["NAME", "KIND", "PUBLIC KEY OR TOPIC"];
    screen.table(
        heading,
        &rows(&views, row),
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
