//! The console of a node in a process, in Chromium and under attack by other pages.
//!
//! Needs Chromium, Node.js and `npm ci` in tests/interop/console. Where these are missing the tests say
//! `SKIPPED` and pass, unless CI is `true` or WHISHT_REQUIRE_INTEROP is set: then they fail. The scenarios
//! are in tests/interop/console/browser.mjs.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::contact::CARD_OPTIONS;
use crate::network::ProcessNetwork;
use crate::node::NodeProcess;
use crate::script::{NodeScript, ScriptProcess};

#[path = "console/visitor.rs"]
mod visitor;

use self::visitor::ConsoleVisitor;

const SCRIPT: NodeScript = NodeScript {
    folder: "console",
    file: "browser.mjs",
    package: "playwright-core",
};

#[test]
fn console_leads_from_request_to_answer_with_and_without_script() {
    let Some(program) = browser() else { return };
    let mut network = ProcessNetwork::start_with(&CARD_OPTIONS);
    let made = network.reader.ask(&["id", "new", "desk", "--address"]);
    let address = made["address"].as_str().unwrap();
    let add = ["contact", "add", address, "--as", "desk", "--no-wait"];
    network.source.ask(&add);
    wait_long("the source finds the card", || {
        let found = network.source.ask(&["contact", "show", "desk"]);
        (found["state"] == "ready").then_some(())
    });

    // Without JavaScript: the request is accepted and answered.
    let first = "<script>document.title='x'</script> \"quoted\" & 'so'";
    write(&network, "desk", first);
    let journalist = json!({
        "script": false, "text": first, "name": "heron", "reply": "come\nat <b>nine</b>",
    });
    run(&program, "journalist", &network.reader, journalist);
    let answer = wait_long("the source has the answer", || {
        let history = network.source.ask(&["read", "desk"]);
        let messages = history["messages"].as_array().unwrap().iter();
        messages
            .map(|message| message["parts"][0]["text"].clone())
            .find(|text| *text == "come\nat <b>nine</b>")
    });
    assert!(answer.is_string());

    hostile_texts_stay_texts(&program, &network);
    user_stars_and_erases_without_script(&program, &network);

    // With JavaScript: a message appears in the page that is open.
    let next = "the second message";
    let live = json!({"name": "heron", "text": next});
    let mut live = start(&program, "live", &network.reader, live);
    assert_eq!(live.next_within(SCENARIO_TIMEOUT)["ready"], true);
    write(&network, "desk", next);
    assert_eq!(live.next_within(SCENARIO_TIMEOUT)["done"], true);
    live.assert_success();

    file_is_accepted_and_saved_without_script(&program, &network);
    pictures(&program, &network.reader);
    killed_node_has_message_once_or_not_at_all(&program, &mut network);
}

/// The source offers a file; the reader accepts and saves it in the browser, without JavaScript.
fn file_is_accepted_and_saved_without_script(program: &Path, network: &ProcessNetwork) {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("hedge.txt");
    let content: String = (0..40_000_u32)
        .map(|line| format!("line {line}\n"))
        .collect();
    std::fs::write(&path, &content).unwrap();
    let path = path.to_str().unwrap();
    network.source.ask(&[
        "send",
        "--to",
        "desk",
        "--attach",
        path,
        "--level",
        "normal",
        "--no-wait",
    ]);
    accept_file(program, &network.reader);
    let saved = saved_hash(program, &network.reader);
    assert_eq!(saved, hex::encode(Sha256::digest(content.as_bytes())));
}

/// Accepts the offered file in a browser without JavaScript.
pub(crate) fn accept_file(program: &Path, node: &NodeProcess) {
    run(program, "acceptFile", node, json!({"script": false}));
}

/// Waits for the accepted file in a browser without JavaScript, and saves it. Returns the hash of what was saved.
pub(crate) fn saved_hash(program: &Path, node: &NodeProcess) -> String {
    let saved = run(program, "saveFile", node, json!({"script": false}));
    saved["sha256"].as_str().unwrap().to_owned()
}

