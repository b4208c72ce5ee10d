//! The command line: the only place that prints.
//!
//! Each subcommand has a file. Most of them talk to a running node over its local socket; `run` and
//! `demo` are nodes themselves. Results go to standard output, progress and errors to standard error,
//! and `--json` turns both into JSON. Exit codes: 0 done, 1 failed, 2 usage, 3 not delivered yet,
//! 4 expired, 5 refused by policy, 6 locked, 7 leaked.

mod card;
mod completions;
mod config;
mod console;
mod contact;
mod conversation;
mod date;
mod demo;
mod directory;
mod doctor;
#[cfg(test)]
mod documents;
mod drain;
mod durations;
mod environment;
mod exit;
mod file;
mod id;
mod inbox;
mod init;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "aarch64", target_arch = "x86_64")
))]
mod leaktest;
mod levels;
mod lock;
mod log;
mod mail;
mod manual;
mod new_file;
#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "aarch64", target_arch = "x86_64")
)))]
mod no_leaktest;
mod notice_wait;
mod options;
mod outbox;
mod output;
mod panic;
mod passwords;
mod practice;
mod remote_node;
mod restore;
mod rpc;
mod run;
mod send;
#[cfg(feature = "sim")]
mod sim;
mod status;
mod support_bundle;
mod testnet;
mod top;
mod unlock;
mod version;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "aarch64", target_arch = "x86_64")
)))]
use self::no_leaktest as leaktest;
use self::output::Printer;
use crate::suggest::closest;
pub use exit::{Exit, Failure};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "whisht", version = version::SHORT, about, after_help = FIRST_STEPS, term_width = 0)]
pub struct Cli {
    #[command(flatten)]
    common: GlobalArgs,
    #[command(subcommand)]
    command: CliCommand,
}

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
struct GlobalArgs {
    /// Directory of keys and state [default: ~/.whisper]
    #[arg(long, env = "WHISHT_DATA_DIR", value_name = "DIR", global = true, help_heading = GLOBAL)]
    data_dir: Option<PathBuf>,
    /// Local socket of the node [default: whisht.ipc in the data directory]
    #[arg(long, env = "WHISHT_IPC", value_name = "SOCKET", global = true, help_heading = GLOBAL)]
    ipc: Option<PathBuf>,
    /// Print JSON [default: text]
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
}

/// Where help lists the options of every command: after those of the command itself.
const GLOBAL: &str = "Global options";

/// What a user who sees the list of commands for the first time can type.
const FIRST_STEPS: &str = "First steps: `whisht demo` shows a network on this machine, `whisht init` asks what your node \
    needs, `whisht run` starts it.";

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Ask what a node needs, and write its configuration
    Init(Box<init::FullArgs>),
    /// Run a node until Ctrl-C or SIGTERM
    Run(Box<run::Args>),
    /// Make, list, export, import and encrypt identities
    Id(id::Args),
    /// Type the 12 words of an address from memory, and check them; nothing is stored
    Practice(practice::Args),
    /// Restore an address from its 12 words
    Restore(restore::Args),
    /// Erase all keys at once, then everything else, and end the node
    Panic(panic::Args),
    /// Erase identities, contacts and messages from the memory of a running node; it goes on as a relay
    Lock,
    /// Give a running node the password of its locked identities
    Unlock(unlock::Args),
    /// Send a message, and follow it until the network has it
    Send(send::Args),
    /// Show received messages and conversations
    Inbox(inbox::Args),
    #[command(flatten)]
    People(PeopleCommand),
    /// Show messages on their way; send one to a contact again, or cancel it
    Outbox(outbox::Args),
    /// Cancel a message on its way; shards that have left cannot be recalled
    Cancel(outbox::CancelArgs),
    /// Send a message that failed once more, as a new envelope
    Renew(outbox::RenewMessageArgs),
    /// Show or add peers
    Peers(status::PeersArgs),
    /// Show known relays
    Relays,
    /// Show the state of the node
    Status,
    /// Show what the node does, drawn again each second, until `q`
    Top(top::Args),
    /// Show the cost of each privacy level and what it protects from, or what is missing for it
    Levels(levels::Args),
    /// Print, show and check settings, without a node
    Config(config::Args),
    /// Make, sign and check the lists of relays that people vouch for
    Directory(directory::Args),
    /// Remove a relay from the network without losing the cells that it holds
    Drain(drain::Args),
    /// Run a mail server, or fetch missed envelopes from one
    Mail(mail::Args),
    /// Call a method of the node's JSON-RPC interface
    Rpc(rpc::Args),
    /// Run a network of nodes on this machine, and follow a message through it
    Demo(demo::Args),
    /// Keep a network of nodes running on this machine, for developers
    Testnet(testnet::Args),
    /// Simulate a network of many nodes, and measure what messages cost in it
    #[cfg(feature = "sim")]
    Sim(sim::Args),
    /// Examine the node and its machine, and say what is wrong and what to do
    Doctor(Box<doctor::Args>),
    /// Write what a developer needs to know about a fault, without addresses, keys and names
    SupportBundle(Box<support_bundle::Args>),
    /// Run a node as it is configured, and report what leaves this machine past Tor
    Leaktest(Box<leaktest::Args>),
    /// Show version, commit, target and features
    Version,
    /// Print the completions of a shell
    Completions(completions::Args),
    /// Write the manual pages into a directory
    Manual(manual::Args),
    /// Run a helper of `leaktest`
    #[command(hide = true)]
    LeaktestPart(leaktest::helper::Args),
}

