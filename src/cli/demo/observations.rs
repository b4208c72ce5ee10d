//! The knowledge of each relay about the message.

use std::collections::BTreeSet;

use super::network::Role;

/// The observations of all relays, and the number of cells of the source.
pub(super) struct Observations {
    /// Number of cells that left the source.
    pub(super) cells_sent: usize,
    relays: Vec<RelayObservation>,
}

/// The observations of one relay.
#[derive(Clone, Default)]
pub(super) struct RelayObservation {
    /// Number of cells that the relay forwarded.
    pub(super) cells: usize,
    /// Relays from which cells came.
    pub(super) from: BTreeSet<usize>,
    /// Whether cells came from a node that is not a relay.
    pub(super) from_client: bool,
    /// Relays to which cells were forwarded.
    pub(super) to: BTreeSet<usize>,
    /// Number of shards whose path ended here.
    pub(super) shards: usize,
    /// Whether the envelope passed here on the stem.
    pub(super) stem: bool,
}

impl Observations {
    pub(super) fn new(relays: usize) -> Self {
        Self {
            cells_sent: 0,
            relays: vec![RelayObservation::default(); relays],
        }
    }

    pub(super) fn passed_on(&mut self, at: Role, from: Option<usize>, to: Option<usize>) {
        if let Some(observation) = self.at(at) {
            observation.cells += 1;
            observation.from.extend(from);
            observation.from_client |= from.is_none();
            observation.to.extend(to);
        }
    }

    /// Records a shard, and returns the number of shards so far.
    pub(super) fn received_shard(&mut self, at: Role, from: Option<usize>) -> usize {
        self.at(at).map_or(0, |observation| {
            observation.shards += 1;
            observation.from.extend(from);
            observation.from_client |= from.is_none();
            observation.shards
        })
    }

    pub(super) fn passed_stem(&mut self, at: Role) {
        if let Some(observation) = self.at(at) {
            observation.stem = true;
        }
    }

    /// The observations of the relays, by number.
    pub(super) fn relays(&self) -> &[RelayObservation] {
        &self.relays
    }

    fn at(&mut self, role: Role) -> Option<&mut RelayObservation> {
        match role {
            Role::Relay(number) => self.relays.get_mut(number),
            Role::Source | Role::Reader | Role::Bystander => None,
        }
    }
}

impl RelayObservation {
    /// The role of the relay for this message.
    pub(super) fn part(&self) -> &'static str {
        match (self.from_client, self.shards > 0, self.cells > 0, self.stem) {
            (true, _, _, _) => "guard",
            (_, true, _, _) => "rendezvous",
            (_, _, true, true) => "middle, stem",
            (_, _, true, false) => "middle",
            (_, _, false, true) => "stem",
            (_, _, false, false) => "gossip",
        }
    }

    /// The most that the relay could reveal.
    pub(super) fn verdict(&self) -> &'static str {
        match self.part() {
            "guard" => "that the source sent cells; not what, how far or to whom",
            "rendezvous" => {
                "that an encrypted envelope was rebuilt here; not its sender or recipient"
            }
            "middle, stem" | "middle" => "its two peers and a delay; not which lane or hop",
            "stem" => "that an envelope passed; not where it began",
            _ => "the encrypted envelope, which every node has",
        }
    }
}
