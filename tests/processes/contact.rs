//! Contact by hash between processes: an address, a card, five messages each way at `normal` with both ends
//! killed in the middle, five at `dark`, and letters from a source that keeps nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::network::ProcessNetwork;
use crate::node::{NodeProcess, RunningCommand, until, until_within};

#[test]
fn source_and_reader_converse_although_both_are_killed_in_between() {
    let mut network = met();
    let level = "normal";

    // The reader decides about the request before it answers.
    let first = send_and_follow(&network, "desk", level);
    let request = until("the reader has a request", || request(&network.reader));
    first.assert_sender_was_not_first(ARRIVAL_TIMEOUT);
    send(&network, Side::Source, "desk", level, 2);
    let accept = ["contact", "accept", &request, "--as", "heron"];
    network.reader.ask(&accept);
    for number in 1..=2 {
        send(&network, Side::Reader, "heron", level, number);
    }

    // Some of these messages are on their way, and some are not.
    network.kill_and_restart_clients();

    for number in 3..=5 {
        send(&network, Side::Source, "desk", level, number);
        send(&network, Side::Reader, "heron", level, number);
    }
    check_arrivals(&network);
    check_answer(&network);
}

/// A network whose source has found the card of the reader, without a request to any node.
pub(crate) fn met() -> ProcessNetwork {
    let network = ProcessNetwork::start_with(&CARD_OPTIONS);
    let made = network.reader.ask(&["id", "new", "desk", "--address"]);
    let address = made["address"].as_str().unwrap();
    let found = add_contact(&network.source, address);
    assert_eq!(found["state"], "ready");
    assert_eq!(found["words"], made["words"]);
    network
}

/// Five messages each way at `dark`, with both ends killed while messages are on their way. The first message is
/// 12 shards and the first answer of the source 5, and at most 18 leave a node in ten minutes (spec M3): what the
/// source writes in a row beyond that waits, as its outbox shows.
#[test]
fn five_messages_each_way_at_dark_survive_a_kill_of_both_ends() {
    let begun = Instant::now();
    let report = |what: &str| println!("{:>5} s  {what}", begun.elapsed().as_secs());
    let mut network = met();
    let level = "dark";
    let first = send_and_follow(&network, "desk", level);
    until("the message is in the outbox", || {
        let outbox = network.source.ask(&["outbox"]);
        outbox.get(0).map(check_outbox_says_what_is_awaited)
    });
    let request = until_within(DARK_TIMEOUT, "the reader has a request", || {
        request(&network.reader)
    });
    first.assert_sender_was_not_first(DARK_TIMEOUT);
    report("the reader has the request");
    let accept = ["contact", "accept", &request, "--as", "heron"];
    network.reader.ask(&accept);
    send(&network, Side::Reader, "heron", level, 1);
    until_within(DARK_TIMEOUT, "the first answer arrives", || {
        (arrived(&network.source, "desk").len() == 1).then_some(())
    });
    report("the source has the first answer");
    send(&network, Side::Source, "desk", level, 2);
    send(&network, Side::Reader, "heron", level, 2);

    network.kill_and_restart_clients();
    report("both are killed and started again");

    for number in 3..=5 {
        send(&network, Side::Source, "desk", level, number);
        send(&network, Side::Reader, "heron", level, number);
    }
    let ends = [
        (&network.reader, "heron", Side::Source),
        (&network.source, "desk", Side::Reader),
    ];
    for (node, of, from) in ends {
        let expected: Vec<Value> = (1..=5)
            .map(|number| json!([number, text(from, number)]))
            .collect();
        let mut known = 0;
        until_within(DARK_TIMEOUT, "all messages arrive", || {
            let arrived = arrived(node, of);
            assert!(arrived.len() <= expected.len(), "{from:?}: {arrived:?}");
            if arrived.len() > known {
                known = arrived.len();
                report(&format!("{known} messages of {from:?} have arrived"));
            }
            (arrived == expected).then_some(())
        });
    }
}

/// What the outbox shows of a message that is being sent: its price, and what it waits for.
fn check_outbox_says_what_is_awaited(message: &Value) {
    let delivery = &message["delivery"];
    assert!(delivery["price"]["bytes"].as_u64() > Some(0), "{message}");
    assert!(delivery["price"]["seconds"].as_u64() > Some(0), "{message}");
    let is_told = !delivery["attempt"].is_null() || !delivery["waits_for"].is_null();
    assert!(is_told, "{message}");
}

