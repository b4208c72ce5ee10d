//! `whisht config check`: all errors of a configuration file.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::output::Printer;
use crate::cli::{Exit, Failure, GlobalArgs};
use crate::config::check::FileReport;

/// Options of `whisht config check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file [default: config.toml in the data directory]
    file: Option<PathBuf>,
}

/// Lists errors and warnings, each with its line. Flags and variables are left aside.
///
/// # Errors
///
/// [`Failure`] if the file cannot be read, or standard output cannot be written.
pub(super) fn run(common: &GlobalArgs, printer: Printer, args: &Args) -> Result<Exit, Failure> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => common.data_dir()?.join("config.toml"),
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::usage(format_args!(
            "cannot read {}: {error}; name another file, or write one with `whisht init`",
            path.display()
        ))
    })?;
    let FileReport { errors, warnings } = FileReport::of(&path, &text);
    let exit = if errors.is_empty() {
        Exit::Done
    } else {
        Exit::Usage
    };
    if printer.json {
        let errors: Vec<_> = errors
            .iter()
            .map(|error| json!({"line": error.line, "cause": error.cause}))
            .collect();
        let warnings: Vec<_> = warnings
            .iter()
            .map(|(line, warning)| {
                json!({"line": line, "setting": warning.setting, "text": warning.text})
            })
            .collect();
        printer.value(&json!({"file": path, "errors": errors, "warnings": warnings}))?;
        return Ok(exit);
    }
    for error in &errors {
        printer.line(error)?;
    }
    for (line, warning) in &warnings {
        let place = match line {
            Some(line) => format!("{}:{line}", path.display()),
            None => path.display().to_string(),
        };
        printer.line(format_args!("{place}: warning: {}", warning.text))?;
    }
    printer.line(match (errors.len(), warnings.len()) {
        (0, 0) => "no error".to_owned(),
        (0, warnings) => format!("no error; settings to look at: {warnings}"),
        (errors, _) => format!("errors: {errors}"),
    })?;
    Ok(exit)
}
