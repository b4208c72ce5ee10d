//! `whisht demo`: a network of nodes in one process, and one message that crosses it.
//!
//! Every node is a real node with a listener of its own on loopback: RLPx links, onion cells, envelopes
//! with proof of work. Two things differ from a real network: the profile `local` lifts the rules of
//! age, subnet and size, and the nodes report what they see, which no other node does.

mod contact;
mod mixing;
mod network;
mod observations;
mod report;
mod timeline;

use std::path::{Path, PathBuf};
use std::time::Duration;

use circuits::level::{Insertion, Level};
use tokio::time::Instant;
use zeroize::Zeroizing;

use self::network::Network;
use self::report::DemoReport;
use self::timeline::{Timeline, TimelineEvent};
use super::remote_node::busy_runtime;
use super::{Exit, Failure};
use crate::config::value;
use crate::shell::signal::Interrupts;

/// Options of `whisht demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Number of relays
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=64))]
    relays: u16,
    /// Privacy level: open, swift, normal, hush or dark
    #[arg(long, value_parser = value::level, default_value = "normal")]
    level: Level,
    /// Send this file; `-` reads standard input [default: a text of the demonstration]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Stop a middle relay while shards are on their way
    #[arg(long)]
    kill_relay: bool,
    /// Show contact by hash instead: an address, its card, a first message and the answer
    #[arg(long, conflicts_with_all = ["file", "kill_relay"])]
    contact: bool,
    /// Keep the network running after the message, until Ctrl-C
    #[arg(long, conflicts_with = "contact")]
    stay: bool,
}

/// Runs the demonstration.
///
/// # Errors
///
/// [`Failure`] if the network does not start, the level is refused, or the message is lost.
pub(super) fn run(json: bool, args: &Args) -> Result<Exit, Failure> {
    super::no_data_dir("demo")?;
    check(args)?;
    if args.contact {
        let report = DemoReport::new(json, Instant::now());
        let relays = usize::from(args.relays);
        return busy_runtime()?.block_on(contact::play(&report, relays, args.level));
    }
    let body = body(args.file.as_deref())?;
    busy_runtime()?.block_on(play(&DemoReport::new(json, Instant::now()), args, body))
}

/// Refuses before any node starts what the network could not do.
fn check(args: &Args) -> Result<(), Failure> {
    let rules = args.level.rules();
    if args.contact && rules.insertion != Insertion::HeldStem {
        return Err(Failure::new(
            Exit::Refused,
            format_args!(
                "a card accepts no message at level `{}`; use --level normal, hush or dark",
                args.level
            ),
        ));
    }
    let needed = match rules.insertion {
        Insertion::Gossip => 1,
        Insertion::Stem => STEM_SUCCESSORS,
        // The relays of a lane, and the rendezvous.
        Insertion::HeldStem => u16::from(rules.relays) + 1,
    };
    if args.relays < needed {
        return Err(Failure::new(
            Exit::Refused,
            format_args!(
                "level `{}` needs at least {needed} relays, and --relays is {}; use --relays {needed} \
                 or more, or another level with --level",
                args.level, args.relays
            ),
        ));
    }
    Ok(())
}

async fn play(report: &DemoReport, args: &Args, body: Zeroizing<Vec<u8>>) -> Result<Exit, Failure> {
    let relays = usize::from(args.relays);
    report.started(relays, args.level)?;
    let mut network = Network::start(relays, args.level).await?;
    let mut timeline = Timeline::new(network.names(), args.level, &body);
    while timeline.relays_known() < relays
        && let Some((from, event)) = network.next(DISCOVERY_TIMEOUT).await
    {
        if let Some(moment) = timeline.take(from, &event, Duration::ZERO) {
            report.event(&moment)?;
        }
    }
    report.gathered(timeline.relays_known())?;
    let begun = Instant::now();
    let sent = network.send(args.level, body).await;
    if sent.is_ok() {
        follow(report, args, &mut network, &mut timeline, begun).await?;
    }
    if args.stay && sent.is_ok() {
        report.ending(&timeline)?;
        stay(report, &network).await?;
        network.stop().await;
        return Ok(Exit::Done);
    }
    network.stop().await;
    sent?;
    report.ending(&timeline)?;
    Ok(if timeline.delivered() {
        Exit::Done
    } else {
        Exit::Pending
    })
}

/// Waits for Ctrl-C, and says how another node joins.
async fn stay(report: &DemoReport, network: &Network) -> Result<(), Failure> {
    let mut interrupts = Interrupts::take().map_err(|error| Failure::new(Exit::Failed, error))?;
    report.stays(network.entry())?;
    interrupts.next().await;
    Ok(())
}

/// Follows the message until every node has it, or the time is over.
async fn follow(
    report: &DemoReport,
    args: &Args,
    network: &mut Network,
    timeline: &mut Timeline,
    begun: Instant,
) -> Result<(), Failure> {
    while !timeline.is_over()
        && let left = delivery_timeout(args.level).saturating_sub(begun.elapsed())
        && let Some((from, event)) = network.next(left).await
    {
        let Some(moment) = timeline.take(from, &event, begun.elapsed()) else {
            continue;
        };
        report.event(&moment)?;
        if args.kill_relay
            && matches!(moment, TimelineEvent::FirstCell)
            && timeline.killed.is_none()
            && let Some(victim) = timeline.middle_to_kill()
        {
            network.kill(victim);
            timeline.killed(victim);
            report.killed(victim)?;
        }
    }
    Ok(())
}

const fn delivery_timeout(level: Level) -> Duration {
    if level.is_mixing() {
        MIXING_TIMEOUT
    } else {
        DELIVERY_TIMEOUT
    }
}

/// The body of the message: a file, or the text of the demonstration.
fn body(file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let Some(path) = file else {
        return Ok(Zeroizing::new(TEXT.as_bytes().to_vec()));
    };
    let body = super::send::body(path)?;
    if body.len() > MAX_BYTES {
        return Err(Failure::usage(format_args!(
            "{} has {} bytes, and the demonstration sends up to {MAX_BYTES}; name a shorter file",
            path.display(),
            body.len(),
        )));
    }
    Ok(body)
}

const TEXT: &str = "Whisht: it should be hard to learn that it was me.";

/// Maximum size of a file in bytes: 48 KB.
const MAX_BYTES: usize = 49_152;

/// Maximum time between two events while the relays learn each other's descriptors, on a slow machine.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(20);

/// Number of peers between which a stem chooses.
const STEM_SUCCESSORS: u16 = 2;

/// Time limit of the message.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(50);

/// Time limit at levels that mix: a slot, five delays of a second and the hold take half a minute at the
/// 95th percentile, and a cell that is lost is repeated after its deadline.
const MIXING_TIMEOUT: Duration = Duration::from_secs(170);