/// Commands about contacts and conversations.
#[derive(Debug, Subcommand)]
enum PeopleCommand {
    /// Show the messages of a conversation
    Read(conversation::ReadArgs),
    /// Send a message in a conversation, and follow it until the network has it
    Reply(conversation::ReplyArgs),
    /// Name people by their address, compare words, accept and introduce
    Contact(contact::Args),
    /// Show, export and publish the cards of addresses
    Card(card::Args),
    /// List, accept, decline, save and erase files that are handed over
    File(file::Args),
    /// Open the pages of the node: print a URL for a browser on this machine
    Console,
}

impl PeopleCommand {
    fn run(self, common: &GlobalArgs) -> Result<Exit, Failure> {
        remote_node::with(common, async |node| match self {
            Self::Read(args) => conversation::read(node, args).await,
            Self::Reply(args) => conversation::reply(node, args).await,
            Self::Contact(args) => contact::run(node, args).await,
            Self::Card(args) => card::run(node, args).await,
            Self::File(args) => file::run(node, args).await,
            Self::Console => console::run(node).await,
        })
    }
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Clap blames a flag for the value of a variable.
        Err(error) if error.use_stderr() => match environment::check() {
            Err(failure) => return failure.report(is_given("--json")),
            Ok(()) => return not_parsed(error),
        },
        Err(error) => return not_parsed(error),
    };
    let json = cli.common.json;
    // `whisht run` reports a failure; the other commands hold keys for a moment.
    let _ = crate::shell::process::protect_memory();
    match environment::check().and_then(|()| cli.run()) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(json),
    }
}

/// Answers a command line that asks for help or for the version, or that is not valid.
fn not_parsed(error: clap::Error) -> ExitCode {
    let is_error = error.use_stderr();
    // A request for help is not an error.
    if let Some(hint) = single_hyphen(&error) {
        return Failure::usage(hint).report(is_given("--json"));
    }
    if is_error && is_given("--json") {
        return Failure::from(error).report(true);
    }
    let code = if is_error { Exit::Usage } else { Exit::Done };
    let text = error.render();
    if is_error {
        output::say(output::styled(&text, &std::io::stderr()).trim_end());
    } else {
        let printer = Printer {
            json: false,
            local: false,
        };
        let text = output::styled(&text, &std::io::stdout());
        if let Err(error) = printer.line(text.trim_end()) {
            return Failure::from(error).report(false);
        }
    }
    code.into()
}

/// The remedy for a long option with one hyphen, as other programs write them: `-datadir`.
fn single_hyphen(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(refused)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let words = std::env::args_os().skip(1).take_while(|arg| arg != "--");
    let words = words.map(|arg| arg.to_string_lossy().into_owned());
    let is_long = |word: &String| {
        let name = word.strip_prefix('-').unwrap_or_default();
        let is_refused = refused.len() == 2 && word.starts_with(refused.as_str());
        is_refused && name.len() > 2 && name.starts_with(|c: char| c.is_ascii_lowercase())
    };
    let word = words.into_iter().find(is_long)?;
    let name = word.trim_start_matches('-').split('=').next()?;
    let command = Cli::command();
    let commands = std::iter::once(&command).chain(command.get_subcommands());
    let flags = commands.flat_map(clap::Command::get_arguments);
    let flags: Vec<&str> = flags.filter_map(clap::Arg::get_long).collect();
    let hint = match closest(name, flags) {
        Some(near) => format!("did you mean --{near}?"),
        None => "see `whisht help`".to_owned(),
    };
    Some(format!(
        "{word}: a long option begins with two hyphens; {hint}"
    ))
}

