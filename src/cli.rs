//! The command line: the only place that prints.
//!
//! Each subcommand has a file. Most of them talk to a running node over its local socket; `run` and
//! `demo` are nodes themselves. Results go to standard output, progress and errors to standard error,
//! and `--json` turns both into JSON. Exit codes: 0 done, 1 failed, 2 usage, 3 not delivered yet,
//! 4 expired, 5 refused by policy, 6 locked, 7 leaked.

mod demo;
#[cfg(test)]
mod documents;
mod drain;
mod durations;
mod environment;
mod exit;
mod id;
mod inbox;
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "aarch64", target_arch = "x86_64")
))]
mod leaktest;
mod levels;
mod mail;
#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "aarch64", target_arch = "x86_64")
)))]
mod no_leaktest;
mod options;
mod outbox;
mod output;
mod passwords;
mod remote_node;
mod rpc;
mod run;
mod send;
#[cfg(feature = "sim")]
mod sim;
mod status;
mod unlock;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "aarch64", target_arch = "x86_64")
)))]
use self::no_leaktest as leaktest;
pub use exit::{Exit, Failure};

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "whisht",
    version,
    about,
    max_term_width = 100,
    disable_help_subcommand = true
)]
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
    #[arg(long, env = "WHISHT_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Local socket of the node [default: whisht.ipc in the data directory]
    #[arg(long, env = "WHISHT_IPC", value_name = "SOCKET", global = true)]
    ipc: Option<PathBuf>,
    /// Print JSON [default: text]
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run a node until Ctrl-C or SIGTERM
    Run(Box<run::Args>),
    /// Make, list, export, import and encrypt identities
    Id(id::Args),
    /// Give a running node the password of its locked identities
    Unlock(unlock::Args),
    /// Send a message, and follow it until the network has it
    Send(send::Args),
    /// Show received messages
    Inbox(inbox::Args),
    /// Show messages on their way
    Outbox,
    /// Cancel a message on its way; shards that have left cannot be recalled
    Cancel(outbox::CancelArgs),
    /// Show or add peers
    Peers(status::PeersArgs),
    /// Show known relays
    Relays,
    /// Show the state of the node
    Status,
    /// Show the cost of each privacy level, or what is missing for it
    Levels,
    /// Remove a relay from the network without losing the cells that it holds
    Drain(drain::Args),
    /// Run a mail server, or fetch missed envelopes from one
    Mail(mail::Args),
    /// Call a method of the node's JSON-RPC interface
    Rpc(rpc::Args),
    /// Run a network of nodes on this machine, and follow a message through it
    Demo(demo::Args),
    /// Simulate a network of many nodes, and measure what messages cost in it
    #[cfg(feature = "sim")]
    Sim(sim::Args),
    /// Run a node as it is configured, and report what leaves this machine past Tor
    Leaktest(Box<leaktest::Args>),
    /// Run a helper of `leaktest`
    #[command(hide = true)]
    LeaktestPart(leaktest::helper::Args),
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // A request for help is not an error.
        Err(error) if error.use_stderr() => {
            let json = wants_json(std::env::args_os());
            // Clap blames a flag for the value of a variable.
            if let Err(failure) = environment::check() {
                return failure.report(json);
            }
            if json {
                return Failure::from(error).report(true);
            }
            error.exit()
        }
        Err(error) => error.exit(),
    };
    let json = cli.common.json;
    match environment::check().and_then(|()| cli.run()) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(json),
    }
}

/// Whether an invalid command line contains `--json`.
fn wants_json(args: impl Iterator<Item = OsString>) -> bool {
    args.take_while(|arg| arg != "--")
        .any(|arg| arg == "--json")
}

impl Cli {
    fn run(self) -> Result<Exit, Failure> {
        let Self { common, command } = self;
        match command {
            CliCommand::Run(args) => run::run(common, *args),
            CliCommand::Id(args) => id::run(&common, args),
            CliCommand::Unlock(args) => {
                remote_node::with(&common, async |node| unlock::run(node, args).await)
            }
            CliCommand::Send(args) => {
                remote_node::with(&common, async |node| send::run(node, args).await)
            }
            CliCommand::Inbox(args) => {
                remote_node::with(&common, async |node| inbox::run(node, args).await)
            }
            CliCommand::Outbox => remote_node::with(&common, outbox::run),
            CliCommand::Drain(args) => {
                remote_node::with(&common, async |node| drain::run(node, args).await)
            }
            CliCommand::Cancel(args) => {
                remote_node::with(&common, async |node| outbox::cancel(node, args).await)
            }
            CliCommand::Peers(args) => {
                remote_node::with(&common, async |node| status::peers(node, args).await)
            }
            CliCommand::Relays => remote_node::with(&common, status::relays),
            CliCommand::Status => remote_node::with(&common, status::status),
            CliCommand::Levels => remote_node::with(&common, levels::run),
            CliCommand::Mail(args) => mail::run(common, args),
            CliCommand::Rpc(args) => rpc::run(&common, args),
            CliCommand::Demo(args) => demo::run(common.json, &args),
            #[cfg(feature = "sim")]
            CliCommand::Sim(args) => sim::run(common.json, &args),
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
