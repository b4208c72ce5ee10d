//! Nodes behind Tor, on a private Tor network of this machine.
//!
//! These tests run outside the namespace, because Tor's relays do. The addresses that a node dials
//! are reserved for documentation.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use whisht::config::tor::{TorMode, TorSettings};
use whisht::config::{Config, Settings};
use whisht::shell::TorEntryAddresses;

use crate::network::{self, TorNetwork};
use crate::{LeakReport, scratch};

/// The report of the leak test on a node with these options.
fn test(dir: &Path, options: &[&str]) -> LeakReport {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whisht"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WHISHT_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args(["leaktest", "--json", "--seconds", "12", "--threads", "1"])
        .args(["--profile", "local", "--network", "leaktest"])
        .arg("--data-dir")
        .arg(dir)
        .args(options)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    LeakReport::read(&output)
}

#[test]
fn node_behind_tor_does_not_leak() {
    if !network::is_installed() {
        eprintln!("SKIPPED: tor is not installed");
        return;
    }
    let (parent, dir) = scratch();
    let tor = TorNetwork::start(parent.path());
    arti(&dir, &tor);
    daemon(&dir.with_extension("socks"), &tor);
}

/// A node with embedded Tor.
fn arti(dir: &Path, tor: &TorNetwork) {
    let own = ["--tor-mode", "arti", "--tor-network", tor.description()];
    let found = test(dir, &[&own[..], &["--tor-only"]].concat());
    found.assert_no_leak();
    assert_eq!(found.outcome("whisht_addPeer"), "done");
    assert!(found.spoke().count() > 0, "Tor was used");

    // The workload's peers are on loopback, which needs no list of relays, so this test requests
    // it.
    let settings = Settings {
        tor: TorSettings {
            mode: Some(TorMode::Arti),
            network: Some(tor.description().into()),
            ..TorSettings::default()
        },
        ..Settings::default()
    };
    let config = Config::build(settings).unwrap();
    let mut entries = TorEntryAddresses::of(&config.tor, dir).unwrap();
    let relays = relays(&dir.join("arti/cache/dir_blobs"));
    assert_eq!(relays.len(), 5);
    for relay in relays {
        assert!(entries.contains(relay), "{relay}");
    }
    assert!(!entries.contains("127.0.0.1:9".parse().unwrap()));
}

/// The relays of the consensus in arti's cache.
fn relays(blobs: &Path) -> Vec<SocketAddr> {
    let files = fs::read_dir(blobs).unwrap().map(|file| file.unwrap());
    let consensus = files
        .filter(|file| file.file_name().to_str().unwrap().starts_with("con_"))
        .map(|file| fs::read_to_string(file.path()).unwrap())
        .next()
        .unwrap();
    let lines = consensus.lines().filter(|line| line.starts_with("r tor"));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            format!("{}:{}", words[5], words[6]).parse().unwrap()
        })
        .collect()
}

/// A node behind a daemon; the report must show the daemon's use.
fn daemon(dir: &Path, tor: &TorNetwork) {
    let daemon = tor.daemon("leaktest", None);
    let socks = format!("127.0.0.1:{}", daemon.socks);
    let found = test(
        dir,
        &[
            "--tor-mode",
            "socks",
            "--tor-only",
            "--tor-private-daemon",
            "--tor-socks",
            &socks,
            "--no-listen",
        ],
    );
    found.assert_no_leak();
    assert!(found.spoke().any(|place| place == socks), "Tor was used");
}
