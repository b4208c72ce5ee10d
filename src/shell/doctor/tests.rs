//! Planted faults: each is named with its remedy.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::*;
use crate::config::file::parse;
use crate::node::{ClockView, DirectoryAge, UnreachedPeerView};

#[path = "tests/reachability.rs"]
mod reachability;

const PEER: &str = "peers = ['enode://79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                    483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8@8.8.8.8:1']\n";

fn config(text: &str) -> Config {
    // No test opens a listener that other machines can reach.
    let listen = if text.contains("listen") {
        ""
    } else {
        "listen = []\n"
    };
    let text = format!("{PEER}{listen}{text}");
    let settings = parse(Path::new("config.toml"), &text).unwrap();
    Config::build(settings).unwrap()
}

/// A directory as a node leaves it, without a fault.
struct Sound {
    _parent: tempfile::TempDir,
    path: PathBuf,
}

impl Sound {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let dir =
            crate::shell::data_dir::DataDir::open(&path, circuits::ids::Profile::Main, "whisht");
        let dir = dir.unwrap();
        dir.node_key().unwrap();
        dir.guard_seed().unwrap();
        drop(dir);
        Self {
            _parent: parent,
            path,
        }
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    fn examine(&self, text: &str) -> Vec<Finding> {
        files_and_machine(&self.path, &config(text), None)
    }
}

/// The finding of a check whose text has `part`, with a remedy that has `remedy`.
fn assert_named(found: &[Finding], check: &str, result: CheckResult, part: &str, remedy: &str) {
    let is_it = |finding: &&Finding| {
        let advice = finding.remedy.as_deref().unwrap_or_default();
        finding.check == check
            && finding.result == result
            && finding.text.contains(part)
            && advice.contains(remedy)
            && !advice.is_empty()
    };
    assert!(
        found.iter().any(|finding| is_it(&finding)),
        "{check}: {part}: {remedy}: {found:#?}"
    );
}

fn sound_node() -> NodeCondition {
    NodeCondition {
        peers: 4,
        onion_peers: 3,
        unreached: Vec::new(),
        clock: None,
        eligible_relays: 40,
        directory: DirectoryAge::Settled,
        listed: "yes".to_owned(),
        tor: false,
        shut: None,
        unverified: None,
        key_in_use: false,
        listener_fault: None,
        inbound: 2,
        dial_back: None,
        not_asked: None,
        full: false,
        state_locked: false,
        alarm: None,
    }
}

fn judged(condition: &NodeCondition, text: &str) -> Vec<Finding> {
    running(None, Some(condition), &config(text))
}

#[test]
fn sound_directory_and_node_have_no_fault() {
    let sound = Sound::new();
    let is_fault = |finding: &Finding| {
        // What the machine of the test has is not planted.
        let of_machine = ["disk", "memory", "open files", "user", "ports"];
        finding.result >= CheckResult::Warning && !of_machine.contains(&finding.check)
    };
    let found = sound.examine("");
    assert!(!found.iter().any(is_fault), "{found:#?}");
    let found = judged(&sound_node(), "");
    assert!(!found.iter().any(is_fault), "{found:#?}");
    let text = format!("{PEER}level = 'normal'\n");
    let found = configuration(Path::new("c"), Some(&text), Ok(&config("")));
    assert!(!found.iter().any(is_fault), "{found:#?}");
}

#[test]
fn faults_of_files_are_named_with_their_remedies() {
    use CheckResult::{Warning, Wrong};
    let planted = Sound::new();
    fs::set_permissions(planted.path.join("onion"), Permissions::from_mode(0o755)).unwrap();
    planted.write("nodekey", b"not a key");
    planted.write("guard-seed", &[0xff; 40]);
    planted.write("guards", b"whisht guards? no");
    planted.write("rpc-token", b"xyz");
    planted.write("directory.bin", &[7; 80]);
    planted.write("profile", b"");
    planted.write("keystore/desk.json", b"{}");
    planted.write("state.db", &[b'x'; 8_192]);
    planted.write("mail.db", &[b'y'; 8_192]);
    symlink("/dev/null", planted.path.join("descriptor/1")).unwrap();
    fs::write(planted.path.join("port"), b"1").unwrap();
    fs::set_permissions(planted.path.join("port"), Permissions::from_mode(0o644)).unwrap();
    let found = planted.examine("password-file = '/nonexistent/password'\n");
    for (check, result, part, remedy) in [
        (
            "permissions",
            Wrong,
            "onion is open to other users",
            "chmod 0700",
        ),
        (
            "permissions",
            Wrong,
            "port is open to other users",
            "chmod 0600",
        ),
        (
            "permissions",
            Wrong,
            "is a symbolic link",
            "put the file itself there",
        ),
        ("files", Wrong, "nodekey is damaged", "backup"),
        ("files", Wrong, "guard-seed is damaged", "backup"),
        ("files", Wrong, "profile is damaged", "write the profile"),
        ("files", Warning, "rpc-token is damaged", "read it again"),
        ("files", Warning, "directory.bin", "peers send it again"),
        ("guard", Wrong, "guards is damaged", "backup"),
        ("keystore", Wrong, "desk.json", ""),
        ("database", Wrong, "state.db is damaged", "backup"),
        (
            "database",
            Wrong,
            "state.key cannot be read",
            "restore state.key",
        ),
        ("database", Wrong, "mail.db is damaged", "move mail.db away"),
        ("password file", Wrong, "/nonexistent/password", ""),
    ] {
        assert_named(&found, check, result, part, remedy);
    }
}

