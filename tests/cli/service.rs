//! A node under a service manager: what it reports, and what a reload changes.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{Running, run, scratch, secret_file, succeeds, whisht};

/// A service manager: the socket to which a node reports.
struct Manager(UnixDatagram);

impl Manager {
    fn bind(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(REPORT_TIMEOUT)).unwrap();
        Self(socket)
    }

    fn receive(&self) -> String {
        let mut buffer = [0; 512];
        let length = self.0.recv(&mut buffer).expect("a report");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// The next report that is not one of the watchdog.
    fn next(&self) -> String {
        loop {
            let report = self.receive();
            if report != WATCHDOG {
                return report;
            }
        }
    }
}

/// A node that reports to a service manager, which allows two seconds between watchdog messages.
fn start(dir: &Path, socket: &Path) -> Running {
    let node = whisht(dir);
    let mut command = Command::new("setsid");
    command
        .arg(node.get_program())
        .args(node.get_args())
        .stdin(Stdio::null())
        .env("NOTIFY_SOCKET", socket)
        .env("WATCHDOG_USEC", "2000000");
    Running::spawn(command, dir, &["--no-listen"])
}

fn min_pow(dir: &Path) -> f64 {
    let info = succeeds(&run(dir, &["rpc", "shh_info"]));
    let info: Value = serde_json::from_str(&info).unwrap();
    info["minPow"].as_f64().unwrap()
}

fn signal(node: &Running, signal: &str) {
    let id = node.child.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &id])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn reload_changes_what_needs_no_restart_and_the_service_manager_hears_of_it() {
    let data = scratch();
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&data.path)
        .unwrap();
    let file = data.path.join("config.toml");
    secret_file(&data.path, "config.toml", "min-pow = 0.01\nmax-peers = 7\n");
    let socket = data.parent.join("notify");
    let manager = Manager::bind(&socket);
    let mut node = start(&data.path, &socket);
    assert_eq!(
        manager.next(),
        "READY=1\nSTATUS=running; accepts no connections"
    );
    assert!((min_pow(&data.path) - 0.01).abs() < f64::EPSILON);

    // Two reloads that come to nothing: the same values in other words, and a file with an error.
    let reload = |text: &str| {
        fs::write(&file, text).unwrap();
        signal(&node, "-HUP");
        assert!(manager.next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        let report = manager.next();
        report
            .strip_prefix("READY=1\nSTATUS=running; accepts no connections; ")
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        reload("# a comment\nmax-peers = 7\nmin-pow = 0.01\n"),
        "nothing to reload"
    );
    let refused = reload("min-pow = 0.02\nmax-peres = 7\n");
    assert!(refused.contains("not valid"), "{refused}");
    assert!(
        (min_pow(&data.path) - 0.01).abs() < f64::EPSILON,
        "half of a file"
    );
    assert_eq!(
        reload("min-pow = 0.02\nmax-peers = 7\n"),
        "reloaded min-pow"
    );
    assert!((min_pow(&data.path) - 0.02).abs() < f64::EPSILON);
    assert_eq!(
        reload("min-pow = 0.02\nmax-peers = 9\n"),
        "restart needed for max-peers"
    );
    // A flag gives this setting, so that no restart would change it.
    assert_eq!(
        reload("min-pow = 0.02\nmax-peers = 7\nthreads = 2\n"),
        "nothing to reload"
    );
    let limit = |cover: &str, rate: &str| {
        reload(&format!(
            "{cover}min-pow = 0.02\nmax-peers = 7\nbandwidth.max = \"{rate}\"\n"
        ))
    };
    assert_eq!(limit("", "200KB/s"), "reloaded bandwidth.max");
    // A node that sends no cover traffic may have a lower limit, but only from its restart on.
    assert_eq!(
        limit("cover = \"off\"\n", "20KB/s"),
        "restart needed for cover, bandwidth.max"
    );
    assert_eq!(limit("", "200KB/s"), "nothing to reload");

    for _ in 0..2 {
        assert_eq!(manager.receive(), WATCHDOG);
    }
    signal(&node, "-TERM");
    assert_eq!(manager.next(), "STOPPING=1\nSTATUS=closing");
    assert_eq!(node.child.wait().unwrap().code(), Some(0));
}

#[test]
fn level_of_the_log_changes_with_a_reload() {
    let data = scratch();
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&data.path)
        .unwrap();
    let (file, log) = (data.path.join("config.toml"), data.parent.join("log"));
    let config = |level: &str, min_pow: &str| {
        let log = log.display();
        format!("min-pow = {min_pow}\n[log]\nfile = \"{log}\"\nlevel = \"{level}\"\n")
    };
    secret_file(&data.path, "config.toml", &config("info", "0.01"));
    let socket = data.parent.join("notify");
    let manager = Manager::bind(&socket);
    let node = start(&data.path, &socket);
    assert!(manager.next().starts_with("READY=1"));
    let lines_after_reload = |level: &str, min_pow: &str| {
        fs::write(&file, config(level, min_pow)).unwrap();
        signal(&node, "-HUP");
        assert!(manager.next().starts_with("RELOADING=1"));
        assert!(manager.next().starts_with("READY=1"));
        let log = fs::read_to_string(&log).unwrap();
        log.matches("settings were reloaded").count()
    };
    assert_eq!(lines_after_reload("info", "0.02"), 1);
    assert_eq!(lines_after_reload("error", "0.02"), 1);
    assert_eq!(lines_after_reload("error", "0.03"), 1);
    assert_eq!(lines_after_reload("whisht=info", "0.03"), 2);
}

const WATCHDOG: &str = "WATCHDOG=1";
/// Only bounds the wait for a node that hangs.
const REPORT_TIMEOUT: Duration = Duration::from_secs(60);

#[test]
fn sigterm_ends_node_with_exit_code_zero() {
    let data = scratch();
    let mut node = Running::start(&data.path, &["--listen", "127.0.0.1:0"]);
    let socket = data.path.join("whisht.ipc");
    assert!(socket.exists());
    let id = node.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    let status = node.child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!socket.exists());
}
