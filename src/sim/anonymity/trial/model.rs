//! The modelled network: senders, relays, rates and delays, and the delay class that its load selects.

use core::time::Duration;

use serde::Serialize;

/// A network of senders and relays.
#[derive(Clone, Copy, Debug)]
pub struct MixModel {
    /// Honest senders.
    pub senders: u32,
    /// Relays, hostile ones included.
    pub relays: u32,
    /// Share of the relays that disclose which cell became which.
    pub hostile: f64,
    /// How a path is chosen.
    pub routes: Routes,
    /// Exact number of relays in the smallest of `Routes::Layers`; without it, the least is [`layer_floor`].
    pub smallest_layer: Option<u32>,
    /// First relays that each sender uses.
    pub guards: u32,
    /// Mean delay at each relay.
    pub delay: Duration,
    /// Payload cells, cover included, that a sender emits per second.
    pub payload_rate: f64,
    /// Loops that a sender emits per second.
    pub loop_rate: f64,
    /// Which rendezvous are hostile.
    pub rendezvous: RendezvousTrust,
    /// Mean hold of an envelope at an honest rendezvous.
    pub hold: Duration,
    /// The probability that a relay loses a cell.
    pub loss: f64,
    /// The layers that hostile relays take.
    pub grinding: Grinding,
    /// Who comes and goes; without it senders are always online and relays stay.
    pub churn: Option<ChurnModel>,
}

/// The layers that hostile relays take: they can draw keys until the hash suits them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grinding {
    /// As honest relays: that of the hash of their key.
    None,
    /// The first, in which the guards are.
    FirstLayer,
    /// All but the first, in equal shares.
    InnerLayers,
}

/// Who comes and goes.
#[derive(Clone, Copy, Debug)]
pub struct ChurnModel {
    /// Share of the time for which a sender is online.
    pub online: f64,
    /// Mean time for which a sender stays online.
    pub session: Duration,
    /// Least time between two linked messages. After each, some relays are replaced by new ones, in the
    /// same layers.
    pub day: Duration,
    /// Share of the relays that are replaced each day. Their clients choose other first relays.
    pub relays_replaced: f64,
}

/// How a path is chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Routes {
    /// Each relay belongs to one layer, drawn at random as by a hash of its key; a path has one relay
    /// of each layer, in order. Every layer has at least [`layer_floor`] relays.
    Layers(u32),
    /// As `Layers`, with layers of equal size.
    EqualLayers(u32),
    /// A path has this many different relays of all.
    Free(u32),
}

/// Which rendezvous are hostile.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RendezvousTrust {
    /// All: each envelope appears when its cell arrives.
    AllHostile,
    /// The hostile relays. Others hold an envelope before they insert it.
    AsRelays,
}

impl MixModel {
    /// The network that the levels page uses as its example: 600 senders and 60 relays.
    #[must_use]
    pub const fn reference() -> Self {
        Self {
            senders: 600,
            relays: 60,
            hostile: 0.2,
            routes: Routes::Layers(5),
            smallest_layer: None,
            guards: 1,
            delay: Duration::from_secs(3),
            payload_rate: 0.45,
            loop_rate: 0.05,
            rendezvous: RendezvousTrust::AllHostile,
            hold: Duration::from_secs(10),
            loss: 0.0,
            grinding: Grinding::None,
            churn: None,
        }
    }

    /// Checks that paths exist.
    ///
    /// # Errors
    ///
    /// The rule that the model breaks.
    pub fn check(&self) -> Result<(), &'static str> {
        let hops = self.routes.hops();
        let rate = self.payload_rate + self.loop_rate;
        match () {
            () if self.senders == 0 => Err("there must be a sender"),
            () if hops == 0 => Err("a path must have a relay"),
            () if self.relays < hops => Err("there must be as many relays as a path has"),
            () if self
                .smallest_layer
                .is_some_and(|smallest| smallest == 0 || smallest > self.relays / hops) =>
            {
                Err("the smallest layer has at least one relay, and at most the mean")
            }
            () if self.guards == 0 => Err("a sender must have a first relay"),
            () if !(0.0..=1.0).contains(&self.hostile) => Err("a share lies between 0 and 1"),
            () if !(0.0..1.0).contains(&self.loss) => Err("a loss lies between 0 and 1"),
            () if !(self.payload_rate > 0.0 && rate.is_finite()) => {
                Err("senders must emit payload")
            }
            () => Ok(()),
        }
    }

    /// Cells that a sender emits per second.
    pub(super) fn rate(&self) -> f64 {
        self.payload_rate + self.loop_rate
    }

    /// Time after which no cell of the start is left, and every sender has emitted some.
    pub(super) fn settling_time(&self) -> Duration {
        // A path takes `hops` delays on average. The gap before a cell is evidence.
        let path = self.delay.saturating_mul(self.routes.hops());
        let gaps = Duration::from_secs(10).div_f64(self.payload_rate);
        path.saturating_mul(6).saturating_add(gaps)
    }
}

impl Routes {
    /// Relays on a path, without the rendezvous.
    #[must_use]
    pub const fn hops(self) -> u32 {
        match self {
            Self::Layers(hops) | Self::EqualLayers(hops) | Self::Free(hops) => hops,
        }
    }
}

/// The least number of relays in a layer, unless the model names one: ten, or five where ten are not likely,
/// or one in the smallest networks. The tables were made with it. The levels accept half of the mean
/// (docs/decisions/0033).
#[must_use]
pub const fn layer_floor(relays: u32, layers: u32) -> u32 {
    match relays / layers {
        10.. => 10,
        5..10 => 5,
        _ => 1,
    }
}

/// The means per hop from which the load of a network selects one, in seconds.
pub const DELAY_CLASSES: [u32; 7] = [1, 2, 3, 5, 8, 12, 20];

/// Waiting cells per relay that the delay class shall reach.
pub const POOL_GOAL: f64 = 60.0;

/// The smallest delay class, in seconds, that reaches [`POOL_GOAL`] where this many cells a second
/// arrive at a relay; the greatest if none does.
#[must_use]
pub fn delay_class(arrival_rate: f64) -> u32 {
    let reaches = |class: &&u32| arrival_rate * f64::from(**class) >= POOL_GOAL;
    let [.., greatest] = DELAY_CLASSES;
    DELAY_CLASSES
        .iter()
        .find(reaches)
        .copied()
        .unwrap_or(greatest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_class_is_smallest_that_fills_the_pool() {
        // 600 senders of 0.5 cells a second at 12 and at 120 relays of a layer.
        assert_eq!(delay_class(25.0), 3);
        assert_eq!(delay_class(2.5), 20);
        assert_eq!(delay_class(60.0), 1);
        assert_eq!(delay_class(0.0), 20);
    }

    #[test]
    fn model_without_paths_is_refused() {
        let mut model = MixModel::reference();
        assert!(model.check().is_ok());
        model.relays = 3;
        assert!(model.check().is_err());
        model.relays = 60;
        model.loss = 1.0;
        assert!(model.check().is_err());
    }
}
