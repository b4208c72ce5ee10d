//! Prints the timeline: a line for each event, a table at the end, or one object of JSON.

use std::io;

use circuits::level::Level;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::mixing;
use super::network::{NETWORK, Role};
use super::timeline::{Timeline, TimelineEvent};
use crate::cli::output::{Printer, grouped};
use crate::endpoint::PeerAddr;
use crate::node::Stage;

/// Prints events and results.
pub(super) struct DemoReport {
    printer: Printer,
    begun: Instant,
}

impl DemoReport {
    pub(super) fn new(json: bool, begun: Instant) -> Self {
        let printer = Printer { json, local: true };
        Self { printer, begun }
    }

    /// The output.
    pub(super) const fn printer(&self) -> Printer {
        self.printer
    }

    /// Prints a line with the time; nothing under `--json`.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        if self.printer.json {
            return Ok(());
        }
        let time = self.begun.elapsed().as_millis();
        self.printer.line(format_args!(
            "{:>3}.{:02} s  {text}",
            time / 1000,
            time % 1000 / 10
        ))
    }

    pub(super) fn started(&self, relays: usize, level: Level) -> io::Result<()> {
        self.say(&format!(
            "{relays} relays, a source, a reader and a bystander start on loopback; level {level}"
        ))?;
        if !level.is_mixing() {
            return Ok(());
        }
        self.say(
            "cover: all nodes send cells from now on; a relay delays them by 1 s on average, because the network \
             is local: elsewhere the traffic decides, and a network this small is refused",
        )
    }

    pub(super) fn gathered(&self, relays: usize) -> io::Result<()> {
        self.say(&format!(
            "directory: relays that the source can choose from: {relays}"
        ))
    }

    /// The network keeps running.
    pub(super) fn stays(&self, entry: Option<PeerAddr>) -> io::Result<()> {
        if self.printer.json {
            let entry = entry.map(|entry| entry.to_string());
            return self.printer.value(&json!({ "stays": true, "peer": entry }));
        }
        if let Some(entry) = entry {
            self.printer.line(format_args!(
                "the network stays; another node joins by: whisht run --ephemeral --profile local \
                 --network {NETWORK} --peer {entry}"
            ))?;
        }
        self.printer.line("Ctrl-C stops all nodes")
    }

    pub(super) fn event(&self, event: &TimelineEvent) -> io::Result<()> {
        match event {
            TimelineEvent::Stage(stage) => self.stage(stage),
            TimelineEvent::FirstCell => self.say("dispatch: the first cell leaves for the guard"),
            TimelineEvent::Shard(have, needed) if *have <= usize::from(*needed) => {
                self.say(&format!("rendezvous: shard {have} of {needed} needed"))
            }
            TimelineEvent::Rebuilt(relay, hold) => self.say(&format!(
                "rendezvous: {} rebuilt the envelope and holds it for {hold} ms",
                name(Role::Relay(*relay))
            )),
            TimelineEvent::Stem(from) => self.say(&format!("stem: {} forwards it", name(*from))),
            TimelineEvent::FirstGossip(from) => self.say(&format!(
                "gossip: {} is the first to gossip it",
                name(*from)
            )),
            TimelineEvent::Spread(nodes) => self.say(&format!("gossip: {nodes} nodes have it")),
            TimelineEvent::Opened => self.say("reader: decrypted it"),
            TimelineEvent::ReaderForwarded => {
                self.say("reader: forwards it all the same; the bystander has no other peer")
            }
            TimelineEvent::Shard(..) | TimelineEvent::Relays => Ok(()),
        }
    }

    fn stage(&self, stage: &Stage) -> io::Result<()> {
        match stage {
            Stage::Sealing {
                attempt,
                expected_hashes,
                ..
            } => self.say(&format!(
                "proof of work: attempt {attempt}, about {expected_hashes} hashes"
            )),
            Stage::Sealed { bytes, .. } => {
                let bytes = grouped(u64::try_from(*bytes).unwrap_or(u64::MAX));
                self.say(&format!("proof of work: done, envelope of {bytes} bytes"))
            }
            Stage::Planned {
                lanes,
                k,
                n,
                lifted,
            } => {
                let lengths: Vec<String> = lanes.iter().map(ToString::to_string).collect();
                let lifted = lifted.as_ref().map_or_else(String::new, |rule| {
                    format!(" (rule relaxed in a local network: {rule})")
                });
                self.say(&format!(
                    "disperse: {n} shards of which {k} suffice, on lanes (parallel onion paths) of {} \
                     relays{lifted}",
                    lengths.join(", ")
                ))
            }
            Stage::Dispatched { cells, of } if cells == of || cells.is_multiple_of(30) => {
                self.say(&format!("dispatch: {cells} of {of} cells have left"))
            }
            Stage::Seen { peers, .. } => {
                self.say(&format!("echo: {peers} peers returned it to the source"))
            }
            Stage::Waiting { reason } => self.say(&format!("queued: {reason}")),
            Stage::Blocked { reason } => self.say(&format!("stem blocked: {reason}")),
            Stage::Retrying { attempt } => self.say(&format!(
                "echo: none in time; attempt {attempt} with a new envelope"
            )),
            Stage::HandedOver { peers } => self.say(&format!(
                "handed to {peers} peers; the source awaits no echo at this level"
            )),
            Stage::Delivered => {
                self.say("echo: enough for the source to know that the network has it")
            }
            Stage::Failed { reason } => self.say(&format!("failed: {reason}")),
            Stage::Searching { .. }
            | Stage::Dispatched { .. }
            | Stage::Departing { .. }
            | Stage::SeenShards { .. } => Ok(()),
        }
    }

    pub(super) fn killed(&self, relay: usize) -> io::Result<()> {
        self.say(&format!(
            "{}, a middle of one lane, is stopped",
            name(Role::Relay(relay))
        ))
    }

    /// Prints the table, or the object.
    pub(super) fn ending(&self, timeline: &Timeline) -> io::Result<()> {
        if self.printer.json {
            return self.printer.value(&object(timeline));
        }
        self.printer.line("")?;
        if timeline.level.is_mixing() {
            let rows = mixing::rows(timeline);
            self.printer.table(mixing::HEADING, &rows, "")?;
            self.printer.line("")?;
            self.printer.line(mixing::words(timeline))?;
            return self.summary(timeline);
        }
        let heading = ["RELAY", "ROLE", "FROM", "TO", "COULD REVEAL"];
        let observations = timeline.observations.relays().iter().enumerate();
        let rows: Vec<[String; 5]> = observations
            .map(|(number, observation)| {
                let client = observation.from_client.then(|| "the source".to_owned());
                let from = client
                    .into_iter()
                    .chain(observation.from.iter().map(|from| short(*from)));
                let to = observation.to.iter().map(|to| short(*to));
                [
                    short(number),
                    observation.part().to_owned(),
                    from.collect::<Vec<_>>().join(" "),
                    to.collect::<Vec<_>>().join(" "),
                    observation.verdict().to_owned(),
                ]
            })
            .collect();
        self.printer.table(heading, &rows, "")?;
        self.printer.line("")?;
        self.summary(timeline)
    }

    fn summary(&self, timeline: &Timeline) -> io::Result<()> {
        let line = match (timeline.delivered(), timeline.elapsed) {
            (true, Some(elapsed)) => format!(
                "delivered: {} bytes, equal, {}.{:02} s after the command",
                grouped(u64::try_from(timeline.sent.bytes).unwrap_or(u64::MAX)),
                elapsed.as_secs(),
                elapsed.subsec_millis() / 10,
            ),
            (false, Some(_)) => {
                "not delivered: the reader got other bytes; please report this".to_owned()
            }
            _ => "not delivered in time; run it again, or with fewer relays".to_owned(),
        };
        self.printer.line(line)?;
        let first = timeline
            .first_gossip()
            .map_or_else(|| "no node".to_owned(), name);
        self.printer
            .line(format_args!("first to gossip it: {first}"))?;
        let whole = "This is one machine and one message: it shows the path, not how well the sender is hidden.";
        self.printer.line(whole)
    }
}

