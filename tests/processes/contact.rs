//! Contact by hash between processes: an address, a card, five messages each way at `normal`, and both
//! ends killed in the middle.

use serde_json::{Value, json};

use crate::network::ProcessNetwork;
use crate::node::{NodeProcess, until};

#[test]
fn source_and_reader_converse_although_both_are_killed_in_between() {
    let mut network = ProcessNetwork::start_with(&CARD_OPTIONS);
    let made = network.reader.ask(&["id", "new", "desk", "--address"]);
    let address = made["address"].as_str().unwrap();

    // The source finds the card without a request to any node.
    let found = network.source.ask(&[
        "contact",
        "add",
        address,
        "--as",
        "desk",
        "--timeout",
        "85s",
    ]);
    assert_eq!(found["state"], "ready");
    assert_eq!(found["words"], made["words"]);

    // The reader decides about the request before it answers.
    send(&network, Side::Source, "desk", 1);
    let request = until("the reader has a request", || request(&network.reader));
    send(&network, Side::Source, "desk", 2);
    let accept = ["contact", "accept", &request, "--as", "heron"];
    network.reader.ask(&accept);
    for number in 1..=2 {
        send(&network, Side::Reader, "heron", number);
    }

    // Some of these messages are on their way, and some are not.
    network.kill_and_restart_clients();

    for number in 3..=5 {
        send(&network, Side::Source, "desk", number);
        send(&network, Side::Reader, "heron", number);
    }
    check_arrivals(&network);
    check_answer(&network);
}

/// All messages arrive, each once.
fn check_arrivals(network: &ProcessNetwork) {
    for (node, of, from) in [
        (&network.reader, "heron", Side::Source),
        (&network.source, "desk", Side::Reader),
    ] {
        let expected: Vec<Value> = (1..=5)
            .map(|number| json!([number, text(from, number)]))
            .collect();
        until(&format!("five messages of {from:?} arrive"), || {
            let arrived = arrived(node, of);
            assert!(arrived.len() <= expected.len(), "{from:?}: {arrived:?}");
            (arrived == expected).then_some(())
        });
    }
}

/// The reader had the first message when it wrote, so its answers name it: it is confirmed without a
/// receipt. Whether the source had an answer when it wrote depends on the order in which envelopes came.
fn check_answer(network: &ProcessNetwork) {
    let history = network.source.ask(&["read", "desk"]);
    let messages = history["messages"].as_array().unwrap().iter();
    let mut own = messages.filter(|message| message["direction"] == "out");
    let first = own.find(|message| message["number"] == 1).unwrap();
    assert_eq!(first["stage"]["stage"], "answered", "{first}");
}

/// One end of the conversation.
#[derive(Clone, Copy, Debug)]
enum Side {
    Source,
    Reader,
}

fn text(from: Side, number: usize) -> String {
    format!("{from:?} writes message {number}")
}

/// Stores a message on the node of one side, and returns before it is sent.
fn send(network: &ProcessNetwork, from: Side, to: &str, number: usize) {
    let node = match from {
        Side::Source => &network.source,
        Side::Reader => &network.reader,
    };
    let file = network.write(&format!("{from:?}-{number}"), text(from, number).as_bytes());
    let sent = node.ask(&[
        "send",
        "--to",
        to,
        "-f",
        &file,
        "--level",
        "normal",
        "--no-wait",
    ]);
    assert_eq!(sent["number"], number, "{from:?}: {sent}");
}

/// The id of the first request at a node.
pub(crate) fn request(node: &NodeProcess) -> Option<String> {
    let lines = node.inbox();
    let mut requests = lines.iter().map(|line| &line["conversation"]);
    let request = requests.find(|view| view["state"] == "asked")?;
    Some(request["id"].as_str().unwrap().to_owned())
}

/// Number and text of the other side's messages, by number.
fn arrived(node: &NodeProcess, of: &str) -> Vec<Value> {
    let history = node.ask(&["read", of]);
    let messages = history["messages"].as_array().unwrap().iter();
    let theirs = messages.filter(|message| message["direction"] == "in");
    let mut arrived: Vec<Value> = theirs
        .map(|message| json!([message["number"], message["parts"][0]["text"]]))
        .collect();
    // Envelopes overtake each other.
    arrived.sort_by_key(|message| message[0].as_u64());
    arrived
}

/// A card travels at the level of messages here, and its work is a fiftieth of the usual: an envelope that
/// lives three days takes two million hashes of a local network, which a debug build computes in minutes.
pub(crate) const CARD_OPTIONS: [&str; 4] =
    ["--contact-card-level", "normal", "--min-pow", "0.00004"];