/// A text that attacks the page of the reader: elements, templates, entities, marks of direction, and a
/// line that is wider than any window.
fn hostile_texts_stay_texts(program: &Path, network: &ProcessNetwork) {
    let visible = [
        "<img src=//127.0.0.1:9/x.png onerror=alert(1)>",
        "{{ token }} {% include \"inbox.html\" %} &lt;b&gt; </p></article><script>alert(1)</script>",
        "javascript:alert(1) http://127.0.0.1:9/",
        &"W".repeat(1_500),
    ]
    .join("\n");
    write(
        network,
        "desk",
        &format!("{visible}\n\u{202e}reversed\u{2066} \u{1b}[31m"),
    );
    let shown = [format!("{visible}\n?reversed? ?[31m")];
    wait_long("the reader has the text", || {
        let history = network.reader.ask(&["read", "heron"]);
        let messages = history["messages"].as_array().unwrap().iter();
        let theirs = messages.filter(|message| message["direction"] == "in");
        (theirs.count() > shown.len()).then_some(())
    });
    for script in [false, true] {
        let inert = json!({"script": script, "name": "heron", "texts": shown});
        run(program, "inert", &network.reader, inert);
    }
}

/// Stars the conversation, and erases one of the messages that attacked the page.
fn user_stars_and_erases_without_script(program: &Path, network: &ProcessNetwork) {
    let messages = || {
        let history = network.reader.ask(&["read", "heron"]);
        history["messages"].as_array().unwrap().clone()
    };
    let before = messages();
    let hostile = json!({"script": false, "name": "heron", "text": "<img src="});
    run(program, "manage", &network.reader, hostile);
    let after = messages();
    assert_eq!(after.len(), before.len() - 1, "one message is erased");
    let texts = after.iter().map(|message| &message["parts"][0]["text"]);
    let mut texts = texts.filter_map(Value::as_str);
    assert!(!texts.any(|text| text.starts_with("<img src=")));
    let list = network.reader.ask(&["read", "heron"]);
    assert_eq!(list["conversation"]["starred"], true, "{list}");
}

/// WHISHT_SCREENSHOTS names a folder for pictures of all pages, to be looked at.
fn pictures(program: &Path, node: &NodeProcess) {
    if let Ok(shots) = std::env::var("WHISHT_SCREENSHOTS") {
        let pages = json!({"shots": shots, "pages": PAGES});
        run(program, "pictures", node, pages);
    }
}

/// Kills the reader while its browser sends forms. What a page called stored is stored, and nothing is
/// stored twice.
fn killed_node_has_message_once_or_not_at_all(program: &Path, network: &mut ProcessNetwork) {
    let mut flood = start(program, "flood", &network.reader, json!({}));
    assert_eq!(flood.next_within(SCENARIO_TIMEOUT)["ready"], true);
    std::thread::sleep(Duration::from_millis(1_500));
    network.kill_and_restart_clients();
    let result = flood.next_within(SCENARIO_TIMEOUT);
    let accepted: Vec<u64> = serde_json::from_value(result["accepted"].clone()).unwrap();
    assert!(!accepted.is_empty(), "{result}");
    let tried = result["tried"].as_u64().unwrap();
    assert!(tried < 399, "the node was killed too late: {result}");
    let history = network.reader.ask(&["read", "heron"]);
    let stored = |number: u64| {
        let messages = history["messages"].as_array().unwrap().iter();
        let text = format!("flood {number}");
        let equal = messages.filter(|message| message["parts"][0]["text"] == text);
        equal.count()
    };
    for number in 0..=tried {
        let count = stored(number);
        let is_accepted = accepted.contains(&number);
        assert!(count <= 1, "form {number} was stored {count} times");
        assert!(count == 1 || !is_accepted, "form {number} was lost");
    }
}

