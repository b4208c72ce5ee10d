//! The declarations of the settings against what is made of them: names, defaults, and the tables of
//! docs/operating.md.

use super::*;
use crate::config::setting::Names;

const PAGE: &str = include_str!("../../../docs/operating.md");

fn declared() -> impl Iterator<Item = Setting> {
    tables().into_iter().flat_map(|table| table.settings)
}

/// Replaces each generated part of the page: the lines between a comment that names a list of tables,
/// and its end.
fn generated(page: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in page.split_inclusive('\n') {
        let begin = line
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.strip_suffix(" -->\n"));
        if let Some(names) = begin {
            text.push_str(line);
            text.push_str(HEADING);
            text.push_str(&rows(names));
            text.push('\n');
            inside = true;
        } else if line == END {
            inside = false;
        }
        if !inside {
            text.push_str(line);
        }
    }
    text
}

/// The rows of these tables; `-` stands for the settings outside of tables.
fn rows(names: &str) -> String {
    let wanted = |name: &str| {
        names
            .split(' ')
            .any(|wanted| wanted.trim_matches('-') == name)
    };
    let tables = tables().into_iter().filter(|table| wanted(table.name));
    let settings = tables.flat_map(|table| table.settings);
    settings.map(|setting| setting.row()).collect()
}

#[test]
fn operating_page_contains_the_generated_tables() {
    let expected = generated(PAGE);
    let wrong = PAGE
        .lines()
        .zip(expected.lines())
        .find(|(own, new)| own != new);
    assert!(
        PAGE == expected,
        "docs/operating.md is not what the declarations say ({wrong:?}); run `cargo test --lib \
         rewrite_operating_page -- --ignored`"
    );
    for setting in declared() {
        assert!(PAGE.contains(&setting.row()), "{setting:?} is missing");
    }
}

#[test]
#[ignore = "rewrites a page; run by hand after a setting changed, and checked by the test above"]
fn rewrite_operating_page() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md");
    std::fs::write(path, generated(PAGE)).unwrap();
}

#[test]
fn flag_and_variable_of_a_setting_are_its_key_in_their_spelling() {
    // A flag names one item of a list, so these flags are in the singular.
    let singular = [
        "peers",
        "trusted-peers",
        "tor.bridges",
        "tor.transports",
        "tor.readers",
        "levels.recipients",
    ];
    for setting in declared() {
        let Names { key, flag, env, .. } = setting.names;
        let mut spelled = key.replace('.', "-");
        if singular.contains(&key) {
            spelled.pop();
        }
        // `--console` opens the console, as `whisht console` does.
        if key == "console.enable" {
            spelled = "console".to_owned();
        }
        assert_eq!(flag, spelled);
        let variable = format!("WHISHT_{}", flag.replace('-', "_").to_uppercase());
        assert_eq!(env.is_empty(), setting.form == Form::Lines, "{key}");
        assert!(env.is_empty() || env == variable, "{key}");
    }
}

#[test]
fn key_has_the_name_of_its_table() {
    for table in tables() {
        for setting in &table.settings {
            let prefix = setting
                .names
                .key
                .split_once('.')
                .map_or("", |(table, _)| table);
            assert_eq!(prefix, table.name);
        }
    }
}

#[test]
fn default_in_the_documents_is_the_default_of_the_program() {
    let mut checked = 0;
    for setting in declared() {
        let Some(default) = setting.default_value() else {
            continue;
        };
        let key = setting.names.key;
        // The value must count: without these settings a table is ignored or refused.
        let base = match key {
            "mail.serve" | "tor.mode" | "tor.only" => "",
            "tor.socks" => "tor.mode = 'socks'\n",
            "tor.onion-port" | "tor.bridges" | "tor.transports" | "tor.readers"
                if cfg!(feature = "tor") =>
            {
                "tor.mode = 'arti'\n"
            }
            "tor.onion-port" => continue,
            "metrics.interval" => "metrics.listen = '127.0.0.1:1'\n",
            "rpc.origins" => "rpc.http = '127.0.0.1:1'\n",
            key if key.starts_with("mail.") => "mail.serve = true\n",
            _ => "",
        };
        let config = |text: &str| format!("{:?}", build(text).unwrap());
        let written = config(&format!("{base}{key} = {default}\n"));
        assert_eq!(written, config(base), "{key} = {default}");
        checked += 1;
    }
    assert!(checked > 25, "only {checked} settings have a default value");
}

#[test]
fn help_text_is_one_line_with_a_default_and_no_full_stop() {
    for setting in declared() {
        let help = setting.help();
        assert!(
            help.ends_with(']') && help.contains(" [default: "),
            "{help}"
        );
        assert!(help.starts_with(|c: char| c.is_ascii_uppercase()), "{help}");
        assert!(
            !help.contains(['\n', '`']) && !help.contains(". "),
            "{help}"
        );
    }
    let help = |key| {
        let mut all = declared();
        all.find(|setting| setting.names.key == key).unwrap().help()
    };
    assert_eq!(help("max-peers"), "Maximum number of peers [default: 25]");
    assert!(help("peers").ends_with("; may be repeated [default: none]"));
    assert!(help("rpc.modules").ends_with("[default: shh, net, web3]"));
}

const BEGIN: &str = "<!-- settings: ";
const END: &str = "<!-- end of settings -->\n";
const HEADING: &str =
    "\n| key of the file | flag, variable | default | meaning |\n|---|---|---|---|\n";
