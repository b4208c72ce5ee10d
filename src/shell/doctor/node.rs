//! The running node: whether it answers, and what its condition shows.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use super::{Finding, reachability};
use crate::config::Config;
use crate::node::{
    ClockView, DialBackView, DirectoryAge, InboundView, LISTED, StatusView, UnreachedPeerView,
};

/// The process that uses a data directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunningProcess {
    /// Its number, if the lock file shows it.
    pub pid: Option<u32>,
}

/// The process that holds the lock of a directory; `None` if none does.
#[must_use]
pub fn running_process(dir: &Path) -> Option<RunningProcess> {
    let path = dir.join("lock");
    let lock = File::open(&path).ok()?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            Some(RunningProcess {
                pid: holder.trim().parse().ok(),
            })
        }
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// What the doctor judges of a running node.
#[derive(Clone, Debug)]
pub struct NodeCondition {
    /// Number of connected peers.
    pub peers: usize,
    /// Number of these with `onion/1`.
    pub onion_peers: usize,
    /// Named peers without a connection.
    pub unreached: Vec<UnreachedPeerView>,
    /// The clock, as far as peers show theirs.
    pub clock: Option<ClockView>,
    /// Number of relays that paths can use.
    pub eligible_relays: usize,
    /// The age of the directory.
    pub directory: DirectoryAge,
    /// Whether it is in the directory, or why not.
    pub listed: String,
    /// Whether Tor carries links.
    pub tor: bool,
    /// Why no link can be opened.
    pub shut: Option<String>,
    /// Why the state of Tor is unknown.
    pub unverified: Option<String>,
    /// Whether another node uses the same key.
    pub key_in_use: bool,
    /// Why a listener stopped within the last hour.
    pub listener_fault: Option<String>,
    /// Number of links that others opened to this node.
    pub inbound: usize,
    /// What peers report that dialled this node on request.
    pub dial_back: Option<DialBackView>,
    /// Why no peer was asked just now.
    pub not_asked: Option<String>,
    /// Whether all inbound places are taken.
    pub full: bool,
    /// Whether contacts and messages are locked.
    pub state_locked: bool,
    /// What the relay whose loops stand out does: `drops` or `delays`.
    pub alarm: Option<String>,
}

impl From<&StatusView> for NodeCondition {
    fn from(status: &StatusView) -> Self {
        let fault = status.inbound.listener_fault.as_ref();
        let recent = fault.filter(|fault| fault.secs_ago < 3_600);
        Self {
            peers: status.peers,
            onion_peers: status.dark_peers,
            unreached: status.unreached_peers.clone(),
            clock: status.clock,
            eligible_relays: status.eligible_relays,
            directory: status.directory,
            listed: status.listed.clone(),
            tor: status.tor,
            shut: status.shut.clone(),
            unverified: status.unverified.clone(),
            key_in_use: status.key_in_use,
            listener_fault: recent.map(|fault| fault.reason.clone()),
            inbound: inbound(&status.inbound),
            dial_back: status.dial_back.clone(),
            not_asked: None,
            full: status.inbound.full.is_some(),
            state_locked: status.state_locked,
            alarm: status
                .emission
                .alarm
                .as_ref()
                .map(|alarm| alarm.fault.clone()),
        }
    }
}

/// Number of links that others opened.
fn inbound(view: &InboundView) -> usize {
    let classes = [
        view.named,
        view.useful,
        view.relays,
        view.gossip,
        view.cells_only,
    ];
    classes.into_iter().fold(0, usize::saturating_add)
}

/// Judges a node from its condition; without one, what needs a running node is not checked.
pub(super) fn examine(
    process: Option<&RunningProcess>,
    condition: Option<&NodeCondition>,
    config: &Config,
) -> Vec<Finding> {
    let Some(condition) = condition else {
        return vec![not_answering(process)];
    };
    let mut found = vec![Finding::ok("node", "runs and answers")];
    found.extend(peers(condition));
    found.extend(clock(condition));
    found.extend(tor(condition));
    found.extend(relays(condition, config));
    found.extend(links(condition, config));
    if condition.state_locked {
        found.push(Finding::warning(
            "state",
            "contacts and messages are locked, so none is received",
            "run `whisht unlock`",
        ));
    }
    found
}

fn not_answering(process: Option<&RunningProcess>) -> Finding {
    match process {
        None => Finding::not_checked(
            "node",
            "it does not run; peers, clock, directory and reachability need it: `whisht run`",
        ),
        Some(RunningProcess { pid }) => {
            let pid = pid.map_or_else(String::new, |pid| format!(" {pid}"));
            Finding::wrong(
                "node",
                format!(
                    "process{pid} uses the data directory, and its local socket does not answer"
                ),
                "name its socket with --ipc, or end the process and start the node again",
            )
        }
    }
}

