//! `whisht sim receiver`: whether peers can tell the recipient of an envelope from a bystander.

use serde::Serialize;

use super::progress::{Interruption, Progress};
use crate::cli::output::{Printer, grouped};
use crate::cli::{Exit, Failure};
use crate::sim::{ReceiverReport, ReceiverStudy};

/// Options of `whisht sim receiver`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Number of nodes
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(4..=1_000))]
    nodes: u32,
    /// Number of envelopes, half of them for the watched node
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    envelopes: u32,
    /// Envelopes per second, of all nodes together
    #[arg(long, value_name = "R", default_value_t = 20.0, value_parser = rate)]
    rate: f64,
    /// Seed of everything random; equal seeds give equal runs
    #[arg(long, value_name = "X", default_value_t = 1)]
    seed: u64,
}

/// Runs the study.
///
/// # Errors
///
/// [`Failure`] if a node refuses a message.
pub(super) fn run(json: bool, args: &Args) -> Result<Exit, Failure> {
    let stop = Interruption::watch()?;
    let progress = Progress::new(json, args.envelopes.into(), "envelopes");
    progress.phase("envelopes are forwarded");
    let count = |number: u32| usize::try_from(number).map_err(Failure::usage);
    let study = ReceiverStudy {
        nodes: count(args.nodes)?,
        envelopes: count(args.envelopes)?,
        per_second: args.rate,
        seed: args.seed,
    };
    let report = study.run(|envelopes| {
        progress.reached(u64::try_from(envelopes).unwrap_or(u64::MAX));
        !stop.is_wanted()
    })?;
    progress.finish();
    let outcome = Outcome {
        report,
        interrupted: stop.is_wanted(),
    };
    outcome.print(Printer { json, local: !json })?;
    Ok(Exit::Done)
}

/// Reads a number of envelopes per second.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    let rate = rate.filter(|rate| (0.001..=1_000.0).contains(rate));
    rate.ok_or_else(|| format!("expected a number from 0.001 to 1000, not {text:?}"))
}

/// A report.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    report: ReceiverReport,
    /// Whether the user stopped it early.
    interrupted: bool,
}

impl Outcome {
    fn print(&self, printer: Printer) -> Result<(), Failure> {
        if printer.json {
            return Ok(printer.value(self)?);
        }
        let ReceiverReport {
            nodes,
            envelopes,
            own,
            decrypted,
            advantage,
            ..
        } = self.report;
        let count = |count: usize| grouped(u64::try_from(count).unwrap_or(u64::MAX));
        let rows = [
            ("nodes", count(nodes)),
            ("envelopes forwarded by the watched node", count(envelopes)),
            ("for the watched node", count(own)),
            ("decrypted", count(decrypted)),
            ("envelopes scored", grouped(advantage.scored.into())),
            (
                "advantage over a blind guess",
                format!("{:.4} +- {:.4}", advantage.value, advantage.plus_minus),
            ),
        ];
        let rows = rows.map(|(name, value)| [name.to_owned(), value]);
        Ok(printer.table(["FIGURE", "VALUE"], &rows, "")?)
    }
}
