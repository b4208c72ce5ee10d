//! The environment: unknown `WHISHT_` variables are errors.
//!
//! A mistyped `WHISHT_LEVLE=dark` must not run a node at another level than its owner believes.

use super::{Exit, Failure};
use crate::config::tables;
use crate::suggest::closest;

/// Checks that every variable of this program is known.
///
/// # Errors
///
/// [`Failure`] names an unknown variable, and the nearest known one.
pub(super) fn check() -> Result<(), Failure> {
    let known = known();
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("WHISHT_") && !known.contains(&name.as_ref()) {
            let hint = match closest(&name, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => "see `whisht run --help`".to_owned(),
            };
            return Err(Failure::new(
                Exit::Usage,
                format_args!("no setting reads the environment variable {name}; {hint}"),
            ));
        }
    }
    Ok(())
}

/// The variables of all settings, of the options of all commands, and of the log.
fn known() -> Vec<&'static str> {
    let settings = tables().into_iter().flat_map(|table| table.settings);
    let settings = settings.map(|setting| setting.names.env);
    settings
        .filter(|name| !name.is_empty())
        .chain(OTHERS)
        .collect()
}

/// Variables that are not settings of a node.
const OTHERS: [&str; 4] = [
    "WHISHT_CONFIG",
    "WHISHT_DATA_DIR",
    "WHISHT_IPC",
    "WHISHT_LOG",
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn options_of_all_commands_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn known_variables_are_exactly_those_that_options_read() {
        let command = Cli::command();
        let mut read: Vec<_> = std::iter::once(&command)
            .chain(command.get_subcommands())
            .flat_map(|command| command.get_arguments())
            .filter_map(|argument| argument.get_env()?.to_str())
            .chain(["WHISHT_LOG"])
            .collect();
        read.sort_unstable();
        read.dedup();
        let mut known = known();
        known.sort_unstable();
        assert_eq!(read, known);
    }
}