fn peers(condition: &NodeCondition) -> Vec<Finding> {
    let mut found = Vec::new();
    let text = format!(
        "{} connected, {} with onion/1",
        condition.peers, condition.onion_peers
    );
    found.push(match condition.peers {
        0 => Finding::wrong(
            "peers",
            "no peer is connected, so nothing is sent or received",
            "name peers that answer: `whisht peers --add ENODE`, or `peers` in the configuration",
        ),
        1 => Finding::warning(
            "peers",
            text,
            "name a second peer: one peer alone cannot show that a message spread",
        ),
        _ => Finding::ok("peers", text),
    });
    found.extend(condition.unreached.iter().map(unreached));
    found
}

/// A named peer without a connection: why, and what to do.
fn unreached(peer: &UnreachedPeerView) -> Finding {
    let reason = peer.reason.as_deref().unwrap_or("it was not dialled yet");
    let key: String = peer.key.chars().take(16).collect();
    let text = format!("{key} at {} is not connected: {reason}", peer.address);
    let remedy = match reason {
        reason if reason.contains("refused") => {
            "ask its operator whether it runs and listens on that port"
        }
        reason if reason.contains("network") || reason.contains("protocol") => {
            "use an enode URL of the network that this node belongs to"
        }
        reason if reason.contains("key") => "ask its operator for the current enode URL",
        _ => "check its address, and the network of this machine; the node tries again by itself",
    };
    Finding::warning("peers", text, remedy)
}

fn clock(condition: &NodeCondition) -> Option<Finding> {
    let remedy = "set the clock, and let NTP keep it (`timedatectl set-ntp true`)";
    let clock = condition.clock?;
    Some(match (clock.refuses, clock.is_off()) {
        (true, _) => Finding::wrong("clock", format!("{clock}; nothing is sent"), remedy),
        (false, true) => Finding::warning("clock", clock, remedy),
        (false, false) => Finding::ok("clock", clock),
    })
}

fn tor(condition: &NodeCondition) -> Option<Finding> {
    let NodeCondition {
        tor,
        shut,
        unverified,
        ..
    } = condition;
    match (tor, shut, unverified) {
        (true, Some(reason), _) => Some(Finding::wrong(
            "tor",
            format!("not ready: {reason}"),
            "messages are queued; check the Tor daemon and the network of this machine",
        )),
        (false, Some(reason), _) => Some(Finding::wrong(
            "network",
            format!("offline: {reason}"),
            "messages are queued; check the network of this machine",
        )),
        (true, None, Some(reason)) => Some(Finding::warning(
            "tor",
            format!("state unknown: {reason}"),
            "set tor.control, so that the node can ask the daemon",
        )),
        (true, None, None) => Some(Finding::ok("tor", "ready")),
        (false, None, _) => None,
    }
}

fn relays(condition: &NodeCondition, config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let eligible = condition.eligible_relays;
    found.push(if eligible < MIN_RELAYS {
        Finding::warning(
            "directory",
            format!("{eligible} relays can be used; onion paths need {MIN_RELAYS}"),
            "connect to peers with onion/1 (`whisht levels` shows what each level lacks)",
        )
    } else if condition.directory == DirectoryAge::Young {
        Finding::warning(
            "directory",
            format!("{eligible} relays, none known for a day"),
            "leave the node running for a day; `normal` protects less until then",
        )
    } else {
        Finding::ok("directory", format!("{eligible} relays, settled"))
    });
    if condition.onion_peers == 0 {
        found.push(Finding::warning(
            "guard",
            "no connected peer speaks onion/1, so no guard is connected",
            "name a relay below `peers`",
        ));
    } else {
        found.push(Finding::ok("guard", "peers with onion/1 are connected"));
    }
    if let Some(fault) = &condition.alarm {
        found.push(Finding::warning(
            "guard",
            format!("a relay {fault} more loops than chance explains"),
            "`whisht status` names it; if it is the guard of your choice, choose another one",
        ));
    }
    if config.node.relay && condition.listed != LISTED {
        found.push(Finding::warning(
            "listed",
            format!("this relay is not in the directory: {}", condition.listed),
            "wait some minutes after the start; two named peers with onion/1 are needed",
        ));
    }
    found
}

fn links(condition: &NodeCondition, config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    if condition.key_in_use {
        found.push(Finding::wrong(
            "key",
            "another node uses the key of this one",
            "stop one of the two; a copied data directory needs a `nodekey` of its own",
        ));
    }
    if let Some(reason) = &condition.listener_fault {
        found.push(Finding::wrong(
            "listener",
            format!("it stopped accepting within the last hour: {reason}"),
            "raise the limit of open files (LimitNOFILE= in the unit)",
        ));
    }
    if condition.full {
        found.push(Finding::warning(
            "listener",
            "all places of inbound links are taken",
            "raise `max-peers`, or name the peers that must have a place below `peers`",
        ));
    }
    found.push(reachability::judge(condition, config));
    found
}

/// Relays of the shortest path.
const MIN_RELAYS: usize = 3;
