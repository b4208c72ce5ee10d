//! `whisht panic`: what is left of a data directory and of its node.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::terminal::Terminal;
use crate::{Running, fails, run, scratch, succeeds};

fn panic_now(dir: &Path) -> Value {
    let said = succeeds(&run(dir, &["panic", "--now", "--json"]));
    serde_json::from_str(&said).unwrap()
}

#[test]
fn panic_ends_the_node_and_leaves_no_file() {
    let data = scratch();
    succeeds(&run(&data.path, &["id", "new", "desk", "--no-password"]));
    let mut node = Running::start(&data.path, &["--listen", "127.0.0.1:0"]);
    let began = Instant::now();
    let report = panic_now(&data.path);
    assert_eq!(report["erased"], true, "{report}");
    assert_eq!(report["node_ended"], true, "{report}");
    assert!(!data.path.exists());
    while node.child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(30), "the node runs");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(node.child.wait().unwrap().code(), Some(0));
    assert!(!data.path.exists(), "the node wrote after the erasure");
    // A second call finds nothing, and succeeds.
    assert_eq!(panic_now(&data.path)["erased"], false);
}

#[test]
fn panic_without_node_erases_and_needs_a_confirmation() {
    let data = scratch();
    succeeds(&run(&data.path, &["id", "new", "desk", "--no-password"]));
    let said = fails(&run(&data.path, &["panic"]), 2);
    assert!(said.contains("--now"), "{said}");
    assert!(data.path.join("keystore/desk.json").exists());
    assert_eq!(panic_now(&data.path)["erased"], true);
    assert!(!data.path.exists());
}

#[test]
fn typed_word_confirms_and_another_word_does_not() {
    let data = scratch();
    succeeds(&run(&data.path, &["id", "new", "desk", "--no-password"]));
    let mut terminal = Terminal::open(&data.path, "panic");
    terminal.until("to do it:");
    terminal.types_openly("yes");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(2), "{shown}");
    assert!(data.path.join("keystore/desk.json").exists());
    let mut terminal = Terminal::open(&data.path, "panic");
    terminal.until("to do it:");
    terminal.types_openly("wipe");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("flash memory"), "{shown}");
    assert!(!data.path.exists());
}

/// The socket names a node in another directory. The directory that the command takes without options, here
/// that of another person's node, stays as it is.
#[test]
fn panic_at_a_socket_ends_that_node_and_erases_no_other_directory() {
    let home = scratch();
    let usual = home.parent.join(".whisper");
    succeeds(&run(&usual, &["id", "new", "desk", "--no-password"]));
    let other = scratch();
    let mut node = Running::start(&other.path, &["--listen", "127.0.0.1:0"]);
    let socket = other.path.join("whisht.ipc");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_whisht"))
        .args([
            "panic",
            "--now",
            "--json",
            "--ipc",
            socket.to_str().unwrap(),
        ])
        .env("HOME", &home.parent)
        .env_remove("WHISHT_DATA_DIR")
        .output()
        .unwrap();
    let report: Value = serde_json::from_str(&succeeds(&output)).unwrap();
    assert_eq!(report["directory"], Value::Null, "{report}");
    assert_eq!(report["node_ended"], true, "{report}");
    assert_eq!(node.child.wait().unwrap().code(), Some(0));
    assert!(usual.join("keystore/desk.json").exists());
}

#[test]
fn panic_refuses_a_directory_of_another_program() {
    let data = scratch();
    fs::create_dir(&data.path).unwrap();
    fs::write(data.path.join("files"), "x").unwrap();
    let said = fails(&run(&data.path, &["panic", "--now"]), 2);
    assert!(said.contains("not a data directory"), "{said}");
    assert!(data.path.join("files").exists());
}
