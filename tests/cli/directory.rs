//! Relay lists as people make and use them: the ceremony of the page, what it refuses, a node that
//! follows the list.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::{Running, fails, program, run, run_node, scratch, secret_file, succeeds};

const PAGE: &str = include_str!("../../docs/relay-lists.md");

/// Keys that are points of the curve.
const KEYS: [&str; 2] = [
    "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8\
     fd17b448a68554199c47d08ffb10d4b8",
    "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee51ae168fea63dc339a3c58419466ceaee\
     f7f632653266d0e1236431a950cfe52a",
];

/// Runs `whisht directory` in a directory.
fn directory(dir: &Path, args: &[&str]) -> Output {
    let mut command = program();
    command.current_dir(dir).arg("directory").args(args);
    command.output().unwrap()
}

/// Makes the key of a signer; returns its id.
fn keygen(dir: &Path, file: &str) -> String {
    let args = ["keygen", file, "--no-password", "--json"];
    let made: Value = serde_json::from_str(&succeeds(&directory(dir, &args))).unwrap();
    made["signer"].as_str().unwrap().to_owned()
}

fn draft(signers: &[String], relays: &[&str], more: &str) -> String {
    let relays = relays
        .iter()
        .map(|enode| format!("[[relays]]\nenode = \"{enode}\"\n"));
    format!(
        "signers = {signers:?}\n{more}\n{}",
        relays.collect::<String>()
    )
}

/// Signs a file, and returns the report in JSON.
fn sign(dir: &Path, file: &str, key: &str, output: &str) -> Value {
    let args = ["sign", file, "--key", key, "--yes", "--json", "-o", output];
    serde_json::from_str(&succeeds(&directory(dir, &args))).unwrap()
}

/// The lines of the first fenced block of the page.
fn ceremony() -> Vec<&'static str> {
    let block = PAGE.split("```").nth(1).unwrap();
    let lines = block
        .lines()
        .map(|line| line.split(" #").next().unwrap().trim());
    lines.filter(|line| !line.is_empty()).collect()
}

/// The draft of the list as the page prints it, with keys in it.
fn draft_of_the_page(ids: &[(String, String)]) -> String {
    let toml = PAGE.split("```toml").nth(1).unwrap();
    let toml = toml.split("```").next().unwrap();
    // The public addresses of the page are reserved for documents, which nodes refuse.
    let mut text = toml.replace("203.0.113.7", "93.184.216.34");
    text = text.replace("198.51.100.9", "93.184.217.34");
    for key in KEYS {
        text = text.replacen("KEY", key, 1);
    }
    for (name, id) in ids {
        text = text.replace(name, id);
    }
    text
}

#[test]
fn ceremony_of_the_page_runs_as_printed() {
    let data = scratch();
    let dir = &data.parent;
    secret_file(dir, "password", "a hedge full of sparrows\n");
    let mut ids: Vec<(String, String)> = Vec::new();
    let mut ran = 0;
    for line in ceremony() {
        let mut line = line.to_owned();
        for (name, id) in &ids {
            line = line.replace(name, id);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["cat", file] => {
                fs::write(dir.join(file), draft_of_the_page(&ids)).unwrap();
            }
            ["whisht", "directory", "keygen", file, ..] => {
                let args = [&words[2..], &["--danger-light-kdf"]].concat();
                let said = succeeds(&directory(dir, &args));
                let name = file.split('.').next().unwrap().to_uppercase();
                ids.push((name, said.lines().last().unwrap().to_owned()));
            }
            ["whisht", "directory", ..] => {
                let said = succeeds(&directory(dir, &words[2..]));
                if words[2] == "verify" {
                    assert!(
                        said.starts_with("valid: 2 of 3 signers have signed"),
                        "{said}"
                    );
                }
            }
            // It would connect to the relays of the list; a test below runs a node.
            ["whisht", "run", ..] => {}
            _ => panic!("{line}"),
        }
        ran += 1;
    }
    assert_eq!(ran, 10, "the page promises ten lines");
    let shown = succeeds(&directory(dir, &["show", "relays.list", "--json"]));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["relays"].as_array().unwrap().len(), 2);
    assert_eq!(shown["invalid_signatures"], 0);
    // With other signers than those of the list, it is not valid.
    let args = ["verify", "relays.list", "--signer", ids[0].1.as_str()];
    let said = fails(&directory(dir, &args), 1);
    assert!(
        said.contains("other signers than the pinned ones"),
        "{said}"
    );
}

#[test]
fn key_signs_no_second_list_for_an_epoch() {
    let data = scratch();
    let dir = &data.parent;
    let id = keygen(dir, "key");
    let enode = |port: u16| format!("enode://{}@93.184.216.34:{port}", KEYS[0]);
    for (file, port) in [("one.toml", 1), ("two.toml", 2)] {
        let text = draft(
            std::slice::from_ref(&id),
            &[&enode(port)],
            "from = \"2026-12-01\"",
        );
        fs::write(dir.join(file), text).unwrap();
    }
    let first = sign(dir, "one.toml", "key", "one.list");
    // The same list again is not a second one.
    let again = sign(dir, "one.toml", "key", "again.list");
    assert_eq!(first["id"], again["id"]);
    let args = [
        "sign", "two.toml", "--key", "key", "--yes", "-o", "two.list",
    ];
    let said = fails(&directory(dir, &args), 5);
    assert!(said.contains("has signed another list"), "{said}");
    assert!(!dir.join("two.list").exists());
}

