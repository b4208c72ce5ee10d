//! `whisht leaktest`: runs a node as it is configured, and reports whatever leaves this machine past
//! Tor.
//!
//! A child is the node; [`watch`] looks at every system call of it, of its threads and of its
//! children, and [`policy`] says which of them lead out. Those are refused, so the test itself gives
//! nobody away. Before that the watcher is proven on leaks that are planted for it ([`canary`]).
//! Meanwhile [`workload`] has the node do what nodes do.
//!
//! This finds what a node does by mistake. It does not hold a program that wants to get out: there
//! are ways past any tracer, and loopback is trusted.

mod canary;
pub(super) mod helper;
mod policy;
mod record;
mod report;
mod self_test;
mod traced_node;
mod watch;
mod workload;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use self::policy::EgressPolicy;
use self::report::{Finish, LeakReport, proven};
use self::self_test::run as self_test;
use self::traced_node::{Banner, StartingNode, TracedNode};
use self::workload::Steps;
use super::output::Printer;
use super::remote_node::busy_runtime;
use super::{Exit, Failure, GlobalArgs, run};
use crate::config::Config;
use crate::config::tor::TorBackend;
use crate::shell::TorEntryAddresses;
use crate::shell::runtime::DataLocation;
use crate::shell::signal::Interrupts;

/// Options of `whisht leaktest`.
#[derive(Debug, clap::Args)]
#[group(id = "leaktest")]
pub(super) struct Args {
    /// How long to watch, once the node is up
    #[arg(
        long, value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    seconds: u64,
    /// Be the node that is watched
    #[arg(long, hide = true)]
    as_node: bool,
    #[command(flatten)]
    node: run::Args,
}

/// Tests, or is what is tested.
///
/// # Errors
///
/// [`Failure`] if the watcher cannot be proven, or the node not be started.
pub(super) fn run(mut common: GlobalArgs, mut args: Args) -> Result<Exit, Failure> {
    if args.as_node {
        // Whoever watches reads JSON, and types no password.
        common.json = true;
        args.node.locked = true;
        return run::run(common, args.node);
    }
    let printer = Printer {
        json: common.json,
        local: false,
    };
    let seconds = Duration::from_secs(args.seconds);
    let (location, config) = run::plan(&common, args.node)?;
    // Another node may be using the directory, and must not be disturbed.
    drop(location.open(&config)?);
    let policy = policy(&location, &config)?;
    busy_runtime()?.block_on(async {
        let mut interrupts = Interrupts::take().map_err(failed)?;
        let proof = tokio::select! {
            proof = self_test() => proof?,
            () = interrupts.next() => return Ok(Exit::Failed),
        };
        note(proven(&proof));
        introduce(&location);
        let begun = Instant::now();
        let (node, starting) = TracedNode::start(own_arguments(), true, policy).await?;
        let mut steps = Steps::new();
        let mut partner = None;
        let work = work(starting, &config, seconds, &mut partner, &mut steps);
        let (finish, node) = follow(node, work, &mut interrupts).await?;
        if let Some(partner) = partner {
            // It was there to be talked to; what it did is nobody's business.
            let _ = partner.finish().await;
        }
        let report = LeakReport {
            proof,
            node,
            steps,
            took: begun.elapsed(),
            finish,
        };
        report.print(printer)?;
        Ok(report.exit())
    })
}

/// Watches a node while it works, and ends it.
async fn follow(
    mut node: TracedNode,
    work: impl Future<Output = Finish>,
    interrupts: &mut Interrupts,
) -> Result<(Finish, traced_node::NodeOutcome), Failure> {
    tokio::pin!(work);
    let finish = loop {
        tokio::select! {
            report = &mut node.watch.report => {
                return Ok((Finish::Early, node.outcome(report).await?));
            }
            Some(leak) = node.watch.news.recv() => {
                note(format_args!("leak: {} {}", leak.kind, leak.to));
            }
            () = interrupts.next() => break Finish::Interrupted,
            finish = &mut work => break finish,
        }
    };
    Ok((finish, node.finish().await?))
}

