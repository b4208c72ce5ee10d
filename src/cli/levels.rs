//! `whisht levels`: what each privacy level costs and hides in the network as it is now.

mod mixing;
pub(super) mod relay_list;

use std::io;

use circuits::level::Level;
use serde::Serialize;
use serde_json::json;

use super::output::{Printer, count, duration, grouped, one_line, rounded};
use super::remote_node::RemoteNode;
use super::send::Lifetime;
use super::{Exit, Failure};
use crate::node::{DirectoryAge, EstimateView, LevelView, LevelsView, MixingView, StatusView};
use crate::shell::rpc::RpcClientError;

/// Options of `whisht levels`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// List what the figures of the mixing levels assume
    #[arg(long)]
    assumptions: bool,
}

/// Shows for every level the cost of a short message and what the level hides, or what is missing.
///
/// # Errors
///
/// [`Failure`] if the node does not answer.
pub(super) async fn run(node: &mut RemoteNode, args: &Args) -> Result<Exit, Failure> {
    let known: LevelsView = node.call("whisht_levels", json!([])).await?;
    let mut levels = Vec::new();
    // `bulletin` is for cards only; users cannot choose it for a message.
    for level in Level::ALL
        .into_iter()
        .filter(|level| *level != Level::Bulletin)
    {
        levels.push(report(node, level).await?);
    }
    if node.printer.json {
        node.printer.value(&json!({
            "levels": levels,
            "custom": known.custom,
            "mixing": known.mixing,
            "relay_list": known.relay_list,
            "assumptions": args.assumptions.then(mixing::assumptions),
        }))?;
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = levels.iter().filter_map(LevelReport::row).collect();
    node.printer
        .table(HEADING, &rows, "no level is available")?;
    node.printer.line(format_args!(
        "for a message of {SAMPLE} bytes with a lifetime of an hour"
    ))?;
    node.printer.line("")?;
    let views = levels.iter().map(LevelReport::view);
    for line in protection_lines(&views.collect::<Vec<_>>()) {
        node.printer.line(line)?;
    }
    for custom in &known.custom {
        node.printer.line(format_args!(
            "{}: custom level, `{}` with limits",
            custom.name,
            custom.base.word()
        ))?;
    }
    for line in directory_line(&node.status()?)
        .into_iter()
        .chain(SENDERS_NOTE)
    {
        node.printer.line(line)?;
    }
    node.printer
        .line(relay_list::rule(known.relay_list.as_ref()))?;
    protection_of_mixing(node, &known, args.assumptions)?;
    Ok(Exit::Done)
}

/// Shows what the mixing levels protect from.
fn protection_of_mixing(
    node: &RemoteNode,
    known: &LevelsView,
    assumptions: bool,
) -> io::Result<()> {
    let mixing = mixing::lines(known.mixing.as_ref()).into_iter();
    let assumed = assumptions.then(mixing::assumptions);
    for line in mixing.chain(assumed.into_iter().flatten()) {
        node.printer.line("")?;
        node.printer.line(line)?;
    }
    Ok(())
}

/// Shows the cost of one message, and what its level protects from.
///
/// # Errors
///
/// [`Failure`] if the node does not answer.
pub(super) async fn show_price(
    node: &mut RemoteNode,
    price: &EstimateView,
    lifetime: Option<&Lifetime>,
) -> Result<(), Failure> {
    let known: LevelsView = node.call("whisht_levels", json!([])).await?;
    let mixing = known.mixing.as_ref();
    if node.printer.json {
        return Ok(node.printer.value(&PriceReport {
            price,
            lifetime,
            mixing,
        })?);
    }
    estimate(node.printer, price)?;
    let level = known.levels.iter().find(|view| view.level == price.level);
    let hides = level.map(protection);
    let mixed = match mixing::price(price) {
        Some(price) => [vec![price], mixing::lines(mixing)].concat(),
        None => Vec::new(),
    };
    let lifetime = lifetime.and_then(Lifetime::line);
    for line in hides.into_iter().chain(mixed).chain(lifetime) {
        node.printer.line(line)?;
    }
    Ok(())
}

fn estimate(printer: Printer, estimate: &EstimateView) -> io::Result<()> {
    let [level, _, costs @ ..] = HEADING;
    let [median, p95, bytes, cells, network, work] = costs;
    let heading = [level, median, p95, bytes, cells, network, work];
    printer.table(heading, &[row(estimate)], "")
}

/// A line for each level: what it hides and how many nodes can be the sender, or what is missing.
pub(super) fn protection_lines(levels: &[LevelView]) -> Vec<String> {
    let width = levels.iter().map(|view| view.level.word().len()).max();
    let width = width.unwrap_or(0);
    levels
        .iter()
        .map(|view| {
            let text = match &view.missing {
                Some(missing) => format!("not available: {}", one_line(missing)),
                None => protection(view),
            };
            format!("{:width$}  {text}", view.level.word())
        })
        .collect()
}

/// What a level that is available hides now.
fn protection(view: &LevelView) -> String {
    let hides = hides(view.level);
    let senders = match view.senders {
        None | Some(0 | 1) => String::new(),
        Some(senders) => format!("one of {} known nodes can be the sender; ", count(senders)),
    };
    let relaxed = view.relaxed.as_deref().map_or_else(String::new, |rule| {
        format!("; rule relaxed in a local network: {}", one_line(rule))
    });
    format!("{senders}{hides}{relaxed}")
}

/// What a level hides, in one sentence (docs/threat-model.md).
const fn hides(level: Level) -> &'static str {
    match level {
        Level::Open => {
            "hides the recipient only: every connected peer can see that this node is the sender"
        }
        Level::Swift => {
            "hides the sender from most peers, not from an observer of this node's connection"
        }
        Level::Normal => {
            "hides the sender from single peers and relays, not from an observer of all connections"
        }
        Level::Hush => {
            "hides the sender among all senders of cover, also from an observer of all connections"
        }
        Level::Dark => "as hush, in several envelopes that nothing connects, by Tor only",
        Level::Bulletin => "as dark, for messages that may take an hour",
    }
}

