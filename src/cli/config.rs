//! `whisht config`: examines settings without starting a node.
//!
//! `default` prints a commented file, `show` the settings in effect and where each is from, `check` all
//! errors of a file. None of them opens the data directory, connects, or shows a password.

mod check;
mod default;
pub(super) mod show;

use clap::Subcommand;

use super::output::Printer;
use super::{Exit, Failure, GlobalArgs};

/// Options of `whisht config`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: ConfigAction,
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Print a configuration file with every setting commented out, its help text and its default
    Default,
    /// Show the settings that a node would use with these flags, and where each is from
    Show(Box<show::ShowArgs>),
    /// List all errors of a configuration file, and warn of settings in it that can do harm
    Check(check::Args),
}

/// Examines settings.
///
/// # Errors
///
/// [`Failure`] if a file cannot be read, or the settings cannot be used.
pub(super) fn run(common: &GlobalArgs, args: Args) -> Result<Exit, Failure> {
    let printer = Printer {
        json: common.json,
        local: false,
    };
    match args.action {
        ConfigAction::Default => default::run(printer),
        ConfigAction::Show(show) => show::run(common, printer, *show),
        ConfigAction::Check(check) => check::run(common, printer, &check),
    }
}
