//! Observers: the world streams every event to one, and keeps none itself.
//!
//! An observation holds what an observer of the whole network could write down: who sent how many
//! bytes to whom and when, and what each node told its user.

use std::any::Any;
use std::net::SocketAddr;

use circuits::time::Instant;
use sha2::{Digest, Sha256};

use crate::node::Event;

/// Receives the events of a world as they happen.
///
/// Observers that must be read while the world runs are found again by their type, with
/// [`World::observer`](super::World::observer).
pub trait Observer: Any {
    /// Takes one event of the node `node`.
    fn observe(&mut self, at: Instant, node: usize, what: &Observation<'_>);
}

/// One event of a node.
#[derive(Clone, Copy, Debug)]
pub enum Observation<'a> {
    /// The node dialled this node, which accepts.
    Dialled(usize),
    /// The node gave these bytes to a link with this node.
    Sent(usize, &'a [u8]),
    /// Bytes came to the node on a link with this node.
    Received(usize, &'a [u8]),
    /// The node closed a link with this node.
    Closed(usize),
    /// The node sent this datagram, to an address where perhaps no node is.
    Datagram(SocketAddr, &'a [u8]),
    /// The node told its user something.
    Notified(&'a Event),
}

/// Watches nothing.
impl Observer for () {
    fn observe(&mut self, _: Instant, _: usize, _: &Observation<'_>) {}
}

/// Two observers of one world.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn observe(&mut self, at: Instant, node: usize, what: &Observation<'_>) {
        self.0.observe(at, node, what);
        self.1.observe(at, node, what);
    }
}

/// Keeps what nodes told their users, whom they dialled, and where they sent datagrams. For small
/// worlds.
#[derive(Default)]
pub struct Recorder {
    dials: Vec<(Instant, usize, usize)>,
    events: Vec<Vec<(Instant, Event)>>,
    datagrams: Vec<(usize, SocketAddr)>,
}

impl Recorder {
    /// What a node told its user, with the time.
    #[must_use]
    pub fn events(&self, node: usize) -> &[(Instant, Event)] {
        self.events.get(node).map_or(&[], Vec::as_slice)
    }

    /// The nodes that a node dialled and that accepted, with the time.
    pub fn dials(&self, node: usize) -> impl Iterator<Item = (Instant, usize)> {
        let own = self.dials.iter().filter(move |(_, from, _)| *from == node);
        own.map(|(at, _, to)| (*at, *to))
    }

    /// The addresses to which a node sent datagrams, one entry for each datagram.
    pub fn datagrams(&self, node: usize) -> impl Iterator<Item = SocketAddr> {
        let own = self.datagrams.iter().filter(move |(from, _)| *from == node);
        own.map(|(_, to)| *to)
    }
}

impl Observer for Recorder {
    fn observe(&mut self, at: Instant, node: usize, what: &Observation<'_>) {
        match what {
            Observation::Notified(event) => {
                if self.events.len() <= node {
                    self.events.resize_with(node.saturating_add(1), Vec::new);
                }
                if let Some(events) = self.events.get_mut(node) {
                    events.push((at, (*event).clone()));
                }
            }
            Observation::Dialled(to) => self.dials.push((at, node, *to)),
            Observation::Datagram(to, _) => self.datagrams.push((node, *to)),
            _ => {}
        }
    }
}

/// What kind of traffic a [`TraceEntry`] is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TrafficKind {
    /// A link begins.
    Dial,
    /// Bytes on a link.
    Bytes,
    /// A link ends.
    Close,
    /// A datagram.
    Datagram,
    /// A word to the user.
    Notice,
}

/// One event, without its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TraceEntry {
    /// When.
    pub at: Instant,
    /// By which node.
    pub from: usize,
    /// To which node; the same for a notice, and for a datagram.
    pub to: usize,
    /// What.
    pub kind: TrafficKind,
    /// Length in bytes.
    pub size: usize,
}

/// Keeps (time, from, to, kind, size) of every event, and a digest of the contents. For small
/// worlds: two runs are compared by it.
#[derive(Default)]
pub struct TrafficLog {
    entries: Vec<TraceEntry>,
    digest: Sha256,
}

impl TrafficLog {
    /// The events so far.
    #[must_use]
    pub fn entries(&self) -> &[TraceEntry] {
        &self.entries
    }

    /// SHA-256 of all events so far with all their bytes.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }
}

impl Observer for TrafficLog {
    fn observe(&mut self, at: Instant, node: usize, what: &Observation<'_>) {
        let text;
        let (to, kind, content): (usize, TrafficKind, &[u8]) = match what {
            Observation::Dialled(to) => (*to, TrafficKind::Dial, &[]),
            Observation::Sent(to, bytes) => (*to, TrafficKind::Bytes, bytes),
            // It was written down when it was sent.
            Observation::Received(..) => return,
            Observation::Closed(to) => (*to, TrafficKind::Close, &[]),
            Observation::Datagram(_, bytes) => (node, TrafficKind::Datagram, bytes),
            Observation::Notified(event) => {
                text = serde_json::to_vec(event).unwrap_or_default();
                (node, TrafficKind::Notice, &text)
            }
        };
        let entry = TraceEntry {
            at,
            from: node,
            to,
            kind,
            size: content.len(),
        };
        self.digest.update(format!("{entry:?}"));
        self.digest.update(content);
        self.entries.push(entry);
    }
}
