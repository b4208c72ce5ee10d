//! The settings of a node as flags and environment variables.
//!
//! The flags are made from the declarations of the settings ([`crate::config`]), with the names, the
//! help texts and the readers that stand there. A list given as a flag replaces the list of the
//! environment and of the file.

use std::ffi::OsString;

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Form, RawValue, Setting, Settings, tables};

/// The settings that flags and variables give.
#[derive(Debug)]
pub(super) struct Options {
    settings: Settings,
    given: Vec<GivenOption>,
}

/// A setting that a flag or a variable gives.
#[derive(Clone, Debug)]
pub(super) struct GivenOption {
    /// Key of the setting.
    pub(super) key: &'static str,
    /// The flag or the variable, as the user writes it.
    pub(super) source: String,
    /// The values; empty if they may hold a password.
    pub(super) values: Vec<String>,
}

impl Options {
    /// The settings that are given, and where each is from.
    pub(super) fn given(&self) -> &[GivenOption] {
        &self.given
    }

    /// Remembers where a setting is from.
    fn note(&mut self, setting: &Setting, source: String, texts: &[OsString]) {
        let shown = texts.iter().filter(|_| setting.form != Form::Secret);
        self.given.push(GivenOption {
            key: setting.names.key,
            source,
            values: shown
                .map(|text| text.to_string_lossy().into_owned())
                .collect(),
        });
    }
}

impl From<Options> for Settings {
    fn from(options: Options) -> Self {
        options.settings
    }
}

impl Args for Options {
    fn augment_args(command: Command) -> Command {
        let mut command = command;
        for table in tables() {
            for setting in &table.settings {
                let flag = flag(setting);
                command = command.arg(if table.heading.is_empty() {
                    flag
                } else {
                    flag.help_heading(table.heading)
                });
                if setting.names.flag == LISTEN {
                    command = command.arg(no_listen());
                }
            }
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Options {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = Self {
            settings: Settings::default(),
            given: Vec::new(),
        };
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in tables().iter().flat_map(|table| &table.settings) {
            let flag = setting.names.flag;
            let Some(texts) = matches.get_many::<OsString>(flag) else {
                continue;
            };
            let texts: Vec<OsString> = texts.cloned().collect();
            setting
                .set(&mut self.settings, RawValue::Texts(&texts))
                .map_err(|rule| {
                    let cause = format!("invalid value for '--{flag}': {rule}\n");
                    clap::Error::raw(ErrorKind::ValueValidation, cause)
                })?;
            let source = match matches.value_source(flag) {
                Some(ValueSource::EnvVariable) => setting.names.env.to_owned(),
                _ => format!("--{flag}"),
            };
            self.note(setting, source, &texts);
            if flag == LISTEN && matches.get_flag(NO_LISTEN) {
                self.given.pop();
            }
        }
        if matches.get_flag(NO_LISTEN) {
            self.settings.listen = Some(Vec::new());
            self.given.push(GivenOption {
                key: LISTEN,
                source: format!("--{NO_LISTEN}"),
                values: Vec::new(),
            });
        }
        Ok(())
    }
}

/// The flag of a setting, and its variable.
fn flag(setting: &Setting) -> Arg {
    let names = setting.names;
    let mut flag = Arg::new(names.flag)
        .long(names.flag)
        .value_name(names.placeholder)
        .value_parser(checked(setting))
        .help(setting.help());
    if !names.env.is_empty() {
        flag = flag.env(names.env);
    }
    match setting.form {
        Form::Switch => flag
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Form::List => flag.action(ArgAction::Append).value_delimiter(','),
        Form::Lines => flag.action(ArgAction::Append),
        Form::Secret => flag.hide_env_values(true),
        Form::Number | Form::One | Form::Path => flag,
    }
}

/// Checks each value while clap can still name it in the error.
fn checked(setting: &Setting) -> ValueParser {
    if setting.form == Form::Path {
        return ValueParser::os_string();
    }
    let setting = setting.clone();
    ValueParser::from(move |text: &str| {
        let text = OsString::from(text);
        let texts = [text.clone()];
        let checked = setting.set(&mut Settings::default(), RawValue::Texts(&texts));
        checked.map(|()| text)
    })
}

fn no_listen() -> Arg {
    Arg::new(NO_LISTEN)
        .long(NO_LISTEN)
        .action(ArgAction::SetTrue)
        .conflicts_with(LISTEN)
        .help("Accept no connections, and use a new link key for every run [default: listen]")
}

const LISTEN: &str = "listen";
const NO_LISTEN: &str = "no-listen";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Settings, String> {
        let command = Options::augment_args(Command::new("run"));
        let matches = command
            .try_get_matches_from([&["run"], arguments].concat())
            .map_err(|error| error.to_string())?;
        Options::from_arg_matches(&matches)
            .map(Settings::from)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn repeated_flag_and_commas_make_one_list() {
        let settings = read(&[
            "--listen",
            "127.0.0.1:1,127.0.0.1:2",
            "--listen",
            "127.0.0.1:3",
        ]);
        assert_eq!(settings.unwrap().listen.map(|listen| listen.len()), Some(3));
        let bridge = "obfs4 192.0.2.7:443 cert=a,b iat-mode=0";
        let settings = read(&["--tor-bridge", bridge]).unwrap();
        assert_eq!(settings.tor.bridges, Some(vec![bridge.to_owned()]));
    }

    #[test]
    fn switch_without_value_is_true_and_with_value_is_that_value() {
        assert_eq!(read(&["--relay"]).unwrap().relay, Some(true));
        assert_eq!(read(&["--relay=false"]).unwrap().relay, Some(false));
        assert_eq!(read(&[]).unwrap().relay, None);
        let refused = read(&["--relay=yes"]).unwrap_err();
        assert!(
            refused.contains("'yes'") && refused.contains("true or false"),
            "{refused}"
        );
    }

    #[test]
    fn bad_value_is_refused_with_value_flag_and_rule() {
        for (flag, value, rule) in [
            ("--max-peers", "0", "from 1 to 500"),
            ("--min-pow", "much", "from 0 upwards"),
            ("--tor-onion-port", "0", "from 1 to 65535"),
            ("--listen", "localhost:1", "an IP address and a port"),
        ] {
            let refused = read(&[flag, value]).unwrap_err();
            for part in [flag, value, rule] {
                assert!(refused.contains(part), "{part}: {refused}");
            }
        }
    }

    #[test]
    fn no_listen_means_an_empty_list_and_excludes_listen() {
        assert_eq!(read(&["--no-listen"]).unwrap().listen, Some(Vec::new()));
        assert!(read(&["--no-listen", "--listen", "127.0.0.1:1"]).is_err());
    }

    #[test]
    fn path_in_another_encoding_is_kept() {
        use std::os::unix::ffi::OsStringExt;
        let path = OsString::from_vec(b"/run/\xff".to_vec());
        let command = Options::augment_args(Command::new("run"));
        let arguments = ["run".into(), "--password-file".into(), path.clone()];
        let matches = command.try_get_matches_from(arguments).unwrap();
        let settings = Settings::from(Options::from_arg_matches(&matches).unwrap());
        assert_eq!(settings.password_file, Some(path.into()));
    }
}
