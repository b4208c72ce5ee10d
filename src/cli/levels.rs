//! `whisht levels`: what privacy costs, in the network as it is now.

use std::io;

use circuits::level::Level;
use serde_json::{Value, json};

use super::output::{Printer, duration, field, grouped, number};
use super::remote_node::RemoteNode;
use super::{Exit, Failure};

/// Shows every level: what a short message costs at it, or what is missing.
///
/// # Errors
///
/// [`Failure`] if the node has gone.
pub(super) async fn run(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let mut views = Vec::new();
    // `bulletin` is for cards alone; nobody chooses it for a message.
    for level in Level::ALL
        .into_iter()
        .filter(|level| *level != Level::Bulletin)
    {
        views.push(view(node, level).await?);
    }
    if node.printer.json {
        node.printer.value(&views.into())?;
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = views.iter().map(row).collect();
    node.printer.table(HEADING, &rows, "")?;
    node.printer.line(format_args!(
        "for a message of {SAMPLE} bytes that lives for an hour"
    ))?;
    Ok(Exit::Done)
}

/// Shows what one message costs.
///
/// # Errors
///
/// What standard output says.
pub(super) fn estimate(printer: Printer, estimate: &Value) -> io::Result<()> {
    match printer.json {
        true => printer.value(estimate),
        false => printer.table(HEADING, &[row(estimate)], ""),
    }
}

/// A level's estimate; if there is none, its name and what is missing.
async fn view(node: &mut RemoteNode, level: Level) -> Result<Value, Failure> {
    let params = json!([{
        "to": SAMPLE_RECIPIENT,
        "payload": "00".repeat(SAMPLE),
        "level": level.word(),
    }]);
    match node.client.call("whisht_estimate", params).await {
        Ok(mut estimate) => {
            let missing = missing(&node.status, level);
            if let Some(fields) = estimate.as_object_mut() {
                fields.insert("missing".to_owned(), missing.into());
            }
            Ok(estimate)
        }
        Err(crate::shell::rpc::RpcClientError::Refused(error)) => {
            Ok(json!({"level": level.word(), "missing": error.to_string()}))
        }
        Err(error) => Err(error.into()),
    }
}

/// What the node says a level lacks.
fn missing(status: &Value, level: Level) -> Option<String> {
    let levels = status.get("levels").and_then(Value::as_array)?;
    let ours = levels
        .iter()
        .find(|view| field(view, "level") == level.word())?;
    ours.get("missing")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

fn row(view: &Value) -> [String; 8] {
    let level = field(view, "level");
    if view.get("median_ms").is_none() {
        let blank = String::new;
        return [
            level,
            blank(),
            blank(),
            blank(),
            blank(),
            blank(),
            blank(),
            field(view, "missing"),
        ];
    }
    [
        level,
        duration(number(view, "median_ms")),
        duration(number(view, "p95_ms")),
        grouped(number(view, "envelope_bytes")),
        grouped(number(view, "cells")),
        grouped(number(view, "network_bytes")),
        sealing(view),
        field(view, "missing"),
    ]
}

/// How long the proof of work takes here; until the machine's rate is known, how much it is.
fn sealing(view: &Value) -> String {
    match view.get("sealing_ms").and_then(Value::as_u64) {
        Some(millis) => duration(millis),
        None => format!("{} hashes", grouped(number(view, "expected_hashes"))),
    }
}

const HEADING: [&str; 8] = [
    "LEVEL",
    "MEDIAN",
    "P95",
    "BYTES",
    "CELLS",
    "NETWORK BYTES",
    "SEALING",
    "MISSING",
];
/// Length of the message that the table is about.
const SAMPLE: usize = 300;
/// The generator of secp256k1: a key that everybody and nobody has. Nothing is sent to it.
const SAMPLE_RECIPIENT: &str = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                       483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
