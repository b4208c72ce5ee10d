//! The configuration that `whisht init` writes, and the commands that follow.

use std::path::Path;

use super::choices::{Choices, NodeRole};
use crate::config::{Form, Setting, tables};

/// Where the commands find what was written, if it is not the default.
pub(super) struct CommandPlace<'a> {
    pub(super) data_dir: Option<&'a Path>,
    pub(super) config: Option<&'a Path>,
}

/// The text of the file: each setting that was chosen, below its help text.
pub(super) fn file(choices: &Choices) -> String {
    let mut text = format!(
        "# Written by `whisht init` for the role {}. `whisht config default` prints all settings,\n\
         # `whisht config check` examines this file.\n",
        choices.role.word()
    );
    for table in tables() {
        let chosen: Vec<(&Setting, &Vec<String>)> = table
            .settings
            .iter()
            .filter_map(|setting| {
                let mut all = choices.settings.iter();
                let (_, values) = all.find(|(key, _)| *key == setting.names.key)?;
                Some((setting, values))
            })
            .collect();
        if chosen.is_empty() {
            continue;
        }
        if !table.name.is_empty() {
            text.push_str(&format!("\n[{}]\n", table.name));
        }
        for (setting, values) in chosen {
            let key = setting.names.key;
            let key = key.rsplit_once('.').map_or(key, |(_, key)| key);
            let [help, _] = setting.texts();
            text.push_str(&format!(
                "\n# {help}.\n{key} = {}\n",
                value(setting, values)
            ));
        }
    }
    text
}

/// Values as TOML. A basic string of TOML escapes as Rust does for the characters that settings have.
fn value(setting: &Setting, values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    match setting.form {
        Form::List | Form::Lines => format!("[{}]", quoted.join(", ")),
        Form::Number | Form::Switch => values.concat(),
        Form::One | Form::Path | Form::Secret => quoted.concat(),
    }
}

/// The commands to type next, in their order.
pub(super) fn next(choices: &Choices, place: &CommandPlace<'_>) -> Vec<String> {
    let mut at = String::new();
    if let Some(dir) = place.data_dir {
        at = format!(" --data-dir {}", dir.display());
    }
    let config = place
        .config
        .map_or_else(String::new, |path| format!(" --config {}", path.display()));
    let second = match choices.role {
        NodeRole::Source => format!("whisht contact add ADDRESS --as NAME{at}"),
        NodeRole::Reader => format!("whisht id new newsroom --address{at}"),
        NodeRole::Relay | NodeRole::Dapp => format!("whisht status{at}"),
    };
    vec![format!("whisht run{at}{config}"), second]
}
