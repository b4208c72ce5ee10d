//! Contact by hash over Tor: a source that knows only an address, and a reader that learns no address of
//! hers; five messages each way at `normal`, and both killed in the middle.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::TorWorld;
use crate::node::{NodeProcess, until_within};

impl TorWorld {
    /// The source finds the card of the reader and writes; the reader accepts and answers; both are killed, and
    /// go on. Each step ends within the limit.
    pub(crate) fn assert_strangers_converse(&mut self, level: &str, limit: Duration) {
        let begun = Instant::now();
        let report = |what: &str| println!("{:>5} s  {level}: {what}", begun.elapsed().as_secs());
        let made = self.reader.ask(&["id", "new", "press", "--address"]);
        let address = made["address"].as_str().unwrap();
        let add = ["contact", "add", address, "--as", "press"];
        let found = self.source.ask(&[&add[..], &["--timeout", "85s"]].concat());
        assert_eq!(found["state"], "ready", "{found}");

        let send = self.command_to_send("press", 1, level);
        let first = self
            .source
            .begin(&[&words(&send)[..], &["--json"]].concat());
        let request = until_within(limit, "the reader has a request", || request(&self.reader));
        report("the reader has the request");
        first.assert_sender_was_not_first(limit);
        let accept = ["contact", "accept", &request, "--as", "heron"];
        self.reader.ask(&accept);
        self.write(&self.source, "press", 2, level);
        self.write(&self.reader, "heron", 1, level);
        self.write(&self.reader, "heron", 2, level);

        // Some of these messages are on their way, and some are not.
        self.source.kill();
        self.reader.kill();
        self.restart_clients();
        report("both were killed and started again");
        for number in 3..=MESSAGES {
            self.write(&self.source, "press", number, level);
            self.write(&self.reader, "heron", number, level);
        }

        let expected: BTreeSet<String> = (1..=MESSAGES).map(text).collect();
        for (node, of) in [(&self.reader, "heron"), (&self.source, "press")] {
            until_within(limit, &format!("five messages arrive from {of}"), || {
                let arrived = arrived(node, of);
                let distinct: BTreeSet<String> = arrived.iter().cloned().collect();
                assert_eq!(distinct.len(), arrived.len(), "twice: {arrived:?}");
                (distinct == expected).then_some(())
            });
            report(&format!("five messages from {of} have arrived"));
        }
        self.assert_reader_knows_no_address_of_the_source();
    }

    /// What the reader shows and logs contains nothing by which the source could be reached.
    fn assert_reader_knows_no_address_of_the_source(&self) {
        let status = self.source.ask(&["status"]);
        let key = status["key"].as_str().unwrap_or_default().to_owned();
        let shown = [
            self.reader.ask(&["read", "heron"]).to_string(),
            self.reader.ask(&["contact", "show", "heron"]).to_string(),
            self.reader.ask(&["peers"]).to_string(),
            self.reader.log(),
        ];
        let socks = format!("127.0.0.1:{}", self.daemon.socks);
        for text in shown {
            assert!(!text.contains(&socks), "{text}");
            assert!(key.is_empty() || !text.contains(&key), "{text}");
        }
    }

    /// Stores a message for sending, and returns before it leaves.
    fn write(&self, node: &NodeProcess, to: &str, number: usize, level: &str) {
        let send = self.command_to_send(to, number, level);
        node.ask(&[&words(&send)[..], &["--no-wait"]].concat());
    }

    fn command_to_send(&self, to: &str, number: usize, level: &str) -> Vec<String> {
        let file = self.scratch.path().join("text");
        fs::write(&file, text(number)).unwrap();
        let file = file.to_str().unwrap();
        let command = ["send", "--to", to, "-f", file, "--level", level];
        command.map(str::to_owned).into()
    }
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

fn text(number: usize) -> String {
    format!("message {number} through onions")
}

/// The id of the first request at a node.
fn request(node: &NodeProcess) -> Option<String> {
    let lines = node.inbox();
    let mut requests = lines.iter().map(|line| &line["conversation"]);
    let request = requests.find(|view| view["state"] == "asked")?;
    Some(request["id"].as_str().unwrap().to_owned())
}

/// The texts that came from the other side.
fn arrived(node: &NodeProcess, of: &str) -> Vec<String> {
    let history = node.ask(&["read", of]);
    let messages = history["messages"].as_array().unwrap().iter();
    let theirs = messages.filter(|message| message["direction"] == "in");
    let text = |message: &Value| message["parts"][0]["text"].as_str().map(str::to_owned);
    theirs.filter_map(text).collect()
}

/// Number of messages each way.
const MESSAGES: usize = 5;
