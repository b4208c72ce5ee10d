//! `whisht run`: the node, until it is told to stop.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use circuits::ids::Profile;
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use super::node::busy_runtime;
use super::options::Options;
use super::print::Screen;
use super::{Common, Exit, Failure};
use crate::config::{Config, Settings, file};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::node::{Command, NodeConfig, Reply};
use crate::shell::host::{Host, Place};
use crate::shell::signal::Interrupts;

/// Options of `whisht run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    options: Options,
    /// The configuration file [default: config.toml in the data directory]
    #[arg(long, env = "WHISHT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep everything in memory; nothing is left when the node ends
    #[arg(long)]
    ephemeral: bool,
}

/// Runs a node.
///
/// # Errors
///
/// [`Failure`] if it does not come up.
pub(super) fn run(common: Common, args: Args) -> Result<Exit, Failure> {
    log();
    let place = match args.ephemeral {
        true => Place::Ephemeral,
        false => Place::Directory(common.data_dir()?),
    };
    let settings = Settings::from(args.options).over(from_file(args.config.as_deref(), &place)?);
    let config = Config::build(settings)?;
    if matches!(place, Place::Ephemeral) && config.node.guard.is_none() {
        tracing::warn!(
            "an ephemeral node without --guard picks a new guard in every run: the more runs, \
             the likelier one of them is hostile"
        );
    }
    let runtime = busy_runtime()?;
    let screen = Screen {
        json: common.json,
        local: config.node.profile == Profile::Local,
    };
    runtime.block_on(async {
        let mut interrupts = Interrupts::take().map_err(|error| {
            Failure::new(
                Exit::Failed,
                format_args!("cannot listen for signals: {error}"),
            )
        })?;
        let (node, tor_only) = (config.node.clone(), config.tor.only);
        let host = tokio::select! {
            host = Host::open(config, &place, common.ipc.as_deref()) => host?,
            () = interrupts.next() => return Ok(Exit::Failed),
        };
        banner(screen, &host, &node, tor_only)?;
        tokio::select! {
            () = interrupts.next() => {}
            () = host.handle().finished() => {
                return Err(Failure::new(
                    Exit::Failed,
                    "the node ended by itself; this is a bug, please report what stands above",
                ));
            }
        }
        farewell(&host).await;
        tokio::select! {
            () = host.handle().shutdown() => Ok(Exit::Done),
            // Asked twice: the user does not want to wait.
            () = interrupts.next() => Ok(Exit::Failed),
        }
    })
}

/// Reads the configuration file. That of the data directory need not exist.
fn from_file(named: Option<&Path>, place: &Place) -> Result<Settings, Failure> {
    let path = match (named, place) {
        (Some(path), _) => path.to_owned(),
        (None, Place::Directory(dir)) => dir.join("config.toml"),
        (None, Place::Ephemeral) => return Ok(Settings::default()),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(file::parse(&path, &text)?),
        Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {
            Ok(Settings::default())
        }
        Err(error) => Err(Failure::usage(format_args!(
            "cannot read {}: {error}; name another file with --config",
            path.display()
        ))),
    }
}

/// Says what others need to know.
fn banner(screen: Screen, host: &Host, node: &NodeConfig, tor_only: bool) -> io::Result<()> {
    let addresses = host.handle().addresses();
    let enodes = enodes(host, tor_only);
    if screen.json {
        return screen.value(&json!({
            "enode": enodes,
            "listen": addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>(),
            "ipc": host.ipc_path(),
            "level": node.level.word(),
            "profile": node.profile.label(),
            "network": node.network,
            "relay": node.relay,
        }));
    }
    screen.line(format_args!(
        "whisht {} on the network `{}` ({}), {}",
        env!("CARGO_PKG_VERSION"),
        node.network,
        node.profile.label(),
        if node.relay {
            "relaying for others"
        } else {
            "not relaying"
        }
    ))?;
    for address in addresses {
        screen.line(format_args!("listening on  {address}"))?;
    }
    for enode in &enodes {
        screen.line(format_args!("enode         {enode}"))?;
    }
    if addresses.is_empty() && host.onion().is_none() {
        screen.line("listening on  nothing; connections go out only")?;
    } else if !tor_only
        && addresses
            .iter()
            .any(|address| address.ip().is_unspecified())
    {
        screen.line("              (others replace the loopback address by this machine's own)")?;
    }
    screen.line(format_args!("local socket  {}", host.ipc_path().display()))?;
    screen.line(format_args!("level         {}", node.level))
}

/// How peers would name us: by our onion service, and by our addresses unless nobody may know them.
fn enodes(host: &Host, tor_only: bool) -> Vec<String> {
    let addresses = host.handle().addresses().iter().filter(|_| !tor_only);
    let endpoints = addresses.copied().map(specific).map(Endpoint::Tcp);
    let endpoints = host.onion().into_iter().chain(endpoints);
    let key = host.key();
    endpoints
        .map(|endpoint| PeerAddr { key, endpoint }.to_string())
        .collect()
}

/// What an unspecified address is to others, we cannot know.
fn specific(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Says what becomes of messages on their way.
async fn farewell(host: &Host) {
    let outbox = host.handle().command(Command::Outbox).await;
    let left = match outbox {
        Ok(Ok(Reply::Outbox(messages))) => {
            let outgoing = serde_json::to_value(messages).unwrap_or_default();
            outgoing
                .as_array()
                .into_iter()
                .flatten()
                .filter(|message| is_under_way(message))
                .count()
        }
        _ => 0,
    };
    let mut stderr = io::stderr().lock();
    // If nobody reads this, nothing is lost.
    let _ = match left {
        0 => writeln!(stderr, "closing; once more Ctrl-C ends at once"),
        _ => writeln!(
            stderr,
            "closing; {left} of your messages have not come back yet: pieces that left go on by \
             themselves, but nothing will be tried again. Once more Ctrl-C ends at once"
        ),
    };
}

/// Whether a message has reached no final stage.
fn is_under_way(message: &Value) -> bool {
    let stage = message.pointer("/stage/stage").and_then(Value::as_str);
    !matches!(stage, Some("delivered" | "failed"))
}

/// Logs to standard error, without the time: whoever keeps logs adds it.
fn log() {
    let filter = EnvFilter::builder()
        .with_env_var("WHISHT_LOG")
        .try_from_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,whisht=info"));
    // Only fails if a logger was set before; that one serves as well.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .without_time()
        .with_target(false)
        .try_init();
}
