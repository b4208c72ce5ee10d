//! A talk line between processes: two users type, each sees the lines of the other, and Ctrl-C ends the line at
//! both.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::contact::{self, Side};
use crate::network::ProcessNetwork;
use crate::node::{NodeProcess, until, until_within};
use crate::transfer::conversing;

#[test]
fn two_users_type_lines_to_each_other_until_one_presses_ctrl_c() {
    let network = conversing();
    contact::send(&network, Side::Source, "desk", "normal", 2);
    until("the conversation is open at the reader too", || {
        let history = network.reader.ask(&["read", "heron"]);
        (history["conversation"]["state"] == "open").then_some(())
    });

    // Without a terminal the question has no answer, and nothing is offered. The price came before it.
    let refused = network.reader.run(&["contact", "talk", "heron"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    check_price(&String::from_utf8(refused.stderr).unwrap());
    assert_eq!(talks(&network.reader), json!([]));

    let mut reader = Talker::start(&network.reader, &["contact", "talk", "heron", "--yes"]);
    assert!(reader.next_line().contains("waiting for heron"));
    until_within(MEETING_TIMEOUT, "the source has the offer", || {
        (talks(&network.source)[0]["stage"]["stage"] == "offered").then_some(())
    });
    let accept = ["contact", "talk", "desk", "--yes", "--json"];
    let mut source = Talker::start(&network.source, &accept);
    until_within(MEETING_TIMEOUT, "the line is open", || {
        [&network.reader, &network.source]
            .iter()
            .all(|node| talks(node)[0]["stage"]["stage"] == "open")
            .then_some(())
    });

    reader.type_line("are you safe?");
    reader.type_line("\u{1b}[2Jand alone?");
    source.type_line("yes");
    source.type_line("for an hour");
    // Each stage is told once, although the reply and the event both have it.
    assert!(reader.next_line().starts_with("accepted; attempt "));
    assert_eq!(
        reader.next_with("the line with"),
        "the line with heron is open"
    );
    assert_eq!(source.next_said(), "are you safe?");
    let second = source.next_said();
    assert!(second.ends_with("and alone?"), "{second:?}");
    assert!(!second.contains('\u{1b}'), "{second:?}");
    assert_eq!(reader.next_with("heron: "), "heron: yes");
    assert_eq!(reader.next_with("heron: "), "heron: for an hour");

    reader.press_ctrl_c();
    assert!(reader.next_with("the line has ended").contains("ended"));
    check_price(&reader.end());
    let ended = source.next_json(|line| line["talk"]["stage"]["stage"] == "ended");
    let reason = ended["talk"]["stage"]["reason"].as_str().unwrap();
    assert!(reason.contains("cancelled by the user"), "{reason}");
    check_price(&source.end());

    check_nothing_is_stored(&network);
}

/// Neither node keeps the line or what was said.
fn check_nothing_is_stored(network: &ProcessNetwork) {
    for node in [&network.reader, &network.source] {
        assert_eq!(talks(node), json!([]));
    }
    for (node, of) in [(&network.reader, "heron"), (&network.source, "desk")] {
        let history = node.ask(&["read", of]).to_string();
        assert!(!history.contains("for an hour") && !history.contains("are you safe"));
    }
}

/// The lines and offers of a node.
fn talks(node: &NodeProcess) -> Value {
    node.ask(&["rpc", "whisht_talks"])
}

/// The cost and what is given up, on standard error before anything is offered.
fn check_price(said: &str) {
    for word in [
        "58,560 bytes a minute",
        "protects less",
        "observer of both ends",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

/// A user at `whisht contact talk`.
struct Talker {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
}

impl Talker {
    fn start(node: &NodeProcess, args: &[&str]) -> Self {
        let mut child = node.type_into(args);
        let input = child.stdin.take().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The test may have failed meanwhile.
                let _sent = sender.send(line);
            }
        });
        Self {
            child,
            input,
            output,
        }
    }

    fn type_line(&mut self, text: &str) {
        writeln!(self.input, "{text}").unwrap();
    }

    /// The next line, without the mark of a local network.
    fn next_line(&self) -> String {
        let line = self.output.recv_timeout(LINE_TIMEOUT);
        let line = line.expect("a line on standard output");
        line.trim_start_matches("LOCAL ").to_owned()
    }

    /// The next line that begins so.
    fn next_with(&self, beginning: &str) -> String {
        loop {
            let line = self.next_line();
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    /// The next line of JSON of this kind.
    fn next_json(&self, is: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line: Value = serde_json::from_str(&self.next_line()).unwrap();
            if is(&line) {
                return line;
            }
        }
    }

    /// What the other user said next.
    fn next_said(&self) -> String {
        let line = self.next_json(|line| line["line"].is_string());
        line["line"].as_str().unwrap().to_owned()
    }

    fn press_ctrl_c(&self) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill")
            .args(["-INT", &id])
            .stdin(Stdio::null())
            .status();
        assert!(kill.unwrap().success());
    }

    /// Waits for the end of the command, which succeeds. Returns what it wrote to standard error.
    fn end(mut self) -> String {
        let status = until("the command ends", || self.child.try_wait().unwrap());
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(status.code(), Some(0), "{said}");
        said
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Time that a line may take on a machine with other work.
const LINE_TIMEOUT: Duration = Duration::from_secs(60);
/// A message, its answer, and a window of two minutes.
const MEETING_TIMEOUT: Duration = Duration::from_secs(400);
