//! `whisht config show`: the settings in effect, and where each is from.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::options::{GivenOption, Options};
use crate::cli::output::{Printer, one_line};
use crate::cli::{Exit, Failure, GlobalArgs};
use crate::config::file::{FileEntry, FileReading};
use crate::config::{Config, Form, Setting, Settings, tables};

/// Options of `whisht config show`: those of `whisht run` that are settings.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ShowArgs {
    /// Configuration file [default: config.toml in the data directory]
    #[arg(long, env = "WHISHT_CONFIG", value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) options: Options,
}

/// A setting in effect.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct EffectiveSetting {
    /// Key of the setting.
    pub(in crate::cli) key: &'static str,
    /// The value as its source has it; `None` if it may hold a secret.
    pub(in crate::cli) value: Option<String>,
    /// The flag, the variable, the file with its line, or `default`.
    pub(in crate::cli) source: String,
    /// Whether no source gives the setting.
    pub(in crate::cli) is_default: bool,
}

/// Shows the settings in effect.
///
/// # Errors
///
/// [`Failure`] if the file has an error, or the settings contradict each other.
pub(super) fn run(common: &GlobalArgs, printer: Printer, args: ShowArgs) -> Result<Exit, Failure> {
    let path = match &args.config {
        Some(path) => path.clone(),
        None => common.data_dir()?.join("config.toml"),
    };
    let reading = read(&path, args.config.is_some())?;
    let shown = effective(args.options.given(), &path, &reading.entries);
    let settings = Settings::from(args.options).or(reading.settings);
    // What is shown is what a node would use, or the error that it would stop with.
    Config::build(settings)?;
    if printer.json {
        printer.value(&shown)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 3]> = shown
        .into_iter()
        .map(|setting| {
            let value = setting
                .value
                .as_deref()
                .map_or_else(|| HIDDEN.to_owned(), one_line);
            [setting.key.to_owned(), value, setting.source]
        })
        .collect();
    printer.table(["SETTING", "VALUE", "FROM"], &rows, "no setting")?;
    Ok(Exit::Done)
}

/// Reads a file, which must exist if the user named it.
pub(in crate::cli) fn read_text(path: &Path, is_named: bool) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The failure if a file cannot be read. That of a service belongs to another user.
pub(in crate::cli) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let remedy = match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "run the command as a user who may read it, or name another file with --config"
        }
        _ => "name another file with --config",
    };
    Failure::usage(format_args!(
        "cannot read {}: {error}; {remedy}",
        path.display()
    ))
}

/// Reads the settings of a file that has no error.
fn read(path: &Path, is_named: bool) -> Result<FileReading, Failure> {
    let text = read_text(path, is_named)?;
    let mut reading = FileReading::of(path, text.as_deref().unwrap_or_default());
    if reading.errors.is_empty() {
        return Ok(reading);
    }
    Err(reading.errors.swap_remove(0).into())
}

/// All settings in the order of the documents, each from its strongest source.
pub(in crate::cli) fn effective(
    given: &[GivenOption],
    path: &Path,
    entries: &[FileEntry],
) -> Vec<EffectiveSetting> {
    let tables = tables();
    let settings = tables.iter().flat_map(|table| &table.settings);
    settings
        .map(|setting| {
            let key = setting.names.key;
            let option = given.iter().find(|option| option.key == key);
            let entry = entries.iter().find(|entry| entry.key == key);
            let (value, source) = match (option, entry) {
                (Some(option), _) => (Some(listed(option, setting)), option.source.clone()),
                (None, Some(entry)) => {
                    let source = format!("{}:{}", path.display(), entry.line);
                    (entry.written.clone(), source)
                }
                (None, None) => (
                    Some(setting.default_text().to_owned()),
                    "default".to_owned(),
                ),
            };
            let is_default = option.is_none() && entry.is_none();
            let hides = !is_default && is_secret(setting);
            EffectiveSetting {
                key,
                value: value.filter(|_| !hides),
                source,
                is_default,
            }
        })
        .collect()
}

/// Whether values of a setting are not shown: passwords, bridges, and keys of readers.
fn is_secret(setting: &Setting) -> bool {
    setting.form == Form::Secret || HIDDEN_KEYS.contains(&setting.names.key)
}

/// The values of a flag or variable, as the file would have them.
fn listed(option: &GivenOption, setting: &Setting) -> String {
    match (setting.form, option.values.as_slice()) {
        (Form::List | Form::Lines, values) => {
            let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
            format!("[{}]", quoted.join(", "))
        }
        (Form::Number | Form::Switch, [.., value]) => value.clone(),
        (_, [.., value]) => format!("{value:?}"),
        (_, []) => String::new(),
    }
}

/// Settings whose values help an attacker to find or to pass what they protect.
const HIDDEN_KEYS: [&str; 2] = ["tor.bridges", "tor.readers"];
/// In the place of a value that is not shown.
const HIDDEN: &str = "(set, not shown)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_another_user_is_read_by_that_user_and_not_replaced() {
        let failed = |kind: std::io::ErrorKind| {
            let failure = unreadable(Path::new("/etc/whisht/config.toml"), &kind.into());
            failure.message().to_owned()
        };
        let told = failed(std::io::ErrorKind::PermissionDenied);
        assert!(told.contains("as a user who may read it"), "{told}");
        let told = failed(std::io::ErrorKind::NotFound);
        assert!(
            told.ends_with("; name another file with --config"),
            "{told}"
        );
    }

    fn shown(given: &[GivenOption], file: &str) -> Vec<EffectiveSetting> {
        let path = Path::new("config.toml");
        effective(given, path, &FileReading::of(path, file).entries)
    }

    fn find<'a>(shown: &'a [EffectiveSetting], key: &str) -> &'a EffectiveSetting {
        shown.iter().find(|setting| setting.key == key).unwrap()
    }

    #[test]
    fn flag_overrides_file_and_file_overrides_default() {
        let flag = GivenOption {
            key: "level",
            source: "--level".to_owned(),
            values: vec!["open".to_owned()],
        };
        let shown = shown(&[flag], "level = 'normal'\nrelay = true\n");
        let level = find(&shown, "level");
        assert_eq!(
            (level.value.as_deref(), level.source.as_str()),
            (Some("\"open\""), "--level")
        );
        let relay = find(&shown, "relay");
        assert_eq!(
            (relay.value.as_deref(), relay.source.as_str()),
            (Some("true"), "config.toml:2")
        );
        assert!(find(&shown, "cover").is_default);
    }

    #[test]
    fn passwords_bridges_and_keys_of_readers_are_not_shown() {
        let file = "[mail]\nstore = 'postgres://u:PLANTED@db/x'\n[tor]\n\
                    bridges = ['obfs4 192.0.2.7:443 PLANTED']\n\
                    readers = ['a=descriptor:x25519:PLANTED']\n";
        let shown = shown(&[], file);
        assert!(!format!("{shown:?}").contains("PLANTED"));
        for key in ["mail.store", "tor.bridges", "tor.readers"] {
            let setting = find(&shown, key);
            assert!(setting.value.is_none() && !setting.is_default, "{key}");
        }
    }
}
