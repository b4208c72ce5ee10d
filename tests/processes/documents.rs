//! The commands that the documents print are run as they are printed.
//!
//! A shell runs each command in a home directory of its own, against nodes on loopback. Only
//! placeholders are replaced (keys, addresses, ports, paths of the system). A command that cannot run
//! here is listed with the reason, and a listed command that no page prints fails the test. A socket
//! stands in for the Tor daemon: it connects to the nodes of this test, and to nothing else.

#[path = "documents/page.rs"]
mod page;
#[path = "documents/shell.rs"]
mod shell;
#[path = "documents/socks.rs"]
mod socks;

use std::fs;

use crate::contact::{CARD_OPTIONS, request};
use crate::network::ProcessNetwork;
use crate::node::until;

use self::page::{Page, commands, toml_block};
use self::shell::Shell;
use self::socks::SocksProxy;

#[test]
fn readme_commands_run_as_printed() {
    let page = Page::read("README.md");
    let mut shell = Shell::new();
    let skipped = [
        ("cargo run --release -- demo", "`.ci/demo` runs it"),
        ("cargo test --workspace", "this test is a part of it"),
        ("cargo install --path .", "the tests have built the program"),
        ("whisht demo --contact", "`.ci/demo` runs it"),
    ];
    let [desk, source] = [shell::free_port(), shell::free_port()];
    shell.replace("127.0.0.1:20819", format!("127.0.0.1:{desk}"));
    shell.replace("127.0.0.1:20820", format!("127.0.0.1:{source}"));
    for command in page.without(&skipped) {
        let output = shell.run(&command);
        if let Some(enode) = shell::word(&output, "enode://") {
            shell.replace("enode://...", enode);
        }
        if let Some(key) = shell::word(&output, "0x04") {
            shell.replace("0x04...", key);
        }
        if command.contains("whisht inbox") {
            until("the inbox shows the message", || {
                let shown = shell.run(&command);
                shown.contains("the hedge, at nine").then_some(())
            });
        }
    }
}

