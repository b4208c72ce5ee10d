//! The environment: every `WHISHT_` variable is known.
//!
//! A mistyped `WHISHT_LEVLE=dark` must not run a node at another level than its owner believes.

use super::{Exit, Failure};
use crate::suggest::closest;

/// Checks that there is no variable of ours that nobody reads.
///
/// # Errors
///
/// Names the variable, and the one that was probably meant.
pub(super) fn check() -> Result<(), Failure> {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("WHISHT_") && !KNOWN.contains(&name.as_ref()) {
            let hint = match closest(&name, KNOWN) {
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

/// What the options of all commands read, and the log filter.
pub(super) const KNOWN: [&str; 43] = [
    "WHISHT_ADVERTISE",
    "WHISHT_CONFIG",
    "WHISHT_DATA_DIR",
    "WHISHT_DISCOVERY_BOOTNODES",
    "WHISHT_DISCOVERY_ENABLED",
    "WHISHT_FAMILY",
    "WHISHT_GUARD",
    "WHISHT_IPC",
    "WHISHT_LEVEL",
    "WHISHT_LISTEN",
    "WHISHT_LOG",
    "WHISHT_MAIL_ALLOW",
    "WHISHT_MAIL_DAYS",
    "WHISHT_MAIL_MAX_MB",
    "WHISHT_MAIL_PASSWORD_FILE",
    "WHISHT_MAIL_SERVE",
    "WHISHT_MAIL_STORE",
    "WHISHT_MAX_PEERS",
    "WHISHT_MIN_POW",
    "WHISHT_NETWORK",
    "WHISHT_PASSWORD_FILE",
    "WHISHT_PEER",
    "WHISHT_POOL_MB",
    "WHISHT_POW_GENERATION",
    "WHISHT_PROFILE",
    "WHISHT_RELAY",
    "WHISHT_RPC_ALLOW_KEY_EXPORT",
    "WHISHT_RPC_DANGER_NO_TOKEN",
    "WHISHT_RPC_HTTP",
    "WHISHT_RPC_MODULES",
    "WHISHT_RPC_ORIGINS",
    "WHISHT_RPC_WS",
    "WHISHT_THREADS",
    "WHISHT_TOR_CONTROL",
    "WHISHT_TOR_KEYS",
    "WHISHT_TOR_MODE",
    "WHISHT_TOR_NETWORK",
    "WHISHT_TOR_ONION",
    "WHISHT_TOR_ONION_PORT",
    "WHISHT_TOR_ONLY",
    "WHISHT_TOR_PRIVATE_DAEMON",
    "WHISHT_TOR_SOCKS",
    "WHISHT_TRUSTED_PEER",
];

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn the_options_of_all_commands_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_list_holds_exactly_what_the_options_read() {
        let command = Cli::command();
        let mut read: Vec<_> = std::iter::once(&command)
            .chain(command.get_subcommands())
            .flat_map(|command| command.get_arguments())
            .filter_map(|argument| argument.get_env()?.to_str())
            .chain(["WHISHT_LOG"])
            .collect();
        read.sort_unstable();
        read.dedup();
        assert_eq!(read, KNOWN);
    }
}