#[test]
fn console_gives_nothing_to_other_pages_and_ended_sessions() {
    let Some(program) = browser() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let node = NodeProcess::start(scratch.path(), "alone", &["--console"]);
    let other = NodeProcess::start(scratch.path(), "other", &[]);
    let made = other.ask(&["id", "new", "other", "--address"]);
    let secret = "Zaunkoenig-of-the-hedge";
    let address = made["address"].as_str().unwrap();
    node.ask(&["contact", "add", address, "--as", secret, "--no-wait"]);

    let url = node.banner()["console"].as_str().unwrap();
    let attacks = json!({"guess": "0".repeat(32), "url": url});
    run(&program, "attacks", &node, attacks);
    for script in [false, true] {
        let ended = json!({"script": script, "secret": secret});
        run(&program, "ended", &node, ended);
    }
    let access = run(&program, "access", &node, json!({"pages": PAGES}));
    assert!(access["worst"].is_object(), "{access}");
    network_fits_one_screen(&program, &node);
    guesses_close_login(&node);
}

/// The lock of the console is the one of `whisht lock`; a new session needs the password.
#[test]
fn lock_in_the_console_locks_contacts_until_the_password_is_given() {
    let scratch = tempfile::tempdir().unwrap();
    let password = scratch.path().join("password");
    std::fs::write(&password, "a hedge full of sparrows\n").unwrap();
    std::fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
    let node = NodeProcess::start(scratch.path(), "locked", &[]);
    let new = [
        "id",
        "new",
        "desk",
        "--password-file",
        password.to_str().unwrap(),
    ];
    node.ask(&new);
    let visitor = ConsoleVisitor::enter(&node);
    let unlocked = visitor.get("/").body;
    assert!(!unlocked.contains("are locked"), "{unlocked}");
    let locked = visitor.post("/lock", "");
    assert!(
        locked
            .body
            .contains("Locked: the identity desk, contacts and messages."),
        "{}",
        locked.body
    );
    assert_eq!(visitor.get("/").status, 403, "the session has ended");
    let status = node.ask(&["status"]);
    assert_eq!(status["state_locked"], true, "{status}");

    let visitor = ConsoleVisitor::enter(&node);
    let page = visitor.get("/").body;
    assert!(
        page.contains("Contacts and conversations are locked"),
        "{page}"
    );
    assert_eq!(visitor.post("/unlock", "&password=wrong").status, 422);
    let right = visitor.post("/unlock", "&password=a+hedge+full+of+sparrows");
    assert_eq!(right.status, 303, "{}", right.body);
    let status = node.ask(&["status"]);
    assert_eq!(status["state_locked"], false, "{status}");
}

/// The keys are gone before the answer; then the node ends and the rest is deleted.
#[test]
fn panic_in_the_console_deletes_the_directory_and_ends_the_process() {
    let scratch = tempfile::tempdir().unwrap();
    let mut node = NodeProcess::start(scratch.path(), "panicked", &[]);
    node.ask(&["id", "new", "desk", "--address"]);
    let visitor = ConsoleVisitor::enter(&node);
    let mistyped = visitor.post("/panic", "&word=wip");
    assert_eq!(mistyped.status, 422);
    assert!(node.dir().join("nodekey").exists(), "nothing is erased");

    let erased = visitor.post("/panic", "&word=wipe");
    assert_eq!(erased.status, 200, "{}", erased.body);
    assert!(
        !node.dir().join("nodekey").exists(),
        "the keys are gone before the answer"
    );
    let status = node.wait_for_end();
    assert!(status.success(), "{status}");
    assert!(
        !node.dir().exists(),
        "the directory is gone when the process has ended"
    );
    let left: Vec<_> = std::fs::read_dir(scratch.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["panicked.log"], "nothing else is left");
}

