//! Exit codes and error messages of commands.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;

use super::output::say;
use crate::config::ConfigError;
use crate::config::file::FileError;
use crate::node::{Refusal, RefusalKind};
use crate::rpc::RpcErrorKind;
use crate::shell::data_dir::DirError;
use crate::shell::identity_files::IdentityError;
use crate::shell::mail::MailError;
use crate::shell::panic_erase::PanicEraseError;
use crate::shell::password::PasswordFileError;
use crate::shell::prepared_file::{PrepareCause, PrepareError};
use crate::shell::rpc::{IpcBindError, RpcClientError};
use crate::shell::runtime::RuntimeError;
use crate::shell::state_store::StateError;

/// The exit code of the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something outside failed: the system, the network, the node.
    Failed = 1,
    /// The request is not valid.
    Usage = 2,
    /// A message is not confirmed: still on its way, or handed to peers that do not send it back.
    Pending = 3,
    /// The node gave up sending a message.
    Expired = 4,
    /// A rule of privacy forbids it, so nothing was done.
    Refused = 5,
    /// The data directory is locked by another process, or an identity by its password.
    Locked = 6,
    /// A system call leads out of this machine past Tor.
    Leaked = 7,
}

impl Exit {
    /// The code as a number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Pending => 3,
            Self::Expired => 4,
            Self::Refused => 5,
            Self::Locked => 6,
            Self::Leaked => 7,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command failed: cause and remedy in one sentence.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A failure with this exit code.
    pub fn new(exit: Exit, message: impl ToString) -> Self {
        Self {
            exit,
            message: message.to_string(),
        }
    }

    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// Cause and remedy.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// A failure because of an invalid request.
    pub fn usage(message: impl ToString) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Prints the failure on standard error, and returns the exit code.
    #[must_use]
    pub fn report(self, as_json: bool) -> ExitCode {
        let Self { exit, message } = self;
        if as_json {
            // If standard error is closed, the exit code is all that the caller gets.
            let error = json!({"error": message, "exit": exit.code()});
            let _ = writeln!(io::stderr(), "{error}");
        } else if !message.is_empty() {
            say(format_args!("whisht: {message}"));
        }
        exit.into()
    }
}

/// The error of the command line in clap's words, on one line and without the usage.
impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let paragraphs = text.strip_prefix("error: ").unwrap_or(&text).split("\n\n");
        let words = paragraphs
            .filter(|part| !part.starts_with("Usage:") && !part.starts_with("For more information"))
            .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
        Self::usage(words.collect::<Vec<_>>().join("; "))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // The reader of the output has ended, as in `whisht inbox | head`.
            io::ErrorKind::BrokenPipe => Self::new(Exit::Done, ""),
            _ => Self::new(
                Exit::Failed,
                format_args!("cannot write the output: {error}; check where it is redirected to"),
            ),
        }
    }
}

impl From<RpcClientError> for Failure {
    fn from(error: RpcClientError) -> Self {
        let exit = match &error {
            RpcClientError::Refused(refusal) => match refusal.kind {
                RpcErrorKind::Policy => Exit::Refused,
                RpcErrorKind::Usage => Exit::Usage,
                RpcErrorKind::Busy | RpcErrorKind::Locked => Exit::Locked,
                RpcErrorKind::Stopped | RpcErrorKind::Storage => Exit::Failed,
            },
            _ => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(
            if error.is_policy() {
                Exit::Refused
            } else {
                Exit::Usage
            },
            error,
        )
    }
}

impl From<DirError> for Failure {
    fn from(error: DirError) -> Self {
        let exit = match &error {
            DirError::Locked { .. } => Exit::Locked,
            DirError::NotADirectory { .. } => Exit::Usage,
            DirError::Link { .. }
            | DirError::OtherNetwork { .. }
            | DirError::OtherOwner { .. }
            | DirError::TooOpen { .. } => Exit::Refused,
            _ => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let exit = match refusal.kind {
            RefusalKind::Locked => Exit::Locked,
            RefusalKind::Policy => Exit::Refused,
            RefusalKind::Usage => Exit::Usage,
        };
        Self::new(exit, refusal)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::usage(error)
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Dir(error) => error.into(),
            RuntimeError::Identity(error) => error.into(),
            RuntimeError::State(error) => error.into(),
            RuntimeError::Mail(MailError::Password(error)) => error.into(),
            error @ RuntimeError::OwnAddress { .. } => Self::usage(error),
            RuntimeError::Transport(error) if error.is_usage() => Self::usage(error),
            RuntimeError::IpcBind(error @ IpcBindError::Served { .. }) => {
                Self::new(Exit::Locked, error)
            }
            error => Self::new(Exit::Failed, error),
        }
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Dir(error) => error.into(),
            error if error.is_locked() => Self::new(Exit::Locked, error),
            IdentityError::State(error) => error.into(),
            error @ IdentityError::NoRandomness(_) => Self::new(Exit::Failed, error),
            error => Self::usage(error),
        }
    }
}

impl From<PanicEraseError> for Failure {
    fn from(error: PanicEraseError) -> Self {
        match error {
            error @ PanicEraseError::NotOurs { .. } => Self::usage(error),
            error @ PanicEraseError::Unreadable { .. } => Self::new(Exit::Failed, error),
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Dir(error) => error.into(),
            error if error.is_wrong_password() => Self::new(Exit::Locked, error),
            error => Self::new(Exit::Failed, error),
        }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        let exit = match error.cause {
            PrepareCause::Tool(_) | PrepareCause::Unclean(_) => Exit::Refused,
            PrepareCause::Empty
            | PrepareCause::LongName(_)
            | PrepareCause::NotAFile
            | PrepareCause::System(_) => Exit::Usage,
        };
        Self::new(exit, error)
    }
}

impl From<PasswordFileError> for Failure {
    fn from(error: PasswordFileError) -> Self {
        match error {
            error @ PasswordFileError::TooOpen { .. } => Self::new(Exit::Refused, error),
            error => Self::usage(error),
        }
    }
}
