//! `whisht support-bundle`: what a developer needs to know about a fault, in one text file.
//!
//! The content is shown before it is written. It has the doctor's findings, the version, settings, a coarse
//! status and, if asked for, the last lines of a log. It has no address, key, topic or name: values of
//! settings are shown only where they are words of this program or numbers, and everything else passes
//! the scrubber, which replaces what could be one.

mod scrub;

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use self::scrub::Scrubber;
use super::config::show::{self, EffectiveSetting};
use super::doctor::DoctorReport;
use super::new_file::{Readers, write_new};
use super::output::{Printer, say};
use super::passwords::can_ask;
use super::version::BuildInfo;
use super::{Exit, Failure, GlobalArgs};
use crate::config::{Form, tables};
use crate::node::{LISTED, StatusView};

/// Options of `whisht support-bundle`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "whisht-support.txt")]
    output: PathBuf,
    /// Show the content, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Write without asking [default: ask]
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Add the last 200 lines of this log file [default: no log]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    #[command(flatten)]
    settings: show::ShowArgs,
}

/// Shows the content of a bundle, and writes it.
///
/// # Errors
///
/// [`Failure`] if a file cannot be read or written, or the user does not agree.
pub(super) fn run(common: &GlobalArgs, args: Args) -> Result<Exit, Failure> {
    let log = args.log.as_deref().map(last_lines).transpose()?;
    let report = DoctorReport::make(common, args.settings)?;
    let scrubber = Scrubber::for_directory(&report.dir);
    let text = content(&report, log.as_deref(), &scrubber);
    let printer = Printer {
        json: common.json,
        local: false,
    };
    if printer.json {
        printer.value(&serde_json::json!({"content": text, "output": args.output}))?;
    } else {
        io::stdout().lock().write_all(text.as_bytes())?;
    }
    if args.dry_run {
        return Ok(Exit::Done);
    }
    if !args.yes {
        confirm(&args.output)?;
    }
    write_new(&args.output, text.as_bytes(), Readers::Owner)?;
    say(format_args!("wrote {}", args.output.display()));
    Ok(Exit::Done)
}

fn confirm(path: &Path) -> Result<(), Failure> {
    if !can_ask() {
        return Err(Failure::usage(
            "there is no terminal for the question; use --yes to write what is shown, or --dry-run",
        ));
    }
    say(format_args!(
        "this is all that {} would contain; nothing is sent. Type `yes` to write it:",
        path.display()
    ));
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed)?;
    if typed.trim() == "yes" {
        Ok(())
    } else {
        Err(Failure::usage("nothing was written"))
    }
}

/// The text of the bundle.
fn content(report: &DoctorReport, log: Option<&str>, scrubber: &Scrubber) -> String {
    let mut text =
        String::from("whisht support bundle, without addresses, keys, topics and names\n");
    push(&mut text, &BuildInfo::this().line());
    section(&mut text, "doctor");
    for line in report.lines() {
        push(&mut text, &scrubber.scrub(&line));
    }
    section(&mut text, "settings that differ from the defaults");
    for setting in report.settings.iter().filter(|setting| !setting.is_default) {
        push(&mut text, &format!("{} = {}", setting.key, shown(setting)));
    }
    section(&mut text, "status");
    match &report.status {
        None => push(&mut text, "no node answers"),
        Some(status) => {
            for line in coarse(status) {
                push(&mut text, &scrubber.scrub(&line));
            }
        }
    }
    if let Some(log) = log {
        section(&mut text, "log");
        for line in log.lines() {
            push(&mut text, &scrubber.scrub(line));
        }
    }
    text
}

fn section(text: &mut String, title: &str) {
    text.push_str(&format!("\n== {title}\n"));
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// The value of a setting, if it is a number, a switch or a word of this program.
fn shown(setting: &EffectiveSetting) -> &str {
    let tables = tables();
    let mut all = tables.iter().flat_map(|table| &table.settings);
    let declared = all.find(|declared| declared.names.key == setting.key);
    let is_plain = declared.is_some_and(|declared| {
        matches!(declared.form, Form::Number | Form::Switch) || WORDS.contains(&setting.key)
    });
    match &setting.value {
        Some(value) if is_plain && setting.key != "console.port" => value,
        _ => "(set, not shown)",
    }
}

/// The status in powers of two, without anything that names a peer or a relay.
fn coarse(status: &StatusView) -> Vec<String> {
    let mut lines = vec![
        format!("profile {}", status.profile.label()),
        format!("level {}", status.level),
        format!("up about {} hours", rounded(status.uptime_secs / 3_600)),
        format!("peers about {}", of(status.peers)),
        format!("peers with onion/1 about {}", of(status.dark_peers)),
        format!(
            "named peers without a connection about {}",
            of(status.unreached_peers.len())
        ),
        format!(
            "relays about {}, usable about {}",
            of(status.relays),
            of(status.eligible_relays)
        ),
        format!("directory {:?}", status.directory),
        format!(
            "relaying {}, listed {}",
            status.relay,
            status.listed == LISTED
        ),
        format!("tor {}", status.tor),
        format!("pool about {} MB", of(status.pool_bytes >> 20)),
        format!("cells forwarded about {}", rounded(status.cells_forwarded)),
        format!("cells dropped about {}", rounded(status.cells_dropped)),
        format!("packets dropped about {}", rounded(status.packets_dropped)),
        format!(
            "envelopes left untried about {}",
            rounded(status.pool_untried)
        ),
        format!("state locked {}", status.state_locked),
    ];
    let levels = status.levels.iter();
    lines.extend(levels.map(|level| {
        let missing = level.missing.as_deref().unwrap_or("available");
        format!("level {}: {missing}", level.level)
    }));
    lines
}

fn of(count: usize) -> u64 {
    rounded(u64::try_from(count).unwrap_or(u64::MAX))
}

/// The next power of two; 0 stays.
const fn rounded(number: u64) -> u64 {
    match number {
        0 => 0,
        number => match number.checked_next_power_of_two() {
            Some(power) => power,
            None => u64::MAX,
        },
    }
}

/// The last lines of a log file.
fn last_lines(path: &Path) -> Result<String, Failure> {
    let end = read_end(path).map_err(|error| {
        Failure::usage(format_args!(
            "cannot read {}: {error}; name another file with --log",
            path.display()
        ))
    })?;
    let text = String::from_utf8_lossy(&end);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(MAX_LOG_LINES);
    Ok(lines.get(first..).unwrap_or_default().join("\n"))
}

/// The end of a file from the start of a line on: a log may be larger than the memory. A pipe is read as a whole.
fn read_end(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    // One byte more, which shows whether a line starts there.
    let start = file.metadata()?.len().saturating_sub(MAX_LOG_BYTES + 1);
    if start > 0 {
        file.seek(SeekFrom::Start(start))?;
    }
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    if start > 0 {
        let first = end.iter().position(|byte| *byte == b'\n');
        end.drain(..first.map_or(end.len(), |first| first.saturating_add(1)));
    }
    Ok(end)
}

/// Settings whose values are words of this program.
const WORDS: [&str; 6] = [
    "contact.card-level",
    "cover",
    "level",
    "pow-generation",
    "profile",
    "tor.mode",
];
const MAX_LOG_LINES: usize = 200;
/// Bytes at the end of a log that are read: 1 MiB.
const MAX_LOG_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests;
