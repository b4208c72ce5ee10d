//! Cleans kinds of files that are not ours, by the program `mat2` inside the sandbox `bwrap`.
//!
//! mat2 parses hostile formats with many libraries. The sandbox has no network, no file of the user but the
//! one, and a file system in memory; it ends with this process. A file that mat2 does not know, or of
//! which it knows a part only, is refused.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

/// Cleans a file with this ending. Blocks for at most [`TIMEOUT_SECS`].
pub(super) fn clean(file: File, ending: Option<&str>) -> Result<Zeroizing<Vec<u8>>, ToolError> {
    let ending = ending.ok_or(ToolError::NoEnding)?;
    for program in [MAT2, BWRAP] {
        if !Path::new(program).exists() {
            return Err(ToolError::Missing(program));
        }
    }
    let input = format!("/tmp/file.{ending}");
    let output = Command::new(BWRAP)
        .args(SANDBOX)
        // The file comes in by standard input: its place and name stay outside.
        .args(["--file", "0", &input])
        .args(["/bin/sh", "-c", SCRIPT, "sh", ending, TIMEOUT_SECS])
        .env_clear()
        .stdin(Stdio::from(file))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .map_err(ToolError::System)?;
    let cleaned = Zeroizing::new(output.stdout);
    if output.status.success() && !cleaned.is_empty() {
        return Ok(cleaned);
    }
    if output.status.code() == Some(TIMED_OUT) {
        return Err(ToolError::TooSlow);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    let last = last.unwrap_or("mat2 gave no reason");
    Err(ToolError::Refused(crate::printable::one_line(
        last.trim_start_matches("[-] "),
    )))
}

/// Why mat2 has not cleaned a file.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// A program is missing.
    #[error(
        "whisht cleans JPEG, PNG and plain text itself, and other kinds by mat2 in a sandbox, for which {0} \
         is missing; install it with `apt install mat2 bubblewrap`"
    )]
    Missing(&'static str),
    /// The name of the file has no ending, by which mat2 tells the kind.
    #[error("the name of the file has no ending that tells its kind; give it one, such as .pdf")]
    NoEnding,
    /// mat2 or the sandbox refuses.
    #[error("mat2 does not clean this file: {0}; convert it to a kind that it cleans, such as PDF")]
    Refused(String),
    /// The sandbox cannot be started.
    #[error("the sandbox for mat2 does not start: {0}; check that bwrap works for this user")]
    System(io::Error),
    /// It took too long.
    #[error(
        "mat2 has not cleaned the file within {TIMEOUT_SECS} s; hand over a smaller part of it"
    )]
    TooSlow,
}

/// The sandbox: the programs of the system, read-only, and memory of a gigabyte as `/tmp`.
const SANDBOX: &[&str] = &[
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--clearenv",
    "--setenv",
    "PATH",
    "/usr/bin",
    "--setenv",
    "HOME",
    "/tmp",
    "--setenv",
    "LC_ALL",
    "C.UTF-8",
    "--ro-bind",
    "/usr",
    "/usr",
    "--symlink",
    "usr/bin",
    "/bin",
    "--symlink",
    "usr/lib",
    "/lib",
    "--symlink",
    "usr/lib64",
    "/lib64",
    // By these, mat2 finds the kinds of files, fonts and libraries.
    "--ro-bind-try",
    "/etc/mime.types",
    "/etc/mime.types",
    "--ro-bind-try",
    "/etc/fonts",
    "/etc/fonts",
    "--ro-bind-try",
    "/etc/ld.so.cache",
    "/etc/ld.so.cache",
    "--ro-bind-try",
    "/etc/alternatives",
    "/etc/alternatives",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--size",
    "1073741824",
    "--tmpfs",
    "/tmp",
    "--chdir",
    "/tmp",
];
/// Runs mat2 for a limited time, and writes the cleaned file. Its own sandbox is off, because this one is
/// around it.
const SCRIPT: &str = "timeout -s KILL \"$2\" mat2 --no-sandbox --unknown-members abort \"file.$1\" >&2 \
                      || exit $?; cat \"file.cleaned.$1\"";
const BWRAP: &str = "/usr/bin/bwrap";
const MAT2: &str = "/usr/bin/mat2";
/// Time limit of mat2 in seconds.
const TIMEOUT_SECS: &str = "60";
/// The exit code of `timeout` after it has killed.
const TIMED_OUT: i32 = 137;
