//! The command line: the only place that prints.
//!
//! Each subcommand has a file. Most of them talk to a running node over its local socket; `run`
//! and `demo` are the node. Results go to standard output, progress and errors to standard error,
//! and `--json` turns both into JSON. Exit codes: 0 done, 1 failed, 2 usage, 3 not delivered yet,
//! 4 expired, 5 refused by policy, 6 locked, 7 leaked.

mod demo;
mod drain;
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

/// What was typed.
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

/// What every command understands.
#[derive(Clone, Debug, clap::Args)]
struct GlobalArgs {
    /// Where keys and state are kept [default: ~/.whisper]
    #[arg(long, env = "WHISHT_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// The node's local socket [default: whisht.ipc in the data directory]
    #[arg(long, env = "WHISHT_IPC", value_name = "SOCKET", global = true)]
    ipc: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run a node until it is told to stop
    Run(Box<run::Args>),
    /// Make, list, carry and seal identities
    Id(id::Args),
    /// Give a running node the password of identities that are locked
    Unlock(unlock::Args),
    /// Send a message and follow it on its way
    Send(send::Args),
    /// Read messages that arrived
    Inbox(inbox::Args),
    /// Show messages on their way
    Outbox,
    /// Forget a message on its way; pieces already sent cannot be recalled
    Cancel(outbox::CancelArgs),
    /// Show or add peers
    Peers(status::PeersArgs),
    /// Show the relays that the node knows
    Relays,
    /// Show how the node is
    Status,
    /// Show what each level of privacy costs now, or what it lacks
    Levels,
    /// Take a relay out of the network without losing what it carries
    Drain(drain::Args),
    /// Keep what is flooded for others, or fetch what was missed
    Mail(mail::Args),
    /// Call a method of the node's JSON-RPC interface
    Rpc(rpc::Args),
    /// Run a whole network on this machine and watch a message cross it
    Demo(demo::Args),
    /// Simulate a network of many nodes, and measure what messages cost in it
    #[cfg(feature = "sim")]
    Sim(sim::Args),
    /// Run a node as it is configured, and report what leaves this machine past Tor
    Leaktest(Box<leaktest::Args>),
    /// What `leaktest` runs
    #[command(hide = true)]
    LeaktestPart(leaktest::helper::Args),
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help that was asked for is no mistake.
        Err(error) if error.use_stderr() && wants_json(std::env::args_os()) => {
            return Failure::from(error).report(true);
        }
        Err(error) => error.exit(),
    };
    let json = cli.common.json;
    match environment::check().and_then(|()| cli.run()) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(json),
    }
}

/// Whether JSON was asked for on a command line that makes no sense as a whole.
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
            CliCommand::Rpc(args) => {
                remote_node::with(&common, async |node| rpc::run(node, args).await)
            }
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
                    "there is no home directory to keep data in; name one with --data-dir",
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
