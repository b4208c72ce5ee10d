//! The hidden command `leaktest-part`: programs that the leak test runs in processes of their own.

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
    /// Stop, and become a program once the tracer has attached
    Hold {
        /// The program
        program: OsString,
        /// Its arguments
        arguments: Vec<OsString>,
    },
    /// Try every planted leak
    Plant,
    /// Try the leak of a child process
    PlantChild,
    /// Keep many threads busy, and end meanwhile
    PlantCrowd,
    /// Become a program from a second thread
    PlantExec {
        /// The program
        program: OsString,
        /// Its arguments
        arguments: Vec<OsString>,
    },
    /// Trace any program, and print the report
    Watch {
        /// The program
        program: OsString,
        /// Its arguments
        arguments: Vec<OsString>,
    },
}

/// Runs one of the programs.
///
/// # Errors
///
/// [`Failure`] if the program cannot be started, or standard output is closed.
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
