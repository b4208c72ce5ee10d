//! `whisht sim anonymity table`: the figures that a node shows to its user, as tab-separated values.
//!
//! A row is printed as soon as it is measured, so that an interrupted run keeps what it has.

use super::run_worlds;
use crate::cli::output::Printer;
use crate::cli::sim::progress::{Interruption, Progress};
use crate::cli::{Exit, Failure};
use crate::sim::anonymity::{AnonymityReport, ProtectionRow, TABLE_COLUMNS, table_studies};

/// Options of `whisht sim anonymity table`.
#[derive(Debug, clap::Args)]
pub(in crate::cli::sim) struct Args {
    /// Number of worlds of each row; a quarter of them for linked messages
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    worlds: u32,
    /// Cells that are traced in each world
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..))]
    targets: u32,
    /// Measure only the first N studies
    #[arg(long, value_name = "N")]
    studies: Option<u32>,
    /// Seed of everything random; equal seeds give equal tables
    #[arg(long, value_name = "X", default_value_t = 1)]
    seed: u64,
}

/// Measures and prints the table.
///
/// # Errors
///
/// [`Failure`] if the output cannot be written.
pub(super) fn run(json: bool, args: &Args) -> Result<Exit, Failure> {
    let stop = Interruption::watch()?;
    let printer = Printer { json, local: false };
    let mut studies = table_studies(args.seed, args.targets);
    if let Some(first) = args.studies {
        studies.truncate(usize::try_from(first).unwrap_or(usize::MAX));
    }
    let count = u64::try_from(studies.len()).unwrap_or(u64::MAX);
    let progress = Progress::new(json, count, "studies");
    if !json {
        printer.line(&format!(
            "# whisht sim anonymity table --worlds {} --targets {} --seed {}",
            args.worlds, args.targets, args.seed
        ))?;
        printer.line(&TABLE_COLUMNS.join("\t"))?;
    }
    for (done, (rule, study)) in (1..).zip(studies) {
        let worlds = if study.linked > 1 {
            args.worlds.div_ceil(4)
        } else {
            args.worlds
        };
        let scores = run_worlds(worlds, &stop, |number| study.world(number));
        if stop.is_wanted() {
            break;
        }
        let Some(report) = AnonymityReport::of(&scores) else {
            continue;
        };
        // Single messages have a study of their own, with more targets.
        let fewer = report.fewer.iter().filter(|fewer| fewer.linked > 1);
        for success in fewer.chain([&report.most]) {
            let row = ProtectionRow {
                senders: study.model.senders,
                relays: study.model.relays,
                rule,
                dark: rule.allows_dark(study.model.relays),
                hostile: study.model.hostile,
                knowledge: study.knowledge,
                worlds: report.worlds,
                success: *success,
            };
            if json {
                printer.value(&row)?;
            } else {
                printer.line(&row.values().join("\t"))?;
            }
        }
        progress.reached(done);
    }
    progress.finish();
    Ok(Exit::Done)
}
