//! `whisht run`: runs the node until a signal ends it.

pub(super) mod banner;
mod identities;
mod reload;
mod serve;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use circuits::ids::Profile;

use self::banner::{Banner, Details};
use self::reload::Reload;
use super::config::show::unreadable;
use super::log;
use super::options::Options;
use super::output::Printer;
use super::passwords::KdfArgs;
use super::remote_node::busy_runtime;
use super::words::WordsArgs;
use super::{Exit, Failure, GlobalArgs, is_given};
use crate::config::warnings::exposures;
use crate::config::{Config, Settings, file};
use crate::contact::letter::LetterRoot;
use crate::node::{Command, ContactCommand};
use crate::shell::archive::PostgresUrl;
use crate::shell::console::ConsoleUrl;
use crate::shell::data_dir::DirError;
use crate::shell::notify::ServiceManager;
use crate::shell::process::{lock_memory, protect_memory, swap_devices};
use crate::shell::runtime::{DataLocation, RunningNode};
use crate::shell::signal::Interrupts;

/// Options of `whisht run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) options: Options,
    /// Configuration file [default: config.toml in the data directory]
    #[arg(long, env = "WHISHT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep everything in memory, and nothing after the node has ended
    #[arg(long)]
    ephemeral: bool,
    /// Write to contacts by letters: 12 words give the keys in every run, and nothing is stored; needs
    /// --ephemeral
    #[arg(long, requires = "ephemeral")]
    words: bool,
    #[command(flatten)]
    source: WordsArgs,
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
    if args.ephemeral && is_given("--data-dir") {
        return Err(Failure::usage(
            "--ephemeral keeps nothing, so --data-dir has no effect; leave one of them out",
        ));
    }
    Ok(if args.ephemeral {
        DataLocation::Ephemeral
    } else {
        DataLocation::Directory(common.data_dir()?)
    })
}

/// What the words of the user give, if the node is a source of letters.
fn letters(args: &Args) -> Result<Option<LetterRoot>, Failure> {
    if args.source.names_file() && !args.words {
        return Err(Failure::usage(
            "--words-file names the words of a source of letters; add --words and --ephemeral",
        ));
    }
    if !args.words {
        return Ok(None);
    }
    let words = args.source.read()?;
    Ok(Some(LetterRoot::from_seed(&words.seed())))
}

/// Makes a running node a source of letters.
async fn open_letters(host: &RunningNode, root: LetterRoot) -> Result<(), Failure> {
    let open = Command::Contact(ContactCommand::OpenLetters(root));
    match host.handle().command(open).await {
        Ok(Ok(_)) => Ok(()),
        refused => Err(Failure::new(
            Exit::Failed,
            format_args!("the node does not take the words: {refused:?}; start it again"),
        )),
    }
}

/// Opens the console, as the settings ask for.
async fn open_console(host: &RunningNode) -> Result<ConsoleUrl, Failure> {
    host.console()
        .open()
        .await
        .map_err(|error| Failure::new(Exit::Failed, error))
}

fn run_with(common: GlobalArgs, args: Args, change: fn(&mut Settings)) -> Result<Exit, Failure> {
    let protected = protect_memory();
    no_password_in_arguments()?;
    let location = location(&common, &args)?;
    let letters = letters(&args)?;
    let service =
        ServiceManager::from_environment().map_err(|error| Failure::new(Exit::Usage, error))?;
    let reload = Reload::first(args.options.into(), change, args.config, location.clone())?;
    let config = reload.config().clone();
    log::start(common.json, &config.log)?;
    if let Err(error) = protected {
        tracing::warn!(%error, "a core dump or another program of this user may reveal keys");
    }
    warn_of_exposure(&location, &config, letters.is_some());
    let storage = location.open(&config)?;
    let identities = identities::open(&storage, &config, args.locked, args.kdf.cost())?;
    let runtime = busy_runtime()?;
    let printer = Printer {
        json: common.json,
        local: config.node.profile == Profile::Local,
    };
    let opens_console = config.console.enable;
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
            host = RunningNode::start(
                config,
                storage,
                identities,
                letters.as_ref(),
                common.ipc.as_deref(),
            ) => host?,
            () = interrupts.next() => return Ok(Exit::Failed),
        };
        if let Some(root) = letters {
            open_letters(&host, root).await?;
        }
        let console = if opens_console {
            Some(open_console(&host).await?)
        } else {
            None
        };
        banner.show(printer, &host, console.as_ref(), details)?;
        serve::until_end(host, &mut interrupts, &service, reload, common.json).await
    })
}

/// Warns of settings that weaken the protection of the user.
fn warn_of_exposure(location: &DataLocation, config: &Config, has_words: bool) {
    if rustix::process::geteuid().is_root() {
        tracing::warn!(
            "the node runs as root and needs no right of root; run it as a user of its own, which \
             limits what a fault in it can do"
        );
    }
    if matches!(location, DataLocation::Ephemeral) && config.node.guard.is_none() && !has_words {
        tracing::warn!(
            "an ephemeral node without --guard or --words picks a new guard in every run; with every run \
             it becomes more likely that one of them is hostile"
        );
    }
    if matches!(location, DataLocation::Ephemeral) {
        keep_out_of_swap();
    }
    for exposure in exposures(config) {
        tracing::warn!("{}", exposure.text);
    }
}

/// Locks the memory of a node that keeps everything there, or warns if the system may swap it to a disk.
fn keep_out_of_swap() {
    let Err(error) = lock_memory() else {
        return;
    };
    let swap = swap_devices();
    if !swap.is_empty() {
        tracing::warn!(
            devices = swap.join(", "),
            %error,
            "this system swaps memory, and the memory of this ephemeral node could not be locked: unless \
             swap is encrypted, run `ulimit -l unlimited` or `swapoff -a` first"
        );
    }
}

/// Reads the configuration file. The file of the data directory is optional.
fn from_file(named: Option<&Path>, location: &DataLocation) -> Result<Settings, Failure> {
    from_text(named, location, &text_of(named, location)?)
}

/// Reads the text of the configuration file.
fn from_text(
    named: Option<&Path>,
    location: &DataLocation,
    text: &str,
) -> Result<Settings, Failure> {
    match path_of(named, location) {
        Some(path) => Ok(file::parse(&path, text)?),
        None => Ok(Settings::default()),
    }
}

/// The path of the configuration file; an ephemeral node has none but the one that is named.
fn path_of(named: Option<&Path>, location: &DataLocation) -> Option<PathBuf> {
    match (named, location) {
        (Some(path), _) => Some(path.to_owned()),
        (None, DataLocation::Directory(dir)) => Some(dir.join("config.toml")),
        (None, DataLocation::Ephemeral) => None,
    }
}

/// The text of the configuration file; empty if there is no file and none is named.
fn text_of(named: Option<&Path>, location: &DataLocation) -> Result<String, Failure> {
    let Some(path) = path_of(named, location) else {
        return Ok(String::new());
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => Ok(String::new()),
        // The directory has a wrong kind, not the file in it.
        Err(error) if error.kind() == ErrorKind::NotADirectory && named.is_none() => {
            let path = path.parent().unwrap_or(&path).to_owned();
            Err(DirError::NotADirectory { path }.into())
        }
        Err(error) => Err(unreadable(&path, &error)),
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