#[test]
fn refused_commands_name_file_and_remedy() {
    let data = scratch();
    let dir = &data.parent;
    let (id, other) = (keygen(dir, "key"), keygen(dir, "other"));
    let enode = format!("enode://{}@93.184.216.34:1", KEYS[0]);
    fs::write(dir.join("draft.toml"), draft(&[id], &[&enode], "")).unwrap();
    sign(dir, "draft.toml", "key", "good.list");
    let mut spoilt = fs::read(dir.join("good.list")).unwrap();
    spoilt.push(0);
    fs::write(dir.join("spoilt.list"), spoilt).unwrap();
    for (args, code, parts) in [
        (
            &["show", "none.list"][..],
            2,
            ["none.list", "name a file that exists"],
        ),
        (&["show", "spoilt.list"], 2, ["spoilt.list", "malformed"]),
        (
            &["keygen", "key", "--no-password"],
            2,
            ["key", "name another file"],
        ),
        (
            &["sign", "draft.toml", "--key", "other", "--yes", "-o", "x"],
            2,
            ["does not name the signer", other.as_str()],
        ),
        (
            &["sign", "draft.toml", "--key", "key", "-o", "x"],
            2,
            ["no terminal", "--yes"],
        ),
        (
            &[
                "sign",
                "draft.toml",
                "--key",
                "key",
                "--yes",
                "-o",
                "good.list",
            ],
            2,
            ["good.list", "name another file"],
        ),
        (&["merge", "good.list", "-o", "x"], 2, ["2 values", ""]),
        (
            &["verify", "good.list", "--signer", "12"],
            2,
            ["12", "64 hexadecimal digits"],
        ),
    ] {
        let said = fails(&directory(dir, args), code);
        for part in parts {
            assert!(said.contains(part), "{args:?}: {part}: {said}");
        }
    }
    assert!(!dir.join("x").exists());
}

#[test]
fn node_follows_the_list_of_its_file_and_takes_a_newer_one() {
    let data = scratch();
    let dir = &data.parent;
    let id = keygen(dir, "key");
    let network = "profile = \"local\"\nnetwork = \"cli-test\"\ndays = 20";
    let enode = |port: u16| format!("enode://{}@127.0.0.1:{port}", KEYS[0]);
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let minute = |secs: u64| {
        let date = std::process::Command::new("date")
            .args(["-u", "-d", &format!("@{secs}"), "+%Y-%m-%dT%H:%M"])
            .output()
            .unwrap();
        String::from_utf8(date.stdout).unwrap().trim().to_owned()
    };
    // From the present epoch, and from the one after the next.
    let epochs = [(now / 43_200) * 43_200, (now / 43_200 + 2) * 43_200];
    for (file, epoch) in ["one", "two"].into_iter().zip(epochs) {
        let from = format!("{network}\nfrom = \"{}\"", minute(epoch));
        let text = draft(std::slice::from_ref(&id), &[&enode(9)], &from);
        fs::write(dir.join(format!("{file}.toml")), text).unwrap();
        sign(dir, &format!("{file}.toml"), "key", &format!("{file}.list"));
    }
    let file = dir.join("one.list");
    let file = file.to_str().unwrap();
    let follow = [
        "--no-listen",
        "--directory-signers",
        id.as_str(),
        "--directory-file",
        file,
    ];
    let _node = Running::start(&data.path, &follow);
    let status = |data: &Path| -> Value {
        serde_json::from_str(&succeeds(&run(data, &["status", "--json"]))).unwrap()
    };
    let view = status(&data.path)["relay_list"].clone();
    assert_eq!(view["threshold"], 1);
    assert_eq!(view["in_force"]["relays"], 1);
    assert!(view["next_from"].is_null());
    let levels = succeeds(&run(&data.path, &["levels"]));
    assert!(
        levels.contains("relays: the 1 that 1 of 1 signers list"),
        "{levels}"
    );
    let second = dir.join("two.list");
    let publish = ["directory", "publish", second.to_str().unwrap()];
    succeeds(&run(&data.path, &publish));
    assert_eq!(status(&data.path)["relay_list"]["next_from"], epochs[1]);
    let text = succeeds(&run(&data.path, &["status"]));
    assert!(text.contains("a newer list comes into force on"), "{text}");
}

#[test]
fn node_refuses_a_file_that_its_signers_did_not_sign() {
    let data = scratch();
    let dir = &data.parent;
    let (id, other) = (keygen(dir, "key"), keygen(dir, "other"));
    let enode = format!("enode://{}@127.0.0.1:9", KEYS[0]);
    let network = "profile = \"local\"\nnetwork = \"cli-test\"";
    fs::write(dir.join("draft.toml"), draft(&[id], &[&enode], network)).unwrap();
    sign(dir, "draft.toml", "key", "good.list");
    let file = dir.join("good.list");
    let args = [
        "--no-listen",
        "--directory-signers",
        other.as_str(),
        "--directory-file",
        file.to_str().unwrap(),
    ];
    let output = run_node(&data.path, &args);
    assert_ne!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("other signers than the pinned ones"),
        "{said}"
    );
    assert!(
        said.contains("get the newest list from the signers"),
        "{said}"
    );
}
