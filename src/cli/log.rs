//! The log of a node: as text, or as one object of JSON per line under `--json`.
//!
//! A line on a terminal or in a file has the time in UTC, to the minute: finer times help who seizes a log
//! more than who reads it. For the system's journal a line begins with its priority instead, as
//! `sd-daemon(3)` describes, and the journal adds the time itself.

use std::fmt;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::Failure;
use crate::config::log::{LogConfig, LogFilter};
use crate::shell::log_output::{LogWriter, log_to};

/// Starts the log. If its file cannot be opened, the log goes to standard error, and a warning says why: a
/// node must not stay down for lack of a log.
///
/// # Errors
///
/// [`Failure`] if `WHISHT_LOG` is not a filter.
pub(super) fn start(json: bool, config: &LogConfig) -> Result<(), Failure> {
    let filter = overridden(&config.filter)?;
    let opened = config.file.as_deref().map(log_to);
    let to_file = matches!(opened, Some(Ok(())));
    let style = match (json, to_file) {
        (true, _) => Style::Json,
        (false, false) if is_journal() => Style::Journal,
        (false, _) => Style::Text,
    };
    let is_plain = to_file || !io::stderr().is_terminal() || std::env::var_os("NO_COLOR").is_some();
    let logger = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter.as_str()))
        .with_writer(|| LogWriter)
        .with_ansi(style == Style::Text && !is_plain)
        .log_internal_errors(false)
        .event_format(style)
        .with_filter_reloading();
    let filter = logger.reload_handle();
    // Fails only if a logger was set before, which then stays in use.
    if logger.try_init().is_ok() {
        // Set once, as the logger is.
        let _ = FILTER.set(Box::new(move |new| filter.reload(new).is_ok()));
    }
    if let Some(Err(error)) = opened {
        tracing::warn!(%error, "cannot open log.file; the log goes to standard error");
    }
    Ok(())
}

/// Logs by another filter from now on, unless the variable `WHISHT_LOG` decides. Whether the filter has been
/// taken over.
pub(super) fn set_filter(filter: &LogFilter) -> bool {
    if is_overridden() {
        return false;
    }
    let set = FILTER.get();
    set.is_some_and(|set| set(EnvFilter::new(filter.as_str())))
}

/// Whether the variable decides about the filter.
fn is_overridden() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|text| !text.is_empty())
}

/// Sets the filter of the logger of this process.
static FILTER: OnceLock<Box<dyn Fn(EnvFilter) -> bool + Send + Sync>> = OnceLock::new();

/// The filter of the variable, or else that of the settings.
fn overridden(filter: &LogFilter) -> Result<LogFilter, Failure> {
    match std::env::var_os(VARIABLE) {
        Some(text) if !text.is_empty() => {
            let text = text.to_string_lossy();
            let named = text.parse();
            named.map_err(|rule| Failure::usage(format_args!("{VARIABLE}={text}: {rule}")))
        }
        _ => Ok(filter.clone()),
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

/// The time in UTC, in whole minutes: `2026-01-31T23:59Z`.
fn utc_minutes() -> String {
    let mut precise = String::new();
    // Fails only if the text cannot grow.
    let _ = SystemTime.format_time(&mut Writer::new(&mut precise));
    let minutes = precise.get(..MINUTES_LEN).unwrap_or(&precise);
    format!("{minutes}Z")
}

/// How a line is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Style {
    /// One object of JSON.
    Json,
    /// Priority and text.
    Journal,
    /// Time, level and text.
    Text,
}

impl<S, N> FormatEvent<S, N> for Style
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        match self {
            Self::Json => {
                let mut fields = JsonFields(Map::new());
                fields.put("time", utc_minutes().into());
                fields.put("level", level.as_str().to_ascii_lowercase().into());
                event.record(&mut fields);
                return writeln!(writer, "{}", Value::Object(fields.0));
            }
            Self::Journal => write!(writer, "<{}>", priority(level))?,
            Self::Text if writer.has_ansi_escapes() => {
                let colour = colour(level);
                let time = utc_minutes();
                write!(
                    writer,
                    "\x1b[2m{time}\x1b[0m \x1b[{colour}m{level:>5}\x1b[0m "
                )?;
            }
            Self::Text => write!(writer, "{} {level:>5} ", utc_minutes())?,
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// The priority of syslog(3).
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The colour of a level on a terminal.
const fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
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

/// The variable with a filter.
const VARIABLE: &str = "WHISHT_LOG";
/// Length of a time without its seconds.
const MINUTES_LEN: usize = "2026-01-31T23:59".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_time_is_utc_to_the_minute() {
        let time = utc_minutes();
        assert_eq!(time.len(), "2026-01-31T23:59Z".len());
        assert!(
            time.ends_with('Z') && time.contains('T') && !time.contains('.'),
            "{time}"
        );
    }

    #[test]
    fn journal_line_begins_with_the_priority_of_its_level() {
        let (text, writer) = shared();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(writer)
            .with_ansi(false)
            .with_max_level(Level::TRACE)
            .event_format(Style::Journal)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("a");
            tracing::warn!(times = 2, "b");
            tracing::info!("c");
            tracing::debug!("d");
        });
        let text = text.lock().unwrap();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(text, "<3>a\n<4>b times=2\n<6>c\n<7>d\n");
    }

    type Shared = std::sync::Arc<std::sync::Mutex<Vec<u8>>>;

    /// A text, and a maker of writers that append to it.
    fn shared() -> (Shared, impl Fn() -> SharedWriter + Send + Sync + 'static) {
        let text = Shared::default();
        let own = text.clone();
        (text, move || SharedWriter(own.clone()))
    }

    struct SharedWriter(Shared);

    impl io::Write for SharedWriter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
