//! Numeric rules of path choice, and the relays that paths must avoid.

use core::fmt;
use std::collections::BTreeSet;

use crate::directory::Subnet;
use crate::geometry::MAX_LAYERS;
use crate::ids::RelayId;

/// Limits for paths; valid by construction.
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
    /// Rules for at least `floor` relays before the rendezvous, in each of `lanes` lanes.
    ///
    /// # Errors
    ///
    /// [`BadPathRules`] if `floor` is not in 1 to [`MAX_RELAYS`] or `lanes` is not in 1 to
    /// [`MAX_LANES`].
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

    /// Requires exactly `floor` relays in every lane.
    #[must_use]
    pub const fn with_fixed_length(mut self) -> Self {
        self.ceiling = self.floor;
        self
    }

    /// Refuses snapshots with fewer relays (excluding this node) or fewer subnets. Ignored on
    /// `local`.
    #[must_use]
    pub const fn with_min_network(mut self, relays: usize, subnets: usize) -> Self {
        self.min_relays = relays;
        self.min_subnets = subnets;
        self
    }

    /// Refuses young snapshots, which rest on reports of peers. Ignored on `local`.
    #[must_use]
    pub const fn requiring_settled(mut self) -> Self {
        self.requires_settled = true;
        self
    }

    /// Minimum number of relays before the rendezvous.
    #[must_use]
    pub const fn floor(&self) -> u8 {
        self.floor
    }

    /// Maximum number of relays before the rendezvous.
    #[must_use]
    pub const fn ceiling(&self) -> u8 {
        self.ceiling
    }

    /// Number of lanes.
    #[must_use]
    pub const fn lanes(&self) -> u8 {
        self.lanes
    }

    /// Minimum number of relays of the network.
    #[must_use]
    pub const fn min_relays(&self) -> usize {
        self.min_relays
    }

    /// Minimum number of subnets of the network.
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

/// Relays that paths must avoid. `Debug` shows their number, not their ids.
#[derive(Clone, Eq, PartialEq)]
pub struct PathExclusions {
    /// This node, which is in no path. A node without the relay role also gives the id of its link
    /// key.
    pub own: RelayId,
    /// The subnets of this node. The rendezvous is in none of them.
    pub own_subnets: Vec<Subnet>,
    /// The current gossip peers. None of them may be the rendezvous: it would see the envelope
    /// arrive at the rendezvous and then receive it again from this node first.
    ///
    /// On `local`, where a few nodes may all be peers, the rule is relaxed if it leaves no
    /// candidate, and the plan reports it.
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

/// Rules that a message goes without. Those of path choice are relaxed on `local` only, if there are
/// too few relays.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RelaxedRules {
    /// Some middles are in more than one lane of the envelope.
    pub disjointness: bool,
    /// The rendezvous may be a peer of this node.
    pub peers: bool,
    /// The links of this node do not use Tor, which the level requires or prefers.
    pub tor: bool,
    /// This node sends a tenth of the cover traffic of others, so its senders are a set of their own.
    pub cover: bool,
}

/// Reason why numbers are not valid rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BadPathRules {
    /// The number of relays is zero or above [`MAX_RELAYS`].
    Floor,
    /// The number of lanes is zero or above [`MAX_LANES`].
    Lanes,
}

impl fmt::Display for BadPathRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Floor => write!(f, "a path must have 1 to {MAX_RELAYS} relays"),
            Self::Lanes => write!(f, "an envelope must have 1 to {MAX_LANES} lanes"),
        }
    }
}

impl core::error::Error for BadPathRules {}

/// Maximum number of relays before the rendezvous: all layers of a cell except the rendezvous.
pub const MAX_RELAYS: u8 = 5;
/// Maximum number of lanes of one envelope.
pub const MAX_LANES: u8 = 16;

const _: () = assert!(MAX_LAYERS == 6 && MAX_RELAYS == 5);
