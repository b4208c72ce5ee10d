//! `whisht contact`: people who are known by their address.
//!
//! The address is a hash. Who holds it shows only in the words that both sides compare, and in
//! introductions by other contacts; the program never marks a contact as verified by itself.

mod add;
mod decide;
pub(super) mod talk;
pub(super) mod words;

use serde_json::json;

use self::words::{card_line, state_words, verified_word};
use super::output::one_line;
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::node::{ContactState, ContactView, TalkView};

/// Options of `whisht contact`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: ContactAction,
}

#[derive(Debug, clap::Subcommand)]
enum ContactAction {
    /// Name the owner of an address, and wait for the card that the owner publishes
    Add(add::Args),
    /// List the contacts
    List,
    /// Show a contact: address, words to compare, card, conversations
    Show {
        /// Name of the contact
        name: String,
    },
    /// Record that the words of a contact were compared with its owner
    Verify(decide::VerifyArgs),
    /// Accept a request, or an introduced contact; nothing is sent
    Accept(decide::AcceptArgs),
    /// Erase a request, and ignore further messages of its sender; nothing is sent
    Decline {
        /// First digits of the request's id, as `whisht inbox` shows it
        request: String,
    },
    /// Show no messages of a conversation as they arrive, or show them again
    Mute(decide::MuteArgs),
    /// Tell one contact of another; the message is not signed, and proves nothing to others
    Introduce(decide::IntroduceArgs),
    /// Talk by lines of text within seconds, for up to ten minutes, with less protection; shows the cost first
    Talk(talk::TalkArgs),
    /// Start a new session in place of one whose state was restored from a backup
    Renew(decide::RenewContactArgs),
    /// Erase a contact with its conversations, or one conversation
    Forget(decide::ForgetArgs),
}

/// Runs an action on contacts.
///
/// # Errors
///
/// [`Failure`] if the node does not answer, or refuses.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    match args.action {
        ContactAction::Add(args) => add::run(node, args).await,
        ContactAction::List => list(node).await,
        ContactAction::Show { name } => show(node, &name).await,
        ContactAction::Verify(args) => decide::verify(node, args).await,
        ContactAction::Accept(args) => decide::accept(node, args).await,
        ContactAction::Decline { request } => decide::decline(node, &request).await,
        ContactAction::Mute(args) => decide::mute(node, args).await,
        ContactAction::Introduce(args) => decide::introduce(node, args).await,
        ContactAction::Talk(args) => talk::run(node, args).await,
        ContactAction::Renew(args) => decide::renew(node, args).await,
        ContactAction::Forget(args) => decide::forget(node, args).await,
    }
}

async fn list(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let contacts: Vec<ContactView> = node.call("whisht_contacts", json!([])).await?;
    if node.printer.json {
        node.printer.value(&contacts)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = contacts.iter().map(row).collect();
    let empty = "no contacts; name one with `whisht contact add shh1... --as NAME`";
    node.printer
        .table(["NAME", "WORDS", "STATE", "LEVEL"], &rows, empty)?;
    let talks: Vec<TalkView> = node.call("whisht_talks", json!([])).await?;
    for offer in talks.iter().filter_map(talk::offer_line) {
        node.printer.line(offer)?;
    }
    Ok(Exit::Done)
}

fn row(contact: &ContactView) -> [String; 4] {
    let level = contact
        .card
        .as_ref()
        .map_or("-", |card| card.least_level.word());
    [
        one_line(&contact.name),
        verified_word(contact).to_owned(),
        state_words(contact),
        level.to_owned(),
    ]
}

async fn show(node: &mut RemoteNode, name: &str) -> Result<Exit, Failure> {
    let contact: ContactView = node.call("whisht_contact", json!([name])).await?;
    show_view(node, &contact)?;
    Ok(Exit::Done)
}

/// Shows a contact.
fn show_view(node: &RemoteNode, contact: &ContactView) -> Result<(), Failure> {
    let printer = node.printer;
    if printer.json {
        return Ok(printer.value(contact)?);
    }
    printer.line(format_args!(
        "{}: {}",
        one_line(&contact.name),
        state_words(contact)
    ))?;
    for line in words::identity_lines(contact) {
        printer.line(line)?;
    }
    match (&contact.card, contact.state) {
        (Some(card), _) => printer.line(card_line(card))?,
        (None, ContactState::Introduced) => {}
        // Without an address there is no card to look for.
        (None, _) if contact.id.is_none() => {}
        (None, _) => printer.line(words::missing_card(contact))?,
    }
    for id in &contact.conversations {
        let id = words::short_id(id);
        printer.line(format_args!(
            "conversation {id}; `whisht read {id}` shows it"
        ))?;
    }
    Ok(())
}
