//! A node under a service manager: what it reports, and what a reload changes.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{Running, Scratch, run, scratch, secret_file, succeeds, whisht};

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

/// A node with a configuration file, and its service manager.
struct Service {
    node: Running,
    manager: Manager,
    data: Scratch,
}

impl Service {
    fn start(config: &str) -> Self {
        let data = scratch();
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&data.path)
            .unwrap();
        secret_file(&data.path, "config.toml", config);
        let socket = data.parent.join("notify");
        let manager = Manager::bind(&socket);
        let node = start(&data.path, &socket);
        assert_eq!(manager.next(), format!("READY=1\nSTATUS={STATUS}"));
        Self {
            node,
            manager,
            data,
        }
    }

    /// Changes the file, and returns what the service manager hears of the reload.
    fn reload(&self, config: &str) -> String {
        fs::write(self.data.path.join("config.toml"), config).unwrap();
        signal(&self.node, "-HUP");
        let begins = self.manager.next();
        assert!(
            begins.starts_with("RELOADING=1\nMONOTONIC_USEC="),
            "{begins}"
        );
        let ends = self.manager.next();
        let result = ends.strip_prefix(&format!("READY=1\nSTATUS={STATUS}; "));
        result.unwrap_or_else(|| panic!("{ends}")).to_owned()
    }

    fn min_pow(&self) -> f64 {
        let info = succeeds(&run(&self.data.path, &["rpc", "shh_info"]));
        let info: Value = serde_json::from_str(&info).unwrap();
        info["minPow"].as_f64().unwrap()
    }
}

const STATUS: &str = "running; accepts no connections";

#[test]
fn reload_changes_what_needs_no_restart_and_the_service_manager_hears_of_it() {
    let mut service = Service::start("min-pow = 0.01\nmax-peers = 7\n");
    assert!((service.min_pow() - 0.01).abs() < f64::EPSILON);

    // Two reloads that come to nothing: the same values in other words, and a file with an error.
    assert_eq!(
        service.reload("# a comment\nmax-peers = 7\nmin-pow = 0.01\n"),
        "nothing to reload"
    );
    let refused = service.reload("min-pow = 0.02\nmax-peres = 7\n");
    assert!(refused.contains("not valid"), "{refused}");
    assert!(
        (service.min_pow() - 0.01).abs() < f64::EPSILON,
        "half of a file"
    );
    assert_eq!(
        service.reload("min-pow = 0.02\nmax-peers = 7\n"),
        "reloaded min-pow"
    );
    assert!((service.min_pow() - 0.02).abs() < f64::EPSILON);
    assert_eq!(
        service.reload("min-pow = 0.02\nmax-peers = 9\n"),
        "restart needed for max-peers"
    );
    // A flag gives this setting, so that no restart would change it.
    assert_eq!(
        service.reload("min-pow = 0.02\nmax-peers = 7\nthreads = 2\n"),
        "nothing to reload"
    );

    for _ in 0..2 {
        assert_eq!(service.manager.receive(), WATCHDOG);
    }
    signal(&service.node, "-TERM");
    assert_eq!(service.manager.next(), "STOPPING=1\nSTATUS=closing");
    assert_eq!(service.node.child.wait().unwrap().code(), Some(0));
}

#[test]
fn limit_of_bandwidth_changes_with_a_reload_but_not_before_the_cells_that_it_is_for() {
    let service = Service::start("");
    let limited = "bandwidth.max = \"200KB/s\"\n";
    assert_eq!(service.reload(limited), "reloaded bandwidth.max");
    // A node that sends no cover traffic may have a lower limit, but only from its restart on.
    assert_eq!(
        service.reload("cover = \"off\"\nbandwidth.max = \"20KB/s\"\n"),
        "restart needed for cover, bandwidth.max"
    );
    assert_eq!(service.reload(limited), "nothing to reload");
    assert_eq!(service.reload(""), "reloaded bandwidth.max");
}

#[test]
fn level_of_the_log_changes_with_a_reload() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let config = |level: &str, min_pow: &str| {
        let log = log.path().display();
        format!("min-pow = {min_pow}\n[log]\nfile = \"{log}\"\nlevel = \"{level}\"\n")
    };
    let service = Service::start(&config("info", "0.01"));
    let lines_after_reload = |level: &str, min_pow: &str| {
        service.reload(&config(level, min_pow));
        let log = fs::read_to_string(log.path()).unwrap();
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
