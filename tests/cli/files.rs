//! Files at the command line: what is refused before anything is offered, and what the user reads. Whole
//! transfers are in `tests/processes`.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use whisht::contact::address::ContactAddress;
use whisht::contact::id::ContactId;

use crate::{Running, Scratch, fails, scratch, succeeds, whisht};

/// A node with a contact `desk` that has no card.
fn node(data: &Scratch) -> Running {
    let node = Running::start(&data.path, &["--listen", "127.0.0.1:0"]);
    let address = ContactAddress::new(ContactId([0; 32])).to_string();
    let added = node.run(&["contact", "add", &address, "--as", "desk", "--no-wait"]);
    succeeds(&added);
    node
}

/// A picture of a telephone that names Jane, turned and with bytes behind its end.
fn photograph(data: &Scratch) -> String {
    let picture = fs::read("fuzz/corpus/file_metadata/jpeg").unwrap();
    assert!(picture.windows(4).any(|window| window == b"Jane"));
    written(data, "IMG_2041.JPG", &picture)
}

fn written(data: &Scratch, name: &str, bytes: &[u8]) -> String {
    let path = data.parent.join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn typed(data: &Scratch, args: &[&str], text: &str) -> Output {
    let mut command = whisht(&data.path);
    let mut child = command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn photograph_is_cleaned_and_the_user_reads_what_was_removed() {
    let data = scratch();
    let node = node(&data);
    let path = photograph(&data);
    let output = node.run(&["send", "--to", "desk", "--attach", &path, "--dry-run"]);
    // The file is ready before the node says that there is no card.
    let said = fails(&output, 5);
    for part in [
        "no card of desk",
        "removed EXIF, comments",
        "EXIF orientation 6",
        "bytes behind the end",
        "Does not remove",
        "\"file.jpg\"",
    ] {
        assert!(said.replace('\n', " ").contains(part), "{part}: {said}");
    }
    assert!(!said.contains("IMG_2041"), "{said}");
}

#[test]
fn file_that_cannot_be_cleaned_is_refused_with_exit_code_5_and_nothing_is_offered() {
    let data = scratch();
    let node = node(&data);
    let picture = fs::read(photograph(&data)).unwrap();
    let (cut, _) = picture.split_at(120);
    let path = written(&data, "cut.jpg", cut);
    let said = fails(&node.run(&["send", "--to", "desk", "--attach", &path]), 5);
    assert!(
        said.contains("cut.jpg") && said.contains("--as-is"),
        "{said}"
    );
    let conversations = succeeds(&node.run(&["inbox", "--json"]));
    assert!(
        !conversations.contains("\"conversation\""),
        "{conversations}"
    );
}

#[test]
fn file_as_it_is_needs_the_typed_words() {
    let data = scratch();
    let _node = node(&data);
    let path = photograph(&data);
    let args = [
        "send",
        "--to",
        "desk",
        "--attach",
        &path,
        "--as-is",
        "--dry-run",
    ];
    let refused = typed(&data, &args, "yes\n");
    let said = fails(&refused, 2);
    assert!(said.contains("nothing was handed over"), "{said}");
    let allowed = typed(&data, &args, "as is\n");
    let said = fails(&allowed, 5);
    assert!(said.contains("no card of desk"), "{said}");
    assert!(!said.contains("removed EXIF"), "{said}");
    assert!(said.contains("179 bytes"), "{said}");
}

#[test]
fn file_goes_to_contacts_only_and_without_a_text() {
    let data = scratch();
    let node = node(&data);
    let path = photograph(&data);
    let key = format!("0x04{}", "ab".repeat(64));
    let said = fails(&node.run(&["send", "--to", &key, "--attach", &path]), 2);
    assert!(said.contains("whisht contact add"), "{said}");
    for further in [["--file", "text"], ["--topic", "0x01020304"]] {
        let args = ["send", "--to", "desk", "--attach", &path];
        fails(&node.run(&[&args[..], &further].concat()), 2);
    }
    let name = "x".repeat(65);
    let args = ["send", "--to", "desk", "--attach", &path, "--name", &name];
    let said = fails(&node.run(&args), 2);
    assert!(said.contains("64") && said.contains("65"), "{said}");
}
