//! What the network page says in words.

use circuits::ids::RelayKey;

use crate::node::{DirectoryAge, StatusView};
use crate::shell::console::precision::Precision;
use crate::shell::console::words::{bytes, duration};

/// A row of the table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
    /// Whether the user should look at it.
    pub(super) is_fault: bool,
}

/// The state of the guard, without its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum GuardState {
    /// None is chosen.
    NotSet,
    /// Its link is up.
    Up,
    /// Its link is down.
    Down,
}

/// The rows, in their order.
pub(super) fn facts(status: &StatusView, guard: GuardState, precision: Precision) -> Vec<Fact> {
    let mut facts = vec![
        tor(status),
        guard_fact(guard),
        clock(status),
        directory(status),
    ];
    facts.push(relaying(status));
    facts.extend(counters(status, precision));
    if precision == Precision::Exact {
        facts.push(plain("running for", span(status.uptime_secs)));
    }
    facts
}

const fn plain(name: &'static str, value: String) -> Fact {
    Fact {
        name,
        value,
        is_fault: false,
    }
}

fn tor(status: &StatusView) -> Fact {
    let (value, is_fault) = match (&status.shut, &status.unverified) {
        (Some(reason), _) => (reason.clone(), true),
        (None, Some(reason)) => (format!("not known: {reason}"), false),
        (None, None) if status.tor => ("ready".to_owned(), false),
        (None, None) => (
            "not used: peers see this machine's address".to_owned(),
            false,
        ),
    };
    Fact {
        name: "Tor",
        value,
        is_fault,
    }
}

fn guard_fact(guard: GuardState) -> Fact {
    let (value, is_fault) = match guard {
        GuardState::NotSet => ("not set", true),
        GuardState::Up => ("set", false),
        GuardState::Down => ("down", true),
    };
    Fact {
        name: "guard",
        value: value.to_owned(),
        is_fault,
    }
}

fn clock(status: &StatusView) -> Fact {
    Fact {
        name: "clock",
        value: match &status.clock {
            None => "not compared: no named peer shows its clock".to_owned(),
            Some(clock) if clock.is_off() => clock.to_string(),
            Some(_) => "agrees with the named peers".to_owned(),
        },
        is_fault: status.clock.as_ref().is_some_and(|clock| clock.is_off()),
    }
}

fn directory(status: &StatusView) -> Fact {
    let value = match (&status.relay_list, status.directory) {
        (Some(list), _) => format!("relays that {} list", list.rule()),
        (None, DirectoryAge::Settled) => "a day old or older".to_owned(),
        (None, DirectoryAge::Young) => "less than a day old: relays are hard to judge".to_owned(),
    };
    plain("directory", value)
}

fn relaying(status: &StatusView) -> Fact {
    let value = match (status.relay, status.drained_in_secs) {
        (false, _) => "no: this node relays nothing for others".to_owned(),
        (true, Some(secs)) => format!("no new paths; drained in {}", span(u64::from(secs))),
        (true, None) => format!("yes; listed: {}", status.listed),
    };
    plain("relay", value)
}

fn counters(status: &StatusView, precision: Precision) -> Vec<Fact> {
    let of = |count: u64| precision.of(count);
    let len = |count: usize| precision.of_len(count);
    let size = u64::try_from(status.pool_bytes).unwrap_or(u64::MAX);
    let mut rows = vec![
        plain(
            "pool",
            format!(
                "{} envelopes, {}",
                len(status.pool_envelopes),
                bytes(of(size))
            ),
        ),
        plain(
            "cells relayed",
            format!(
                "{}; dropped {}; {} messages of others rebuilt",
                of(status.cells_forwarded),
                of(status.cells_dropped),
                of(status.rebuilt)
            ),
        ),
        circuits(status, precision),
        plain("cover traffic", status.emission.cover.clone()),
    ];
    if status.refused > 0 {
        rows.push(plain("banned", len(status.refused).to_string()));
    }
    rows
}

fn circuits(status: &StatusView, precision: Precision) -> Fact {
    let circuits = &status.circuits;
    let moved = circuits.bytes_received.saturating_add(circuits.bytes_sent);
    plain(
        "circuits",
        format!(
            "{} of other nodes, {} of this one; {} in all",
            precision.of_len(circuits.relayed),
            precision.of_len(circuits.own),
            bytes(precision.of(moved))
        ),
    )
}

/// The id of the relay with this link key (64 bytes, hexadecimal), in hexadecimal.
pub(super) fn relay_id(key: &str) -> Option<String> {
    let bytes: [u8; 64] = hex::decode(key).ok()?.try_into().ok()?;
    Some(hex::encode(RelayKey(bytes).id().0))
}

/// A duration of whole seconds.
fn span(secs: u64) -> String {
    duration(secs.saturating_mul(1_000))
}
