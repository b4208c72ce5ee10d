//! The options that describe a modelled network, for all studies of anonymity.

use std::time::Duration;

use crate::cli::Failure;
use crate::sim::anonymity::{
    ChurnModel, DelayRule, Grinding, Knowledge, MixModel, RendezvousTrust, Routes,
};

/// Options of the network.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Network")]
pub(in crate::cli::sim) struct NetworkArgs {
    /// Number of honest senders
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    senders: u32,
    /// Number of relays, hostile ones included
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    relays: u32,
    /// Share of the relays that disclose which cell became which
    #[arg(long, value_name = "F", default_value_t = 0.2, value_parser = share)]
    hostile: f64,
    /// Relays on a path, without the rendezvous
    #[arg(long, value_name = "H", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    hops: u32,
    /// Choose each relay of a path among all, not within its layer
    #[arg(long, conflicts_with_all = ["equal_layers", "grinding"])]
    free_routes: bool,
    /// Give all layers the same size, not the random sizes that hashes of keys give
    #[arg(long)]
    equal_layers: bool,
    /// Draw networks whose smallest layer has exactly N relays
    #[arg(long, value_name = "N", conflicts_with_all = ["equal_layers", "free_routes"])]
    smallest_layer: Option<u32>,
    /// Let hostile relays choose their layers: first, or inner
    #[arg(long, value_name = "LAYERS", value_parser = grinding)]
    grinding: Option<Grinding>,
    /// First relays that each sender uses
    #[arg(long, value_name = "G", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    guards: u32,
    /// Mean delay at each relay, in seconds [default: the class that the load of the network selects]
    #[arg(long, value_name = "S", value_parser = seconds)]
    delay: Option<f64>,
    /// Mean hold of an envelope at an honest rendezvous, in seconds
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    hold: f64,
    /// Payload cells, cover included, that each sender emits per second
    #[arg(long, value_name = "R", default_value_t = 0.45)]
    payload_rate: f64,
    /// Loops that each sender emits per second
    #[arg(long, value_name = "R", default_value_t = 0.05)]
    loop_rate: f64,
    /// Share of the cells that each relay loses
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    loss: f64,
    /// Let only hostile relays be hostile rendezvous; without it every rendezvous is hostile
    #[arg(long)]
    honest_rendezvous: bool,
    /// Share of the time for which a sender is online; it comes and goes between two linked messages
    #[arg(long, value_name = "P", value_parser = share)]
    online: Option<f64>,
    /// Share of the relays that are replaced between two linked messages
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    relay_churn: f64,
}

/// Options of the adversary's knowledge.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Adversary")]
pub(in crate::cli::sim) struct KnowledgeArgs {
    /// Let the adversary recognise loops: an upper bound for every passive adversary
    #[arg(long)]
    loops_known: bool,
    /// Let the adversary infer the positions of cells on their paths, which it otherwise knows
    #[arg(long, conflicts_with_all = ["loops_known", "honest_rendezvous"])]
    positions_hidden: bool,
}

impl NetworkArgs {
    /// The network, and what the rule of the delay class gives for it.
    pub(super) fn model(&self, seed: u64) -> Result<(MixModel, DelayRule), Failure> {
        let routes = match (self.free_routes, self.equal_layers) {
            (true, _) => Routes::Free(self.hops),
            (_, true) => Routes::EqualLayers(self.hops),
            _ => Routes::Layers(self.hops),
        };
        let mut model = MixModel {
            senders: self.senders,
            relays: self.relays,
            hostile: self.hostile,
            routes,
            smallest_layer: self.smallest_layer,
            guards: self.guards,
            delay: Duration::from_secs(1),
            payload_rate: self.payload_rate,
            loop_rate: self.loop_rate,
            rendezvous: if self.honest_rendezvous {
                RendezvousTrust::AsRelays
            } else {
                RendezvousTrust::AllHostile
            },
            hold: Duration::from_secs_f64(self.hold),
            loss: self.loss,
            grinding: self.grinding.unwrap_or(Grinding::None),
            churn: None,
        };
        model.check().map_err(Failure::usage)?;
        let rule = DelayRule::of(&model, seed);
        let delay = self.delay.unwrap_or_else(|| rule.delay_seconds.into());
        model.delay = Duration::from_secs_f64(delay);
        model.churn = self.churn(&model);
        Ok((model, rule))
    }

    fn churn(&self, model: &MixModel) -> Option<ChurnModel> {
        if self.online.is_none() && self.relay_churn <= 0.0 {
            return None;
        }
        let path = model.delay.saturating_mul(self.hops);
        Some(ChurnModel {
            online: self.online.unwrap_or(1.0).max(0.01),
            session: path.saturating_mul(SESSION_PATHS),
            day: path.saturating_mul(DAY_PATHS),
            relays_replaced: self.relay_churn,
        })
    }
}

impl KnowledgeArgs {
    pub(super) const fn knowledge(&self) -> Knowledge {
        match (self.loops_known, self.positions_hidden) {
            (true, _) => Knowledge::Loops,
            (_, true) => Knowledge::Links,
            _ => Knowledge::Positions,
        }
    }
}

/// Reads a delay.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok();
    let seconds = seconds.filter(|seconds| (0.001..=3_600.0).contains(seconds));
    seconds.ok_or_else(|| format!("expected seconds from 0.001 to 3600, not {text:?}"))
}

/// Reads a share.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok();
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("expected a share from 0 to 1, not {text:?}"))
}

/// Reads the layers that hostile relays choose.
fn grinding(text: &str) -> Result<Grinding, String> {
    match text {
        "first" => Ok(Grinding::FirstLayer),
        "inner" => Ok(Grinding::InnerLayers),
        _ => Err(format!("expected `first` or `inner`, not {text:?}")),
    }
}

/// Mean time for which a sender stays online, in times of a path: the path is short beside it.
const SESSION_PATHS: u32 = 8;
/// Time between two linked messages, in times of a path: senders come and go between them.
const DAY_PATHS: u32 = 20;
