//! `whisht card`: the cards of own addresses and of contacts.
//!
//! A card travels by gossip. A file of signed cards lets a helper publish them while the owner is away:
//! the helper learns the address, and cannot change a card or read what is written to it.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde_json::json;

use super::contact::words::{address, card_line};
use super::output::{count, duration, one_line};
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::node::{AddressView, CardView};

/// Options of `whisht card`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: CardAction,
}

#[derive(Debug, clap::Subcommand)]
enum CardAction {
    /// Show the state of own addresses, or the card of a contact
    Show {
        /// Name of an own address or of a contact [default: all own addresses]
        name: Option<String>,
    },
    /// Write signed cards for the coming days, which another node can publish
    Export {
        /// Name of the own address
        name: String,
        /// Number of days, 1 to 14
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=14))]
        days: u32,
        /// File to write [default: standard output]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Publish the cards of a file that `whisht card export` wrote, for their owner
    Publish {
        /// File with cards; `-` reads standard input
        file: PathBuf,
    },
}

/// Runs an action on cards.
///
/// # Errors
///
/// [`Failure`] if the node refuses, or a file cannot be read or written.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    match args.action {
        CardAction::Show { name: None } => own(node).await,
        CardAction::Show { name: Some(name) } => show(node, &name).await,
        CardAction::Export { name, days, output } => export(node, &name, days, output).await,
        CardAction::Publish { file } => publish(node, &file).await,
    }
}

async fn own(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let addresses: Vec<AddressView> = node.call("whisht_addresses", json!([])).await?;
    if node.printer.json {
        node.printer.value(&addresses)?;
        return Ok(Exit::Done);
    }
    if addresses.is_empty() {
        node.printer
            .line("no addresses; make one with `whisht id new NAME --address`")?;
    }
    for view in &addresses {
        for line in address_lines(view) {
            node.printer.line(line)?;
        }
    }
    Ok(Exit::Done)
}

/// An own address: the text of it, its cards, its requests.
fn address_lines(view: &AddressView) -> Vec<String> {
    let next = match (view.next_card_secs, &view.obstacle) {
        (_, Some(obstacle)) => format!("not published: {}", one_line(obstacle)),
        (Some(0), None) => "the next one is published now".to_owned(),
        (Some(secs), None) => format!(
            "the next one is published in {}",
            duration(secs.saturating_mul(1_000))
        ),
        (None, None) => "none is planned".to_owned(),
    };
    vec![
        format!(
            "{}: {}",
            one_line(&view.name),
            address(&view.id).unwrap_or_else(|| one_line(&view.id))
        ),
        format!("  cards of now in the network: {}; {next}", view.cards),
        format!(
            "  accepts level `{}` and stronger ones, with a ticket of {} bits; requests: {}",
            view.least_level.word(),
            view.ticket_bits,
            count(view.requests)
        ),
    ]
}

async fn show(node: &mut RemoteNode, name: &str) -> Result<Exit, Failure> {
    let card: CardView = node.call("whisht_card", json!([name])).await?;
    if node.printer.json {
        node.printer.value(&card)?;
    } else {
        node.printer.line(card_line(&card))?;
        node.printer.line(format_args!(
            "period {}, made in period {}, revision {}, generation {}",
            card.period, card.serial, card.revision, card.generation
        ))?;
    }
    Ok(Exit::Done)
}

async fn export(
    node: &mut RemoteNode,
    name: &str,
    days: u32,
    out: Option<PathBuf>,
) -> Result<Exit, Failure> {
    let params = json!([{"name": name, "days": days}]);
    let digits: String = node.call("whisht_exportCards", params).await?;
    let file = hex::decode(&digits).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format_args!("the node sends the cards in an unknown form ({error}); restart the node with this program"),
        )
    })?;
    match out {
        Some(path) => std::fs::write(&path, &file).map_err(|error| {
            Failure::usage(format_args!(
                "cannot write {}: {error}; name a file in a directory of yours",
                path.display()
            ))
        })?,
        None => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&file)?;
            stdout.flush()?;
        }
    }
    Ok(Exit::Done)
}

async fn publish(node: &mut RemoteNode, path: &std::path::Path) -> Result<Exit, Failure> {
    let fail = |error| {
        Failure::usage(format_args!(
            "cannot read the cards from {}: {error}; name the file that `whisht card export` wrote",
            path.display()
        ))
    };
    let mut file = Vec::new();
    if path.as_os_str() == "-" {
        let mut stdin = io::stdin().take(MAX_FILE);
        stdin.read_to_end(&mut file).map_err(fail)?;
    } else {
        let opened = std::fs::File::open(path).map_err(fail)?;
        opened.take(MAX_FILE).read_to_end(&mut file).map_err(fail)?;
    }
    let params = json!([hex::encode(&file)]);
    let published: usize = node.call("whisht_publishCards", params).await?;
    if node.printer.json {
        node.printer.value(&json!({"published": published}))?;
    } else {
        node.printer.line(format_args!(
            "{published} cards are published at their times, as long as this node runs"
        ))?;
    }
    Ok(Exit::Done)
}

/// Above the largest file of cards: 14 days of three cards of 2,408 bytes, twice.
const MAX_FILE: u64 = 1 << 18;
