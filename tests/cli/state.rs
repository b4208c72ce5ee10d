//! What survives of a user when the program is killed, and under which password.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::{Running, fails, run, scratch, secret_file, succeeds};

const SECRET: &str = "the documents are in the blue folder";

fn inbox(node: &Running) -> Vec<Value> {
    let listed = succeeds(&node.run(&["inbox", "--json"]));
    let lines = listed.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn wait_for_message(node: &Running) -> Value {
    for _ in 0..600 {
        if let [message] = inbox(node).as_slice() {
            return message.clone();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the message does not arrive");
}

#[test]
fn killed_reader_has_its_messages_after_the_restart_and_only_with_the_password() {
    let (one, two) = (scratch(), scratch());
    let hedge = secret_file(&two.parent, "hedge", "hedge at nine\n");
    let listen = [
        "--listen",
        "127.0.0.1:0",
        "--level",
        "open",
        "--danger-light-kdf",
    ];
    let sender = Running::start(&one.path, &listen);
    let reader = [&listen[..], &["--peer", sender.enode()]].concat();
    // The first start has no identity, and no password; the first identity protects the state.
    let node = Running::start(&two.path, &reader);
    let made = [
        "id",
        "new",
        "desk",
        "--json",
        "--danger-light-kdf",
        "--password-file",
        &hedge,
    ];
    let made: Value = serde_json::from_str(&succeeds(&node.run(&made))).unwrap();
    let key = made["public_key"].as_str().unwrap();
    let message = secret_file(&one.parent, "message", SECRET);
    let send = [
        "send",
        "--to",
        key,
        "--ttl",
        "30m",
        "--no-wait",
        "-f",
        &message,
    ];
    succeeds(&run(&one.path, &send));
    let received = wait_for_message(&node);
    // No farewell: kill -9. The sender goes too, so that the network brings nothing again.
    drop(node);
    drop(sender);

    for entry in fs::read_dir(&two.path).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() {
            fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        let found = bytes
            .windows(SECRET.len())
            .any(|text| text == SECRET.as_bytes());
        assert!(!found, "{}", path.display());
    }
    let alone = ["--no-listen", "--danger-light-kdf"];
    let node = Running::start(&two.path, &alone);
    assert!(fails(&node.run(&["inbox"]), 6).contains("whisht unlock"));
    succeeds(&node.run(&["unlock", "--password-file", &hedge]));
    assert_eq!(inbox(&node), [received.clone()]);
    drop(node);

    let node = Running::start(
        &two.path,
        &[&alone[..], &["--password-file", &hedge]].concat(),
    );
    assert_eq!(inbox(&node), [received.clone()]);
    let next = secret_file(&two.parent, "next", "hedge at ten\n");
    let change = [
        "id",
        "passwd",
        "desk",
        "--danger-light-kdf",
        "--old-password-file",
        &hedge,
    ];
    succeeds(&node.run(&[&change[..], &["--password-file", &next]].concat()));
    drop(node);
    let node = Running::start(
        &two.path,
        &[&alone[..], &["--password-file", &next]].concat(),
    );
    assert_eq!(inbox(&node), [received]);
}
