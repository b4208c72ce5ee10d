//! Passwords, by prompt or from a file; never from an argument or a variable.
//!
//! A prompt needs a terminal that is ours: a node in the background of a shell would be stopped by
//! the system as soon as it read from there. An empty password has to be asked for by name.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Exit, Failure};
use crate::keystore::{Cost, Password};
use crate::shell::password;

/// Options of commands that seal something.
#[derive(Debug, clap::Args)]
pub(super) struct PasswordArgs {
    /// Take the password from the first line of this file; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    password_file: Option<PathBuf>,
    /// Use no password: whoever can read the file then has the key
    #[arg(long)]
    no_password: bool,
    #[command(flatten)]
    cost: KdfArgs,
}

/// How much work a guess at a password is to be.
#[derive(Debug, clap::Args)]
pub(super) struct KdfArgs {
    /// For tests only: a weak key derivation that takes no time
    #[arg(long, hide = true)]
    danger_light_kdf: bool,
}

impl KdfArgs {
    pub(super) const fn cost(&self) -> Cost {
        match self.danger_light_kdf {
            true => Cost::DangerLight,
            false => Cost::Standard,
        }
    }
}

impl PasswordArgs {
    /// What the options say; `None` if the user has to be asked.
    pub(super) fn given(&self) -> Result<Option<Password>, Failure> {
        match (self.no_password, &self.password_file) {
            (true, _) => Ok(Some(Password::none())),
            (false, Some(path)) => from_file(path).map(Some),
            (false, None) => Ok(None),
        }
    }

    pub(super) const fn kdf(&self) -> &KdfArgs {
        &self.cost
    }
}

/// The password in a file.
pub(super) fn from_file(path: &Path) -> Result<Password, Failure> {
    Ok(password::from_file(path)?)
}

/// Asks for a password that is to open something. Empty if the user just pressed Enter.
pub(super) fn ask(prompt: &str) -> Result<Password, Failure> {
    if !can_ask() {
        return Err(Failure::new(
            Exit::Locked,
            "a password is needed, and there is no terminal to ask at; name the file it is in \
             with --password-file",
        ));
    }
    let typed = rpassword::prompt_password(prompt).map(Zeroizing::new);
    let typed = typed.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format_args!("cannot read the password: {error}; name its file with --password-file"),
        )
    })?;
    Password::new(typed).map_err(Failure::usage)
}

/// Asks for a password that is to seal something: twice, since what is sealed under a slip of the
/// finger is lost.
pub(super) fn ask_new(what: &str) -> Result<Password, Failure> {
    if !can_ask() {
        return Err(Failure::new(
            Exit::Locked,
            format_args!(
                "{what} needs a password, and there is no terminal to ask at; name the file it is \
                 in with --password-file, or say --no-password"
            ),
        ));
    }
    let first = ask(&format!("new password for {what}: "))?;
    if first.is_empty() {
        return Err(Failure::usage(
            "an empty password protects nothing; say --no-password if that is what you want",
        ));
    }
    let second = ask("once more: ")?;
    if first.expose() != second.expose() {
        return Err(Failure::usage(
            "the two are not the same; nothing was sealed, try again",
        ));
    }
    Ok(first)
}

/// Tells the user something between two prompts.
pub(super) fn say(text: impl std::fmt::Display) {
    // If nobody reads this, nothing is lost.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether there is a user to ask.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && in_foreground()
}

/// Whether the terminal listens to us, as far as the system tells: our process group and the
/// terminal's, the third and the sixth field after the name.
fn in_foreground() -> bool {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return true;
    };
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let field = |index| fields.split_whitespace().nth(index);
    field(2) == field(5)
}
