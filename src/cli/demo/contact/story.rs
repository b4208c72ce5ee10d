//! What the nodes of the demonstration reported, and the ending made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use circuits::ids::ShortId;
use circuits::level::Level;
use serde_json::json;

use crate::cli::demo::network::Role;
use crate::cli::demo::observations::Observations;
use crate::cli::demo::report::{DemoReport, name, short};
use crate::cli::output::count;
use crate::node::{
    CardView, ContactEvent, ContactStage, ContactState, Event, MessageDirection, MessagePartView,
    RelayLabel, SentMessage, Trace,
};

/// The reports so far.
pub(super) struct Story {
    /// Number of relays that the source can choose from.
    pub(super) source_relays: usize,
    /// Number of relays that the reader can choose from.
    pub(super) reader_relays: usize,
    /// The card that the source found.
    pub(super) card: Option<CardView>,
    /// What the source received.
    pub(super) source: Received,
    /// What the reader received.
    pub(super) reader: Received,
    card_found: Option<Duration>,
    answered: Vec<SentMessage>,
    names: Vec<ShortId>,
    observations: Observations,
    envelopes: BTreeMap<String, EnvelopeReport>,
}

/// A text that arrived in a conversation.
#[derive(Default)]
pub(super) struct Received {
    pub(super) conversation: Option<String>,
    pub(super) text: Option<String>,
    at: Option<Duration>,
}

/// Which nodes had an envelope, and which passed it on first.
#[derive(Default)]
struct EnvelopeReport {
    first_gossip: Option<Role>,
    nodes: BTreeSet<Role>,
}

impl Story {
    pub(super) fn new(names: &[ShortId]) -> Self {
        Self {
            source_relays: 0,
            reader_relays: 0,
            card: None,
            source: Received::default(),
            reader: Received::default(),
            card_found: None,
            answered: Vec::new(),
            names: names.to_vec(),
            observations: Observations::new(names.len()),
            envelopes: BTreeMap::new(),
        }
    }

    /// Adds an event of a node.
    pub(super) fn take(&mut self, from: Role, event: &Event, at: Duration) {
        match (from, event) {
            (Role::Source, Event::Relays(known)) => self.source_relays = *known,
            (Role::Reader, Event::Relays(known)) => self.reader_relays = *known,
            (Role::Source | Role::Reader, Event::Contact(event)) => {
                self.take_contact(from, event, at)
            }
            (role, Event::Trace(trace)) => self.take_trace(role, trace),
            _ => {}
        }
    }

    fn take_contact(&mut self, from: Role, event: &ContactEvent, at: Duration) {
        match event {
            ContactEvent::Contact(view)
                if from == Role::Source && view.state == ContactState::Ready =>
            {
                self.card_found.get_or_insert(at);
                self.card.clone_from(&view.card);
            }
            ContactEvent::Outgoing(sent, ContactStage::Answered) => {
                self.answered.push(sent.clone())
            }
            ContactEvent::Message(message) if message.direction == MessageDirection::In => {
                let text = message.parts.iter().find_map(|part| match part {
                    MessagePartView::Text { text } => Some(text.clone()),
                    _ => None,
                });
                let received = if from == Role::Source {
                    &mut self.source
                } else {
                    &mut self.reader
                };
                received.conversation = Some(message.conversation.clone());
                received.text = received.text.take().or(text);
                received.at.get_or_insert(at);
            }
            ContactEvent::Contact(_)
            | ContactEvent::Conversation(_)
            | ContactEvent::Message(_)
            | ContactEvent::Outgoing(..)
            | ContactEvent::Progress(..) => {}
        }
    }

    fn take_trace(&mut self, from: Role, trace: &Trace) {
        match trace {
            Trace::Lanes { .. } | Trace::Rebuilt { .. } => {}
            Trace::Peeled {
                from: previous,
                next,
            } => {
                let previous = previous.and_then(|id| self.number(id));
                let next = self.number(*next);
                self.observations.passed_on(from, previous, next);
            }
            Trace::Terminal { from: previous, .. } => {
                let previous = previous.and_then(|id| self.number(id));
                self.observations.received_shard(from, previous);
            }
            Trace::Stem { .. } => self.observations.passed_stem(from),
            Trace::Fluff { envelope } | Trace::Pooled { envelope } => {
                self.report_of(envelope).nodes.insert(from);
            }
            Trace::Gossiped { envelope } => {
                self.report_of(envelope).first_gossip.get_or_insert(from);
            }
        }
    }

    fn report_of(&mut self, envelope: &str) -> &mut EnvelopeReport {
        self.envelopes.entry(envelope.to_owned()).or_default()
    }

    fn number(&self, name: RelayLabel) -> Option<usize> {
        self.names.iter().position(|relay| *relay == name.0)
    }

    /// Whether the answer named this message.
    pub(super) fn is_answered(&self, (conversation, number): &(String, u64)) -> bool {
        let mut answered = self.answered.iter();
        answered.any(|sent| sent.conversation == *conversation && sent.number == *number)
    }

