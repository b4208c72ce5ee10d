//! The log of a node, on standard error: as text, or as one object of JSON per line under `--json`.
//!
//! A line has the time in UTC, unless the system's journal reads standard error and adds the time
//! itself. Fractions of a second are left out: they help who seizes a log file more than who reads it.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Failure;
use crate::suggest::closest;

/// Starts the log. A line that cannot be written is lost, and stops nothing: the writer reports no
/// error, because the logger would answer one by printing to the same standard error, which panics.
///
/// # Errors
///
/// [`Failure`] if `WHISHT_LOG` is not a filter.
pub(super) fn start(json: bool) -> Result<(), Failure> {
    let filter = match std::env::var_os(VARIABLE) {
        None => EnvFilter::new(DEFAULT_FILTER),
        Some(text) if text.is_empty() => EnvFilter::new(DEFAULT_FILTER),
        Some(text) => filter(&text.to_string_lossy())?,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LossyWriter(io::stderr()))
        .log_internal_errors(false)
        .with_target(false);
    let coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Fails only if a logger was set before, which then stays in use.
    let _ = if json {
        subscriber.event_format(JsonLines).try_init()
    } else if is_journal() {
        subscriber.with_ansi(coloured).without_time().try_init()
    } else {
        subscriber
            .with_ansi(coloured)
            .with_timer(UtcSeconds)
            .try_init()
    };
    Ok(())
}

/// Reads a filter strictly: what tracing would take for the name of a module is an error here if it was
/// probably meant to be a level or one of our modules.
fn filter(text: &str) -> Result<EnvFilter, Failure> {
    let directives: Vec<&str> = text.split(',').map(str::trim).collect();
    for directive in &directives {
        check(directive).map_err(|rule| {
            Failure::usage(format_args!("{VARIABLE}={text}: {directive:?} {rule}"))
        })?;
    }
    // tracing accepts no spaces.
    EnvFilter::try_new(directives.join(","))
        .map_err(|error| Failure::usage(format_args!("{VARIABLE}={text}: {error}; {FORM}")))
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

/// Whether standard error is the journal: the variable then has its device and its inode.
fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let stderr = io::stderr().as_fd().try_clone_to_owned();
    let metadata = stderr.and_then(|stderr| std::fs::File::from(stderr).metadata());
    metadata.is_ok_and(|file| named == format!("{}:{}", file.dev(), file.ino()))
}

/// The time in UTC, in whole seconds: `2026-01-31T23:59:59Z`.
struct UtcSeconds;

impl FormatTime for UtcSeconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{}", utc_seconds())
    }
}

fn utc_seconds() -> String {
    let mut precise = String::new();
    // Fails only if the text cannot grow.
    let _ = SystemTime.format_time(&mut Writer::new(&mut precise));
    let seconds = precise.get(..SECONDS_LEN).unwrap_or(&precise);
    format!("{seconds}Z")
}

/// One object for each line.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = JsonFields(Map::new());
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        fields.put("time", utc_seconds().into());
        fields.put("level", level.into());
        event.record(&mut fields);
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

/// The fields of an event.
struct JsonFields(Map<String, Value>);

impl JsonFields {
    fn put(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for JsonFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }
}

/// A writer that loses what cannot be written.
struct LossyWriter<W>(W);

impl<W: Write> Write for LossyWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The line is lost if the disk is full or the reader is gone.
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// The variable with the filter.
const VARIABLE: &str = "WHISHT_LOG";
/// Errors of all libraries, and what a node reports.
const DEFAULT_FILTER: &str = "error,whisht=info";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const OWN_CRATES: [&str; 4] = ["whisht", "circuits", "whisht_tor", "whisht_watch"];
const FORM: &str = "expected off, error, warn, info, debug or trace, or MODULE=LEVEL such as \
                    whisht::node=debug, separated by commas";
/// Length of a time without its fraction.
const SECONDS_LEN: usize = "2026-01-31T23:59:59".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_line_that_cannot_be_written_is_lost_without_an_error() {
        let full = || {
            std::fs::File::options()
                .write(true)
                .open("/dev/full")
                .unwrap()
        };
        let failed = full().write(b"line").unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::StorageFull);
        let mut log = LossyWriter(full());
        assert_eq!(log.write(b"line").unwrap(), 4);
        log.flush().unwrap();
    }

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
            let refused = format!("{:?}", filter(text).unwrap_err());
            assert!(refused.contains(part), "{text}: {refused}");
        }
        for good in [
            "debug",
            "WARN",
            "error,whisht=info",
            "whisht::node=trace, hyper=off",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn log_time_is_utc_without_a_fraction() {
        let time = utc_seconds();
        assert_eq!(time.len(), "2026-01-31T23:59:59Z".len());
        assert!(
            time.ends_with('Z') && time.contains('T') && !time.contains('.'),
            "{time}"
        );
    }
}
