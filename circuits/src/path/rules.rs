//! What a path must be like, in numbers.

use core::fmt;
use std::collections::BTreeSet;

use crate::directory::Subnet;
use crate::geometry::MAX_LAYERS;
use crate::ids::RelayId;

/// Numbers that paths must keep to; valid by construction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathRules {
    floor: u8,
    ceiling: u8,
    lanes: u8,
    min_relays: usize,
    min_subnets: usize,
    requires_settled: bool,
}

impl PathRules {
    /// At least `floor` relays before the rendezvous, in each of `lanes` lanes.
    ///
    /// # Errors
    ///
    /// [`BadPathRules`] if there is no lane, more than [`MAX_LANES`], no relay, or more relays
    /// than a cell has layers for.
    pub fn new(floor: u8, lanes: u8) -> Result<Self, BadPathRules> {
        if floor == 0 || floor > MAX_RELAYS {
            return Err(BadPathRules::Floor);
        }
        if lanes == 0 || lanes > MAX_LANES {
            return Err(BadPathRules::Lanes);
        }
        Ok(Self {
            floor,
            ceiling: MAX_RELAYS,
            lanes,
            min_relays: 0,
            min_subnets: 0,
            requires_settled: false,
        })
    }

    /// Paths of exactly `floor` relays.
    #[must_use]
    pub const fn with_fixed_length(mut self) -> Self {
        self.ceiling = self.floor;
        self
    }

    /// Refuses snapshots with fewer relays (ourselves not counted) in fewer subnets. Not applied
    /// on `local`.
    #[must_use]
    pub const fn with_min_network(mut self, relays: usize, subnets: usize) -> Self {
        self.min_relays = relays;
        self.min_subnets = subnets;
        self
    }

    /// Refuses young snapshots, which rest on what neighbours say. Not applied on `local`.
    #[must_use]
    pub const fn requiring_settled(mut self) -> Self {
        self.requires_settled = true;
        self
    }

    /// Relays before the rendezvous at the least.
    #[must_use]
    pub const fn floor(&self) -> u8 {
        self.floor
    }

    /// Relays before the rendezvous at the most.
    #[must_use]
    pub const fn ceiling(&self) -> u8 {
        self.ceiling
    }

    /// Number of lanes.
    #[must_use]
    pub const fn lanes(&self) -> u8 {
        self.lanes
    }

    /// Relays that the network must have.
    #[must_use]
    pub const fn min_relays(&self) -> usize {
        self.min_relays
    }

    /// Subnets that the network must span.
    #[must_use]
    pub const fn min_subnets(&self) -> usize {
        self.min_subnets
    }

    /// Whether young snapshots are refused.
    #[must_use]
    pub const fn requires_settled(&self) -> bool {
        self.requires_settled
    }
}

/// Who must not stand where. `Debug` shows how many, not who.
#[derive(Clone, Eq, PartialEq)]
pub struct PathExclusions {
    /// Ourselves: in no path. A node that is no relay gives the id of its link key, too.
    pub own: RelayId,
    /// The subnets that we stand in: none of them for the rendezvous.
    pub own_subnets: Vec<Subnet>,
    /// Our present gossip peers: none of them may be the rendezvous, which would see the
    /// envelope leave and then see it come back from us first.
    ///
    /// On `local`, where a handful of nodes may all be neighbours, the rule gives way if it leaves
    /// nobody, and the plan says so.
    pub peers: BTreeSet<RelayId>,
}

impl fmt::Debug for PathExclusions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            own: _,
            own_subnets,
            peers,
        } = self;
        f.debug_struct("PathExclusions")
            .field("own_subnets", &own_subnets.len())
            .field("peers", &peers.len())
            .finish_non_exhaustive()
    }
}

/// Why numbers make no rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BadPathRules {
    /// No relay, or more than a cell has layers for.
    Floor,
    /// No lane, or too many.
    Lanes,
}

impl fmt::Display for BadPathRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Floor => write!(f, "a path has 1 to {MAX_RELAYS} relays"),
            Self::Lanes => write!(f, "an envelope has 1 to {MAX_LANES} lanes"),
        }
    }
}

impl core::error::Error for BadPathRules {}

/// Relays before the rendezvous at the most: all layers of a cell but the rendezvous's own.
pub const MAX_RELAYS: u8 = 5;
/// Lanes of one envelope at the most.
pub const MAX_LANES: u8 = 16;

const _: () = assert!(MAX_LAYERS == 6 && MAX_RELAYS == 5);
