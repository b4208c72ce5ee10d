//! `whisht peers`, `relays` and `status`.

mod streams;

use std::io;

use serde_json::json;

use super::levels;
use super::output::{Printer, count, duration, grouped, one_line};
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::endpoint::PeerAddr;
use crate::gossip::PowRule;
use crate::node::{
    ClockView, DirectoryAge, InboundView, PeerView, RelayView, StatusView, UnreachedPeerView,
};

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
/// [`Failure`] if the node does not answer, or refuses the peer.
pub(super) async fn peers(node: &mut RemoteNode, args: PeersArgs) -> Result<Exit, Failure> {
    if let Some(peer) = args.add {
        if hex::encode(peer.key.0) == node.status()?.key {
            return Err(Failure::usage(
                "this is the address of the node itself; add the address of another node",
            ));
        }
        let _: bool = node
            .call("whisht_addPeer", json!([peer.to_string()]))
            .await?;
        added(node.printer, peer)?;
        return Ok(Exit::Done);
    }
    let peers: Vec<PeerView> = node.call("whisht_peers", json!([])).await?;
    if node.printer.json {
        // Named peers that are not connected are in `whisht status --json`.
        node.printer.value(&peers)?;
        return Ok(Exit::Done);
    }
    let heading = [
        "KEY", "LINK", "CLIENT", "SPEAKS", "MIN POW", "POW RULE", "NOTES", "RATING", "RECEIVED",
        "SENT",
    ];
    let rows: Vec<_> = peers.iter().map(peer_row).collect();
    let unreached = node.status()?.unreached_peers;
    let empty = if unreached.is_empty() {
        "no peers; connect to one with `whisht peers --add ENODE`"
    } else {
        "no peers are connected"
    };
    node.printer.table(heading, &rows, empty)?;
    for line in unreached.iter().map(unreached_line) {
        node.printer.line(line)?;
    }
    Ok(Exit::Done)
}

/// A named peer that is not connected: which one, why, and what the node does about it.
fn unreached_line(peer: &UnreachedPeerView) -> String {
    let reason = peer
        .reason
        .as_deref()
        .map_or_else(String::new, |reason| format!("{}; ", one_line(reason)));
    let next = match peer.next_try_secs {
        None => "being dialled now".to_owned(),
        Some(secs) => format!("next try in {}", duration(secs.saturating_mul(1_000))),
    };
    format!(
        "{} at {} is not connected: {reason}{next}",
        short(&peer.key),
        one_line(&peer.address)
    )
}

fn added(printer: Printer, peer: PeerAddr) -> io::Result<()> {
    if printer.json {
        return printer.value(&json!({"added": peer.to_string()}));
    }
    printer.line(
        "the node dials it now, and again while it is not connected; `whisht peers` shows whether it \
         is reached",
    )
}

fn peer_row(peer: &PeerView) -> [String; 10] {
    let direction = match (peer.found, peer.outbound) {
        (true, _) => "found",
        (false, true) => "out",
        (false, false) => "in",
    };
    [
        short(&peer.key),
        direction.to_owned(),
        one_line(&peer.client),
        one_line(&peer.capabilities.join(", ")),
        format!("{:?}", peer.min_pow),
        peer.pow_rule.map_or("none", PowRule::label).to_owned(),
        notes(peer),
        peer.rating.to_string(),
        grouped(peer.received),
        grouped(peer.sent),
    ]
}

