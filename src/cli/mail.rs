//! `whisht mail`: be a mail server, or fetch from one what was missed.

mod fetch;

use clap::Subcommand;

use super::node;
use super::run;
use super::{Common, Exit, Failure};

/// Options of `whisht mail`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node that keeps what is flooded, and gives it to those who were away
    Serve(Box<run::Args>),
    /// Fetch what was flooded while the node was away, from a mail server
    Fetch(fetch::Args),
}

/// Serves or fetches mail.
///
/// # Errors
///
/// [`Failure`] if the node does not come up, or the mail is not to be had.
pub(super) fn run(common: Common, args: Args) -> Result<Exit, Failure> {
    match args.command {
        Command::Serve(args) => run::serve_mail(common, *args),
        Command::Fetch(args) => node::with(&common, async |node| fetch::run(node, args).await),
    }
}
