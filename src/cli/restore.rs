//! `whisht restore`: restores an address from its 12 words.

use super::id::address::{create, show_new};
use super::output::say;
use super::words::WordsArgs;
use super::{Exit, Failure, GlobalArgs, remote_node};
use crate::contact::address_key::AddressKey;
use crate::identity::IdentityName;

/// Options of `whisht restore`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the address on this node
    name: IdentityName,
    #[command(flatten)]
    words: WordsArgs,
}

/// Restores an address on the running node.
///
/// # Errors
///
/// [`Failure`] if the words are wrong, if the name is taken, or if the state of the node is locked.
pub(super) fn run(common: &GlobalArgs, args: &Args) -> Result<Exit, Failure> {
    let key = AddressKey::from_mnemonic(&args.words.read()?);
    remote_node::with(common, async |node| {
        let view = create(node, &args.name, &key).await?;
        show_new(node.printer, "restored", &view)?;
        if !node.printer.json {
            say(LIMITS);
        }
        Ok(Exit::Done)
    })
}

const LIMITS: &str = "words restore the address, not its conversations: ask your contacts to write again. \
                      First messages that were encrypted to its old cards are lost. New cards follow within \
                      half an hour";
