//! `whisht leaktest`: runs a node as it is configured, and reports every call that leaves this machine
//! past Tor.
//!
//! The node runs in a child process. [`watch`] traces every system call of the node, of its threads
//! and of its children; [`policy`](mod@policy) decides which calls lead out. Those calls are refused,
//! so the test itself leaks nothing. Before that, planted leaks test the tracer ([`canary`]). Meanwhile
//! [`workload`] exercises the node.
//!
//! The test finds mistakes of a node. It does not contain a program that wants to escape: every tracer
//! has gaps, and loopback is trusted.

mod canary;
mod console_pages;
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
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use self::policy::EgressPolicy;
use self::report::{Finish, LeakReport, proven};
use self::self_test::run as self_test;
use self::traced_node::{StartingNode, TracedNode, loopback_enodes};
use self::workload::Steps;
use super::output::{Printer, say};
use super::remote_node::busy_runtime;
use super::run::banner::Banner;
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
    /// Seconds to watch, once the node is up
    #[arg(
        long, value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    seconds: u64,
    /// Run as the traced node
    #[arg(long, hide = true)]
    as_node: bool,
    #[command(flatten)]
    node: run::Args,
}

/// Runs the test, or the node that it tests.
///
/// # Errors
///
/// [`Failure`] if the tracer misses a planted leak, or the node cannot be started.
pub(super) fn run(mut common: GlobalArgs, mut args: Args) -> Result<Exit, Failure> {
    if args.as_node {
        // The test reads JSON from the node, and types no password.
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
    // Fails if another node uses the directory.
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
            // The report covers the tested node only.
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

/// Follows a node through its workload, and ends it.
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

/// Exercises the node until the time is up.
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
    // The report omits the steps that were not reached by then.
    let _ = timeout_at(end, all).await;
    workload::idle(end.saturating_duration_since(Instant::now())).await;
    if config.tor.is_on() {
        steps.push(workload::link_through_tor(&node).await);
    }
    Finish::InTime
}

/// The destinations of this node besides loopback.
fn policy(location: &DataLocation, config: &Config) -> Result<EgressPolicy, Failure> {
    let mut entries = match location {
        DataLocation::Directory(path) => {
            TorEntryAddresses::of(&config.tor, path).map_err(failed)?
        }
        // The location of arti's consensus is unknown for a node without a data directory.
        DataLocation::Ephemeral if matches!(config.tor.backend, TorBackend::Arti(_)) => {
            return Err(Failure::usage(
                "the allowed Tor relays are read from the data directory, which --ephemeral does not \
                 have; leave out --ephemeral, and name a directory with --data-dir",
            ));
        }
        DataLocation::Ephemeral => TorEntryAddresses::default(),
    };
    Ok(EgressPolicy::and(move |address| entries.contains(address)))
}

/// The arguments of this process, and the flag that makes it the traced node.
fn own_arguments() -> Vec<OsString> {
    let typed = std::env::args_os().skip(1);
    // After `--` the flag would be a positional argument.
    let typed = typed.filter(|argument| argument != "--");
    typed.chain(["--as-node".into()]).collect()
}

/// Arguments of a second node of the same network, which keeps nothing and connects to the first only.
fn helper(config: &Config, node: &Banner) -> Vec<OsString> {
    let peers = loopback_enodes(node);
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

/// Prints what is about to run.
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

/// Prints progress on standard error.
fn note(text: impl Display) {
    say(text);
}

fn failed(error: impl Display) -> Failure {
    Failure::new(Exit::Failed, error)
}

/// Time limit for the start of a node.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);
