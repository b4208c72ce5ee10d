//! `whisht run`: runs the node until a signal ends it.

pub(super) mod banner;
mod identities;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use circuits::ids::Profile;
use tracing_subscriber::EnvFilter;

use self::banner::{Banner, Details};
use super::options::Options;
use super::output::Printer;
use super::passwords::KdfArgs;
use super::remote_node::busy_runtime;
use super::{Exit, Failure, GlobalArgs};
use crate::config::{Config, Settings, file};
use crate::node::{Command, OutgoingView, Reply, Stage};
use crate::shell::archive::PostgresUrl;
use crate::shell::data_dir::DirError;
use crate::shell::runtime::{DataLocation, RunningNode};
use crate::shell::signal::Interrupts;

/// Options of `whisht run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,
    /// Configuration file [default: config.toml in the data directory]
    #[arg(long, env = "WHISHT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep everything in memory, and nothing after the node has ended
    #[arg(long)]
    ephemeral: bool,
    /// Start without asking for a password; decrypt nothing until `whisht unlock`
    #[arg(long)]
    pub(super) locked: bool,
    #[command(flatten)]
    kdf: KdfArgs,
}

/// Runs a node.
///
/// # Errors
///
/// [`Failure`] if the node does not start.
pub(super) fn run(common: GlobalArgs, args: Args) -> Result<Exit, Failure> {
    run_with(common, args, |_| {})
}

/// Runs a node that is a mail server, whether or not the configuration enables it.
///
/// # Errors
///
/// [`Failure`] if the node does not start.
pub(super) fn serve_mail(common: GlobalArgs, args: Args) -> Result<Exit, Failure> {
    run_with(common, args, |settings| settings.mail.serve = Some(true))
}

/// The configuration of a node that would run with these arguments, and the place of its data.
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
    Ok(if args.ephemeral {
        DataLocation::Ephemeral
    } else {
        DataLocation::Directory(common.data_dir()?)
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
    warn_of_exposure(&location, &config);
    let storage = location.open(&config)?;
    let identities = identities::open(&storage, &config, args.locked, args.kdf.cost())?;
    let runtime = busy_runtime()?;
    let printer = Printer {
        json: common.json,
        local: config.node.profile == Profile::Local,
    };
    let counts = (identities.open(), identities.locked().len());
    let (banner, details) = (Banner::of(&config, counts), Details::of(&config));
    runtime.block_on(async {
        let mut interrupts = Interrupts::take().map_err(|error| {
            Failure::new(
                Exit::Failed,
                format_args!("cannot listen for signals: {error}; check the limits of this user"),
            )
        })?;
        let host = tokio::select! {
            host = RunningNode::start(config, storage, identities, common.ipc.as_deref()) => host?,
            () = interrupts.next() => return Ok(Exit::Failed),
        };
        banner.show(printer, &host, details)?;
        serve(host, &mut interrupts).await
    })
}

/// Warns of settings that weaken the protection of the user.
fn warn_of_exposure(location: &DataLocation, config: &Config) {
    if matches!(location, DataLocation::Ephemeral) && config.node.guard.is_none() {
        tracing::warn!(
            "an ephemeral node without --guard picks a new guard in every run; with every run it \
             becomes more likely that one of them is hostile"
        );
    }
    if config.listens_beside_tor() {
        tracing::warn!(
            "links go out through Tor, but the listener accepts connections without Tor, at this \
             machine's address; tor.only closes it"
        );
    }
    if config.node.min_pow > UNUSUAL_MIN_POW {
        tracing::warn!(
            min_pow = config.node.min_pow,
            "min-pow refuses nearly all messages of the network: go-ethereum and whisht require 0.2"
        );
    }
    if config.rpc.danger_no_token && (config.rpc.http.is_some() || config.rpc.ws.is_some()) {
        tracing::warn!(
            "JSON-RPC over TCP requires no token: every program on this machine, of any user, can \
             use this node"
        );
    }
    if config.rpc.allow_key_export {
        tracing::warn!("JSON-RPC exports private keys to every client that may call shh");
    }
}

/// The minimum proof of work from which a setting is probably a mistake: ten times the default of all
/// programs.
const UNUSUAL_MIN_POW: f64 = 2.0;

/// Waits for Ctrl-C or SIGTERM, and closes the node.
async fn serve(host: RunningNode, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    tokio::select! {
        () = interrupts.next() => {}
        () = host.handle().finished() => {
            return Err(Failure::new(
                Exit::Failed,
                "the node ended without being asked to; this is a bug, please report the log above",
            ));
        }
    }
    farewell(&host).await;
    tokio::select! {
        () = host.shutdown() => Ok(Exit::Done),
        // A second signal: the user does not want to wait.
        () = interrupts.next() => Ok(Exit::Failed),
    }
}

/// Reads the configuration file. The file of the data directory is optional.
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
        // The directory has a wrong kind, not the file in it.
        Err(error) if error.kind() == ErrorKind::NotADirectory && named.is_none() => {
            let path = path.parent().unwrap_or(&path).to_owned();
            Err(DirError::NotADirectory { path }.into())
        }
        Err(error) => Err(Failure::usage(format_args!(
            "cannot read {}: {error}; name another file with --config",
            path.display()
        ))),
    }
}

/// Refuses passwords in arguments: every process of the machine can read the arguments of every other.
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
    if std::env::args_os().any(shows) {
        return Err(Failure::usage(
            "a password must not be an argument, which every user of the machine can read; put \
             the address into the configuration file, or the password into PGPASSFILE",
        ));
    }
    Ok(())
}

/// Reports how many messages are still on their way.
async fn farewell(host: &RunningNode) {
    let outbox = host.handle().command(Command::Outbox).await;
    let left = match outbox {
        Ok(Ok(Reply::Outbox(messages))) => messages.iter().filter(|own| is_under_way(own)).count(),
        _ => 0,
    };
    let mut stderr = io::stderr().lock();
    // The report is lost if standard error is closed.
    let _ = match left {
        0 => writeln!(stderr, "closing; a second Ctrl-C ends at once"),
        _ => writeln!(
            stderr,
            "closing; {left} of your messages have not come back yet: shards that have left travel \
             on by themselves, but the node does not retry. A second Ctrl-C ends at once"
        ),
    };
}

/// Whether a message has reached no final stage.
const fn is_under_way(message: &OutgoingView) -> bool {
    !matches!(
        message.stage,
        Stage::HandedOver { .. } | Stage::Delivered | Stage::Failed { .. }
    )
}

/// Logs to standard error, without the time, which the system's log adds. A line that cannot be
/// written is lost, and stops nothing: the writer reports no error, because the logger would answer
/// one by printing to the same standard error, which panics.
fn log() {
    let filter = EnvFilter::builder()
        .with_env_var("WHISHT_LOG")
        .try_from_env()
        .unwrap_or_else(|_| EnvFilter::new("error,whisht=info"));
    // Fails only if a logger was set before, which then stays in use.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LossyWriter(io::stderr()))
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .without_time()
        .with_target(false)
        .try_init();
}

/// A writer that loses what cannot be written.
struct LossyWriter<W>(W);

impl<W: Write> Write for LossyWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The line is lost if the disk is full or the reader is gone.
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_line_that_cannot_be_written_is_lost_without_an_error() {
        let full = || {
            std::fs::File::options()
                .write(true)
                .open("/dev/full")
                .unwrap()
        };
        let failed = full().write(b"line").unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::StorageFull);
        let mut log = LossyWriter(full());
        assert_eq!(log.write(b"line").unwrap(), 4);
        log.flush().unwrap();
    }
}
