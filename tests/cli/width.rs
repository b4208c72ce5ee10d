//! The width of the terminal: at 80 and at 40 columns no line is longer than the terminal, and no word
//! is broken.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::screen::{Screen, Shown, at_width};
use crate::{Running, program, scratch, succeeds, whisht};

/// Checks that every line fits. A word that no line can hold, such as a public key, may stand alone on
/// a line: it could not be copied if it were broken.
fn assert_fits(what: &[&str], columns: usize, screen: &Screen) {
    let lines = screen.lines();
    for line in &lines {
        let text = line.strip_prefix("LOCAL ").unwrap_or(line);
        let is_one_word = !text.trim().contains(' ');
        assert!(
            line.chars().count() <= columns || is_one_word,
            "{what:?} at {columns} columns: {line:?} in\n{}",
            lines.join("\n")
        );
    }
}

fn shown(dir: &Path, args: &[&str], columns: usize) -> Shown {
    let shown = at_width(columns, whisht(dir).args(args));
    assert_fits(args, columns, &shown.screen);
    shown
}

/// Three relays. The last one has two peers and an unreachable one, is listed in the directory, and has
/// identities.
fn relays(dirs: [&Path; 3]) -> [Running; 3] {
    let [one, two, three] = dirs;
    // Without proof of work the test does not depend on the speed of the machine.
    let relay = [
        "--relay",
        "--listen",
        "127.0.0.1:0",
        "--level",
        "open",
        "--min-pow",
        "0",
    ];
    let first = Running::start(one, &relay);
    let peers = ["--peer", first.enode()];
    let second = Running::start(two, &[&relay[..], &peers].concat());
    let peers = [&peers[..], &["--peer", second.enode()]].concat();
    let third = Running::start(three, &[&relay[..], &peers].concat());
    for name in ["desk", "a-rather-long-name"] {
        succeeds(&third.run(&["id", "new", name, "--no-password"]));
    }
    let key = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
               483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
    let unreached = format!("enode://{key}@127.0.0.1:1");
    succeeds(&third.run(&["peers", "--add", &unreached]));
    [first, second, third]
}

fn send(node: &Running, body: &str, args: &[&str]) {
    let mut sending = whisht(&node.dir)
        .args(["send", "--to", "desk", "--ttl", "30m"])
        .args(args)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = sending.stdin.take().unwrap();
    input.write_all(body.as_bytes()).unwrap();
    drop(input);
    assert!(sending.wait().unwrap().code().is_some());
}

/// Waits until a command shows a text.
fn until(node: &Running, args: &[&str], text: &str) {
    let found = (0..600).any(|_| {
        let output = node.run(args);
        let found = String::from_utf8_lossy(&output.stdout).contains(text);
        if !found {
            std::thread::sleep(Duration::from_millis(100));
        }
        found
    });
    assert!(found, "{args:?} does not show {text}");
}

#[test]
fn output_of_every_command_fits_terminals_of_80_and_40_columns() {
    let dirs = [scratch(), scratch(), scratch()];
    let [_first, _second, node] = relays([0, 1, 2].map(|at| dirs[at].path.as_path()));
    let body =
        "a message with many words, so that its text takes more than one line at either width";
    send(&node, body, &["--no-wait"]);
    until(&node, &["inbox"], "a message with many words");
    until(&node, &["relays", "--json"], "subnet");
    until(&node, &["outbox"], "open");
    for columns in [80, 40] {
        for args in [
            &["status"][..],
            &["levels"],
            &["peers"],
            &["relays"],
            &["outbox"],
            &["inbox"],
            &["id", "list"],
            &[
                "send",
                "--to",
                "desk",
                "--level",
                "open",
                "--dry-run",
                "-f",
                "/etc/hostname",
            ],
            &["cancel", "77"],
            &[
                "send",
                "--to",
                "desk",
                "--level",
                "hush",
                "-f",
                "/etc/hostname",
            ],
            &["mail", "fetch", "--since", "2h"],
            &["drain"],
            &["drain", "--undo"],
            &["help"],
            &["help", "send"],
            &["run", "--help"],
            &["run", "--levle", "open"],
        ] {
            let Shown { status, screen } = shown(&node.dir, args, columns);
            assert!(status.code().is_some(), "{args:?}");
            assert!(!screen.words().is_empty(), "{args:?}");
        }
    }
    let narrow = shown(&node.dir, &["levels"], 40).screen.words();
    assert!(narrow.contains("NETWORK BYTES") && narrow.contains("dark not available"));
    let wide = shown(&node.dir, &["peers"], 200).screen.lines();
    assert!(wide[0].contains("RATING"), "{wide:?}");
}

#[test]
fn output_of_commands_without_a_node_fits_terminals_of_80_and_40_columns() {
    let data = scratch();
    let without_node = |args: &[&str], columns| {
        let shown = at_width(columns, program().args(args));
        assert_fits(args, columns, &shown.screen);
        shown
    };
    for columns in [80, 40] {
        let demo = without_node(&["demo", "--relays", "2", "--level", "open"], columns);
        let words = demo.screen.words();
        // On a loaded machine the message may be late, which 3 says.
        assert!(matches!(demo.status.code(), Some(0 | 3)), "{words}");
        assert!(
            words.contains("COULD REVEAL") && words.contains("delivered"),
            "{words}"
        );
        let sim = [
            "sim",
            "--nodes",
            "20",
            "--seconds",
            "20",
            "--messages",
            "2",
            "--fast",
        ];
        let sim = without_node(&sim, columns);
        assert_eq!(sim.status.code(), Some(0));
        let words = sim.screen.words();
        assert!(words.contains("bytes per node"), "{words}");
        // The line of progress is erased.
        assert!(
            !words.contains("simulated s,") && !words.contains("the nodes meet"),
            "{words}"
        );
        let missing = shown(&data.path, &["status"], columns);
        assert!(missing.screen.words().contains("whisht run"));
    }
}

#[test]
fn progress_of_a_message_is_erased_completely_and_leaves_whole_stages() {
    let dirs = [scratch(), scratch(), scratch()];
    let [_first, _second, node] = relays([0, 1, 2].map(|at| dirs[at].path.as_path()));
    for columns in [80, 40] {
        let args = [
            "send",
            "--to",
            "desk",
            "--timeout",
            "20s",
            "-f",
            "/etc/hostname",
        ];
        let Shown { screen, .. } = shown(&node.dir, &args, columns);
        let lines = screen.lines();
        let filled: Vec<&String> = lines.iter().filter(|line| !line.is_empty()).collect();
        let spinning =
            |line: &&&String| line.starts_with(|c: char| !c.is_ascii() && c != '\u{2026}');
        assert_eq!(filled.iter().filter(spinning).count(), 0, "{lines:?}");
        assert!(filled[0].starts_with("  message "), "{lines:?}");
        assert_eq!(screen.words().matches("accepted").count(), 1, "{lines:?}");
        assert_eq!(
            screen.words().matches("envelope complete").count(),
            1,
            "{lines:?}"
        );
    }
}
