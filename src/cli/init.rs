//! `whisht init`: asks what a node needs, and writes its configuration.
//!
//! Each question has a default and one sentence for each choice. Without a terminal every answer comes
//! from a flag, and the error names the flags that are missing: a script must not get a setting that its
//! author did not choose. The file is examined before it is written, as `whisht config check` does.

mod answers;
mod choices;
mod forecast;
mod render;

use std::path::{Path, PathBuf};

use serde_json::json;

use self::answers::Answers;
use self::choices::Choices;
use self::forecast::Forecast;
use super::output::{Printer, say};
use super::passwords::PasswordArgs;
use super::{Exit, Failure, GlobalArgs, id};
use crate::config::check::FileReport;
use crate::shell::config_file::{self, ConfigFileError};
use crate::shell::data_dir::DataDir;

/// Options of `whisht init`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    answers: choices::GivenAnswers,
    /// Take the default for every question that no flag answers [default: ask at the terminal]
    #[arg(long)]
    defaults: bool,
    /// Write this file [default: config.toml in the data directory]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Replace an existing file [default: leave it unchanged]
    #[arg(long)]
    force: bool,
}

/// All options of `whisht init`: those of the questions, and those of the password of an identity.
#[derive(Debug, clap::Args)]
pub(super) struct FullArgs {
    #[command(flatten)]
    init: Args,
    #[command(flatten)]
    sealed: PasswordArgs,
}

/// Asks for the settings of a node, and writes them.
///
/// # Errors
///
/// [`Failure`] if an answer is missing, if the answers contradict each other, or if the file exists.
pub(super) fn run(common: &GlobalArgs, args: FullArgs) -> Result<Exit, Failure> {
    let FullArgs { init, sealed } = args;
    let printer = Printer {
        json: common.json,
        local: false,
    };
    let dir = common.data_dir()?;
    let path = init.config.unwrap_or_else(|| dir.join("config.toml"));
    if path.exists() && !init.force {
        return Err(ConfigFileError::Exists { path }.into());
    }
    let mut answers = Answers::new(init.defaults);
    let choices = Choices::ask(&init.answers, &mut answers)?;
    answers.finish()?;
    let text = render::file(&choices);
    examine(&path, &text)?;
    let forecast = Forecast::of(choices.cover(), choices.relays());
    // The directory is made and checked first: the file may be in it.
    drop(DataDir::lock(&dir)?);
    // The identity may fail for want of a password, and a file that exists would refuse the next try.
    if let Some(name) = &choices.identity {
        id::make_key_pair(common, name.clone(), sealed)?;
    }
    config_file::write(&path, &text, init.force)?;
    report(common, printer, &path, &choices, &forecast)?;
    Ok(Exit::Done)
}

/// Refuses answers that contradict each other, in the words of `whisht config check`.
fn examine(path: &Path, text: &str) -> Result<(), Failure> {
    let FileReport { errors, warnings } = FileReport::of(path, text);
    if let Some(error) = errors.first() {
        return Err(Failure::usage(format_args!(
            "these answers do not fit together, and nothing was written: {}",
            error.cause
        )));
    }
    for (_, warning) in warnings {
        say(format_args!("note: {}", warning.text));
    }
    Ok(())
}

/// Shows what was written, what it costs, and what to type next.
fn report(
    common: &GlobalArgs,
    printer: Printer,
    path: &Path,
    choices: &Choices,
    forecast: &Forecast,
) -> Result<(), Failure> {
    let place = render::CommandPlace {
        data_dir: common.data_dir.as_deref(),
        config: (path != common.data_dir()?.join("config.toml")).then_some(path),
    };
    let next = render::next(choices, &place);
    if printer.json {
        printer.value(&json!({
            "config": path,
            "role": choices.role.word(),
            "mb_per_day": forecast,
            "next": next,
        }))?;
        return Ok(());
    }
    printer.line(format_args!("wrote     {}", path.display()))?;
    for line in forecast.lines() {
        printer.line(line)?;
    }
    for (number, command) in next.iter().enumerate() {
        let label = if number == 0 { "next" } else { "then" };
        printer.line(format_args!("{label:10}{command}"))?;
    }
    Ok(())
}

impl From<ConfigFileError> for Failure {
    fn from(error: ConfigFileError) -> Self {
        match error {
            ConfigFileError::Exists { .. } => Self::usage(error),
            ConfigFileError::System { .. } => Self::new(Exit::Failed, error),
        }
    }
}

#[cfg(test)]
mod tests;
