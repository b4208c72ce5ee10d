//! Custom levels and levels of recipients, from the configuration file to the exit code.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::{Running, fails, scratch, succeeds};

const CONFIG: &str = r#"
[levels.custom.quick]
base = "open"
max-seconds = 0

[levels.custom.frugal]
base = "open"
max-bytes = 0

[levels.recipients]
band = "quick"
"#;

fn configure(dir: &Path) {
    let private = Permissions::from_mode(0o700);
    fs::create_dir_all(dir).unwrap();
    fs::set_permissions(dir, private).unwrap();
    let file = dir.join("config.toml");
    fs::write(&file, CONFIG).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn limit_of_a_custom_level_refuses_with_exit_code_5_and_sends_nothing() {
    let data = scratch();
    configure(&data.path);
    let node = Running::start(&data.path, &["--listen", "127.0.0.1:0"]);
    succeeds(&node.run(&["id", "new", "me", "--no-password"]));
    let shared = ["--no-password", "--shared", "--topic", "0x01020304"];
    succeeds(&node.run(&[&["id", "new", "band"], &shared[..]].concat()));
    let send = ["send", "--allow-empty", "--to", "me", "--no-wait"];
    let with = |level: &str| node.run(&[&send[..], &["--level", level]].concat());
    let said = fails(&with("quick"), 5);
    assert!(
        said.contains("custom level `quick`") && said.contains("`max-seconds` is 0"),
        "{said}"
    );
    // A price is refused as the message is.
    let dry = [
        "send",
        "--allow-empty",
        "--to",
        "me",
        "--dry-run",
        "--level",
        "quick",
    ];
    fails(&node.run(&dry), 5);
    // The recipient's level decides where the message names none.
    let said = fails(
        &node.run(&["send", "--allow-empty", "--to", "band", "--no-wait"]),
        5,
    );
    assert!(said.contains("custom level `quick`"), "{said}");
    assert!(succeeds(&node.run(&["outbox"])).contains("nothing"));
    let said = fails(&with("fruga"), 2);
    assert!(said.contains("did you mean `frugal`?"), "{said}");
    // No cell travels at `open`, so the limit of zero bytes holds.
    succeeds(&with("frugal"));
}

#[test]
fn levels_list_custom_ones_and_the_assumptions() {
    let data = scratch();
    configure(&data.path);
    let node = Running::start(&data.path, &["--listen", "127.0.0.1:0"]);
    let shown = succeeds(&node.run(&["levels", "--assumptions"]));
    assert!(
        shown.contains("quick: custom level, `open` with limits"),
        "{shown}"
    );
    assert!(shown.contains("- the adversary is passive"), "{shown}");
    let json = succeeds(&node.run(&["levels", "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["custom"][1]["base"], "open");
    assert_eq!(json["assumptions"], Value::Null);
    assert!(json["levels"].as_array().unwrap().len() >= 5);
}
