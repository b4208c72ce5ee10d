//! What each relay was able to see.

use std::collections::BTreeSet;

use super::network::Role;

/// One relay's view for each relay, and what the source itself did.
pub(super) struct Observations {
    /// Cells that left the source.
    pub(super) cells_sent: usize,
    relays: Vec<RelayObservation>,
}

/// What one relay saw of the message.
#[derive(Clone, Default)]
pub(super) struct RelayObservation {
    /// Cells it passed on.
    pub(super) cells: usize,
    /// Relays that brought it cells.
    pub(super) from: BTreeSet<usize>,
    /// Whether somebody who is no relay brought it cells.
    pub(super) from_client: bool,
    /// Relays that it passed cells to.
    pub(super) to: BTreeSet<usize>,
    /// Pieces that ended here.
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

    /// Notes a piece; gives how many there are now.
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

    /// What the relays saw, by number.
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
    /// What part the relay had in the message.
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

    /// What it could tell somebody who asks, at best.
    pub(super) fn verdict(&self) -> &'static str {
        match self.part() {
            "guard" => "the source sent cells; not what, how far or to whom",
            "rendezvous" => "a sealed envelope was rebuilt here; not whose, nor for whom",
            "middle, stem" | "middle" => "its two neighbours and a delay; not which lane or hop",
            "stem" => "an envelope came along; not where it began",
            _ => "the sealed envelope, as everybody has it",
        }
    }
}
