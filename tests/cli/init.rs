//! `whisht init`, and identities that are renamed and removed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::terminal::Terminal;
use crate::{Running, fails, run, scratch, secret_file, succeeds};

const ANSWERS: [&str; 10] = [
    "init", "--tor", "off", "--level", "normal", "--cover", "full", "--peers", "none", "--role",
];

#[test]
fn init_without_terminal_names_the_missing_answers() {
    let data = scratch();
    let said = fails(&run(&data.path, &["init", "--role", "source"]), 2);
    for flag in ["--tor", "--level", "--cover", "--peers", "--defaults"] {
        assert!(said.contains(flag), "{flag}: {said}");
    }
    assert!(!data.path.exists(), "nothing was written");
}

#[test]
fn init_writes_a_private_file_once() {
    let data = scratch();
    let args = [&ANSWERS[..], &["source", "--json"]].concat();
    let made: Value = serde_json::from_str(&succeeds(&run(&data.path, &args))).unwrap();
    assert_eq!(made["mb_per_day"]["cover_out"], 43);
    let file = data.path.join("config.toml");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    succeeds(&run(&data.path, &["config", "check"]));
    let before = fs::read(&file).unwrap();
    let said = fails(&run(&data.path, &args), 2);
    assert!(said.contains("--force"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), before);
    succeeds(&run(&data.path, &[&args[..], &["--force"]].concat()));
}

#[test]
fn init_of_a_relay_without_address_is_refused() {
    let data = scratch();
    let args = ["init", "--role", "relay", "--tor", "off", "--peers", "none"];
    let said = fails(&run(&data.path, &args), 2);
    assert!(said.contains("--advertise"), "{said}");
    let bad = [&args[..], &["--advertise", "nowhere"]].concat();
    let said = fails(&run(&data.path, &bad), 2);
    assert!(said.contains("--advertise nowhere"), "{said}");
    let good = [&args[..], &["--advertise", "203.0.113.7:20819"]].concat();
    let shown = succeeds(&run(&data.path, &good));
    assert!(
        shown.contains("relaying") && shown.contains("whisht run"),
        "{shown}"
    );
}

#[test]
fn init_of_a_reader_makes_an_identity() {
    let data = scratch();
    let hedge = secret_file(&data.parent, "hedge", "hedge at nine\n");
    let identity = ["reader", "--identity", "desk", "--danger-light-kdf"];
    let args = [&ANSWERS[..], &identity, &["--password-file", &hedge]].concat();
    succeeds(&run(&data.path, &args));
    assert!(data.path.join("keystore/desk.json").exists());
}

#[test]
fn init_whose_identity_lacks_a_password_writes_no_file_and_can_be_repeated() {
    let data = scratch();
    let args = [&ANSWERS[..], &["reader", "--identity", "desk"]].concat();
    let said = fails(&run(&data.path, &args), 6);
    assert!(said.contains("--password-file"), "{said}");
    assert!(!data.path.join("config.toml").exists());
    succeeds(&run(&data.path, &[&args[..], &["--no-password"]].concat()));
    assert!(data.path.join("config.toml").exists());
}

#[test]
fn init_at_a_terminal_takes_defaults_with_enter() {
    let data = scratch();
    let mut terminal = Terminal::open(&data.path, "init --local try");
    for (question, answer) in [
        ("role [source]", "dapp"),
        ("tor [off]", ""),
        ("level [normal]", "opne"),
        ("level [normal]", ""),
        ("cover [full]", ""),
        ("peers [none]", ""),
        ("rpc-http [127.0.0.1:8545]", ""),
    ] {
        terminal.until(question);
        terminal.types_openly(answer);
    }
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("there is no level"), "{shown}");
    let text = fs::read_to_string(data.path.join("config.toml")).unwrap();
    assert!(text.contains("http = \"127.0.0.1:8545\""), "{text}");
}

/// The names of the identities.
fn names(output: &str) -> Vec<String> {
    let listed: Vec<Value> = serde_json::from_str(output).unwrap();
    let names = listed
        .iter()
        .map(|view| view["name"].as_str().unwrap().to_owned());
    names.collect()
}

#[test]
fn identity_is_renamed_and_removed_with_and_without_a_node() {
    let data = scratch();
    let hedge = secret_file(&data.parent, "hedge", "hedge at nine\n");
    let light = ["--danger-light-kdf", "--password-file", &hedge];
    let new = |name| [&["id", "new", name][..], &light].concat();
    let rename = |old, new| [&["id", "rename", old, new][..], &light].concat();
    let list = ["id", "list", "--json"];
    succeeds(&run(&data.path, &new("desk")));
    succeeds(&run(&data.path, &rename("desk", "front")));
    assert_eq!(names(&succeeds(&run(&data.path, &list))), ["front"]);
    let said = fails(&run(&data.path, &["id", "rm", "front"]), 2);
    assert!(said.contains("--yes"), "{said}");
    let args = ["--no-listen", "--password-file", &hedge];
    let node = Running::start(&data.path, &args);
    succeeds(&node.run(&rename("front", "back")));
    succeeds(&node.run(&new("other")));
    assert_eq!(names(&succeeds(&node.run(&list))), ["back", "other"]);
    let said = fails(&node.run(&rename("other", "back")), 2);
    assert!(said.contains("back"), "{said}");
    succeeds(&node.run(&["id", "rm", "back", "--yes"]));
    assert_eq!(names(&succeeds(&node.run(&list))), ["other"]);
    assert!(!data.path.join("keystore/back.json").exists());
    drop(node);
    succeeds(&run(&data.path, &["id", "rm", "other", "--yes"]));
    let said = fails(&run(&data.path, &["id", "rm", "other", "--yes"]), 2);
    assert!(said.contains("whisht id list"), "{said}");
}