/// Refuses a data directory for a command that keeps everything in memory.
fn no_data_dir(command: &str) -> Result<(), Failure> {
    if is_given("--data-dir") {
        return Err(Failure::usage(format_args!(
            "`whisht {command}` keeps nothing and uses no data directory; leave out --data-dir"
        )));
    }
    Ok(())
}

/// Whether a flag is on the command line, with or without a value.
fn is_given(flag: &str) -> bool {
    let named = |arg: OsString| {
        let arg = arg.to_string_lossy();
        arg.split_once('=').map_or(&*arg, |(name, _)| name) == flag
    };
    std::env::args_os().take_while(|arg| arg != "--").any(named)
}

impl Cli {
    fn run(self) -> Result<Exit, Failure> {
        let Self { common, command } = self;
        match command {
            CliCommand::Init(args) => init::run(&common, *args),
            CliCommand::Run(args) => run::run(common, *args),
            CliCommand::Id(args) => id::run(&common, args),
            CliCommand::Practice(args) => practice::run(&common, &args),
            CliCommand::Restore(args) => restore::run(&common, &args),
            CliCommand::Panic(args) => panic::run(&common, &args),
            CliCommand::Lock => remote_node::with(&common, lock::run),
            CliCommand::Unlock(args) => {
                remote_node::with(&common, async |node| unlock::run(node, args).await)
            }
            CliCommand::Send(args) => {
                remote_node::with(&common, async |node| send::run(node, args).await)
            }
            CliCommand::Inbox(args) => {
                remote_node::with(&common, async |node| inbox::run(node, args).await)
            }
            CliCommand::People(command) => command.run(&common),
            CliCommand::Outbox(args) => {
                remote_node::with(&common, async |node| outbox::run(node, args).await)
            }
            CliCommand::Drain(args) => {
                remote_node::with(&common, async |node| drain::run(node, args).await)
            }
            CliCommand::Cancel(args) => {
                remote_node::with(&common, async |node| outbox::cancel(node, args).await)
            }
            CliCommand::Renew(args) => remote_node::with(&common, async |node| {
                outbox::renew_message(node, args).await
            }),
            CliCommand::Peers(args) => {
                remote_node::with(&common, async |node| status::peers(node, args).await)
            }
            CliCommand::Relays => remote_node::with(&common, status::relays),
            CliCommand::Status => remote_node::with(&common, status::status),
            CliCommand::Top(args) => {
                remote_node::with(&common, async |node| top::run(node, &args).await)
            }
            CliCommand::Levels(args) => {
                remote_node::with(&common, async |node| levels::run(node, &args).await)
            }
            CliCommand::Config(args) => config::run(&common, args),
            CliCommand::Doctor(args) => doctor::run(&common, *args),
            CliCommand::SupportBundle(args) => support_bundle::run(&common, *args),
            CliCommand::Mail(args) => mail::run(common, args),
            CliCommand::Directory(args) => directory::run(&common, args),
            CliCommand::Rpc(args) => rpc::run(&common, args),
            CliCommand::Demo(args) => demo::run(common.json, &args),
            CliCommand::Testnet(args) => testnet::run(common.json, &args),
            #[cfg(feature = "sim")]
            CliCommand::Sim(args) => sim::run(common.json, &args),
            CliCommand::Version => version::run(common.json),
            CliCommand::Completions(args) => completions::run(&args),
            CliCommand::Manual(args) => manual::run(&args),
            CliCommand::Leaktest(args) => leaktest::run(common, *args),
            CliCommand::LeaktestPart(args) => leaktest::helper::run(args),
        }
    }
}

impl GlobalArgs {
    /// The data directory.
    fn data_dir(&self) -> Result<PathBuf, Failure> {
        self.data_dir
            .clone()
            .or_else(crate::shell::data_dir::default_path)
            .ok_or_else(|| {
                Failure::usage(
                    "there is no home directory for the data; name a directory with --data-dir",
                )
            })
    }

    /// The socket of the running node.
    fn ipc(&self) -> Result<PathBuf, Failure> {
        match &self.ipc {
            Some(path) => Ok(path.clone()),
            None => Ok(self.data_dir()?.join("whisht.ipc")),
        }
    }
}
