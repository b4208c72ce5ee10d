//! Tells the story: line by line as it happens, a table at the end, or one object of JSON.

use std::io;

use circuits::level::Level;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::network::Role;
use super::story::{Story, Turn};
use crate::cli::print::{Screen, grouped};
use crate::node::Stage;

/// Prints what happens.
pub(super) struct Teller {
    screen: Screen,
    begun: Instant,
}

impl Teller {
    pub(super) fn new(json: bool, begun: Instant) -> Self {
        let screen = Screen { json, local: true };
        Self { screen, begun }
    }

    /// One line with the time; nothing where JSON is wanted.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        if self.screen.json {
            return Ok(());
        }
        let time = self.begun.elapsed().as_millis();
        self.screen.line(format_args!(
            "{:>3}.{:02} s  {text}",
            time / 1000,
            time % 1000 / 10
        ))
    }

    pub(super) fn curtain(&self, relays: usize, level: Level) -> io::Result<()> {
        self.say(&format!(
            "{relays} relays, a source, a reader and a bystander start on loopback; level {level}"
        ))
    }

    pub(super) fn gathered(&self, relays: usize) -> io::Result<()> {
        self.say(&format!(
            "directory: relays that the source can choose from: {relays}"
        ))
    }

    pub(super) fn turn(&self, turn: &Turn) -> io::Result<()> {
        match turn {
            Turn::Stage(stage) => self.stage(stage),
            Turn::FirstCell => self.say("dispatch: the first cell leaves for the guard"),
            Turn::Piece(have, needed) if *have <= usize::from(*needed) => {
                self.say(&format!("rendezvous: piece {have} of {needed} needed"))
            }
            Turn::Rebuilt(relay, hold) => self.say(&format!(
                "rendezvous: {} rebuilt the envelope and holds it for {hold} ms",
                name(Role::Relay(*relay))
            )),
            Turn::Stem(from) => self.say(&format!("stem: {} passes it on", name(*from))),
            Turn::FirstGossip(from) => self.say(&format!(
                "gossip: {} is the first to gossip it",
                name(*from)
            )),
            Turn::Spread(nodes) => self.say(&format!("gossip: {nodes} nodes have it")),
            Turn::Opened => self.say("reader: decrypted it"),
            Turn::ReaderForwarded => {
                self.say("reader: still forwards it; the bystander has it from nobody else")
            }
            Turn::Piece(..) | Turn::Relays => Ok(()),
        }
    }

    fn stage(&self, stage: &Stage) -> io::Result<()> {
        match stage {
            Stage::Sealing {
                attempt,
                expected_hashes,
                ..
            } => self.say(&format!(
                "seal: attempt {attempt}, about {expected_hashes} hashes to find"
            )),
            Stage::Sealed { bytes, .. } => {
                let bytes = grouped(u64::try_from(*bytes).unwrap_or(u64::MAX));
                self.say(&format!("seal: done, {bytes} bytes"))
            }
            Stage::Planned {
                lanes,
                k,
                n,
                lifted,
            } => {
                let lengths: Vec<String> = lanes.iter().map(ToString::to_string).collect();
                let lifted = lifted
                    .as_ref()
                    .map_or_else(String::new, |rule| format!(" ({rule})"));
                self.say(&format!(
                    "disperse: {n} pieces of which {k} suffice, on lanes of {} relays{lifted}",
                    lengths.join(", ")
                ))
            }
            Stage::Dispatched { cells, of } if cells == of || cells.is_multiple_of(30) => {
                self.say(&format!("dispatch: {cells} of {of} cells have left"))
            }
            Stage::Seen { peers, .. } => self.say(&format!(
                "echo: {peers} peers brought it back to the source"
            )),
            Stage::Waiting { reason } => self.say(&format!("wait: {reason}")),
            Stage::Retrying { attempt } => self.say(&format!(
                "echo: none in time; attempt {attempt} with a new envelope"
            )),
            Stage::Delivered => self.say("echo: enough for the source to know that it is out"),
            Stage::Failed { reason } => self.say(&format!("failed: {reason}")),
            Stage::Searching { .. } | Stage::Dispatched { .. } => Ok(()),
        }
    }

    pub(super) fn killed(&self, relay: usize) -> io::Result<()> {
        self.say(&format!(
            "{}, a middle of one lane, loses power",
            name(Role::Relay(relay))
        ))
    }

    /// The table, or the object.
    pub(super) fn ending(&self, story: &Story) -> io::Result<()> {
        if self.screen.json {
            return self.screen.value(&object(story));
        }
        self.screen.line("")?;
        let heading = ["relay", "part", "from", "to", "could tell"];
        let sights = story.sights.relays().iter().enumerate();
        let rows: Vec<[String; 5]> = sights
            .map(|(number, sight)| {
                let client = sight.from_client.then(|| "the source".to_owned());
                let from = client
                    .into_iter()
                    .chain(sight.from.iter().map(|from| short(*from)));
                let to = sight.to.iter().map(|to| short(*to));
                [
                    short(number),
                    sight.part().to_owned(),
                    from.collect::<Vec<_>>().join(" "),
                    to.collect::<Vec<_>>().join(" "),
                    sight.verdict().to_owned(),
                ]
            })
            .collect();
        self.screen.table(heading, &rows, "")?;
        self.screen.line("")?;
        self.summary(story)
    }

    fn summary(&self, story: &Story) -> io::Result<()> {
        let line = match (story.delivered(), story.elapsed) {
            (true, Some(elapsed)) => format!(
                "delivered: {} bytes, equal, {}.{:02} s after they were handed over",
                grouped(u64::try_from(story.sent.bytes).unwrap_or(u64::MAX)),
                elapsed.as_secs(),
                elapsed.subsec_millis() / 10,
            ),
            (false, Some(_)) => "not delivered: the reader got something else".to_owned(),
            _ => "not delivered in time; run it again, or with fewer relays".to_owned(),
        };
        self.screen.line(line)?;
        let first = story
            .first_gossip()
            .map_or_else(|| "nobody".to_owned(), name);
        self.screen
            .line(format_args!("first to gossip it: {first}"))?;
        let whole = "This is one machine and one message: it shows the way, not how well it hides.";
        self.screen.line(whole)
    }
}

