//! `whisht peers`, `relays` and `status`.

use serde_json::{Value, json};

use super::output::{duration, field, grouped, number, rows};
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::endpoint::PeerAddr;

/// Options of `whisht peers`.
#[derive(Debug, clap::Args)]
pub(super) struct PeersArgs {
    /// Connect to this peer, and stay connected while the node runs
    #[arg(long, value_name = "ENODE")]
    add: Option<PeerAddr>,
}

/// Shows or adds peers.
///
/// # Errors
///
/// [`Failure`] if the node has gone, or does not take the peer.
pub(super) async fn peers(node: &mut RemoteNode, args: PeersArgs) -> Result<Exit, Failure> {
    if let Some(peer) = args.add {
        node.call("whisht_addPeer", json!([peer.to_string()]))
            .await?;
        match node.printer.json {
            true => node.printer.value(&json!({"added": peer.to_string()}))?,
            false => node
                .printer
                .line("the node will connect, and stay connected")?,
        }
        return Ok(Exit::Done);
    }
    let peers = node.call("whisht_peers", json!([])).await?;
    if node.printer.json {
        node.printer.value(&peers)?;
        return Ok(Exit::Done);
    }
    let row = |peer: &Value| {
        let flag = |name| peer.get(name).and_then(Value::as_bool).unwrap_or_default();
        [
            short(&field(peer, "key")),
            match (flag("found"), flag("outbound")) {
                (true, _) => "found",
                (false, true) => "out",
                (false, false) => "in",
            }
            .to_owned(),
            field(peer, "client"),
            field(peer, "capabilities"),
            field(peer, "min_pow"),
            field(peer, "pow_rule"),
            notes(peer),
            field(peer, "rating"),
            grouped(number(peer, "received")),
            grouped(number(peer, "sent")),
        ]
    };
    let heading = [
        "KEY", "", "CLIENT", "SPEAKS", "MIN POW", "POW RULE", "", "RATING", "RECEIVED", "SENT",
    ];
    let empty = "no peers; connect to one with `whisht peers --add ENODE`";
    node.printer.table(heading, &rows(&peers, row), empty)?;
    Ok(Exit::Done)
}

/// What else is to be said of a peer.
fn notes(peer: &Value) -> String {
    let is = |name| peer.get(name).and_then(Value::as_bool).unwrap_or_default();
    let notes = [
        (is("trusted"), "trusted"),
        (!is("served"), "takes no messages of ours"),
    ];
    let notes: Vec<_> = notes
        .into_iter()
        .filter_map(|(holds, note)| holds.then_some(note))
        .collect();
    notes.join(", ")
}

/// Shows relays.
///
/// # Errors
///
/// [`Failure`] if the node has gone.
pub(super) async fn relays(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let relays = node.call("whisht_relays", json!([])).await?;
    if node.printer.json {
        node.printer.value(&relays)?;
        return Ok(Exit::Done);
    }
    let yes = |relay: &Value, name, word: &str| {
        let set = relay.get(name).and_then(Value::as_bool).unwrap_or_default();
        if set { word.to_owned() } else { String::new() }
    };
    let row = |relay: &Value| {
        [
            field(relay, "id"),
            field(relay, "subnet"),
            yes(relay, "eligible", "eligible"),
            yes(relay, "guard", "guard"),
            field(relay, "ticket_bits"),
        ]
    };
    let heading = ["RELAY", "SUBNET", "PATHS", "", "TICKET BITS"];
    let empty = "no relays known yet; peers that speak onion/1 tell of them";
    node.printer.table(heading, &rows(&relays, row), empty)?;
    Ok(Exit::Done)
}

/// Shows how the node is.
///
/// # Errors
///
/// [`Failure`] if standard output is closed.
pub(super) async fn status(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let printer = node.printer;
    let status = &node.status;
    if printer.json {
        printer.value(status)?;
        return Ok(Exit::Done);
    }
    let get = |name| field(status, name);
    let count = |name| grouped(number(status, name));
    let uptime = number(status, "uptime_secs").saturating_mul(1_000);
    printer.line(format_args!(
        "client    {}, up {}",
        get("client"),
        duration(uptime)
    ))?;
    printer.line(format_args!("key       {}", short(&get("key"))))?;
    printer.line(format_args!("profile   {}", get("profile")))?;
    printer.line(format_args!("listed    {}", get("listed")))?;
    if let Some(left) = status.get("drained_in_secs").and_then(Value::as_u64) {
        let left = duration(left.saturating_mul(1_000));
        printer.line(format_args!("drained   in {left}"))?;
    }
    for onion in status["onion"].as_array().into_iter().flatten() {
        printer.line(format_args!(
            "onion     {}",
            onion.as_str().unwrap_or_default()
        ))?;
    }
    if let Some(reason) = status["shut"].as_str() {
        printer.line(format_args!("shut      {reason}; messages are kept"))?;
    }
    printer.line(format_args!(
        "peers     {}, of which {} speak onion/1",
        count("peers"),
        count("dark_peers")
    ))?;
    if number(status, "unserved_peers") > 0 {
        printer.line(format_args!(
            "          {} take no hidden messages of ours: see POW RULE and MIN POW in `whisht peers`",
            count("unserved_peers")
        ))?;
    }
    if number(status, "refused") > 0 {
        printer.line(format_args!(
            "          {} keys and addresses are not let in for a while",
            count("refused")
        ))?;
    }
    match status.get("discovery").and_then(Value::as_u64) {
        None => printer.line("discovery off")?,
        Some(known) => printer.line(format_args!(
            "discovery {} nodes known; {} of the peers come from it",
            grouped(known),
            count("found_peers")
        ))?,
    }
    printer.line(format_args!(
        "relays    {} known, {} usable; directory {}",
        count("relays"),
        count("eligible_relays"),
        get("directory")
    ))?;
    printer.line(format_args!(
        "pool      {} envelopes, {} bytes",
        count("pool_envelopes"),
        count("pool_bytes")
    ))?;
    printer.line(format_args!(
        "cells     {} passed on, {} dropped; {} envelopes rebuilt",
        count("cells_forwarded"),
        count("cells_dropped"),
        count("rebuilt")
    ))?;
    printer.line(format_args!(
        "outgoing  {} messages on their way",
        count("outgoing")
    ))?;
    printer.line(format_args!("level     {}", get("level")))?;
    for level in status
        .get("levels")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let missing = field(level, "missing");
        if !missing.is_empty() {
            printer.line(format_args!(
                "          {} not now: {missing}",
                field(level, "level")
            ))?;
        }
    }
    Ok(Exit::Done)
}

/// The head of a key: enough to tell peers apart on one screen.
fn short(key: &str) -> String {
    key.strip_prefix("0x")
        .unwrap_or(key)
        .chars()
        .take(16)
        .collect()
}
