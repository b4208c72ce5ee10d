//! `whisht sim anonymity scatter`, `joint` and `exclusion`: messages of several cells.

use std::io;
use std::time::Duration;

use serde::Serialize;

use super::network::{KnowledgeArgs, NetworkArgs};
use super::{SizeArgs, bits, nothing_traced, percent, share};
use crate::cli::output::Printer;
use crate::cli::{Exit, Failure};
use crate::sim::anonymity::{
    ExclusionStudy, GroupReport, GroupStudy, JointReport, JointStudy, RendezvousChoice, ScoreReport,
};

/// Options of `whisht sim anonymity scatter`.
#[derive(Debug, clap::Args)]
pub(super) struct ScatterArgs {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    knowledge: KnowledgeArgs,
    /// Shards of a message
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=18))]
    shards: u32,
    /// Share of the senders that send messages
    #[arg(long, value_name = "P", default_value_t = 0.1)]
    users: f64,
    /// Messages that each of them sends in an hour
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    messages_per_hour: f64,
    /// Mean time between two dummies of a sender, in seconds; 0 for no dummies
    #[arg(long, value_name = "S", default_value_t = 600)]
    dummies: u64,
    #[command(flatten)]
    size: SizeArgs,
}

/// Options of `whisht sim anonymity joint`.
#[derive(Debug, clap::Args)]
pub(super) struct JointArgs {
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    knowledge: KnowledgeArgs,
    /// Shards of a message
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=18))]
    shards: u32,
    #[command(flatten)]
    size: SizeArgs,
}

/// Options of `whisht sim anonymity exclusion`.
#[derive(Debug, clap::Args)]
pub(super) struct ExclusionArgs {
    /// Number of senders, each of which relays
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    senders: u32,
    /// Cells that are known to belong together
    #[arg(long, value_name = "N", default_value_t = 900)]
    cells: u32,
    /// Relays beside its own that a sender avoids as rendezvous: its guard and peers
    #[arg(long, value_name = "N", default_value_t = 9)]
    avoided: u32,
    /// Senders whose cells are drawn
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    targets: u32,
    /// Seed of everything random; equal seeds give equal runs
    #[arg(long, value_name = "X", default_value_t = 1)]
    seed: u64,
}

impl ScatterArgs {
    pub(super) fn run(&self, json: bool) -> Result<Exit, Failure> {
        let (model, _) = self.network.model(self.size.seed)?;
        if !(self.users > 0.0 && self.users <= 1.0 && self.messages_per_hour >= 0.0) {
            return Err(Failure::usage(
                "a share of users lies between 0 and 1, and a rate is not negative",
            ));
        }
        let study = GroupStudy {
            model,
            knowledge: self.knowledge.knowledge(),
            shards: self.shards,
            users: self.users,
            messages_per_hour: self.messages_per_hour,
            dummies: (self.dummies > 0).then(|| Duration::from_secs(self.dummies)),
            targets: self.size.targets,
            seed: self.size.seed,
        };
        let (scores, _) = self.size.worlds(json, |number| study.world(number))?;
        let report = GroupReport::of(&scores).ok_or_else(nothing_traced)?;
        let scores = [
            ("one envelope", &report.single),
            ("assignment without keys", &report.grouped),
            ("recipient's keys", &report.keys),
        ];
        print_report(json, &report, &scores)?;
        if !json {
            let printer = Printer { json, local: false };
            printer.line(format_args!(
                "candidates around an envelope: {:.1} +- {:.1}",
                report.candidates.mean, report.candidates.plus_minus
            ))?;
        }
        Ok(Exit::Done)
    }
}

impl JointArgs {
    pub(super) fn run(&self, json: bool) -> Result<Exit, Failure> {
        let (model, _) = self.network.model(self.size.seed)?;
        if model.loss > 0.0 || model.churn.is_some() {
            return Err(Failure::usage(
                "a joint trace needs a network without loss and churn; leave out --loss, --online and --relay-churn",
            ));
        }
        let study = JointStudy {
            model,
            knowledge: self.knowledge.knowledge(),
            shards: self.shards,
            targets: self.size.targets,
            seed: self.size.seed,
        };
        let (scores, _) = self.size.worlds(json, |number| study.world(number))?;
        let report = JointReport::of(&scores).ok_or_else(nothing_traced)?;
        let scores = [
            ("product of single traces", &report.product),
            ("joint, consecutive slots", &report.joint),
        ];
        print_report(json, &report, &scores)?;
        Ok(Exit::Done)
    }
}

impl ExclusionArgs {
    pub(super) fn run(&self, json: bool) -> Result<Exit, Failure> {
        let report = |choice| {
            let study = ExclusionStudy {
                senders: self.senders,
                cells: self.cells,
                choice,
                targets: self.targets,
                seed: self.seed,
            };
            study.report().remaining
        };
        let choices = [
            ("any relay", RendezvousChoice::Any),
            ("not the own relay", RendezvousChoice::NotSelf),
            (
                "not the own relay, guard and peers",
                RendezvousChoice::NotSelfNorPeers(self.avoided),
            ),
        ];
        let results = choices.map(|(name, choice)| (name, report(choice)));
        let printer = Printer { json, local: false };
        if json {
            let values: Vec<_> = results
                .iter()
                .map(
                    |(name, remaining)| serde_json::json!({ "rule": name, "remaining": remaining }),
                )
                .collect();
            printer.value(&values)?;
            return Ok(Exit::Done);
        }
        let rows = results.map(|(name, remaining)| [name.to_owned(), bits(remaining)]);
        printer.table(["RENDEZVOUS", "SENDERS LEFT"], &rows, "")?;
        Ok(Exit::Done)
    }
}

/// Prints a report: its scores by adversary as a table, or all of it as JSON.
fn print_report(
    json: bool,
    report: &impl Serialize,
    scores: &[(&str, &ScoreReport)],
) -> io::Result<()> {
    let printer = Printer { json, local: false };
    if json {
        return printer.value(report);
    }
    let rows: Vec<_> = scores
        .iter()
        .map(|(name, score)| row(name, score))
        .collect();
    printer.table(HEADING, &rows, "")
}

fn row(name: &str, score: &ScoreReport) -> [String; 6] {
    [
        name.to_owned(),
        share(score.best_guess),
        share(score.right),
        bits(score.entropy_bits),
        share(score.above_tenth),
        percent(score.calibration),
    ]
}

const HEADING: [&str; 6] = [
    "ADVERSARY",
    "BEST GUESS",
    "RIGHT",
    "ENTROPY",
    "ABOVE 0.1",
    "CALIBRATION",
];
