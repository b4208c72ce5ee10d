//! What the leak test runs in processes of their own; nobody else has a use for it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

use clap::Subcommand;
use whisht_watch::stop_and_exec;

use super::policy::EgressPolicy;
use super::watch::{ProgramSpec, WatchedProgram};
use super::{canary, report};
use crate::cli::output::Printer;
use crate::cli::remote_node::runtime;
use crate::cli::{Exit, Failure};

/// Options of `whisht leaktest-part`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: HelperCommand,
}

#[derive(Debug, Subcommand)]
enum HelperCommand {
    /// Stop, and once the watcher has taken hold become a program
    Hold {
        /// The program
        program: OsString,
        /// Its arguments
        arguments: Vec<OsString>,
    },
    /// Leak in every way that the watcher must know
    Plant,
    /// Leak in the way of a child
    PlantChild,
    /// Keep many threads busy, and end while they are
    PlantCrowd,
    /// Become a program, from a thread that is not the first
    PlantExec {
        /// The program
        program: OsString,
        /// Its arguments
        arguments: Vec<OsString>,
    },
    /// Watch a program, whatever it is, and print what it did
    Watch {
        /// The program
        program: OsString,
        /// Its arguments
        arguments: Vec<OsString>,
    },
}

/// Plays a part.
///
/// # Errors
///
/// [`Failure`] if there is no such program, or nobody to hear of the leaks.
pub(crate) fn run(args: Args) -> Result<Exit, Failure> {
    match args.command {
        HelperCommand::Hold { program, arguments } => {
            let error = stop_and_exec(&program, &arguments);
            Err(failed("become the program", error))
        }
        HelperCommand::Plant => {
            canary::all()?;
            Ok(Exit::Done)
        }
        HelperCommand::PlantChild => {
            canary::child()?;
            Ok(Exit::Done)
        }
        HelperCommand::PlantCrowd => {
            canary::crowd();
            Ok(Exit::Done)
        }
        HelperCommand::PlantExec { program, arguments } => {
            let become_it = move || Command::new(program).args(arguments).exec();
            match thread::spawn(become_it).join() {
                Ok(error) => Err(failed("become the program", error)),
                Err(_) => Err(failed("become the program", "the thread has failed")),
            }
        }
        HelperCommand::Watch { program, arguments } => watch(ProgramSpec {
            program,
            arguments,
            settings: true,
        }),
    }
}

fn watch(program: ProgramSpec) -> Result<Exit, Failure> {
    runtime()?.block_on(async {
        let mut watch = WatchedProgram::start(program, EgressPolicy::loopback()).await?;
        let report = (&mut watch.report).await;
        let report = report
            .map_err(|error| failed("watch", error))?
            .map_err(|error| failed("watch", error))?;
        let printer = Printer {
            json: true,
            local: false,
        };
        printer.value(&report::seen(&report))?;
        Ok(match report.record.total() {
            0 => Exit::Done,
            _ => Exit::Leaked,
        })
    })
}

fn failed(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format_args!("cannot {what}: {error}"))
}