/// What the other columns do not show of a peer.
fn notes(peer: &PeerView) -> String {
    let notes = [
        (peer.trusted, "trusted"),
        (!peer.served, "accepts no hidden messages"),
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
/// [`Failure`] if the node does not answer.
pub(super) async fn relays(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let relays: Vec<RelayView> = node.call("whisht_relays", json!([])).await?;
    if node.printer.json {
        node.printer.value(&relays)?;
        return Ok(Exit::Done);
    }
    let heading = ["RELAY", "SUBNET", "PATHS", "GUARD", "TICKET BITS"];
    let rows: Vec<_> = relays.iter().map(relay_row).collect();
    let empty = "no relays are known yet; peers that speak onion/1 send descriptors";
    node.printer.table(heading, &rows, empty)?;
    Ok(Exit::Done)
}

fn relay_row(relay: &RelayView) -> [String; 5] {
    let mark = |holds: bool, word: &str| {
        if holds {
            word.to_owned()
        } else {
            String::new()
        }
    };
    [
        one_line(&relay.id),
        one_line(&relay.subnet),
        mark(relay.eligible, "eligible"),
        mark(relay.guard, "guard"),
        relay.ticket_bits.to_string(),
    ]
}

/// Shows the state of the node.
///
/// # Errors
///
/// [`Failure`] if standard output is closed.
pub(super) async fn status(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let (printer, status) = (node.printer, &node.status()?);
    if printer.json {
        printer.value(status)?;
        return Ok(Exit::Done);
    }
    let sections = [identity(status), network(status), traffic(status)];
    for line in sections.into_iter().flatten() {
        printer.line(line)?;
    }
    Ok(Exit::Done)
}

/// How far this machine's clock is from those of its peers.
fn clock_line(clock: &ClockView) -> String {
    match (clock.refuses, clock.is_off()) {
        (true, _) => format!("clock     {clock}; nothing is sent until it is set"),
        (false, true) => format!("clock     {clock}; check it"),
        (false, false) => format!("clock     {clock}"),
    }
}

/// The node itself, and how other nodes reach it.
fn identity(status: &StatusView) -> Vec<String> {
    let uptime = duration(status.uptime_secs.saturating_mul(1_000));
    let mut lines = vec![
        format!("client    {}, up {uptime}", one_line(&status.client)),
        format!("key       {}", short(&status.key)),
        format!("profile   {}", status.profile.label()),
        format!("listed    {}", one_line(&status.listed)),
    ];
    if let Some(left) = status.drained_in_secs {
        let left = duration(u64::from(left).saturating_mul(1_000));
        lines.push(format!("drained   in {left}"));
    }
    lines.extend(status.clock.as_ref().map(clock_line));
    let onion = status.onion.iter();
    lines.extend(onion.map(|onion| format!("onion     {}", one_line(onion))));
    lines.push(format!("tor       {}", tor(status)));
    lines
}

/// The state of Tor: always shown, because a user who believes to be behind Tor must see if not.
fn tor(status: &StatusView) -> String {
    match (status.tor, &status.shut, &status.unverified) {
        (true, Some(reason), _) => format!("not ready: {}; messages are queued", one_line(reason)),
        (true, None, Some(reason)) => format!("unknown: {}", one_line(reason)),
        (true, None, None) => "ready".to_owned(),
        (false, Some(reason), _) => {
            format!("off; offline: {}; messages are queued", one_line(reason))
        }
        (false, None, _) => "off: links show the address of this machine to peers".to_owned(),
    }
}

/// Peers and relays.
fn network(status: &StatusView) -> Vec<String> {
    let mut lines = vec![format!(
        "peers     {}; with onion/1: {}",
        count(status.peers),
        count(status.dark_peers)
    )];
    let unreached = status.unreached_peers.len();
    if unreached > 0 {
        lines.push(format!(
            "          named peers that are not connected: {}; see `whisht peers`",
            count(unreached)
        ));
    }
    if status.unserved_peers > 0 {
        lines.push(format!(
            "          peers that accept no hidden messages: {}; see POW RULE and MIN POW in `whisht peers`",
            count(status.unserved_peers)
        ));
    }
    if status.refused > 0 {
        lines.push(format!(
            "          keys and addresses banned for a time: {}",
            count(status.refused)
        ));
    }
    if status.key_in_use {
        lines.push(
            "          another node seems to use the key of this node; stop one of the two"
                .to_owned(),
        );
    }
    lines.extend(inbound(&status.inbound));
    lines.push(match status.discovery {
        None => "discovery off".to_owned(),
        Some(known) => format!(
            "discovery {} nodes known; {} of the peers were discovered",
            count(known),
            count(status.found_peers)
        ),
    });
    let age = match status.directory {
        DirectoryAge::Settled => "settled",
        DirectoryAge::Young => "young",
    };
    lines.push(format!(
        "relays    {} known, {} usable; directory {age}",
        count(status.relays),
        count(status.eligible_relays),
    ));
    lines.extend(levels::relay_list::lines(
        status.relay_list.as_ref(),
        status.relay,
    ));
    lines
}

/// The places of inbound links, and what keeps others out.
fn inbound(view: &InboundView) -> Vec<String> {
    let taken = [
        (view.named, "named"),
        (view.useful, "useful"),
        (view.relays, "relays"),
        (view.gossip, "gossip"),
        (view.cells_only, "cells only"),
    ];
    let sum = taken
        .iter()
        .fold(0_usize, |sum, (count, _)| sum.saturating_add(*count));
    let classes: Vec<String> = taken
        .into_iter()
        .filter(|(links, _)| *links > 0)
        .map(|(links, class)| format!("{} {class}", count(links)))
        .collect();
    let classes = if classes.is_empty() {
        String::new()
    } else {
        format!(": {}", classes.join(", "))
    };
    let mut lines = vec![format!(
        "inbound   {} of {} places taken{classes}; {} in their handshake",
        count(sum),
        count(view.places),
        count(view.unproven)
    )];
    if let Some(full) = &view.full {
        lines.push(format!(
            "          full: {} were taken in the last minute; {} links made room, {} were refused",
            one_line(full),
            grouped(view.displaced),
            grouped(view.turned_away)
        ));
    }
    if view.overfull > 0 {
        lines.push(format!(
            "          {} links were closed because unfinished or unread messages took too much memory",
            grouped(view.overfull)
        ));
    }
    if let Some(fault) = &view.listener_fault {
        lines.push(format!(
            "          listener stopped {} times, last {} ago: {}",
            grouped(view.listener_faults),
            duration(fault.secs_ago.saturating_mul(1_000)),
            one_line(&fault.reason)
        ));
    }
    lines
}

/// Envelopes, cells and messages.
fn traffic(status: &StatusView) -> Vec<String> {
    let mut lines = vec![format!(
        "pool      {} envelopes, {} bytes",
        count(status.pool_envelopes),
        count(status.pool_bytes)
    )];
    lines.extend(untried(status));
    lines.extend([format!(
        "cells     {} forwarded, {} dropped; {} envelopes rebuilt",
        grouped(status.cells_forwarded),
        grouped(status.cells_dropped),
        grouped(status.rebuilt)
    )]);
    lines.extend(streams::circuits(&status.circuits));
    lines.extend(streams::cover(&status.emission));
    lines.push(streams::flow(&status.flow));
    lines.extend([
        format!(
            "gossip    {} envelopes displaced from full queues, {} packets dropped",
            grouped(status.gossip_displaced),
            grouped(status.packets_dropped)
        ),
        format!("outgoing  {} messages on their way", count(status.outgoing)),
    ]);
    let wait = status.cards_wait.as_deref();
    lines.extend(wait.map(|reason| format!("cards     waiting: {}", one_line(reason))));
    lines.extend([format!(
        "level     {} for messages without --level",
        status.level
    )]);
    let levels = levels::protection_lines(&status.levels);
    lines.extend(levels.iter().map(|line| format!("          {line}")));
    let age = levels::directory_line(status);
    lines.extend(age.map(|line| format!("          {line}")));
    lines
}

/// Envelopes that our keys were not tried on, and whether messages may be lost.
fn untried(status: &StatusView) -> Vec<String> {
    let mut lines = Vec::new();
    if status.untried > 0 {
        lines.push(format!(
            "          {} envelopes wait until your keys are tried on them",
            count(status.untried)
        ));
    }
    let lost = status.pool_untried.saturating_add(status.direct_untried);
    if lost > 0 {
        lines.push(format!(
            "          {} envelopes left untried, and messages for you may be among them: fetch mail, \
             or use fewer identities",
            grouped(lost)
        ));
    }
    lines
}

/// The first 16 digits of a key: enough to tell peers apart on one screen.
fn short(key: &str) -> String {
    one_line(key).chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::ListenerFaultView;

    #[test]
    fn full_inbound_places_show_classes_cause_and_listener() {
        let mut view = InboundView {
            places: 256,
            named: 0,
            useful: 0,
            relays: 2,
            gossip: 0,
            cells_only: 254,
            unproven: 3,
            full: Some("all 256 places".to_owned()),
            displaced: 1_200,
            turned_away: 1,
            unfinished_bytes: 0,
            overfull: 0,
            listener_faults: 1,
            listener_fault: Some(ListenerFaultView {
                reason: "out of\u{1b} descriptors".to_owned(),
                secs_ago: 5,
            }),
        };
        assert_eq!(
            inbound(&view),
            [
                "inbound   256 of 256 places taken: 2 relays, 254 cells only; 3 in their handshake",
                "          full: all 256 places were taken in the last minute; 1,200 links made \
                 room, 1 were refused",
                "          listener stopped 1 times, last 5.0 s ago: out of? descriptors",
            ]
        );
        (view.relays, view.cells_only, view.unproven) = (0, 0, 0);
        (view.full, view.listener_fault) = (None, None);
        assert_eq!(
            inbound(&view),
            ["inbound   0 of 256 places taken; 0 in their handshake"]
        );
    }

    #[test]
    fn named_peer_that_is_not_connected_shows_reason_and_next_try() {
        let peer = |next_try_secs, reason: Option<&str>| UnreachedPeerView {
            key: "ab".repeat(64),
            address: "127.0.0.1:1".to_owned(),
            next_try_secs,
            reason: reason.map(str::to_owned),
        };
        assert_eq!(
            unreached_line(&peer(Some(12), Some("connection\u{1b} refused"))),
            "abababababababab at 127.0.0.1:1 is not connected: connection? refused; next try in 12.0 s"
        );
        assert_eq!(
            unreached_line(&peer(None, None)),
            "abababababababab at 127.0.0.1:1 is not connected: being dialled now"
        );
    }
}
