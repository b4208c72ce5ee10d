//! Planted secrets do not reach the bundle.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use clap::Parser;

use super::*;
use crate::cli::{Cli, CliCommand};

/// Each is planted where a careless bundle would show it.
const PLANTED: [&str; 9] = [
    "192.0.2.77",
    "79be667ef9dcbbac55a06295ce870b07",
    "plantednetwork",
    "plantedname",
    "PLANTEDPASSWORD",
    "0x1a2b3c4d",
    "198.51.100.9",
    "plantedcontact",
    "plantedbridge",
];

const FILE: &str = "network = 'plantednetwork'\nlisten = []\nlevel = 'open'\nmax-peers = 9\n\
    peers = ['enode://79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4\
    fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8@192.0.2.77:1']\n\
    [levels.recipients]\nplantedcontact = 'open'\n\
    [mail]\nserve = true\nstore = 'postgres://u:PLANTEDPASSWORD@127.0.0.1/x'\n\
    [tor]\nmode = 'arti'\nbridges = ['obfs4 198.51.100.9:443 plantedbridge']\n";

fn bundle(dir: &Path, log: &str) -> String {
    let dir_arg = dir.to_str().unwrap();
    let words = [
        "whisht",
        "--data-dir",
        dir_arg,
        "support-bundle",
        "--dry-run",
    ];
    let Cli { common, command } = Cli::try_parse_from(words).unwrap();
    let CliCommand::SupportBundle(args) = command else {
        panic!("another command");
    };
    let report = DoctorReport::make(&common, args.settings).unwrap();
    let scrubber = Scrubber::for_directory(&report.dir);
    content(&report, Some(log), &scrubber)
}

#[test]
fn planted_secrets_are_not_in_the_bundle() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(dir.path().join("config.toml"), FILE).unwrap();
    // The doctor complains about the file by its name.
    fs::create_dir(dir.path().join("keystore")).unwrap();
    fs::write(dir.path().join("keystore/plantedname.json"), "{}").unwrap();
    let log = "WARN link to 192.0.2.77:1 failed key=79be667ef9dcbbac55a06295ce870b07\n\
               INFO topic 0x1a2b3c4d reason=timeout\n";
    let text = bundle(dir.path(), log);
    for planted in PLANTED {
        assert!(!text.contains(planted), "{planted}: {text}");
    }
    let home = dir.path().to_str().unwrap();
    assert!(!text.contains(home), "{text}");
    for kept in [
        "max-peers = 9",
        "level = 'open'",
        "reason=timeout",
        "tor.bridges = (set, not shown)",
    ] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
}

#[test]
fn only_the_last_lines_of_a_log_are_read_and_each_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let short: Vec<String> = (0..300).map(|line| format!("line {line}")).collect();
    fs::write(&path, short.join("\n")).unwrap();
    let last = last_lines(&path).unwrap();
    assert!(last.starts_with("line 100\n") && last.ends_with("line 299"));

    let long: Vec<String> = (0..100)
        .map(|line| format!("{line:03}{}", "x".repeat(30_000)))
        .collect();
    fs::write(&path, long.join("\n")).unwrap();
    let last = last_lines(&path).unwrap();
    assert!(last.len() <= 1 << 20 && last.ends_with('x'));
    assert!(last.lines().count() > 30);
    assert!(last.lines().all(|line| line.len() == 30_003));
}

#[test]
fn counts_are_powers_of_two() {
    assert_eq!([0, 1, 3, 4, 5, 1_000].map(rounded), [0, 1, 4, 4, 8, 1_024]);
    assert_eq!(rounded(u64::MAX), u64::MAX);
}
