//! Addresses at the command line: making, showing, drawing, restoring, and practising their words.

use std::fs;

use serde_json::Value;

use crate::terminal::Terminal;
use crate::{Running, Scratch, fails, run, scratch, secret_file, succeeds};

/// The words of a vector of BIP-39.
const WORDS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

fn node(data: &Scratch) -> Running {
    Running::start(&data.path, &["--listen", "127.0.0.1:0"])
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn new_address_is_listed_with_check_words() {
    let data = scratch();
    let node = node(&data);
    let made = json(&succeeds(&node.run(&[
        "id",
        "new",
        "desk",
        "--address",
        "--json",
    ])));
    let text = made["address"].as_str().unwrap();
    assert!(text.starts_with("shh1q") && text.len() == 63, "{text}");
    assert_eq!(made["words"].as_str().unwrap().split(' ').count(), 6);
    let shown = json(&succeeds(&node.run(&["id", "address", "desk", "--json"])));
    assert_eq!(shown["address"], made["address"]);
    let grouped = succeeds(&node.run(&["id", "address", "desk", "--groups"]));
    assert!(
        grouped.contains(text.get(..4).unwrap()) && !grouped.contains(text),
        "{grouped}"
    );
    let said = fails(&node.run(&["id", "new", "desk", "--address"]), 2);
    assert!(said.contains("desk"), "{said}");
    assert!(fails(&node.run(&["id", "address", "other"]), 2).contains("other"));
}

#[test]
fn address_survives_a_restart_of_the_node() {
    let data = scratch();
    let first = node(&data);
    let made = json(&succeeds(&first.run(&[
        "id",
        "new",
        "desk",
        "--address",
        "--json",
    ])));
    drop(first);
    let second = node(&data);
    let shown = json(&succeeds(&second.run(&["id", "address", "desk", "--json"])));
    assert_eq!(shown["address"], made["address"]);
}

#[test]
fn codes_are_drawn_into_new_files_only() {
    let data = scratch();
    let node = node(&data);
    succeeds(&node.run(&["id", "new", "desk", "--address"]));
    let (png, svg) = (data.parent.join("a.png"), data.parent.join("a.svg"));
    let args = ["id", "address", "desk", "--qr", "--png"];
    let args = [
        &args[..],
        &[png.to_str().unwrap(), "--svg", svg.to_str().unwrap()],
    ]
    .concat();
    let shown = succeeds(&node.run(&args));
    assert_eq!(shown.matches("\u{1b}[30;107m").count(), 21, "{shown}");
    let bytes = fs::read(&png).unwrap();
    assert_eq!(bytes.get(..8).unwrap(), b"\x89PNG\r\n\x1a\n");
    // Width and height of the header: 41 modules of 8 pixels.
    assert_eq!(bytes.get(16..24).unwrap(), [0, 0, 1, 72, 0, 0, 1, 72]);
    assert!(fs::read_to_string(&svg).unwrap().contains("<svg"));
    let said = fails(&node.run(&args), 2);
    assert!(said.contains("name another file"), "{said}");
}

#[test]
fn words_restore_the_same_address_on_every_node() {
    let data = scratch();
    let words = secret_file(&data.parent, "words", &format!("{WORDS}\n"));
    let restore = |name: &str| {
        let data = scratch();
        let node = node(&data);
        let args = ["restore", name, "--words-file", &words, "--json"];
        let restored = json(&succeeds(&node.run(&args)));
        let practised = ["practice", "--words-file", &words, "--json"];
        assert_eq!(json(&succeeds(&node.run(&practised)))["name"], name);
        restored["address"].clone()
    };
    assert_eq!(restore("desk"), restore("again"));
}

#[test]
fn practice_names_the_wrong_word_by_its_place_only() {
    let data = scratch();
    let practise = |text: &str| {
        let file = secret_file(&data.parent, "words", text);
        run(&data.path, &["practice", "--words-file", &file])
    };
    let shown = succeeds(&practise(WORDS));
    assert!(shown.contains("belong together"), "{shown}");
    assert!(
        !shown.contains("shh1"),
        "a screen is read by others: {shown}"
    );
    let said = fails(&practise(&WORDS.replace("year", "yeer")), 2);
    assert!(said.contains("word 4") && !said.contains("yeer"), "{said}");
    let said = fails(&practise(&WORDS.replace("thank year", "year thank")), 2);
    assert!(said.contains("changed places"), "{said}");
    assert!(fails(&practise("legal winner"), 2).contains("2 were typed"));
    assert!(!data.path.exists(), "nothing is stored");
}

#[test]
fn words_of_a_new_address_are_shown_on_a_terminal_only() {
    let data = scratch();
    let node = node(&data);
    let said = fails(&node.run(&["id", "new", "desk", "--address", "--words"]), 2);
    assert!(said.contains("terminal"), "{said}");
    assert_eq!(succeeds(&node.run(&["rpc", "whisht_addresses"])), "[]\n");

    let terminal = Terminal::open(&data.path, "id new desk --address --words");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("scroll-back"), "{shown}");
    let numbered = shown.lines().filter_map(|line| {
        let (number, word) = line.trim().split_once(' ')?;
        number.parse::<usize>().ok().map(|_| word.trim())
    });
    let words: Vec<&str> = numbered.collect();
    assert_eq!(words.len(), 12, "{shown}");
    let mut terminal = Terminal::open(&data.path, "practice");
    terminal.until("not shown");
    terminal.types(&words.join(" "));
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("these are the words of desk"), "{shown}");
}

#[test]
fn new_words_for_letters_are_shown_on_a_terminal_only() {
    let data = scratch();
    let said = fails(&run(&data.path, &["practice", "--new"]), 2);
    assert!(said.contains("terminal"), "{said}");
    let (code, shown) = Terminal::open(&data.path, "practice --new").end();
    assert_eq!(code, Some(0), "{shown}");
    let numbered = shown.lines().filter_map(|line| {
        let (number, _) = line.trim().split_once(' ')?;
        number.parse::<usize>().ok()
    });
    assert_eq!(numbered.collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert!(shown.contains("scroll-back"), "{shown}");
}
