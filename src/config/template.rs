//! The commented configuration file: every setting with its help text and its default.
//!
//! The text is made from the declarations, so it cannot differ from the program. A line that begins with
//! one `#` is a setting with its default: without the `#` it means the same. A line that begins with
//! `##` is text, or a setting that has no fixed value or needs another setting. Tables are not commented
//! out, because a setting whose table is missing would be another setting.

use super::setting::{Form, Setting, Table};
use super::settings::tables;
use super::{Config, file};

/// The configuration file with every setting commented out.
#[must_use]
pub fn template() -> String {
    let mut text = String::new();
    prose(&mut text, HEAD);
    for table in tables() {
        text.push('\n');
        if !table.name.is_empty() {
            let heading = format!("{}.", table.heading);
            prose(&mut text, &heading);
            text.push_str(&format!("[{}]\n", table.name));
        }
        let entries: Vec<String> = table
            .settings
            .iter()
            .map(|setting| entry(&table, setting))
            .collect();
        text.push_str(&entries.join("\n"));
    }
    text
}

/// Help text and default of one setting.
fn entry(table: &Table, setting: &Setting) -> String {
    let [help, page] = setting.texts();
    let mut text = String::new();
    prose(&mut text, &format!("{help}."));
    if !page.is_empty() {
        prose(&mut text, &format!("{page}."));
    }
    let key = key_in(table, setting);
    match setting.default_value() {
        None => {
            prose(&mut text, &format!("Default: {}.", setting.default_text()));
            text.push_str(&format!("##{key} = {}\n", placeholder(setting)));
        }
        Some(value) => match refused_alone(setting, value) {
            None => text.push_str(&format!("#{key} = {value}\n")),
            Some(rule) => {
                prose(&mut text, &format!("Alone it is an error: {rule}."));
                text.push_str(&format!("##{key} = {value}\n"));
            }
        },
    }
    text
}

/// The key without its table, as it is written below the name of the table.
fn key_in<'a>(table: &Table, setting: &'a Setting) -> &'a str {
    let key = setting.names.key;
    let tail = key
        .strip_prefix(table.name)
        .and_then(|rest| rest.strip_prefix('.'));
    tail.unwrap_or(key)
}

/// The form of a value for a setting that has no fixed default.
fn placeholder(setting: &Setting) -> String {
    let name = setting.names.placeholder;
    match setting.form {
        Form::List | Form::Lines => format!("[\"{name}\"]"),
        Form::Number | Form::Switch => name.to_owned(),
        Form::One | Form::Path | Form::Secret => format!("\"{name}\""),
    }
}

/// Why a setting cannot stand alone with its default: it would have no effect, and a user who wrote it
/// expects one.
fn refused_alone(setting: &Setting, value: &str) -> Option<String> {
    let text = format!("{} = {value}\n", setting.names.key);
    let settings = file::parse("config.toml".as_ref(), &text).ok()?;
    Config::build(settings).err().map(|error| error.to_string())
}

/// Adds a paragraph of text, in lines of at most [`WIDTH`] columns.
fn prose(text: &mut String, paragraph: &str) {
    let mut line = String::from("##");
    for word in paragraph.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH && line.len() > 2 {
            text.push_str(&line);
            text.push('\n');
            line.truncate(2);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

const HEAD: &str = "Configuration of whisht. A line that begins with one # is a setting with its default: \
                    remove the #, and change the value. A line that begins with ## is text, or a setting \
                    without a fixed default. `whisht config check` examines this file, and `whisht config \
                    show` lists what is in effect.";
/// Columns of a line.
const WIDTH: usize = 98;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Settings;

    fn build(text: &str) -> String {
        let settings = file::parse(Path::new("config.toml"), text).unwrap();
        format!("{:?}", Config::build(settings).unwrap())
    }

    /// The file with the first `#` of each line removed, as an operator would do it for all settings.
    fn uncommented() -> String {
        let template = template();
        let lines = template.lines();
        let lines = lines.map(|line| line.strip_prefix('#').unwrap_or(line));
        lines.map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn template_parses_and_sets_nothing() {
        let settings = file::parse(Path::new("config.toml"), &template()).unwrap();
        assert_eq!(
            format!("{settings:?}"),
            format!("{:?}", Settings::default())
        );
    }

    #[test]
    fn template_with_every_line_uncommented_means_an_empty_file() {
        let text = uncommented();
        let entries = file::FileReading::of(Path::new("config.toml"), &text).entries;
        assert!(entries.len() >= 25, "only {} settings", entries.len());
        assert_eq!(build(&text), build(""));
    }

    #[test]
    fn template_has_every_setting_with_its_help_once() {
        let template = template();
        let joined = template.replace("\n##", "");
        for table in tables() {
            for setting in &table.settings {
                let key = key_in(&table, setting);
                let own = |line: &&str| {
                    let line = line.trim_start_matches('#');
                    line.strip_prefix(key)
                        .is_some_and(|rest| rest.starts_with(" = "))
                };
                let heading = format!("[{}]\n", table.name);
                let section = if table.name.is_empty() {
                    template.as_str()
                } else {
                    template.split_once(&heading).unwrap().1
                };
                let section = section.split("\n[").next().unwrap();
                assert_eq!(section.lines().filter(own).count(), 1, "{setting:?}");
                assert!(joined.contains(setting.texts()[0]), "{setting:?}");
            }
        }
    }

    #[test]
    fn setting_that_needs_another_one_names_it() {
        let template = template().replace("\n##", "");
        let store = "has no effect without `mail.serve`";
        assert!(template.contains(store));
        assert!(template.contains("has no effect: tor.mode is \"off\""));
    }

    #[test]
    fn line_of_template_fits_into_the_width() {
        for line in template().lines().filter(|line| line.contains(' ')) {
            assert!(line.len() <= WIDTH || !line.starts_with("## "), "{line}");
        }
    }
}
