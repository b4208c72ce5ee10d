//! `whisht config`: the commented file, the settings in effect, and all errors of a file.

use std::fs;

use serde_json::Value;

use crate::{fails, run, scratch, succeeds, whisht};

#[test]
fn default_file_is_accepted_by_check_and_changes_nothing() {
    let data = scratch();
    let file = data.parent.join("printed.toml");
    let printed = succeeds(&run(&data.path, &["config", "default"]));
    assert!(printed.contains("\n#level = \"normal\"\n"), "{printed}");
    fs::write(&file, printed).unwrap();
    let checked = run(&data.path, &["config", "check", file.to_str().unwrap()]);
    assert!(succeeds(&checked).contains("no error"));
    let shown = run(
        &data.path,
        &[
            "config",
            "show",
            "--json",
            "--config",
            file.to_str().unwrap(),
        ],
    );
    let shown: Value = serde_json::from_str(&succeeds(&shown)).unwrap();
    let settings = shown.as_array().unwrap();
    assert!(settings.iter().all(|setting| setting["is_default"] == true));
    let json = succeeds(&run(&data.path, &["config", "default", "--json"]));
    let all: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(all.as_array().unwrap().len(), settings.len());
}

#[test]
fn check_lists_all_errors_with_lines_and_exits_with_2() {
    let data = scratch();
    let file = data.parent.join("bad.toml");
    fs::write(&file, "levle = 'open'\n\nmax-peers = 0\n").unwrap();
    let path = file.to_str().unwrap();
    let checked = run(&data.path, &["config", "check", path]);
    assert_eq!(checked.status.code(), Some(2));
    let shown = String::from_utf8(checked.stdout).unwrap();
    assert!(shown.contains("bad.toml:1:") && shown.contains("did you mean `level`?"));
    assert!(shown.contains("bad.toml:3:"), "{shown}");
    let checked = run(&data.path, &["config", "check", path, "--json"]);
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(report["errors"][1]["line"], 3);
    let missing = fails(&run(&data.path, &["config", "check"]), 2);
    assert!(missing.contains("whisht init"), "{missing}");
}

#[test]
fn show_names_the_source_of_each_setting_and_no_password() {
    let data = scratch();
    // Makes the directory.
    succeeds(&run(&data.path, &["id", "list"]));
    let file = data.path.join("config.toml");
    fs::write(
        &file,
        "relay = false\ncover = 'reduced'\n[mail]\nserve = true\nstore = 'postgres://u:PLANTED@127.0.0.1/x'\n",
    )
    .unwrap();
    let mut command = whisht(&data.path);
    command.args(["config", "show", "--json", "--level", "open"]);
    command.env("WHISHT_MAX_PEERS", "9");
    let shown = succeeds(&command.output().unwrap());
    assert!(!shown.contains("PLANTED"), "{shown}");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let source = |key: &str| {
        let settings = shown.as_array().unwrap();
        let setting = settings.iter().find(|setting| setting["key"] == key);
        setting.unwrap()["source"].as_str().unwrap().to_owned()
    };
    assert_eq!(source("level"), "--level");
    assert_eq!(source("max-peers"), "WHISHT_MAX_PEERS");
    assert!(source("cover").ends_with("config.toml:2"));
    assert!(source("mail.store").ends_with("config.toml:5"));
    assert_eq!(source("pool-mb"), "default");
}