/// Has the node do what nodes do, until the time is up.
async fn work(
    starting: StartingNode,
    config: &Config,
    seconds: Duration,
    partner: &mut Option<TracedNode>,
    steps: &mut Steps,
) -> Finish {
    let Some(node) = starting.up(STARTUP_TIMEOUT).await else {
        return Finish::NeverUp;
    };
    note("the node is up");
    if config.tor.is_on() {
        workload::reach(&node).await;
    }
    let end = Instant::now() + seconds;
    let all = async {
        let helper = TracedNode::start(helper(config, &node), false, EgressPolicy::loopback());
        let banner = match helper.await {
            Ok((subject, starting)) => {
                *partner = Some(subject);
                starting.up(STARTUP_TIMEOUT).await
            }
            Err(_) => None,
        };
        workload::all(&node, banner.as_ref(), config.tor.is_on(), steps).await;
    };
    // What has not been tried by then is missing in the report.
    let _ = timeout_at(end, all).await;
    workload::idle(end.saturating_duration_since(Instant::now())).await;
    Finish::InTime
}

/// Where this node may go besides loopback.
fn policy(location: &DataLocation, config: &Config) -> Result<EgressPolicy, Failure> {
    let mut entries = match location {
        DataLocation::Directory(path) => {
            TorEntryAddresses::of(&config.tor, path).map_err(failed)?
        }
        // It tells nobody where its Tor keeps the list of relays.
        DataLocation::Ephemeral if matches!(config.tor.backend, TorBackend::Arti(_)) => {
            return Err(Failure::usage(
                "which relays Tor may talk to is read from the data directory; leave out \
                 --ephemeral, and name a directory with --data-dir",
            ));
        }
        DataLocation::Ephemeral => TorEntryAddresses::default(),
    };
    Ok(EgressPolicy::and(move |address| entries.contains(address)))
}

/// What was typed, and the word that makes it a node.
fn own_arguments() -> Vec<OsString> {
    let typed = std::env::args_os().skip(1);
    // It would turn our word into something else, and there is nothing that it could be good for.
    let typed = typed.filter(|argument| argument != "--");
    typed.chain(["--as-node".into()]).collect()
}

/// A second node of the same network, which keeps nothing, and goes nowhere but to the first.
fn helper(config: &Config, node: &Banner) -> Vec<OsString> {
    let peers = node.enodes();
    let profile = config.node.profile.label();
    let network = &config.node.network;
    let fixed = ["run", "--json", "--ephemeral", "--listen", "127.0.0.1:0"];
    let named = ["--threads", "1", "--level", "open", "--profile", profile];
    let mut all = [&fixed[..], &named, &["--network", network]].concat();
    if config.node.discovery.is_some() {
        all.push("--discovery-enabled");
    }
    for peer in &peers {
        all.extend(["--peer", peer]);
        if config.node.discovery.is_some() {
            all.extend(["--discovery-bootnodes", peer]);
        }
    }
    all.into_iter().map(OsString::from).collect()
}

/// Says what is about to run.
fn introduce(location: &DataLocation) {
    match location {
        DataLocation::Directory(path) => note(format_args!(
            "running the node of {} with its own keys; its identities stay locked",
            path.display()
        )),
        DataLocation::Ephemeral => note("running a node that keeps nothing"),
    }
}

/// The path of this very program.
fn this_program() -> Result<OsString, Failure> {
    let program = std::env::current_exe();
    Ok(program.map_err(failed)?.into_os_string())
}

/// Tells how it goes on standard error.
fn note(text: impl Display) {
    // If nobody reads this, nothing is lost.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn failed(error: impl Display) -> Failure {
    Failure::new(Exit::Failed, error)
}

/// How long a node may take to come up.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);
