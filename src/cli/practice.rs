//! `whisht practice`: checks that a user remembers 12 words. Nothing is stored and nothing is sent.

use serde_json::json;

use super::output::{Printer, one_line};
use super::remote_node::runtime;
use super::words::WordsArgs;
use super::{Exit, Failure, GlobalArgs};
use crate::contact::address_key::AddressKey;
use crate::contact::id::ContactId;
use crate::contact::voice::VoiceWords;
use crate::node::AddressView;
use crate::shell::rpc::{RpcClient, RpcClientError};

/// Options of `whisht practice`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    words: WordsArgs,
}

/// Reads the words and shows which address they restore, without showing the address itself: a screen is
/// read by others.
///
/// # Errors
///
/// [`Failure`] if the words are wrong, or if a node runs and none of its addresses has these words.
pub(super) fn run(common: &GlobalArgs, args: &Args) -> Result<Exit, Failure> {
    let id = AddressKey::from_mnemonic(&args.words.read()?).id();
    let own = runtime()?.block_on(own_addresses(common))?;
    let name = match &own {
        Some(own) => Some(name_of(own, &id)?),
        None => None,
    };
    let check = VoiceWords::of(&id);
    let printer = Printer {
        json: common.json,
        local: false,
    };
    if common.json {
        printer.value(&json!({"right": true, "name": name, "words": check.to_string()}))?;
        return Ok(Exit::Done);
    }
    match name {
        Some(name) => printer.line(format_args!("right: these are the words of {}", one_line(name)))?,
        None => printer.line(format_args!(
            "the words belong together; no node runs that could compare them. They restore the address \
             whose check words are: {check}"
        ))?,
    }
    Ok(Exit::Done)
}

/// The addresses of the running node; `None` if none runs.
async fn own_addresses(common: &GlobalArgs) -> Result<Option<Vec<AddressView>>, Failure> {
    match RpcClient::connect(&common.ipc()?).await {
        Ok(mut client) => Ok(Some(client.view("whisht_addresses", json!([])).await?)),
        Err(RpcClientError::NoNode { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn name_of<'a>(own: &'a [AddressView], id: &ContactId) -> Result<&'a str, Failure> {
    let digits = hex::encode(id.0);
    let found = own.iter().find(|address| address.id == digits);
    found.map(|address| address.name.as_str()).ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            "the words belong together, but they are not those of an address of this node; look for the \
             word that is wrong",
        )
    })
}
