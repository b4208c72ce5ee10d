//! The watcher on programs with behaviours that a node lacks: fork, exec, crashes, and evasion.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::{LeakReport, isolated_program};

/// The report of the watcher on a short program.
fn watch(program: &[&str]) -> Option<LeakReport> {
    let mut command = isolated_program()?;
    command.args(["leaktest-part", "watch", "--"]).args(program);
    let begun = Instant::now();
    let mut watcher = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while watcher.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(60) {
            watcher.kill().unwrap();
            panic!("the watcher hangs on {program:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(LeakReport::read(&watcher.wait_with_output().unwrap()))
}

const WHISHT: &str = env!("CARGO_BIN_EXE_whisht");

#[test]
fn planted_leaks_are_reported_and_blocked() {
    let Some(found) = watch(&[WHISHT, "leaktest-part", "plant"]) else {
        return;
    };
    for (kind, to) in [
        ("connect", "192.0.2.1:9"),
        ("connect", "[2001:db8::1]:9"),
        ("connect", "192.0.2.2:9"),
        ("datagram", "192.0.2.3:9"),
        ("datagram", "192.0.2.4:9"),
        ("connect", "192.0.2.5:9"),
        ("listen", "192.0.2.6:9"),
        ("look-up", "the machine's addresses (netlink)"),
        ("socket", "raw packets"),
        ("connect", "192.0.2.7:9"),
        ("connect", "192.0.2.8:9"),
    ] {
        // A machine without IPv6 cannot create the sockets of this canary.
        let six = to == "[2001:db8::1]:9" || to == "192.0.2.2:9";
        if !six || std::path::Path::new("/proc/net/if_inet6").exists() {
            found.assert_leak(kind, to, true);
        }
    }
    found.assert_leak("look-up", "/etc/hosts", false);
    assert_eq!(found.report["watched"]["processes"], 2);
}

#[test]
fn child_process_that_execs_is_traced() {
    let script = "(exec bash -c 'exec 3<>/dev/tcp/192.0.2.9/9') 2>/dev/null & wait; exit 3";
    let Some(found) = watch(&["bash", "-c", script]) else {
        return;
    };
    found.assert_leak("connect", "192.0.2.9:9", true);
    assert_eq!(found.report["leaks"][0]["program"], "bash");
    assert_eq!(found.report["end"], "with exit code 3");
}

#[test]
fn exec_from_thread_is_traced() {
    let leak = "exec 3<>/dev/tcp/192.0.2.9/9";
    let program = [
        WHISHT,
        "leaktest-part",
        "plant-exec",
        "--",
        "bash",
        "-c",
        leak,
    ];
    let Some(found) = watch(&program) else {
        return;
    };
    found.assert_leak("connect", "192.0.2.9:9", true);
    assert_eq!(found.report["leaks"][0]["program"], "bash");
}

#[test]
fn threads_dying_while_stopped_do_not_block_tracer() {
    let Some(found) = watch(&[WHISHT, "leaktest-part", "plant-crowd"]) else {
        return;
    };
    found.assert_leak("connect", "192.0.2.9:9", true);
    assert!(found.report["watched"]["threads"].as_u64().unwrap() > 2);
    assert_eq!(found.report["end"], "with exit code 0");
}

#[test]
fn killed_program_is_reported_with_signal() {
    let Some(found) = watch(&["sh", "-c", "kill -KILL $$"]) else {
        return;
    };
    assert_eq!(found.report["end"], "by signal 9");
    assert_eq!(found.code, Some(0));
}

#[test]
fn background_children_end_with_program() {
    let begun = Instant::now();
    let Some(found) = watch(&["sh", "-c", "sleep 300 & exit 0"]) else {
        return;
    };
    assert_eq!(found.report["end"], "with exit code 0");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn traced_program_receives_signals() {
    let script = "trap 'exit 4' USR1 CONT; kill -USR1 $$; exit 5";
    let Some(found) = watch(&["sh", "-c", script]) else {
        return;
    };
    assert_eq!(found.report["end"], "with exit code 4");
}

#[test]
fn missing_program_is_an_error() {
    let Some(mut command) = isolated_program() else {
        return;
    };
    let output = command
        .args(["leaktest-part", "watch", "--", "/nonexistent"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("\"with exit code 1\""), "{said}");
}
