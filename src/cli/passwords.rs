//! Passwords: from a prompt or from a file, never from an argument or a variable.
//!
//! A prompt needs a terminal in whose foreground the program runs: the system stops a background
//! process that reads from its terminal. An empty password requires `--no-password`.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::output::say;
use super::{Exit, Failure};
use crate::keystore::{Cost, Password};
use crate::shell::password;

/// Options of commands that encrypt a key.
#[derive(Debug, clap::Args)]
pub(super) struct PasswordArgs {
    /// Take the password from the first line of this file; `-` reads standard input [default: ask]
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    password_file: Option<PathBuf>,
    /// Use no password: every user who can read the file then has the key
    #[arg(long)]
    no_password: bool,
    #[command(flatten)]
    cost: KdfArgs,
}

/// Options for the cost of guessing a password.
#[derive(Debug, clap::Args)]
pub(super) struct KdfArgs {
    /// Use a weak key derivation, for tests only
    #[arg(long, hide = true)]
    danger_light_kdf: bool,
}

impl KdfArgs {
    pub(super) const fn cost(&self) -> Cost {
        if self.danger_light_kdf {
            Cost::DangerLight
        } else {
            Cost::Standard
        }
    }
}

impl PasswordArgs {
    /// The password that the options give; `None` if the user has to be asked.
    pub(super) fn given(&self) -> Result<Option<Password>, Failure> {
        match (self.no_password, &self.password_file) {
            (true, _) => Ok(Some(Password::none())),
            (false, Some(path)) => {
                let password = from_file(path)?;
                warn_of_weakness(&password);
                Ok(Some(password))
            }
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

/// Asks for the password of an encrypted key. Empty if the user only presses Enter.
pub(super) fn ask(prompt: &str) -> Result<Password, Failure> {
    if !can_ask() {
        return Err(Failure::new(
            Exit::Locked,
            "a password is needed, and there is no terminal for a prompt; name its file with \
             --password-file",
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

/// Asks for a new password, twice: a key encrypted under a mistyped password is lost.
pub(super) fn ask_new(what: &str) -> Result<Password, Failure> {
    if !can_ask() {
        return Err(Failure::new(
            Exit::Locked,
            format_args!(
                "{what} needs a password, and there is no terminal for a prompt; name its file with \
                 --password-file, or use --no-password"
            ),
        ));
    }
    let first = ask(&format!("new password for {what}: "))?;
    if first.is_empty() {
        return Err(Failure::usage(
            "an empty password protects nothing; type a password, or use --no-password",
        ));
    }
    let second = ask("once more: ")?;
    if first.expose() != second.expose() {
        return Err(Failure::usage(
            "the two passwords differ; nothing was encrypted, try again",
        ));
    }
    warn_of_weakness(&first);
    Ok(first)
}

/// Warns of a new password that a thief of the key file would guess soon. The user decides: the file
/// may be protected in other ways.
fn warn_of_weakness(password: &Password) {
    if password.expose().chars().count() < MIN_SOUND_CHARS {
        say(format_args!(
            "this password has fewer than {MIN_SOUND_CHARS} characters, and a thief of the key file \
             guesses it soon; choose a longer one (`whisht id passwd` changes that of an identity)"
        ));
    }
}

/// Number of characters below which a password is called weak.
const MIN_SOUND_CHARS: usize = 8;

/// Whether a prompt is possible.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && in_foreground()
}

/// Whether the program is in the foreground of its terminal: its process group is the terminal's. In
/// `/proc/self/stat` these are the third and the sixth field after the name.
fn in_foreground() -> bool {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return true;
    };
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let field = |index| fields.split_whitespace().nth(index);
    field(2) == field(5)
}