/// Longest time for one step at `dark`: two attempts, each of which may wait for the limit of shards.
const DARK_TIMEOUT: Duration = Duration::from_secs(900);

/// A source with words and nothing on a disk writes, and its node is killed before the answer. A new node has
/// the words only: it reads the answer, and writes on.
#[test]
fn source_of_letters_reads_the_answer_on_a_new_node() {
    let network = ProcessNetwork::start_with(&CARD_OPTIONS);
    let made = network.reader.ask(&["id", "new", "desk", "--address"]);
    let address = made["address"].as_str().unwrap();
    let words = network.write("words", WORDS);

    let mut first = network.start_letters("letters-1", &words);
    assert_eq!(add_contact(&first, address)["state"], "ready");
    send_letter(&network, &first, "letter 1");
    let request = until("the reader has a request", || request(&network.reader));
    let accept = ["contact", "accept", &request, "--as", "heron"];
    network.reader.ask(&accept);
    first.kill();
    send(&network, Side::Reader, "heron", "normal", 1);
    until("the answer is in the network", || {
        let history = network.reader.ask(&["read", "heron"]);
        let messages = history["messages"].as_array().unwrap().iter();
        let mut own = messages.filter(|message| message["direction"] == "out");
        (own.next()?["stage"]["stage"] == "seen").then_some(())
    });

    let second = network.start_letters("letters-2", &words);
    assert_eq!(add_contact(&second, address)["state"], "ready");
    let answer = json!([1, text(Side::Reader, 1)]);
    until("the new node reads the answer", || {
        // Until something came, the new node knows of no conversation.
        let read = second.run(&["read", "desk", "--json"]);
        (read.status.success() && arrived(&second, "desk") == [answer.clone()]).then_some(())
    });
    send_letter(&network, &second, "letter 2");
    let letters = [json!([1, "letter 1"]), json!([2, "letter 2"])];
    until("the reader has the second letter", || {
        (arrived(&network.reader, "heron") == letters).then_some(())
    });
}

/// At `dark` a lost attempt is followed by another one after minutes.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(400);

/// Waits for the card of an address.
fn add_contact(node: &NodeProcess, address: &str) -> Value {
    let add = ["contact", "add", address, "--as", "desk"];
    node.ask(&[&add[..], &["--timeout", "85s"]].concat())
}

fn send_letter(network: &ProcessNetwork, node: &NodeProcess, text: &str) {
    let file = network.write("letter", text.as_bytes());
    let send = ["send", "--to", "desk", "-f", &file, "--level", "normal"];
    node.ask(&[&send[..], &["--no-wait"]].concat());
}

/// The words of the test vector of BIP39 with an entropy of zeros.
const WORDS: &[u8] =
    b"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                      abandon about\n";

/// All messages arrive, each once.
fn check_arrivals(network: &ProcessNetwork) {
    for (node, of, from) in [
        (&network.reader, "heron", Side::Source),
        (&network.source, "desk", Side::Reader),
    ] {
        let expected: Vec<Value> = (1..=5)
            .map(|number| json!([number, text(from, number)]))
            .collect();
        until_within(
            ARRIVAL_TIMEOUT,
            &format!("messages of {from:?} arrive"),
            || {
                let arrived = arrived(node, of);
                assert!(arrived.len() <= expected.len(), "{from:?}: {arrived:?}");
                (arrived == expected).then_some(())
            },
        );
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
pub(crate) enum Side {
    Source,
    Reader,
}

fn text(from: Side, number: usize) -> String {
    format!("{from:?} writes message {number}")
}

/// Stores a message on the node of one side, and returns before it is sent.
pub(crate) fn send(network: &ProcessNetwork, from: Side, to: &str, level: &str, number: usize) {
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
        level,
        "--no-wait",
    ]);
    assert_eq!(sent["number"], number, "{from:?}: {sent}");
}

/// Sends the first message of the source by a command that shows what becomes of it.
fn send_and_follow(network: &ProcessNetwork, to: &str, level: &str) -> RunningCommand {
    let file = network.write("first", text(Side::Source, 1).as_bytes());
    let send = ["send", "--to", to, "-f", &file, "--level", level];
    network.source.begin(&[&send[..], &["--json"]].concat())
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
