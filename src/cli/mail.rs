//! `whisht mail`: be a mail server, or fetch from one what was missed.

mod fetch;

use clap::Subcommand;

use super::remote_node;
use super::run;
use super::{Exit, Failure, GlobalArgs};

/// Options of `whisht mail`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: MailCommand,
}

#[derive(Debug, Subcommand)]
enum MailCommand {
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
pub(super) fn run(common: GlobalArgs, args: Args) -> Result<Exit, Failure> {
    match args.command {
        MailCommand::Serve(args) => run::serve_mail(common, *args),
        MailCommand::Fetch(args) => {
            remote_node::with(&common, async |node| fetch::run(node, args).await)
        }
    }
}
