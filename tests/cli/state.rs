//! What survives of a user when the program is killed, and under which password.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::{Running, Scratch, fails, run, scratch, secret_file, succeeds};

/// A weak key derivation keeps the test fast.
const LIGHT: &str = "--danger-light-kdf";
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

/// Whether a file of the directory has the text in the clear.
fn has_text(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() {
            fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

/// Sends the secret to an identity of a reader, kills both, and returns the message.
///
/// The reader's first start has no identity and no password; its first identity protects the state.
fn receive_and_kill(sender: &Scratch, reader: &Scratch, password: &str) -> Value {
    let listen = ["--listen", "127.0.0.1:0", "--level", "open", LIGHT];
    let source = Running::start(&sender.path, &listen);
    let peer = [&listen[..], &["--peer", source.enode()]].concat();
    let node = Running::start(&reader.path, &peer);
    let new = ["id", "new", "desk", "--json", LIGHT, "--password-file"];
    let made = succeeds(&node.run(&[&new[..], &[password]].concat()));
    let made: Value = serde_json::from_str(&made).unwrap();
    let key = made["public_key"].as_str().unwrap();
    let message = secret_file(&sender.parent, "message", SECRET);
    let send = ["send", "--to", key, "--ttl", "30m", "--no-wait", "-f"];
    succeeds(&run(&sender.path, &[&send[..], &[&message]].concat()));
    // Both processes are killed without a farewell, so the network brings nothing again.
    wait_for_message(&node)
}

/// After an upgrade the running node is still the old one, and must be locked before anything else.
#[test]
fn node_of_another_version_can_be_locked() {
    let data = scratch();
    let socket = data.parent.join("other.ipc");
    let listener = UnixListener::bind(&socket).unwrap();
    let node = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for (id, result) in [
            (1, r#"{"profile":"main","news":1}"#),
            (2, r#"{"identities":["desk"],"state":true}"#),
        ] {
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            let reply = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
            stream.write_all(reply.as_bytes()).unwrap();
        }
    });
    let locked = run(&data.path, &["lock", "--ipc", socket.to_str().unwrap()]);
    assert!(succeeds(&locked).contains("locked desk"));
    node.join().unwrap();
}

#[test]
fn killed_reader_has_its_messages_after_the_restart_and_only_with_the_password() {
    let (one, two) = (scratch(), scratch());
    let hedge = secret_file(&two.parent, "hedge", "hedge at nine\n");
    let received = receive_and_kill(&one, &two, &hedge);
    assert!(!has_text(&two.path, SECRET));

    let alone = ["--no-listen", LIGHT];
    let node = Running::start(&two.path, &alone);
    assert!(fails(&node.run(&["inbox"]), 6).contains("whisht unlock"));
    succeeds(&node.run(&["unlock", "--password-file", &hedge]));
    assert_eq!(inbox(&node), std::slice::from_ref(&received));
    drop(node);

    let with = |password| [&alone[..], &["--password-file", password]].concat();
    let node = Running::start(&two.path, &with(&hedge));
    assert_eq!(inbox(&node), std::slice::from_ref(&received));
    let next = secret_file(&two.parent, "next", "hedge at ten\n");
    let change = ["id", "passwd", "desk", LIGHT, "--old-password-file", &hedge];
    succeeds(&node.run(&[&change[..], &["--password-file", &next]].concat()));
    drop(node);
    let node = Running::start(&two.path, &with(&next));
    assert_eq!(inbox(&node), [received]);
}

#[test]
fn locked_node_shows_nothing_until_it_is_unlocked() {
    let data = scratch();
    let hedge = secret_file(&data.parent, "hedge", "hedge at nine\n");
    let node = Running::start(&data.path, &["--no-listen", LIGHT]);
    let said = fails(&node.run(&["lock"]), 2);
    assert!(said.contains("no password protects"), "{said}");

    succeeds(&node.run(&["id", "new", "press", "--address"]));
    let new = ["id", "new", "desk", LIGHT, "--password-file", &hedge];
    succeeds(&node.run(&new));
    let address = |node: &Running| -> Value {
        let shown = succeeds(&node.run(&["id", "address", "press", "--json"]));
        let shown: Value = serde_json::from_str(&shown).unwrap();
        shown["address"].clone()
    };
    let before = address(&node);

    let said = succeeds(&node.run(&["lock"]));
    assert!(said.contains("locked desk"), "{said}");
    assert!(said.contains("locked contacts and messages"), "{said}");
    for command in [&["id", "address"][..], &["contact", "list"], &["inbox"]] {
        fails(&node.run(command), 6);
    }
    let status =
        || -> Value { serde_json::from_str(&succeeds(&node.run(&["status", "--json"]))).unwrap() };
    assert_eq!(status()["state_locked"], true);
    // What is locked already stays so.
    let again: Value = serde_json::from_str(&succeeds(&node.run(&["lock", "--json"]))).unwrap();
    assert_eq!(again["identities"], serde_json::json!([]));

    succeeds(&node.run(&["unlock", "--password-file", &hedge]));
    assert_eq!(status()["state_locked"], false);
    assert_eq!(address(&node), before);
}
