//! What an adversary of some knowledge sees of the traffic.
//!
//! This is the only place where the truth decides about a sighting: it removes what the adversary
//! cannot see, and adds nothing.

use serde::Serialize;

use super::model::MixModel;
use super::truth::Truth;
use crate::sim::anonymity::sighting::{CellPlace, CellSighting, PublicRules};

/// What the adversary knows beside all links and the mappings of hostile relays.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Knowledge {
    /// Nothing else: positions of cells on their paths must be inferred.
    Links,
    /// The position of every cell on its path, as in a layered network.
    Positions,
    /// Positions, and which cells are loops: an upper bound for every passive adversary.
    Loops,
}

impl Knowledge {
    /// The sighting as this adversary sees it, if it sees it.
    pub(super) fn sees(self, event: CellSighting, truth: Truth) -> Option<CellSighting> {
        match self {
            Self::Loops => (!truth.is_loop).then_some(event),
            Self::Positions => Some(event),
            Self::Links => Some(without_position(event)),
        }
    }

    /// The published rules of a model, and the share of loops among the cells that are seen.
    pub(super) fn rules(self, model: &MixModel) -> PublicRules {
        PublicRules {
            senders: model.senders,
            hops: model.routes.hops(),
            delay: model.delay,
            hold: model.hold,
            loop_share: match self {
                Self::Links | Self::Positions => model.loop_rate / model.rate(),
                Self::Loops => 0.0,
            },
            loss: model.loss,
        }
    }
}

fn without_position(event: CellSighting) -> CellSighting {
    match event {
        CellSighting::Departure {
            transfer,
            from,
            to_sender,
            disclosed,
            ..
        } => CellSighting::Departure {
            transfer,
            from,
            to_sender,
            position: None,
            disclosed,
        },
        CellSighting::Arrival { transfer, to, .. } => CellSighting::Arrival {
            transfer,
            // An honest rendezvous is a relay like others to this adversary.
            to: match to {
                CellPlace::HonestRendezvous(relay) => CellPlace::Relay(relay),
                to => to,
            },
            position: None,
        },
        event @ (CellSighting::Insertion { .. } | CellSighting::Online { .. }) => event,
    }
}
