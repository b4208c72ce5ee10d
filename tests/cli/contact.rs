//! Contacts at the command line: mistyped addresses, waits, refusals and exit codes. Whole conversations
//! are in `tests/processes/contact.rs`.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::{Running, fails, scratch, stdout, succeeds, whisht};

/// A good address: that of the id of 32 zeros.
fn address() -> String {
    use whisht::contact::address::ContactAddress;
    use whisht::contact::id::ContactId;
    ContactAddress::new(ContactId([0; 32])).to_string()
}

fn node(data: &crate::Scratch) -> Running {
    Running::start(&data.path, &["--listen", "127.0.0.1:0"])
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn mistyped_address_is_a_usage_error_that_names_the_position() {
    let data = scratch();
    let node = node(&data);
    let good = address();
    let mut wrong: Vec<char> = good.chars().collect();
    wrong[16] = if wrong[16] == 'q' { 'p' } else { 'q' };
    let wrong: String = wrong.into_iter().collect();
    let short = good.get(..61).unwrap();
    let key = format!("04{}", "ab".repeat(64));
    for (typed, part) in [
        (wrong.as_str(), "17"),
        (short, "2 missing"),
        (node.enode(), "--peer"),
        (key.as_str(), "--to"),
        ("me@example.onion", "onion"),
    ] {
        let said = fails(&node.run(&["contact", "add", typed, "--as", "desk"]), 2);
        assert!(said.contains(part), "{typed}: {said}");
    }
    assert_eq!(succeeds(&node.run(&["contact", "list", "--json"])), "[]\n");
}

#[test]
fn contact_without_a_card_ends_the_wait_with_exit_code_3() {
    let data = scratch();
    let node = node(&data);
    let grouped: Vec<String> = address()
        .as_bytes()
        .chunks(4)
        .map(|group| String::from_utf8(group.to_ascii_uppercase()).unwrap())
        .collect();
    let mut args = vec!["contact", "add"];
    args.extend(grouped.iter().map(String::as_str));
    args.extend(["--as", "desk", "--timeout", "1s"]);
    let output = node.run(&args);
    fails(&output, 3);
    let shown = stdout(&output);
    for part in [
        &address(),
        "words: ",
        "away, or the peers hide it",
        "0 peers",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let again = fails(
        &node.run(&["contact", "add", &address(), "--as", "other", "--no-wait"]),
        2,
    );
    assert!(again.contains("desk"), "{again}");
    let listed = json(&succeeds(&node.run(&["contact", "list", "--json"])));
    assert_eq!(listed[0]["name"], "desk");
    assert_eq!(listed[0]["state"], "named");
    assert_eq!(listed[0]["verified"], false);
}

#[test]
fn words_that_differ_are_refused_and_equal_ones_are_recorded() {
    let data = scratch();
    let node = node(&data);
    let add = [
        "contact",
        "add",
        &address(),
        "--as",
        "desk",
        "--no-wait",
        "--json",
    ];
    let words = json(&succeeds(&node.run(&add)))["words"].clone();
    let words = words.as_str().unwrap();
    assert_eq!(words.split_whitespace().count(), 6);
    let wrong = "abandon abandon abandon abandon abandon abandon";
    let verify = |words: &str| node.run(&["contact", "verify", "desk", "--words", words]);
    let said = fails(&verify(wrong), 5);
    assert!(said.contains("nothing was recorded"), "{said}");
    let shown = json(&succeeds(&node.run(&["contact", "show", "desk", "--json"])));
    assert_eq!(shown["verified"], false);
    for (args, option) in [
        (["contact", "verify", "desk"], "--words"),
        (["contact", "forget", "desk"], "--yes"),
    ] {
        let said = fails(&node.run(&args), 2);
        assert!(said.contains(&format!("answer it with {option}")), "{said}");
    }
    succeeds(&verify(&words.to_uppercase()));
    let shown = json(&succeeds(&node.run(&["contact", "show", "desk", "--json"])));
    assert_eq!(shown["verified"], true);
}

#[test]
fn message_to_a_contact_is_refused_where_it_cannot_be_one() {
    let data = scratch();
    let node = node(&data);
    succeeds(&node.run(&["contact", "add", &address(), "--as", "desk", "--no-wait"]));
    let binary = data.path.join("binary");
    fs::write(&binary, [b'a', 0xff]).unwrap();
    let binary = binary.to_str().unwrap();
    for (args, part) in [
        (
            &["send", "--to", &address(), "-f", binary][..],
            "contact add",
        ),
        (&["send", "--to", "desk", "-f", binary], "byte 2"),
        (
            &["send", "--to", "desk", "-f", binary, "--sign", "me"],
            "--sign",
        ),
        (
            &["send", "--to", "desk", "-f", binary, "--any-client"],
            "--any-client",
        ),
        (&["reply", "heron", "-f", "/dev/null"], "empty"),
        (&["read", "heron"], "heron"),
        (&["contact", "show", "heron"], "heron"),
        (
            &["contact", "accept", "00c0ffee", "--as", "heron"],
            "00c0ffee",
        ),
        (&["contact", "forget", "desk"], "no terminal"),
        (&["contact", "verify", "desk"], "no terminal"),
        (&["card", "show", "heron"], "heron"),
        (&["card", "export", "heron", "--days", "15"], "1..=14"),
        (&["card", "publish", "/nonexistent"], "/nonexistent"),
        (&["card", "publish", binary], ""),
        (&["outbox", "cancel", "desk", "7"], "desk"),
    ] {
        let said = fails(&node.run(args), 2);
        assert!(said.contains(part), "{args:?}: {said}");
    }
}

#[test]
fn forgotten_contact_is_gone_after_a_restart() {
    let data = scratch();
    let node = Running::start(&data.path, &["--no-listen"]);
    for (name, fill) in [("desk", 0), ("heron", 1)] {
        use whisht::contact::address::ContactAddress;
        use whisht::contact::id::ContactId;
        let address = ContactAddress::new(ContactId([fill; 32])).to_string();
        succeeds(&node.run(&["contact", "add", &address, "--as", name, "--no-wait"]));
    }
    succeeds(&node.run(&["contact", "forget", "desk", "--yes"]));
    drop(node);
    let node = Running::start(&data.path, &["--no-listen"]);
    let listed = json(&succeeds(&node.run(&["contact", "list", "--json"])));
    let listed: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|contact| contact["name"].as_str())
        .collect();
    assert_eq!(listed, ["heron"]);
}

#[test]
fn price_without_a_card_is_refused_and_stores_nothing() {
    let data = scratch();
    let node = node(&data);
    succeeds(&node.run(&["contact", "add", &address(), "--as", "desk", "--no-wait"]));
    let mut sending = whisht(&data.path)
        .args(["send", "--to", "desk", "--dry-run", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = sending.stdin.take().unwrap();
    input.write_all(b"the hedge, at nine").unwrap();
    drop(input);
    let said = fails(&sending.wait_with_output().unwrap(), 5);
    assert!(said.contains("no card of desk is known"), "{said}");
    let inbox = succeeds(&node.run(&["inbox", "--json"]));
    assert_eq!(inbox, "", "a price starts no conversation");
}
