//! `whisht mail`: runs a mail server, or fetches missed envelopes from one.

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
    /// Run a node that keeps flooded envelopes, and sends them to clients that were offline
    Serve(Box<run::Args>),
    /// Fetch envelopes that were flooded while the node was offline
    Fetch(fetch::Args),
}

/// Runs a mail server, or fetches from one.
///
/// # Errors
///
/// [`Failure`] if the node does not start, or the server does not send the envelopes.
pub(super) fn run(common: GlobalArgs, args: Args) -> Result<Exit, Failure> {
    match args.command {
        MailCommand::Serve(args) => run::serve_mail(common, *args),
        MailCommand::Fetch(args) => {
            remote_node::with(&common, async |node| fetch::run(node, args).await)
        }
    }
}
