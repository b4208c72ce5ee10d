//! Questions at the terminal: text, default, and a rule that each answer is checked by.

use std::io::{self, BufRead, Write};

use crate::cli::output::say;
use crate::cli::passwords::can_ask;
use crate::cli::{Exit, Failure};

/// A question.
pub(super) struct Question<'a> {
    /// The flag that answers it, without hyphens.
    pub(super) flag: &'static str,
    /// What is asked.
    pub(super) text: &'a str,
    /// One line for each choice, or a remark.
    pub(super) notes: &'a [&'a str],
    /// The answer to an empty line.
    pub(super) default: &'a str,
}

/// Where answers come from.
pub(super) struct Answers {
    defaults: bool,
    at_terminal: bool,
    /// Flags of questions without an answer.
    missing: Vec<&'static str>,
}

impl Answers {
    /// Answers from the terminal, if there is one. With `defaults`, each question that no flag answers
    /// gets its default.
    pub(super) fn new(defaults: bool) -> Self {
        Self {
            defaults,
            at_terminal: can_ask(),
            missing: Vec::new(),
        }
    }

    /// The answer to a question: the value of its flag, or what the user types.
    ///
    /// # Errors
    ///
    /// [`Failure`] if the flag breaks the rule, or the terminal is closed.
    pub(super) fn ask<T>(
        &mut self,
        question: &Question<'_>,
        given: Option<&str>,
        rule: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let Question { flag, default, .. } = question;
        if let Some(given) = given {
            return rule(given)
                .map_err(|rule| Failure::usage(format_args!("--{flag} {given}: {rule}")));
        }
        if self.defaults || !self.at_terminal {
            if !self.defaults {
                self.missing.push(flag);
            }
            return rule(default).map_err(|rule| {
                if self.defaults {
                    return Failure::usage(format_args!(
                        "--{flag} is missing, and has no default: {rule}"
                    ));
                }
                missing(&self.missing)
            });
        }
        say("");
        say(question.text);
        for note in question.notes {
            say(format_args!("  {note}"));
        }
        loop {
            let typed = prompt(flag, default)?;
            let answer = if typed.is_empty() { default } else { &*typed };
            match rule(answer) {
                Ok(value) => return Ok(value),
                Err(rule) => say(format_args!("  {answer:?}: {rule}")),
            }
        }
    }

    /// Ends the questions.
    ///
    /// # Errors
    ///
    /// [`Failure`] names the flags of all questions that nothing answered.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if self.missing.is_empty() {
            Ok(())
        } else {
            Err(missing(&self.missing))
        }
    }
}

/// The error that names the flags of questions without an answer.
fn missing(flags: &[&str]) -> Failure {
    let flags: Vec<String> = flags.iter().map(|flag| format!("--{flag}")).collect();
    Failure::usage(format_args!(
        "there is no terminal to ask at, and these answers are missing: {}; give them, or accept the \
         defaults with --defaults",
        flags.join(", ")
    ))
}

/// Reads one line after a prompt on standard error.
fn prompt(flag: &str, default: &str) -> Result<String, Failure> {
    let shown = if default.is_empty() { "none" } else { default };
    let mut stderr = io::stderr().lock();
    write!(stderr, "{flag} [{shown}]: ").and_then(|()| stderr.flush())?;
    drop(stderr);
    let mut typed = String::new();
    let count = io::stdin().lock().read_line(&mut typed)?;
    if count == 0 {
        return Err(Failure::new(
            Exit::Failed,
            "the terminal was closed before all answers were given; nothing was written",
        ));
    }
    Ok(typed.trim().to_owned())
}
