//! `whisht run`: the node, until it is told to stop.

mod banner;
mod identities;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use circuits::ids::Profile;
use serde_json::Value;
use tracing_subscriber::EnvFilter;

use super::options::Options;
use super::output::Printer;
use super::passwords::KdfArgs;
use super::remote_node::busy_runtime;
use super::{Exit, Failure, GlobalArgs};
use crate::config::{Config, Settings, file};
use crate::node::{Command, Reply};
use crate::shell::archive::PostgresUrl;
use crate::shell::runtime::{DataLocation, RunningNode};
use crate::shell::signal::Interrupts;

/// Options of `whisht run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,
    /// The configuration file [default: config.toml in the data directory]
    #[arg(long, env = "WHISHT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep everything in memory; nothing is left when the node ends
    #[arg(long)]
    ephemeral: bool,
    /// Do not ask for a password; relay, and read nothing until `whisht unlock`
    #[arg(long)]
    pub(super) locked: bool,
    #[command(flatten)]
    kdf: KdfArgs,
}

/// Runs a node.
///
/// # Errors
///
/// [`Failure`] if it does not come up.
pub(super) fn run(common: GlobalArgs, args: Args) -> Result<Exit, Failure> {
    run_with(common, args, |_| {})
}

/// Runs a node that is a mail server, whatever the configuration says.
///
/// # Errors
///
/// [`Failure`] if it does not come up.
pub(super) fn serve_mail(common: GlobalArgs, args: Args) -> Result<Exit, Failure> {
    run_with(common, args, |settings| settings.mail.serve = Some(true))
}

/// What would be run, and where.
///
/// # Errors
///
/// [`Failure`] if the settings do not fit together.
pub(super) fn plan(common: &GlobalArgs, args: Args) -> Result<(DataLocation, Config), Failure> {
    no_password_in_arguments()?;
    let location = location(common, &args)?;
    let settings = Settings::from(args.options).or(from_file(args.config.as_deref(), &location)?);
    Ok((location, Config::build(settings)?))
}

fn location(common: &GlobalArgs, args: &Args) -> Result<DataLocation, Failure> {
    Ok(match args.ephemeral {
        true => DataLocation::Ephemeral,
        false => DataLocation::Directory(common.data_dir()?),
    })
}

fn run_with(
    common: GlobalArgs,
    args: Args,
    change: impl FnOnce(&mut Settings),
) -> Result<Exit, Failure> {
    log();
    no_password_in_arguments()?;
    let location = location(&common, &args)?;
    let mut settings =
        Settings::from(args.options).or(from_file(args.config.as_deref(), &location)?);
    change(&mut settings);
    let config = Config::build(settings)?;
    if matches!(location, DataLocation::Ephemeral) && config.node.guard.is_none() {
        tracing::warn!(
            "an ephemeral node without --guard picks a new guard in every run: the more runs, \
             the likelier one of them is hostile"
        );
    }
    if config.rpc.danger_no_token && (config.rpc.http.is_some() || config.rpc.ws.is_some()) {
        tracing::warn!(
            "JSON-RPC over TCP asks for no token: every program on this machine, of whatever user, \
             can use this node"
        );
    }
    if config.rpc.allow_key_export {
        tracing::warn!("JSON-RPC hands out private keys to whoever may call shh");
    }
    let storage = location.open(&config)?;
    let identities = identities::open(&storage, &config, args.locked, args.kdf.cost())?;
    let runtime = busy_runtime()?;
    let printer = Printer {
        json: common.json,
        local: config.node.profile == Profile::Local,
    };
    runtime.block_on(async {
        let mut interrupts = Interrupts::take().map_err(|error| {
            Failure::new(
                Exit::Failed,
                format_args!("cannot listen for signals: {error}"),
            )
        })?;
        let (node, mail) = (config.node.clone(), config.mail.clone());
        let tor_only = config.tor.only;
        let counts = (identities.open(), identities.locked().len());
        let host = tokio::select! {
            host = RunningNode::start(config, storage, identities, common.ipc.as_deref()) => host?,
            () = interrupts.next() => return Ok(Exit::Failed),
        };
        banner::show(printer, &host, &node, tor_only, mail.as_ref(), counts)?;
        tokio::select! {
            () = interrupts.next() => {}
            () = host.handle().finished() => {
                return Err(Failure::new(
                    Exit::Failed,
                    "the node ended by itself; this is a bug, please report what stands above",
                ));
            }
        }
        farewell(&host).await;
        tokio::select! {
            () = host.shutdown() => Ok(Exit::Done),
            // Asked twice: the user does not want to wait.
            () = interrupts.next() => Ok(Exit::Failed),
        }
    })
}

/// Reads the configuration file. That of the data directory need not exist.
fn from_file(named: Option<&Path>, location: &DataLocation) -> Result<Settings, Failure> {
    let path = match (named, location) {
        (Some(path), _) => path.to_owned(),
        (None, DataLocation::Directory(dir)) => dir.join("config.toml"),
        (None, DataLocation::Ephemeral) => return Ok(Settings::default()),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(file::parse(&path, &text)?),
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {
            Ok(Settings::default())
        }
        Err(error) => Err(Failure::usage(format_args!(
            "cannot read {}: {error}; name another file with --config",
            path.display()
        ))),
    }
}

/// Every process of the machine can read the arguments of every other.
fn no_password_in_arguments() -> Result<(), Failure> {
    let shows = |argument: std::ffi::OsString| {
        let argument = argument.to_string_lossy();
        let url = argument.split_once('=').map_or(&*argument, |(flag, url)| {
            if flag.starts_with("--") {
                url
            } else {
                &argument
            }
        });
        let url = url.parse::<PostgresUrl>();
        url.is_ok_and(|url| url.has_password())
    };
    match std::env::args_os().any(shows) {
        true => Err(Failure::usage(
            "a password must not be an argument, which every user of the machine can read; put \
             the address into the configuration file, or the password into PGPASSFILE",
        )),
        false => Ok(()),
    }
}

/// Says what becomes of messages on their way.
async fn farewell(host: &RunningNode) {
    let outbox = host.handle().command(Command::Outbox).await;
    let left = match outbox {
        Ok(Ok(Reply::Outbox(messages))) => {
            let outgoing = serde_json::to_value(messages).unwrap_or_default();
            outgoing
                .as_array()
                .into_iter()
                .flatten()
                .filter(|message| is_under_way(message))
                .count()
        }
        _ => 0,
    };
    let mut stderr = io::stderr().lock();
    // If nobody reads this, nothing is lost.
    let _ = match left {
        0 => writeln!(stderr, "closing; once more Ctrl-C ends at once"),
        _ => writeln!(
            stderr,
            "closing; {left} of your messages have not come back yet: pieces that left go on by \
             themselves, but nothing will be tried again. Once more Ctrl-C ends at once"
        ),
    };
}

/// Whether a message has reached no final stage.
fn is_under_way(message: &Value) -> bool {
    let stage = message.pointer("/stage/stage").and_then(Value::as_str);
    !matches!(stage, Some("delivered" | "failed"))
}

/// Logs to standard error, without the time: whoever keeps logs adds it.
fn log() {
    let filter = EnvFilter::builder()
        .with_env_var("WHISHT_LOG")
        .try_from_env()
        .unwrap_or_else(|_| EnvFilter::new("error,whisht=info"));
    // Only fails if a logger was set before; that one serves as well.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .without_time()
        .with_target(false)
        .try_init();
}
