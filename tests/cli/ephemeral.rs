//! A node that keeps everything in memory: what the system may not do with that memory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::{program, scratch};

/// `CAP_IPC_LOCK` in the sets of `/proc/PID/status` (capability.h).
const IPC_LOCK: u64 = 1 << 14;

#[test]
fn ephemeral_node_locks_its_memory_where_the_system_permits_it() {
    let data = scratch();
    let socket = data.parent.join("ephemeral.ipc");
    let mut child = program()
        .args([
            "run",
            "--ephemeral",
            "--json",
            "--no-listen",
            "--threads",
            "1",
        ])
        .args(["--profile", "local", "--network", "cli-test"])
        .arg("--ipc")
        .arg(&socket)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut banner = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut banner).unwrap();
    let locked = status_of(&child.id().to_string(), "VmLck:");
    child.kill().unwrap();
    child.wait().unwrap();

    assert!(banner.starts_with('{'), "{banner}");
    let kilobytes: u64 = locked.trim_end_matches(" kB").parse().unwrap();
    assert_eq!(kilobytes > 0, may_lock_without_limit(), "{kilobytes} kB");
}

/// Whether this process, and so the node that it starts, may lock all its memory.
fn may_lock_without_limit() -> bool {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let row = limits
        .lines()
        .find(|row| row.starts_with("Max locked memory"));
    let limit = row.unwrap().split_whitespace().nth(3).unwrap();
    let effective = u64::from_str_radix(&status_of("self", "CapEff:"), 16).unwrap();
    limit == "unlimited" || effective & IPC_LOCK != 0
}

/// The value of a row of `/proc/PID/status`.
fn status_of(process: &str, row: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(row));
    value.unwrap().trim().to_owned()
}
