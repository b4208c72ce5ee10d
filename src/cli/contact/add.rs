//! `whisht contact add`: names the owner of an address, and waits for a card.
//!
//! The node asks no peer for the card. The card comes by gossip as every other envelope, so waiting shows
//! nothing to an observer.

use std::time::Duration;

use serde_json::json;

use super::words;
use crate::cli::durations::time;
use crate::cli::notice_wait::NoticeWait;
use crate::cli::output::{Spinner, one_line, say};
use crate::cli::remote_node::RemoteNode;
use crate::cli::{Exit, Failure};
use crate::contact::address::ContactAddress;
use crate::node::{ContactEvent, ContactState, ContactView, Event};
use crate::rpc::EventNotice;

/// Options of `whisht contact add`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The address: 63 characters that begin with shh1; spaces and capital letters do no harm
    #[arg(required = true, num_args = 1..)]
    address: Vec<String>,
    /// Name of the contact on this node
    #[arg(long = "as", value_name = "NAME")]
    name: String,
    /// Return without waiting for a card; the node continues to look for it
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
    /// Stop waiting after this time, such as 10m; the node continues [default: wait for the card]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
}

/// Names the owner of an address.
///
/// # Errors
///
/// [`Failure`] if the address is mistyped, the name is taken, or the node does not answer.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    // An address in groups is several arguments.
    let address = args.address.join(" ");
    // The error shows the address as the user typed it, with the position of the mistake.
    let parsed: ContactAddress = address.parse().map_err(Failure::usage)?;
    if !args.no_wait {
        // Before the first request, so that no card is found unnoticed.
        node.client.subscribe().await?;
    }
    let params = json!([{"address": parsed.to_string(), "name": args.name}]);
    let added: ContactView = node.call("whisht_addContact", params).await?;
    if !node.printer.json {
        node.printer
            .line(format_args!("{} is named", one_line(&added.name)))?;
        for line in words::identity_lines(&added) {
            node.printer.line(line)?;
        }
    }
    if args.no_wait || added.state == ContactState::Ready {
        return ended(node, &added, Exit::Done);
    }
    let (contact, exit) = wait(node, added, args.timeout).await?;
    ended(node, &contact, exit)
}

/// Waits until the node has a card of the contact.
async fn wait(
    node: &mut RemoteNode,
    mut contact: ContactView,
    limit: Option<Duration>,
) -> Result<(ContactView, Exit), Failure> {
    let waiting = "waiting for the card; no peer is asked for it, so this takes up to a day";
    let spinner = node.progress(waiting);
    let mut notices = NoticeWait::new(limit);
    let exit = loop {
        let Some(notice) = notices.next(node).await? else {
            break Exit::Pending;
        };
        match notice {
            EventNotice::Event(Event::Contact(event)) => match *event {
                ContactEvent::Contact(view) if view.name == contact.name => contact = view,
                _ => {}
            },
            EventNotice::Event(_) => {}
            EventNotice::Lost(_) => {
                let name = json!([contact.name]);
                contact = node.call("whisht_contact", name).await?;
            }
        }
        if contact.state == ContactState::Ready {
            break Exit::Done;
        }
    };
    if let Some(spinner) = spinner {
        spinner.erase();
    }
    if exit == Exit::Pending {
        let name = json!([contact.name]);
        contact = node.call("whisht_contact", name).await?;
    }
    Ok((contact, exit))
}

/// Shows what is known of the card.
fn ended(node: &RemoteNode, contact: &ContactView, exit: Exit) -> Result<Exit, Failure> {
    if node.printer.json {
        node.printer.value(contact)?;
        return Ok(exit);
    }
    match &contact.card {
        Some(card) => node.printer.line(words::card_line(card))?,
        None => {
            node.printer.line(words::missing_card(contact))?;
            node.printer.line(format_args!(
                "the node continues to look for it; `whisht contact show {}` shows it",
                one_line(&contact.name)
            ))?;
        }
    }
    Ok(exit)
}

impl RemoteNode {
    /// A line of progress on a terminal, or one line elsewhere; nothing under `--json`.
    fn progress(&self, text: &str) -> Option<Spinner> {
        use std::io::{IsTerminal, stderr};
        if self.printer.json {
            return None;
        }
        if stderr().is_terminal() {
            return Some(Spinner::start(text));
        }
        say(text);
        None
    }
}
