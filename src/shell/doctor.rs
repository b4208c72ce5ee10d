//! Examines a node and its machine: what is wrong, and what to do about it.
//!
//! Each check gives findings. A finding is ok, a warning (the node works, but not as its owner expects),
//! wrong (the node does not do what it is configured to do), or not checked. Nothing is changed, repaired
//! or sent over the network; the only connections are to the Tor daemon of this machine. What needs the
//! running node is judged from its condition, which has what peers report; everything else from files and
//! the system.

mod databases;
mod directory;
mod machine;
mod network;
mod node;
mod reachability;

use std::path::Path;

use serde::Serialize;

use crate::config::Config;
use crate::config::check::FileReport;
use crate::config::file::FileReading;
use crate::config::warnings::{exposures, hints};

pub use node::{NodeCondition, RunningProcess, running_process};

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    /// As it should be.
    Ok,
    /// It could not be examined.
    NotChecked,
    /// The node works, but less well than its owner expects.
    Warning,
    /// The node does not work, or does not do what it is configured to do.
    Wrong,
}

impl CheckResult {
    /// The result in words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotChecked => "not checked",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// Name of the check.
    pub check: &'static str,
    /// How it ended.
    pub result: CheckResult,
    /// What was found.
    pub text: String,
    /// What to do; `None` if nothing has to be done.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, text: impl ToString) -> Self {
        Self::new(check, CheckResult::Ok, text, None)
    }

    fn not_checked(check: &'static str, text: impl ToString) -> Self {
        Self::new(check, CheckResult::NotChecked, text, None)
    }

    fn warning(check: &'static str, text: impl ToString, remedy: impl ToString) -> Self {
        Self::new(check, CheckResult::Warning, text, Some(remedy.to_string()))
    }

    fn wrong(check: &'static str, text: impl ToString, remedy: impl ToString) -> Self {
        Self::new(check, CheckResult::Wrong, text, Some(remedy.to_string()))
    }

    fn new(
        check: &'static str,
        result: CheckResult,
        text: impl ToString,
        remedy: Option<String>,
    ) -> Self {
        Self {
            check,
            result,
            text: text.to_string(),
            remedy,
        }
    }

    /// A finding from an error of this program, whose text is the cause, a semicolon, and the remedy.
    fn of_error(check: &'static str, result: CheckResult, error: impl ToString) -> Self {
        let text = error.to_string();
        match text.split_once("; ") {
            Some((cause, remedy)) => Self::new(check, result, cause, Some(remedy.to_owned())),
            None => Self::new(check, result, text, Some("see docs/doctor.md".to_owned())),
        }
    }
}

/// Examines a configuration: the file's errors, or those of all sources, and what hurts.
#[must_use]
pub fn configuration(
    path: &Path,
    text: Option<&str>,
    built: Result<&Config, String>,
) -> Vec<Finding> {
    const CHECK: &str = "configuration";
    // What the file alone contradicts may be right together with flags and variables.
    let errors = match (text, &built) {
        (None, _) => Vec::new(),
        (Some(text), Ok(_)) => FileReading::of(path, text).errors,
        (Some(text), Err(_)) => FileReport::of(path, text).errors,
    };
    let mut found: Vec<Finding> = errors
        .iter()
        .map(|error| Finding::of_error(CHECK, CheckResult::Wrong, error))
        .collect();
    match built {
        Err(_) if !found.is_empty() => {}
        Err(error) => found.push(Finding::of_error(CHECK, CheckResult::Wrong, error)),
        Ok(config) => {
            found.extend(directory::configuration_file(path, config));
            let warnings = exposures(config).into_iter().chain(hints(config));
            found.extend(warnings.map(|warning| {
                let remedy = format!("see `{}` in `whisht config default`", warning.setting);
                Finding::warning(CHECK, warning.text, remedy)
            }));
        }
    }
    if found.is_empty() {
        let place = if text.is_some() { "file" } else { "defaults" };
        found.push(Finding::ok(CHECK, format!("{place}: {}", path.display())));
    }
    found
}

/// Examines what a node would use, from files and the system.
#[must_use]
pub fn files_and_machine(
    dir: &Path,
    config: &Config,
    process: Option<&RunningProcess>,
) -> Vec<Finding> {
    let mut found = directory::examine(dir, config);
    found.extend(databases::examine(dir));
    found.extend(machine::examine(dir, config, process));
    found.extend(network::examine(config, process.is_some()));
    found
}

/// Judges the condition of the node that answers at the local socket, or that none does.
#[must_use]
pub fn running(
    process: Option<&RunningProcess>,
    condition: Option<&NodeCondition>,
    config: &Config,
) -> Vec<Finding> {
    node::examine(process, condition, config)
}

#[cfg(test)]
mod tests;