/// The timeline as one object.
fn object(timeline: &Timeline) -> Value {
    let lanes: Vec<Value> = timeline
        .lanes
        .iter()
        .map(|lane| json!({ "relays": lane.len().saturating_sub(1) }))
        .collect();
    let millis = timeline
        .elapsed
        .map(|elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
    json!({
        "delivered": timeline.delivered(),
        "level": timeline.level.word(),
        "profile": "local",
        "relays": timeline.relays,
        "lanes": lanes,
        "paths": timeline.level.is_mixing().then(|| mixing::paths(timeline)),
        "k": timeline.shards.map(|(k, _)| k),
        "n": timeline.shards.map(|(_, n)| n),
        "attempts": timeline.attempts,
        "envelope_hash": timeline.envelope(),
        "elapsed_ms": millis,
        "bytes": timeline.sent.bytes,
        "sha256_sent": timeline.sent.sha256,
        "sha256_received": timeline.received.as_ref().map(|received| &received.sha256),
        "rendezvous": timeline.rendezvous().map(short),
        "first_gossip": timeline.first_gossip().map(name),
        "source_first_gossip": timeline.source_first_gossip,
        "source_saw_echo_from": timeline.seen_by,
        "reader_forwarded": timeline.reader_forwarded(),
        "nodes": timeline.alive(),
        "nodes_with_envelope": timeline.spread(),
        "killed_relay": timeline.killed.map(short),
        "failure": timeline.failure,
    })
}

/// The name of a node in a sentence.
pub(super) fn name(role: Role) -> String {
    match role {
        Role::Relay(number) => format!("relay {}", short(number)),
        Role::Source => "the source".to_owned(),
        Role::Reader => "the reader".to_owned(),
        Role::Bystander => "the bystander".to_owned(),
    }
}

/// The name of a relay in a table, counted from one.
pub(super) fn short(number: usize) -> String {
    format!("r{}", number + 1)
}
