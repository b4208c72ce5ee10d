//! `whisht config default`: a commented configuration file.

use std::io::Write;

use serde::Serialize;

use crate::cli::output::Printer;
use crate::cli::{Exit, Failure};
use crate::config::tables;
use crate::config::template::template;

/// A setting, for programs.
#[derive(Debug, Serialize)]
struct SettingReport {
    key: &'static str,
    flag: String,
    variable: Option<&'static str>,
    help: &'static str,
    /// The default: TOML if `fixed`, words otherwise.
    default: &'static str,
    fixed: bool,
}

/// Prints every setting with its help text and its default.
///
/// # Errors
///
/// [`Failure`] if standard output cannot be written.
pub(super) fn run(printer: Printer) -> Result<Exit, Failure> {
    if !printer.json {
        // A file: its lines are not wrapped for the terminal.
        std::io::stdout().lock().write_all(template().as_bytes())?;
        return Ok(Exit::Done);
    }
    let settings = tables().into_iter().flat_map(|table| table.settings);
    let report: Vec<SettingReport> = settings
        .map(|setting| SettingReport {
            key: setting.names.key,
            flag: format!("--{}", setting.names.flag),
            variable: Some(setting.names.env).filter(|name| !name.is_empty()),
            help: setting.texts()[0],
            default: setting.default_text(),
            fixed: setting.default_value().is_some(),
        })
        .collect();
    printer.value(&report)?;
    Ok(Exit::Done)
}
