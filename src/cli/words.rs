//! Twelve words, typed by a user or read from a file, and the address that they restore.
//!
//! A terminal hides the words while they are typed. They are never an argument or a variable.

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
    /// Reads the words.
    pub(super) fn read(&self) -> Result<Mnemonic, Failure> {
        let text = match &self.words_file {
            Some(path) => password::first_line(path)?,
            None => ask()?,
        };
        Mnemonic::parse(&text).map_err(Failure::usage)
    }
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
