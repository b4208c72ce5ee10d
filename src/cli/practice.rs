//! `whisht practice`: checks that a user remembers 12 words, or draws new ones for letters. Nothing is
//! stored and nothing is sent.

use serde_json::json;

use super::output::{Printer, one_line, say};
use super::remote_node::runtime;
use super::words::{WordsArgs, refuse_without_terminal, show_words};
use super::{Exit, Failure, GlobalArgs};
use crate::contact::address_key::AddressKey;
use crate::contact::id::ContactId;
use crate::contact::mnemonic::Mnemonic;
use crate::contact::voice::VoiceWords;
use crate::node::AddressView;
use crate::shell::rpc::{RpcClient, RpcClientError};
use crate::shell::seeded_rng;

/// Options of `whisht practice`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Draw 12 new words for letters, and show them once on the terminal; `whisht run --ephemeral --words`
    /// takes them
    #[arg(long, conflicts_with = "words_file")]
    new: bool,
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
    if args.new {
        return draw(common);
    }
    let id = AddressKey::from_mnemonic(&args.words.read()?).id();
    let own = runtime()?.block_on(own_addresses(common))?;
    // A node without addresses has none to compare with: that of a source of letters.
    let name = match own.as_deref() {
        Some([]) | None => None,
        Some(own) => Some(name_of(own, &id)?),
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
            "the words belong together; no node runs that could compare them with an address. They restore the address \
             whose check words are: {check}"
        ))?,
    }
    Ok(Exit::Done)
}

/// Draws the words of a source of letters, and shows them.
fn draw(common: &GlobalArgs) -> Result<Exit, Failure> {
    refuse_without_terminal(common.json)?;
    let mut rng = seeded_rng().map_err(|error| Failure::new(Exit::Failed, error))?;
    let words = Mnemonic::draw(&mut rng);
    say("these 12 words give the keys of your letters; they are shown once:");
    show_words(&words)?;
    say(LETTERS_WARNING);
    Ok(Exit::Done)
}

/// The addresses of the running node; `None` if none runs.
async fn own_addresses(common: &GlobalArgs) -> Result<Option<Vec<AddressView>>, Failure> {
    match RpcClient::connect(&common.ipc()?).await {
        Ok(mut client) => Ok(Some(client.view("whisht_addresses", json!([])).await?)),
        Err(RpcClientError::NoNode { .. } | RpcClientError::Forbidden { .. }) => Ok(None),
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

const LETTERS_WARNING: &str = "learn them, or write them on paper, and check yourself with `whisht practice`. Your \
                               letters stay secret if a thief gets the words later, because their readers \
                               erase keys. Answers do not: a thief of the words who kept the answers from \
                               the network reads them at any time. Clear the terminal and its scroll-back now";