/// The page of the network in a window of 1,024 x 768, in both colour schemes. WHISHT_SCREENSHOTS names a
/// folder for pictures of it.
fn network_fits_one_screen(program: &Path, node: &NodeProcess) {
    let shots = std::env::var("WHISHT_SCREENSHOTS").ok();
    let screen = json!({"pages": ["/network", "/network/coarse"], "shots": shots});
    run(program, "screen", node, screen);
}

/// Ten wrong URLs close the login; the next `whisht console` opens it.
fn guesses_close_login(node: &NodeProcess) {
    let status = |url: &str| {
        let (_, rest) = url.split_once("://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let port = host.rsplit(':').next().unwrap().parse().unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        write!(
            stream,
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.get(9..12).unwrap().to_owned()
    };
    let draw = || node.ask(&["console"])["url"].as_str().unwrap().to_owned();
    let right = draw();
    let (base, token) = right.rsplit_once('/').unwrap();
    for guess in 0..10 {
        let wrong = format!("{base}/{guess}{}", token.get(1..).unwrap());
        if wrong != right {
            assert_eq!(status(&wrong), "403");
        }
    }
    assert_eq!(status(&format!("{base}/{}", "A".repeat(43))), "403");
    assert_eq!(status(&right), "403");
    assert_eq!(status(&draw()), "303");
}

/// Node.js, if everything that the scenarios need is there.
pub(crate) fn browser() -> Option<PathBuf> {
    let program = SCRIPT.node()?;
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    if Command::new(&chromium).arg("--version").output().is_ok() {
        return Some(program);
    }
    let required = std::env::var_os("CI").is_some_and(|value| value == "true")
        || std::env::var_os("WHISHT_REQUIRE_INTEROP").is_some();
    assert!(!required, "missing: Chromium");
    eprintln!("SKIPPED: tests of the console require Chromium");
    None
}

/// Starts a scenario at a node. A URL is drawn for it unless the parameters have one.
fn start(program: &Path, scenario: &str, node: &NodeProcess, mut given: Value) -> ScriptProcess {
    if given["url"].is_null() {
        given["url"] = node.ask(&["console"])["url"].clone();
    }
    let url = given["url"].as_str().unwrap();
    let host = url.split('/').nth(2).unwrap().to_owned();
    given["port"] = host
        .rsplit(':')
        .next()
        .unwrap()
        .parse::<u16>()
        .unwrap()
        .into();
    given["host"] = host.into();
    given["draw"] = json!([
        env!("CARGO_BIN_EXE_whisht"),
        "--data-dir",
        node.dir(),
        "console",
        "--json"
    ]);
    SCRIPT.start(program, &[scenario, &given.to_string()])
}

/// Runs a scenario to its end.
fn run(program: &Path, scenario: &str, node: &NodeProcess, given: Value) -> Value {
    let mut script = start(program, scenario, node, given);
    let result = script.next_within(SCENARIO_TIMEOUT);
    assert_eq!(result["done"], true, "{scenario}: {result}");
    script.assert_success();
    result
}

/// As [`until`](crate::node::until), for what takes a machine minutes that compiles and browses besides.
fn wait_long<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < SCENARIO_TIMEOUT, "timeout: {what}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Stores a message at the source, and returns before it is sent.
fn write(network: &ProcessNetwork, to: &str, text: &str) {
    let file = network.write("text", text.as_bytes());
    let send = [
        "send",
        "--to",
        to,
        "-f",
        &file,
        "--level",
        "normal",
        "--no-wait",
    ];
    network.source.ask(&send);
}

/// Pages that need no conversation.
const PAGES: [&str; 11] = [
    "/",
    "/send",
    "/outbox",
    "/unlock",
    "/card",
    "/network",
    "/network/coarse",
    "/files",
    "/files/new",
    "/settings",
    "/panic",
];

/// Only bounds the wait for a hanging scenario: a message takes seconds to half a minute in it.
const SCENARIO_TIMEOUT: Duration = Duration::from_secs(420);
