//! `whisht completions`: what a shell completes after `whisht`, made from the declaration of the command
//! line.
//!
//! The script is written to standard output, from where a package or the user puts it into the directory
//! that the shell reads (docs/install.md). It names commands and options only: no script asks a running
//! node, which would have to be unlocked and would log the question.

use std::io::Write;

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::{Cli, Exit, Failure};

/// Options of `whisht completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Shell that reads the completions
    #[arg(value_enum)]
    shell: KnownShell,
}

/// The shells whose completions are tested.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KnownShell {
    Bash,
    Fish,
    Zsh,
}

/// Prints the completions of a shell.
///
/// # Errors
///
/// [`Failure`] if standard output is closed.
pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&script(args.shell))?;
    stdout.flush()?;
    Ok(Exit::Done)
}

/// The script of a shell.
fn script(shell: KnownShell) -> Vec<u8> {
    let shell = match shell {
        KnownShell::Bash => Shell::Bash,
        KnownShell::Fish => Shell::Fish,
        KnownShell::Zsh => Shell::Zsh,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "whisht", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_of_each_shell_names_each_command_that_help_shows() {
        let command = Cli::command();
        let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
        let names: Vec<&str> = shown.map(clap::Command::get_name).collect();
        assert!(names.contains(&"run") && names.len() > 20, "{names:?}");
        for shell in [KnownShell::Bash, KnownShell::Fish, KnownShell::Zsh] {
            let script = String::from_utf8(script(shell)).unwrap();
            for name in &names {
                assert!(script.contains(name), "{name} for {shell:?}");
            }
        }
    }
}
