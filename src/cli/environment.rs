//! The environment: unknown `WHISHT_` variables, and values that no setting can have, are errors.
//!
//! A mistyped `WHISHT_LEVLE=dark` must not run a node at another level than its owner believes.

use std::ffi::{OsStr, OsString};

use super::Failure;
use crate::config::{Form, RawValue, Setting, Settings, tables};
use crate::suggest::closest;

/// Checks that every variable of this program is known, and that its value can be used.
///
/// # Errors
///
/// [`Failure`] names an unknown variable and what to use instead, or the rule that a value breaks.
pub(super) fn check() -> Result<(), Failure> {
    let tables = tables();
    let settings: Vec<&Setting> = tables.iter().flat_map(|table| &table.settings).collect();
    let known = known(&settings);
    for (name, value) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if !name.starts_with(PREFIX) {
            continue;
        }
        if !known.contains(&name.as_ref()) {
            let hint = hint(&name, &settings, &known);
            return Err(Failure::usage(format_args!(
                "no setting reads the environment variable {name}; {hint}"
            )));
        }
        let named = |setting: &&&Setting| setting.names.env == name;
        if let Some(setting) = settings.iter().find(named) {
            check_value(&name, &value, setting)?;
        }
    }
    Ok(())
}

/// Checks the value of a variable here, because clap names the flag, which the user did not give.
fn check_value(name: &str, value: &OsStr, setting: &Setting) -> Result<(), Failure> {
    let values: Vec<OsString> = match (setting.form, value.to_str()) {
        (Form::List, Some(list)) => list.split(',').map(OsString::from).collect(),
        _ => vec![value.to_owned()],
    };
    let read = setting.set(&mut Settings::default(), RawValue::Texts(&values));
    read.map_err(|rule| {
        let shown = match setting.form {
            Form::Secret => String::new(),
            _ => format!("={}", value.display()),
        };
        Failure::usage(format_args!(
            "the environment variable {name}{shown}: {rule}"
        ))
    })
}

/// What to use in the place of an unknown variable.
fn hint(name: &str, settings: &[&Setting], known: &[&'static str]) -> String {
    let word = name.strip_prefix(PREFIX).unwrap_or(name);
    let word = word.to_ascii_lowercase().replace('_', "-");
    let is_meant = |setting: &&&Setting| {
        let key = setting.names.key.replace('.', "-");
        key == word || setting.names.flag == word
    };
    if let Some(setting) = settings.iter().find(is_meant) {
        let names = setting.names;
        return match names.env {
            "" => format!("use --{}, or `{}` in the file", names.flag, names.key),
            env => format!("did you mean {env}?"),
        };
    }
    // The beginning of a name is closer than another name with few different letters.
    let longer = format!("{name}_");
    let begun = known.iter().find(|known| known.starts_with(&longer));
    match begun
        .copied()
        .or_else(|| closest(name, known.iter().copied()))
    {
        Some(near) => format!("did you mean {near}?"),
        None => "see `whisht run --help`".to_owned(),
    }
}

/// The variables of all settings, of the options of all commands, and of the log.
fn known(settings: &[&Setting]) -> Vec<&'static str> {
    let settings = settings.iter().map(|setting| setting.names.env);
    settings
        .filter(|name| !name.is_empty())
        .chain(OTHERS)
        .collect()
}

/// What the variables of this program begin with.
const PREFIX: &str = "WHISHT_";
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
        let tables = tables();
        let settings: Vec<&Setting> = tables.iter().flat_map(|table| &table.settings).collect();
        let mut known = known(&settings);
        known.sort_unstable();
        assert_eq!(read, known);
    }

    #[test]
    fn unknown_variable_hints_at_what_exists() {
        let tables = tables();
        let settings: Vec<&Setting> = tables.iter().flat_map(|table| &table.settings).collect();
        let known = known(&settings);
        for (name, part) in [
            ("WHISHT_PASSWORD", "did you mean WHISHT_PASSWORD_FILE?"),
            ("WHISHT_TOR_BRIDGE", "use --tor-bridge, or `tor.bridges`"),
            ("WHISHT_TOR_BRIDGES", "use --tor-bridge, or `tor.bridges`"),
            ("WHISHT_PEERS", "did you mean WHISHT_PEER?"),
            ("WHISHT_LEVLE", "did you mean WHISHT_LEVEL?"),
            ("WHISHT_ZZZZZZZZ", "whisht run --help"),
        ] {
            let hint = hint(name, &settings, &known);
            assert!(hint.contains(part), "{name}: {hint}");
        }
    }

    #[test]
    fn bad_value_of_a_variable_is_refused_with_the_variable_and_the_rule() {
        let tables = tables();
        let mut settings = tables.iter().flat_map(|table| &table.settings);
        let relay = settings.find(|setting| setting.names.env == "WHISHT_RELAY");
        let refused = check_value("WHISHT_RELAY", OsStr::new("1"), relay.unwrap()).unwrap_err();
        let text = format!("{refused:?}");
        assert!(
            text.contains("WHISHT_RELAY=1: expected true or false"),
            "{text}"
        );
    }
}
