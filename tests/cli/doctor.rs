//! `whisht doctor` and `whisht support-bundle` on a stopped and on a running node.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::{Running, fails, run, scratch, stdout, succeeds};

/// The findings of a doctor with `--json`.
fn findings(output: &str) -> Vec<Value> {
    let report: Value = serde_json::from_str(output).unwrap();
    report["findings"].as_array().unwrap().clone()
}

#[test]
fn doctor_names_a_fault_of_a_stopped_node_and_exits_with_1() {
    let data = scratch();
    succeeds(&run(&data.path, &["id", "list"]));
    let key = data.path.join("nodekey");
    fs::write(&key, "not a key").unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let output = run(&data.path, &["doctor", "--json", "--no-listen"]);
    fails(&output, 1);
    let found = findings(&stdout(&output));
    let named = |check: &str, part: &str| {
        found.iter().any(|finding| {
            finding["check"] == check
                && finding["result"] == "wrong"
                && finding["text"].as_str().unwrap().contains(part)
                && finding["remedy"].is_string()
        })
    };
    assert!(named("permissions", "nodekey"), "{found:?}");
    assert!(named("files", "nodekey is damaged"), "{found:?}");
    let node = found.iter().find(|finding| finding["check"] == "node");
    assert_eq!(node.unwrap()["result"], "not_checked");
    let shown = run(&data.path, &["doctor", "--no-listen"]);
    assert!(
        stdout(&shown).contains("-> run `chmod 0600"),
        "{}",
        stdout(&shown)
    );
}

#[test]
fn doctor_asks_the_running_node() {
    let data = scratch();
    let node = Running::start(&data.path, &["--no-listen"]);
    let args = ["--profile", "local", "--network", "cli-test", "--no-listen"];
    let output = node.run(&[&["doctor", "--json"][..], &args].concat());
    // Without a peer nothing is sent.
    fails(&output, 1);
    let found = findings(&stdout(&output));
    let of = |check: &str| {
        let finding = found.iter().find(|finding| finding["check"] == check);
        finding
            .unwrap_or_else(|| panic!("{check}: {found:?}"))
            .clone()
    };
    assert_eq!(of("node")["result"], "ok");
    assert_eq!(of("peers")["result"], "wrong");
    assert_eq!(of("files")["result"], "ok");
    assert_eq!(of("open files")["result"], "ok");
}

#[test]
fn bundle_is_shown_before_it_is_written_and_only_written_with_consent() {
    let data = scratch();
    let output = data.parent.join("bundle.txt");
    let path = output.to_str().unwrap();
    let args = ["support-bundle", "--no-listen", "--output", path];
    let refused = run(&data.path, &args);
    assert!(fails(&refused, 2).contains("--yes"));
    assert!(stdout(&refused).contains("== doctor"));
    assert!(!output.exists());
    succeeds(&run(&data.path, &[&args[..], &["--dry-run"]].concat()));
    assert!(!output.exists());
    let shown = succeeds(&run(&data.path, &[&args[..], &["--yes"]].concat()));
    assert_eq!(fs::read_to_string(&output).unwrap(), shown);
    let mode = fs::metadata(&output).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = run(&data.path, &[&args[..], &["--yes"]].concat());
    assert!(fails(&again, 2).contains("name another file"));
}