    /// Envelopes that the source or the reader was the first to gossip, by which a peer could tell it.
    fn exposed(&self) -> usize {
        let first = self.envelopes.values().filter_map(|one| one.first_gossip);
        first
            .filter(|role| matches!(role, Role::Source | Role::Reader))
            .count()
    }

    /// Envelopes that the bystander has: its only peer is the reader.
    fn at_bystander(&self) -> usize {
        let has = |one: &&EnvelopeReport| one.nodes.contains(&Role::Bystander);
        self.envelopes.values().filter(has).count()
    }

    /// Whether every envelope has reached the bystander, the node that gossip reaches last.
    pub(super) fn is_spread(&self) -> bool {
        self.at_bystander() == self.envelopes.len()
    }

    /// Prints the ending.
    pub(super) fn show(&self, report: &DemoReport, level: Level) -> io::Result<()> {
        let printer = report.printer();
        if printer.json {
            return printer.value(&self.object(level));
        }
        printer.line("")?;
        let relays = self.observations.relays().iter().enumerate();
        let rows: Vec<[String; 3]> = relays
            .map(|(number, seen)| {
                [
                    short(number),
                    count(seen.cells + seen.shards),
                    verdict(seen.from_client, seen.shards > 0, seen.cells > 0, seen.stem)
                        .to_owned(),
                ]
            })
            .collect();
        printer.table(["RELAY", "CELLS", "COULD REVEAL"], &rows, "")?;
        printer.line("")?;
        for line in self.parties() {
            printer.line(line)?;
        }
        let whole = "This is one machine and one conversation: it shows the path, not how well its ends are hidden.";
        printer.line(whole)
    }

    /// What the parties other than relays could see.
    fn parties(&self) -> Vec<String> {
        let all = count(self.envelopes.len());
        let mut lines = Vec::new();
        for (number, one) in self.envelopes.values().enumerate() {
            let first = one.first_gossip.map_or_else(|| "no node".to_owned(), name);
            lines.push(format!(
                "envelope {}: first gossiped by {first}; {} nodes have it",
                number + 1,
                one.nodes.len()
            ));
        }
        lines.push(format!(
            "every node: {all} envelopes with topics that look random; none names the address, and none \
             shows that it belongs to another"
        ));
        lines.push(format!(
            "the bystander: {} of them, from the reader, which forwards what it reads and what it does not \
             read alike",
            count(self.at_bystander())
        ));
        lines.push(format!(
            "the peers of source and reader: {} envelopes that one of the two was the first to gossip",
            count(self.exposed())
        ));
        lines.push(
            "the reader: a text and a conversation; neither a node nor an address of the source"
                .to_owned(),
        );
        match &self.source.text {
            Some(text) => lines.push(format!("the source: the answer {text:?}")),
            None => lines.push("the source: no answer in time; run it again".to_owned()),
        }
        lines
    }

    fn object(&self, level: Level) -> serde_json::Value {
        let millis =
            |at: Option<Duration>| at.map(|at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
        let named = |role: Option<Role>| role.map(name);
        let first: Vec<_> = self
            .envelopes
            .values()
            .map(|one| named(one.first_gossip))
            .collect();
        json!({
            "level": level.word(),
            "profile": "local",
            "relays": self.names.len(),
            "card_found_ms": millis(self.card_found),
            "request_ms": millis(self.reader.at),
            "answer_ms": millis(self.source.at),
            "request": self.reader.text,
            "answer": self.source.text,
            "answered": !self.answered.is_empty(),
            "envelopes": self.envelopes.len(),
            "first_gossip": first,
            "exposed_envelopes": self.exposed(),
            "bystander_envelopes": self.at_bystander(),
        })
    }
}

/// The most that a relay could reveal about the conversation.
const fn verdict(from_client: bool, ends: bool, forwards: bool, stem: bool) -> &'static str {
    match (from_client, ends, forwards, stem) {
        (true, true, _, _) => "that a client sent cells, and that an envelope was rebuilt here",
        (true, false, _, _) => "that a client sent cells; not what, how far or to whom",
        (false, true, _, _) => "that an envelope was rebuilt here; not its sender or recipient",
        (false, false, true, _) => "its two peers and a delay; not which lane or hop",
        (false, false, false, true) => "that an envelope passed; not where it began",
        (false, false, false, false) => "the envelopes, which every node has",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelope_that_the_source_gossips_first_counts_as_exposed() {
        let mut story = Story::new(&[ShortId([0; 16])]);
        let gossiped = |envelope: &str| {
            Event::Trace(Trace::Gossiped {
                envelope: envelope.to_owned(),
            })
        };
        story.take(Role::Relay(0), &gossiped("a"), Duration::ZERO);
        story.take(Role::Source, &gossiped("a"), Duration::ZERO);
        assert_eq!(story.exposed(), 0);
        story.take(Role::Source, &gossiped("b"), Duration::ZERO);
        assert_eq!(story.exposed(), 1);
    }
}
