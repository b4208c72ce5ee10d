//! What the leak test runs in processes of their own; nobody else has a use for it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Subcommand;
use nix::sys::signal::{Signal, raise};

use super::plant;
use crate::cli::{Exit, Failure};

/// Options of `whisht leaktest-part`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
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
}

/// Plays a part.
///
/// # Errors
///
/// [`Failure`] if there is no such program, or nobody to hear of the leaks.
pub(crate) fn run(args: Args) -> Result<Exit, Failure> {
    match args.part {
        Part::Hold { program, arguments } => {
            let stopped = raise(Signal::SIGSTOP);
            stopped.map_err(|error| failed("stop", error))?;
            let error = Command::new(program).args(arguments).exec();
            Err(failed("become the program", error))
        }
        Part::Plant => {
            plant::all()?;
            Ok(Exit::Done)
        }
        Part::PlantChild => {
            plant::child()?;
            Ok(Exit::Done)
        }
    }
}

fn failed(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format_args!("cannot {what}: {error}"))
}