#[test]
fn directory_of_another_network_is_wrong() {
    let planted = Sound::new();
    planted.write("profile", b"main other\n");
    let found = planted.examine("");
    assert_named(
        &found,
        "files",
        CheckResult::Wrong,
        "belongs to the network `main other`",
        "--data-dir",
    );
}

#[test]
fn faults_of_the_machine_are_named_with_their_remedies() {
    use CheckResult::{Warning, Wrong};
    let config = config("");
    let found = [
        machine::disk(10 << 20, &config),
        machine::disk(100 << 20, &config),
        machine::judge_files(64, &config),
        machine::judge_memory(Some(64 << 20), None, &config),
        machine::judge_memory(None, Some(64 << 20), &config),
        machine::clock(
            Path::new("/"),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1),
        ),
    ];
    for (finding, result, part, remedy) in [
        (&found[0], Wrong, "10 MB free", "make room"),
        (&found[1], Warning, "100 MB free", "make room"),
        (&found[2], Wrong, "at most 64 open files", "LimitNOFILE=306"),
        (&found[3], Wrong, "control group allows 64 MB", "pool-mb"),
        (&found[4], Warning, "64 MB are available", "pool-mb"),
        (&found[5], Wrong, "before this program was written", "NTP"),
    ] {
        assert_named(
            std::slice::from_ref(finding),
            finding.check,
            result,
            part,
            remedy,
        );
    }
}

#[test]
fn clock_behind_the_files_of_the_last_run_is_wrong() {
    let sound = Sound::new();
    let written = fs::metadata(sound.path.join("nodekey")).unwrap();
    let past = written.modified().unwrap() - Duration::from_secs(3 * 86_400);
    let found = machine::clock(&sound.path, past);
    assert_named(
        &[found],
        "clock",
        CheckResult::Wrong,
        "more than a day behind",
        "NTP",
    );
}

#[test]
fn figures_of_the_system_are_read() {
    let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                  Max open files            1024                 524288               files     \n";
    assert_eq!(machine::file_limit(limits), Some(1_024));
    let unlimited = "Max open files            unlimited            unlimited            files\n";
    assert_eq!(machine::file_limit(unlimited), Some(u64::MAX));
    let info = "MemTotal:       1000 kB\nMemAvailable:    500 kB\n";
    assert_eq!(machine::available(info), Some(500 << 10));
}

#[test]
fn taken_port_and_silent_tor_daemon_are_wrong() {
    let sound = Sound::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let found = sound.examine(&format!("rpc.http = '127.0.0.1:{port}'\n"));
    assert_named(
        &found,
        "ports",
        CheckResult::Wrong,
        "rpc.http",
        "choose another port",
    );
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let tor = format!(
        "listen = []\n[tor]\nmode = 'socks'\nonly = true\nsocks = '127.0.0.1:{closed}'\n\
         control = '127.0.0.1:{closed}'\n"
    );
    let found = sound.examine(&tor);
    assert_named(
        &found,
        "tor",
        CheckResult::Wrong,
        "no Tor daemon answers",
        "systemctl start tor",
    );
    assert_named(
        &found,
        "tor",
        CheckResult::Warning,
        "control port",
        "ControlPort 9051",
    );
}

#[test]
fn port_that_does_not_speak_socks_is_wrong() {
    let sound = Sound::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let mut greeting = [0; 3];
        stream.read_exact(&mut greeting).unwrap();
        stream.write_all(b"HT").unwrap();
        greeting
    });
    let tor = format!("listen = []\n[tor]\nmode = 'socks'\nsocks = '127.0.0.1:{port}'\n");
    let found = sound.examine(&tor);
    assert_named(
        &found,
        "tor",
        CheckResult::Wrong,
        "does not speak SOCKS5",
        "SocksPort",
    );
    // The doctor asks for no connection.
    assert_eq!(answering.join().unwrap(), [5, 1, 2]);
}

