//! Contact by hash over Tor: a source that knows only an address, and a reader that learns no address of
//! hers; five messages each way at `normal`, and both killed in the middle.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::TorWorld;
use crate::node::{NodeProcess, until, until_within};

impl TorWorld {
    /// The source finds the card of the reader and writes; the reader accepts and answers.
    pub(crate) fn assert_strangers_converse(&mut self) {
        let made = self.reader.ask(&["id", "new", "press", "--address"]);
        let address = made["address"].as_str().unwrap();
        let add = ["contact", "add", address, "--as", "press"];
        let found = self.source.ask(&[&add[..], &["--timeout", "85s"]].concat());
        assert_eq!(found["state"], "ready", "{found}");

        self.write(&self.source, "press", 1);
        let request = until("the reader has a request", || request(&self.reader));
        let accept = ["contact", "accept", &request, "--as", "heron"];
        self.reader.ask(&accept);
        self.write(&self.source, "press", 2);
        self.write(&self.reader, "heron", 1);
        self.write(&self.reader, "heron", 2);

        // Some of these messages are on their way, and some are not.
        self.source.kill();
        self.reader.kill();
        self.restart_clients();
        for number in 3..=MESSAGES {
            self.write(&self.source, "press", number);
            self.write(&self.reader, "heron", number);
        }

        let expected: BTreeSet<String> = (1..=MESSAGES).map(text).collect();
        for (node, of) in [(&self.reader, "heron"), (&self.source, "press")] {
            until(&format!("five messages arrive from {of}"), || {
                let arrived = arrived(node, of);
                let distinct: BTreeSet<String> = arrived.iter().cloned().collect();
                assert_eq!(distinct.len(), arrived.len(), "twice: {arrived:?}");
                (distinct == expected).then_some(())
            });
        }
        self.assert_reader_knows_no_address_of_the_source();
    }

    /// Two messages each way at `dark`, one after the other.
    pub(crate) fn assert_contacts_converse_at_dark(&self) {
        let begun = Instant::now();
        let made = self.reader.ask(&["id", "new", "press", "--address"]);
        let address = made["address"].as_str().unwrap();
        let add = ["contact", "add", address, "--as", "press"];
        let found = self.source.ask(&[&add[..], &["--timeout", "85s"]].concat());
        assert_eq!(found["state"], "ready", "{found}");

        self.write_at(&self.source, "press", 1, "dark");
        let request = until_within(DARK_TIMEOUT, "the reader has a request", || {
            request(&self.reader)
        });
        println!(
            "{} s: the reader has the request",
            begun.elapsed().as_secs()
        );
        let accept = ["contact", "accept", &request, "--as", "heron"];
        self.reader.ask(&accept);
        let ends = [
            (&self.reader, "heron", &self.source, "press", 1),
            (&self.source, "press", &self.reader, "heron", 2),
            (&self.reader, "heron", &self.source, "press", 2),
        ];
        for (from, to, at, of, number) in ends {
            self.write_at(from, to, number, "dark");
            until_within(DARK_TIMEOUT, "the message arrives", || {
                let arrived = arrived(at, of);
                assert!(arrived.len() <= number, "twice: {arrived:?}");
                arrived.contains(&text(number)).then_some(())
            });
            println!(
                "{} s: message {number} from {of}",
                begun.elapsed().as_secs()
            );
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
        // Her node never gossiped one of her messages before a peer had.
        let history = self.source.ask(&["read", "press"]);
        assert!(!history.to_string().contains("\"first_gossip\":true"));
    }

    /// Stores a message for sending, and returns before it leaves.
    fn write(&self, node: &NodeProcess, to: &str, number: usize) {
        self.write_at(node, to, number, "normal");
    }

    fn write_at(&self, node: &NodeProcess, to: &str, number: usize, level: &str) {
        let file = self.scratch.path().join("text");
        fs::write(&file, text(number)).unwrap();
        let file = file.to_str().unwrap();
        let send = ["send", "--to", to, "-f", file, "--level", level];
        node.ask(&[&send[..], &["--no-wait"]].concat());
    }
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
/// Longest time for one step at `dark`.
const DARK_TIMEOUT: Duration = Duration::from_secs(1_200);