#[test]
fn commands_of_the_page_for_sources_run_as_printed() {
    let network = ProcessNetwork::start_with(&CARD_OPTIONS);
    let tor = SocksProxy::start(ONION, network.relays[0].address());
    let made = network.reader.ask(&["id", "new", "desk", "--address"]);
    let mut shell = Shell::behind(&tor);
    // The work that the other nodes of this network require.
    shell.run("export WHISHT_MIN_POW=0.00004");
    shell.write("message.txt", "the hedge, at nine");
    let first = network.relays[0].enode();
    shell.replace("KEY@NAME.onion", shell::at_onion(first, ONION));
    shell.replace("RELAY", first.to_owned());
    shell.replace("enode://...", network.relays[1].enode().to_owned());
    shell.replace("shh1...", made["address"].as_str().unwrap().to_owned());
    for command in Page::read("docs/source.md").without(&NOT_RUN_FOR_SOURCES) {
        let is_send = command.contains("whisht send");
        if is_send {
            until("the node knows all relays and has peers", || {
                let status = shell.ask("whisht status --json --ipc ~/whisht.ipc");
                let enough = status["eligible_relays"] == network.relays.len();
                // The mixing guard is a third one, if it is none of the two that are named.
                (enough && status["dark_peers"].as_u64() >= Some(2)).then_some(())
            });
        }
        let output = shell.run(&command);
        if command.contains("whisht levels") {
            assert!(output.contains("normal"), "{output}");
        }
        if command.contains("whisht leaktest") {
            assert!(output.contains("nothing leaked"), "{output}");
        }
    }
    // The sender knows that the network has it before the reader has decrypted it.
    let history = until("the reader has the request", || {
        let request = request(&network.reader)?;
        let history = network.reader.ask(&["read", &request]);
        let is_empty = history["messages"].as_array()?.is_empty();
        (!is_empty).then_some(history)
    });
    let messages = history["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1, "the dry run sends nothing: {history}");
    assert_eq!(messages[0]["parts"][0]["text"], "the hedge, at nine");
}

#[test]
fn commands_of_the_page_for_programs_run_as_printed() {
    let mut shell = Shell::new();
    let peer = shell.start_peer();
    let [http, ws] = [shell::free_port(), shell::free_port()];
    shell.replace("enode://...", peer.enode().to_owned());
    shell.replace(":8545", format!(":{http}"));
    shell.replace(":8546", format!(":{ws}"));
    // The page first shows how to call a node, then how to start one.
    let commands = Page::read("docs/rpc.md").without(&[]);
    let start = commands.iter().position(|line| line.contains("whisht run"));
    let start = start.expect("the page starts a node");
    let calls = commands.iter().enumerate();
    let calls = calls.filter(|(at, _)| *at != start);
    shell.run(&commands[start]);
    for (_, command) in calls {
        let missing = command.contains("| nc ") && !shell::is_installed("nc");
        if missing {
            println!("SKIPPED: needs nc (netcat-openbsd): {command}");
            continue;
        }
        let output = shell.run(command);
        let answered = output.contains("minPow") || output.trim() == "[]";
        assert!(answered, "{command}: {output}");
    }
}

#[test]
fn commands_of_the_page_for_operators_run_as_printed() {
    let mut shell = Shell::new();
    let peer = shell.start_peer();
    let tor = SocksProxy::start(ONION, peer.address());
    shell.use_tor(&tor);
    shell.write("password", "a hedge full of sparrows");
    shell.replace("enode://...", peer.enode().to_owned());
    shell.replace("NAME.onion", format!("{ONION}.onion"));
    shell.replace("KEY@NAME.onion", shell::at_onion(peer.enode(), ONION));
    shell.lay_out_system();
    let wallet = "UTC--2018--6facbb69";
    shell.write_wallet(wallet);
    shell.replace("UTC--2018-...--6facbb69", wallet.to_owned());

    let page = Page::read("docs/operating.md");
    let config = toml_block(page.text(), "relay = true");
    shell.write_config(&with_daemon(config));
    let unit = fs::read_to_string("packaging/whisht.service").unwrap();
    let service = exec_start(&unit);
    let node = "needs a running node, or a terminal; tests/cli/address.rs runs it";
    let skipped = [
        (
            "apt install ./whisht_0.1.0-1_amd64.deb",
            "`.ci/package` installs it",
        ),
        ("apt install tor", "installs a package of the system"),
        ("adduser _whisht debian-tor", "needs the package of Tor"),
        ("whisht id new desk --address", node),
        ("whisht id new desk --address --words", node),
        ("whisht id address desk --groups", node),
        ("whisht id address desk --svg desk.svg", node),
        ("whisht practice", node),
        ("whisht practice --new", node),
        ("whisht restore desk", node),
    ];
    for command in page.without(&skipped) {
        match command.as_str() {
            "systemctl enable --now whisht" | "systemctl start whisht" => {
                shell.run(service);
            }
            "systemctl stop whisht" => shell.stop_nodes(),
            _ => {
                shell.run(&command);
            }
        }
    }
}

#[test]
fn systemd_accepts_the_unit() {
    if !shell::is_installed("systemd-analyze") {
        println!("SKIPPED: needs systemd-analyze");
        return;
    }
    let unit = fs::read_to_string("packaging/whisht.service").unwrap();
    assert!(exec_start(&unit).starts_with("/usr/bin/whisht run "));
    let shell = Shell::new();
    // The command of a unit must exist.
    shell.write(
        "whisht.service",
        &unit.replace("/usr/bin/whisht", "/bin/true"),
    );
    let output = shell.output("systemd-analyze verify --man=no whisht.service");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// The command of a unit, for a machine whose state directory is `/var/lib`.
fn exec_start(unit: &str) -> &str {
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    line.expect("the unit starts a command")
}

/// The printed configuration with the lines for a daemon, which are comments, in the place of those
/// for arti: the embedded Tor would connect to the public network.
fn with_daemon(config: &str) -> String {
    let lines = config.lines().map(str::trim_start);
    let lines = lines.filter(|line| !line.starts_with("mode = \"arti\""));
    let lines = lines.map(|line| match line.strip_prefix("# ") {
        Some(setting) if setting.contains(" = ") => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_prompted_line_is_a_command() {
    let text =
        "```console\n$ whisht send \\\n    --to me   # comment\nsent\n# id\n```\n$ no block\n";
    assert_eq!(
        commands(text),
        ["whisht send     --to me   # comment", "id"]
    );
    let readme = "```\nwhisht run &\n```\n```js\nconst x\n```\n";
    assert_eq!(commands(readme), ["whisht run &"]);
}

/// An onion name with a good checksum.
const ONION: &str = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad";

/// Commands of the page for sources that this test does not run, and why.
const NOT_RUN_FOR_SOURCES: [(&str, &str); 5] = [
    (
        "whisht inbox --ipc ~/whisht.ipc --follow",
        "the command does not end by itself",
    ),
    (
        "whisht practice --new",
        "shows words on a terminal only; tests/cli/address.rs runs it",
    ),
    (
        "whisht run --ephemeral --words --ipc ~/whisht.ipc --no-listen --tor-mode socks --tor-only --peer enode://...",
        "asks for words on a terminal; tests/contact/letters.rs writes letters",
    ),
    (
        "whisht send --ipc ~/whisht.ipc --to desk --attach report.pdf --dry-run",
        "there is no such file here; tests/cli/files.rs cleans files",
    ),
    (
        "whisht send --ipc ~/whisht.ipc --to desk --attach report.pdf",
        "waits for a reader who accepts; tests/processes/transfer.rs hands files over",
    ),
];
