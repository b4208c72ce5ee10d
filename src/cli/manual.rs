//! `whisht manual`: the manual pages, one for each command, made from the declaration of the command line.
//!
//! The pages are named as git names its pages: `whisht.1`, `whisht-run.1`, `whisht-contact-add.1`. A page
//! says what the help text of its command says, and where the rest is explained. It has no date, so that
//! two builds of one commit write equal pages.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::output::Printer;
use super::{Cli, Exit, Failure};

/// Options of `whisht manual`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Existing directory for the pages; pages of the same names are replaced
    directory: PathBuf,
}

/// Writes the pages.
///
/// # Errors
///
/// [`Failure`] if a page cannot be written.
pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut written = 0_usize;
    for page in pages()? {
        let path = args.directory.join(&page.file);
        std::fs::write(&path, &page.text).map_err(|error| unwritten(&path, &error))?;
        written = written.saturating_add(1);
    }
    let printer = Printer {
        json: false,
        local: false,
    };
    let directory = args.directory.display();
    printer.line(format_args!(
        "{written} pages in {directory}; read one with `man -l {directory}/whisht.1`"
    ))?;
    Ok(Exit::Done)
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format_args!(
            "cannot write {}: {error}; name an existing directory that you may write",
            path.display()
        ),
    )
}

/// A manual page.
struct ManualPage {
    /// Name of its file, with the section.
    file: String,
    /// Its source, in roff.
    text: Vec<u8>,
}

/// The page of each command that help shows, the program itself first.
fn pages() -> io::Result<Vec<ManualPage>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    let mut waiting = vec![("whisht".to_owned(), &root)];
    while let Some((name, command)) = waiting.pop() {
        pages.push(page(&name, command)?);
        let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
        let children = shown.map(|child| (format!("{name}-{}", child.get_name()), child));
        waiting.extend(children);
    }
    Ok(pages)
}

/// The page of one command; `name` is the name of the page without its section.
fn page(name: &str, command: &Command) -> io::Result<ManualPage> {
    // A sentence under NAME has no full stop, and the name is that of the page.
    let titled = command.clone().display_name(name.to_owned());
    let manual = Man::new(titled)
        .title(name.to_owned())
        .section(SECTION)
        .source(concat!("whisht ", env!("CARGO_PKG_VERSION")))
        .manual("Manual of whisht");
    let mut text = Vec::new();
    manual.render_title(&mut text)?;
    manual.render_name_section(&mut text)?;
    synopsis(command, &mut text)?;
    manual.render_description_section(&mut text)?;
    if command
        .get_arguments()
        .any(|argument| !argument.is_hide_set())
    {
        manual.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        manual.render_subcommands_section(&mut text)?;
    }
    if name == "whisht" {
        closing_sections(&mut text)?;
    }
    see_also(name, &mut text)?;
    Ok(ManualPage {
        file: format!("{name}.{SECTION}"),
        text,
    })
}

/// How the command is called, as its help text says it: some have fifty options.
fn synopsis(command: &Command, text: &mut impl Write) -> io::Result<()> {
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold(usage.trim_start_matches("Usage: ").trim_end())]);
    roff.to_writer(text)
}

/// The sections of the program that no declaration has.
fn closing_sections(text: &mut impl Write) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_STATUS {
        roff.control("TP", []);
        roff.text([bold(code)]);
        roff.text([roman(meaning)]);
    }
    roff.control("SH", ["FILES"]);
    for (path, content) in FILES {
        roff.control("TP", []);
        roff.text([bold(path)]);
        roff.text([roman(content)]);
    }
    roff.control("SH", ["SIGNALS"]);
    for (signal, meaning) in SIGNALS {
        roff.control("TP", []);
        roff.text([bold(signal)]);
        roff.text([roman(meaning)]);
    }
    roff.to_writer(text)
}

/// Points to the page of the program, and to the documents.
fn see_also(name: &str, text: &mut impl Write) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    if name != "whisht" {
        roff.text([bold("whisht"), roman(format!("({SECTION})"))]);
        roff.control("PP", []);
    }
    roff.text([roman(
        "The pages in /usr/share/doc/whisht: operating.md for settings and limits, install.md for the \
         service, threat-model.md for what a node protects and what not.",
    )]);
    roff.to_writer(text)
}

/// The section of commands.
const SECTION: &str = "1";
/// The exit codes, as docs/operating.md has them.
const EXIT_STATUS: [(&str, &str); 8] = [
    ("0", "Done."),
    (
        "1",
        "Something outside failed: the system, the network, the node.",
    ),
    ("2", "The request is not valid."),
    ("3", "Not confirmed yet; the node keeps trying."),
    (
        "4",
        "The node gave up sending, or the message was cancelled.",
    ),
    ("5", "A privacy rule forbids it, so nothing was done."),
    (
        "6",
        "Locked: the data directory by another process, or an identity by its password.",
    ),
    (
        "7",
        "leaktest found a call that leads out of this machine past Tor.",
    ),
];
/// The files of an installed node.
const FILES: [(&str, &str); 4] = [
    (
        "~/.whisper",
        "The data directory of a node that a user starts; config.toml in it is read.",
    ),
    (
        "/etc/whisht/config.toml",
        "The configuration of the service. Each setting is in it, with its default.",
    ),
    (
        "/var/lib/whisht",
        "The data directory of the service, readable by its user only.",
    ),
    (
        "whisht.ipc",
        "The local socket, in the data directory. The service's is /var/lib/whisht/whisht.ipc; name it \
         with --ipc or in WHISHT_IPC.",
    ),
];
/// The signals of a running node.
const SIGNALS: [(&str, &str); 2] = [
    (
        "SIGTERM, SIGINT",
        "End in order. A relay forwards the cells that it holds first, for at most 15 seconds; a second \
         signal ends at once.",
    ),
    (
        "SIGHUP",
        "Read the configuration file again, if the node has no terminal. Settings that need a restart are \
         named in the log.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_with_name_synopsis_and_options() {
        let pages = pages().unwrap();
        let files: Vec<&str> = pages.iter().map(|page| page.file.as_str()).collect();
        for file in ["whisht.1", "whisht-run.1", "whisht-contact-add.1"] {
            assert!(files.contains(&file), "{file} of {files:?}");
        }
        assert!(
            !files.contains(&"whisht-leaktest-part.1"),
            "a hidden command has no page"
        );
        for page in &pages {
            let text = std::str::from_utf8(&page.text).unwrap();
            for section in [
                ".SH NAME",
                ".SH SYNOPSIS",
                ".SH OPTIONS",
                ".SH \"SEE ALSO\"",
            ] {
                assert!(
                    text.contains(section),
                    "{section} in {}:\n{text}",
                    page.file
                );
            }
        }
    }

    #[test]
    fn exit_codes_of_the_manual_are_those_of_the_page_for_operators() {
        let page = include_str!("../../docs/operating.md");
        let (_, table) = page.split_once("## Exit codes").unwrap();
        let rows = table.lines().filter_map(|line| line.strip_prefix("| "));
        let codes: Vec<&str> = rows
            .filter_map(|row| row.split(' ').next())
            .filter(|code| code.parse::<u8>().is_ok())
            .collect();
        assert_eq!(codes, EXIT_STATUS.map(|(code, _)| code));
    }
}
