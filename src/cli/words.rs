//! Twelve words, typed by a user or read from a file, and the address that they restore.
//!
//! A terminal hides the words while they are typed. They are never an argument or a variable.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{Exit, Failure, passwords};
use crate::contact::mnemonic::Mnemonic;
use crate::shell::password;

/// Where the words of an address come from.
#[derive(Debug, clap::Args)]
pub(super) struct WordsArgs {
    /// Take the words from the first line of this file; `-` reads standard input [default: ask]
    #[arg(long, value_name = "FILE")]
    words_file: Option<PathBuf>,
}

impl WordsArgs {
    /// Whether a file is named.
    pub(super) const fn names_file(&self) -> bool {
        self.words_file.is_some()
    }

    /// Reads the words.
    pub(super) fn read(&self) -> Result<Mnemonic, Failure> {
        let text = match &self.words_file {
            Some(path) => password::first_line(path)?,
            None => ask()?,
        };
        Mnemonic::parse(&text).map_err(Failure::usage)
    }
}

/// Refuses to show new words where a file could keep them.
///
/// # Errors
///
/// [`Failure`] if standard output is not a terminal, or if JSON is asked for.
pub(super) fn refuse_without_terminal(json: bool) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() || json {
        return Err(Failure::usage(
            "the words are shown on a terminal only, so that no file keeps them; run the command there \
             without --json, or leave out the option",
        ));
    }
    Ok(())
}

/// Shows the words in one row of the terminal each, with their numbers.
///
/// # Errors
///
/// [`Failure`] if the output cannot be written.
pub(super) fn show_words(words: &Mnemonic) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    for (number, word) in (1_u8..).zip(words.words()) {
        writeln!(stdout, "  {number:>2} {word}")?;
    }
    Ok(stdout.flush()?)
}

fn ask() -> Result<Zeroizing<String>, Failure> {
    if !passwords::can_ask() {
        return Err(Failure::usage(
            "the 12 words are needed, and there is no terminal for a prompt; name their file with \
             --words-file",
        ));
    }
    let typed = rpassword::prompt_password("the 12 words, on one line; they are not shown: ");
    typed.map(Zeroizing::new).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format_args!("cannot read the words: {error}; name their file with --words-file"),
        )
    })
}