/// What the age of the directory means for the protection, if it matters.
pub(super) fn directory_line(status: &StatusView) -> Option<&'static str> {
    match status.directory {
        DirectoryAge::Settled => None,
        DirectoryAge::Young => Some(
            "directory young: this node has not known any relay for a day, and trusts the reports of \
             three peers; `normal` protects less until then",
        ),
    }
}

/// The cost of one message, and the network that hides its sender.
#[derive(Serialize)]
struct PriceReport<'a> {
    #[serde(flatten)]
    price: &'a EstimateView,
    #[serde(flatten)]
    lifetime: Option<&'a Lifetime>,
    mixing: Option<&'a MixingView>,
}

/// A level: its cost, and its protection or what it lacks.
#[derive(Serialize)]
#[serde(untagged)]
enum LevelReport {
    /// The cost is known; something may be missing all the same.
    Known {
        #[serde(flatten)]
        estimate: EstimateView,
        #[serde(flatten)]
        protection: Protection,
    },
    /// The level cannot be used.
    Unavailable {
        #[serde(serialize_with = "level_word")]
        level: Level,
        #[serde(flatten)]
        protection: Protection,
    },
}

/// What a level hides, or what it lacks.
#[derive(Clone, Debug, Serialize)]
struct Protection {
    missing: Option<String>,
    senders: Option<usize>,
    relaxed: Option<String>,
    hides: &'static str,
}

impl LevelReport {
    /// The row of the table; `None` without a cost.
    fn row(&self) -> Option<[String; 8]> {
        let Self::Known {
            estimate,
            protection,
        } = self
        else {
            return None;
        };
        let senders = protection.senders.map_or_else(|| "-".to_owned(), count);
        let [level, costs @ ..] = row(estimate);
        let [median, p95, bytes, cells, network, work] = costs;
        Some([level, senders, median, p95, bytes, cells, network, work])
    }

    fn view(&self) -> LevelView {
        let (level, protection) = match self {
            Self::Known {
                estimate,
                protection,
            } => (estimate.level, protection),
            Self::Unavailable { level, protection } => (*level, protection),
        };
        LevelView {
            level,
            missing: protection.missing.clone(),
            senders: protection.senders,
            relaxed: protection.relaxed.clone(),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn level_word<S: serde::Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(level.word())
}

async fn report(node: &mut RemoteNode, level: Level) -> Result<LevelReport, Failure> {
    let params = json!([{
        "to": SAMPLE_RECIPIENT,
        "payload": "00".repeat(SAMPLE),
        "level": level.word(),
    }]);
    let status = node.status()?;
    let view = status.levels.iter().find(|view| view.level == level);
    let protection = Protection {
        missing: view.and_then(|view| view.missing.clone()),
        senders: view.and_then(|view| view.senders),
        relaxed: view.and_then(|view| view.relaxed.clone()),
        hides: hides(level),
    };
    match node.client.view("whisht_estimate", params).await {
        Ok(estimate) => Ok(LevelReport::Known {
            estimate,
            protection,
        }),
        Err(RpcClientError::Refused(error)) => Ok(LevelReport::Unavailable {
            level,
            protection: Protection {
                missing: Some(error.to_string()),
                senders: None,
                ..protection
            },
        }),
        Err(error) => Err(error.into()),
    }
}

fn row(estimate: &EstimateView) -> [String; 7] {
    [
        estimate.level.to_string(),
        duration(estimate.median_ms),
        duration(estimate.p95_ms),
        count(estimate.envelope_bytes),
        count(estimate.cells),
        grouped(estimate.network_bytes),
        work(estimate),
    ]
}

/// The time for the proof of work; the number of hashes until the machine's rate is known.
fn work(estimate: &EstimateView) -> String {
    estimate.sealing_ms.map_or_else(
        || format!("{} hashes", grouped(rounded(estimate.expected_hashes))),
        duration,
    )
}

const HEADING: [&str; 8] = [
    "LEVEL",
    "SENDERS",
    "MEDIAN",
    "P95",
    "BYTES",
    "CELLS",
    "NETWORK BYTES",
    "PROOF OF WORK",
];

/// What the sender set counts.
const SENDERS_NOTE: [&str; 1] = [
    "SENDERS: nodes that can have sent it, as far as this node knows: relays, onion/1 peers, itself. See \
     docs/threat-model.md",
];

/// Length of the sample message in bytes.
const SAMPLE: usize = 300;
/// The generator of secp256k1, whose private key is 1. Nothing is sent to it.
const SAMPLE_RECIPIENT: &str = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                       483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";

#[cfg(test)]
mod tests;
