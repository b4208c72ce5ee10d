//! The table `[log]`: what a node reports, and where to.

use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;

use super::setting::{One, Place, settings};
use super::value::{BadValue, parsed};
use crate::suggest::closest;

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct LogSettings, "log", "Log", |all| &mut all.log;

    /// Log level: off, error, warn, info, debug or trace, or a filter such as error,whisht=debug
    level: LogFilter = LogFilter::default();
        "log.level" "log-level" "WHISHT_LOG_LEVEL";
        One(parsed), "FILTER" "\"error,whisht=info\"";
        "A filter has `MODULE=LEVEL`, separated by commas. The variable `WHISHT_LOG` overrides it";

    /// Append the log to this file
    file: PathBuf;
        "log.file" "log-file" "WHISHT_LOG_FILE";
        Place, "FILE" "standard error";
        "The file is 0600. A node whose log cannot be written runs on";
}

/// Complete settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogConfig {
    /// Which events are logged.
    pub filter: LogFilter,
    /// The file; `None` for standard error.
    pub file: Option<PathBuf>,
}

impl LogConfig {
    /// Completes settings with defaults.
    #[must_use]
    pub fn build(settings: &LogSettings) -> Self {
        Self {
            filter: settings.level(),
            file: settings.file.clone(),
        }
    }
}

/// Which events are logged: levels, and modules with their levels, separated by commas.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The filter without spaces, as tracing reads it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    /// Errors of all libraries, and what a node reports.
    fn default() -> Self {
        Self("error,whisht=info".to_owned())
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogFilter {
    type Err = BadValue;

    /// Reads a filter strictly: what tracing would take for the name of a module is an error here if it
    /// was probably meant to be a level or one of our modules.
    fn from_str(text: &str) -> Result<Self, BadValue> {
        let directives: Vec<&str> = text.split(',').map(str::trim).collect();
        for directive in &directives {
            check(directive).map_err(|rule| BadValue::new(format_args!("{directive:?} {rule}")))?;
        }
        Ok(Self(directives.join(",")))
    }
}

/// Checks one directive: a level, or a module and its level.
fn check(directive: &str) -> Result<(), String> {
    let (module, level) = match directive.split_once('=') {
        Some((module, level)) => (Some(module), level),
        None => (None, directive),
    };
    if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
        return Err(match closest(level, LEVELS) {
            Some(near) => format!("is not a level; did you mean {near}?"),
            None => format!("is not a level; {FORM}"),
        });
    }
    let Some(module) = module else {
        return Ok(());
    };
    let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if module.is_empty() || !module.chars().all(is_path) {
        return Err(format!("does not begin with the path of a module; {FORM}"));
    }
    let root = module.split("::").next().unwrap_or(module);
    match closest(root, OWN_CRATES) {
        // Other crates log under their own names.
        Some(near) if near != root => Err(format!("names no module; did you mean {near}?")),
        _ => Ok(()),
    }
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const OWN_CRATES: [&str; 4] = ["whisht", "circuits", "whisht_tor", "whisht_watch"];
const FORM: &str = "expected off, error, warn, info, debug or trace, or MODULE=LEVEL such as \
                    whisht::node=debug, separated by commas";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_log_filter_is_refused_with_level_or_module() {
        for (text, part) in [
            ("loud", "expected off, error, warn"),
            ("debgu", "did you mean debug?"),
            ("info,whist=debug", "did you mean whisht?"),
            ("whisht=verbose", "is not a level"),
            ("whisht", "is not a level"),
            ("whisht::node=", "is not a level"),
            ("info,", "is not a level"),
            ("=debug", "path of a module"),
            ("whisht[span]=debug", "path of a module"),
        ] {
            let refused = text.parse::<LogFilter>().unwrap_err().to_string();
            assert!(refused.contains(part), "{text}: {refused}");
        }
        for good in ["debug", "WARN", "error,whisht=info"] {
            assert_eq!(good.parse::<LogFilter>().unwrap().as_str(), good);
        }
        let spaced: LogFilter = "whisht::node=trace, hyper=off".parse().unwrap();
        assert_eq!(spaced.as_str(), "whisht::node=trace,hyper=off");
    }
}