/// The story as one object.
fn object(story: &Story) -> Value {
    let lanes: Vec<Value> = story
        .lanes
        .iter()
        .map(|lane| json!({ "relays": lane.len().saturating_sub(1) }))
        .collect();
    let millis = story
        .elapsed
        .map(|elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    json!({
        "delivered": story.delivered(),
        "level": story.level.word(),
        "profile": "local",
        "relays": story.relays,
        "lanes": lanes,
        "k": story.pieces.map(|(k, _)| k),
        "n": story.pieces.map(|(_, n)| n),
        "attempts": story.attempts,
        "envelope_hash": story.envelope(),
        "elapsed_ms": millis,
        "bytes": story.sent.bytes,
        "sha256_sent": story.sent.sha256,
        "sha256_received": story.received.as_ref().map(|received| &received.sha256),
        "rendezvous": story.rendezvous().map(short),
        "first_gossip": story.first_gossip().map(name),
        "source_first_gossip": story.source_first_gossip,
        "source_saw_echo_from": story.seen_by,
        "reader_forwarded": story.reader_forwarded(),
        "nodes": story.alive(),
        "nodes_with_envelope": story.spread(),
        "killed_relay": story.killed.map(short),
        "failure": story.failure,
    })
}

/// A node in a sentence.
fn name(role: Role) -> String {
    match role {
        Role::Relay(number) => format!("relay {}", short(number)),
        Role::Source => "the source".to_owned(),
        Role::Reader => "the reader".to_owned(),
        Role::Bystander => "the bystander".to_owned(),
    }
}

/// A relay in a table; they are counted from one.
fn short(number: usize) -> String {
    format!("r{}", number + 1)
}