#[cfg(feature = "tor")]
#[test]
fn missing_transport_and_key_directory_are_wrong() {
    let sound = Sound::new();
    let tor = "listen = []\n[tor]\nmode = 'arti'\nkeys = '/nonexistent/keys'\n\
               bridges = ['obfs4 192.0.2.7:443 X']\ntransports = ['obfs4=/nonexistent/program']\n";
    let found = sound.examine(tor);
    assert_named(
        &found,
        "tor",
        CheckResult::Wrong,
        "/nonexistent/program",
        "apt install",
    );
    assert_named(
        &found,
        "tor",
        CheckResult::Wrong,
        "/nonexistent/keys",
        "correct the path",
    );
}

/// A node with every fault that its condition can show.
fn sick_node() -> NodeCondition {
    NodeCondition {
        peers: 0,
        onion_peers: 0,
        unreached: vec![UnreachedPeerView {
            key: "ab".repeat(64),
            address: "192.0.2.7:20819".to_owned(),
            next_try_secs: Some(12),
            reason: Some("connection refused".to_owned()),
        }],
        clock: Some(ClockView {
            behind_secs: 7_200,
            witnesses: 3,
            refuses: true,
        }),
        eligible_relays: 1,
        listed: "no: no address".to_owned(),
        tor: true,
        shut: Some("the Tor daemon is starting".to_owned()),
        key_in_use: true,
        listener_fault: Some("too many open files".to_owned()),
        inbound: 0,
        dial_back: None,
        not_asked: None,
        full: true,
        state_locked: true,
        alarm: Some("drops".to_owned()),
        ..sound_node()
    }
}

#[test]
fn faults_of_the_running_node_are_named_with_their_remedies() {
    use CheckResult::{Warning, Wrong};
    let sick = sick_node();
    let found = judged(
        &sick,
        "relay = true\nlisten = ['127.0.0.1:1']\nadvertise = ['203.0.113.7:20819']\n",
    );
    for (check, result, part, remedy) in [
        ("peers", Wrong, "no peer is connected", "whisht peers --add"),
        ("peers", Warning, "connection refused", "ask its operator"),
        ("clock", Wrong, "nothing is sent", "NTP"),
        (
            "tor",
            Wrong,
            "the Tor daemon is starting",
            "messages are queued",
        ),
        ("directory", Warning, "1 relays can be used", "onion/1"),
        (
            "guard",
            Warning,
            "no connected peer speaks onion/1",
            "name a relay",
        ),
        ("guard", Warning, "drops more loops", "whisht status"),
        ("listed", Warning, "not in the directory", "two named peers"),
        ("key", Wrong, "another node uses the key", "nodekey"),
        ("listener", Wrong, "too many open files", "LimitNOFILE"),
        ("listener", Warning, "all places", "max-peers"),
        ("reachability", Warning, "no peer has a link", "firewall"),
        ("state", Warning, "locked", "whisht unlock"),
    ] {
        assert_named(&found, check, result, part, remedy);
    }
    let young = NodeCondition {
        directory: DirectoryAge::Young,
        peers: 1,
        unverified: Some("no control port".to_owned()),
        tor: true,
        ..sound_node()
    };
    let found = judged(&young, "");
    assert_named(
        &found,
        "directory",
        Warning,
        "none known for a day",
        "for a day",
    );
    assert_named(&found, "peers", Warning, "1 connected", "second peer");
    assert_named(&found, "tor", Warning, "no control port", "tor.control");
}

#[test]
fn errors_and_warnings_of_the_configuration_are_named() {
    let text = "levle = 'open'\nmax-peers = 0\n";
    let found = configuration(Path::new("config.toml"), Some(text), Ok(&config("")));
    let part = "config.toml:1: there is no setting \"levle\"";
    assert_named(
        &found,
        "configuration",
        CheckResult::Wrong,
        part,
        "did you mean `level`?",
    );
    let hurting = config("cover = 'off'\n");
    let found = configuration(Path::new("c"), None, Ok(&hurting));
    let result = CheckResult::Warning;
    assert_named(
        &found,
        "configuration",
        result,
        "without cover traffic",
        "`cover`",
    );
    let refused = "`level` needs cover; leave it out".to_owned();
    let found = configuration(Path::new("c"), None, Err(refused));
    assert_named(
        &found,
        "configuration",
        CheckResult::Wrong,
        "needs cover",
        "leave it out",
    );
}

#[test]
fn socket_that_does_not_answer_is_wrong_if_a_process_holds_the_directory() {
    let sound = Sound::new();
    assert_eq!(running_process(&sound.path), None);
    let dir = crate::shell::data_dir::DataDir::lock(&sound.path).unwrap();
    let process = running_process(&sound.path).unwrap();
    assert_eq!(process.pid, Some(std::process::id()));
    let found = running(Some(&process), None, &config(""));
    assert_named(
        &found,
        "node",
        CheckResult::Wrong,
        "does not answer",
        "--ipc",
    );
    drop(dir);
    let found = running(None, None, &config(""));
    assert_eq!(found[0].result, CheckResult::NotChecked);
}
