//! A temporary PostgreSQL server for one test: in a temporary directory, on a socket in it, removed
//! on drop.
//!
//! The server refuses to run as root, so a test that is root runs it as the user `postgres`.
//! Without Debian's package the tests that need it are skipped with a message; in CI they fail.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// A running server.
pub(crate) struct Cluster {
    bin: PathBuf,
    dir: TempDir,
    server: Child,
}

impl Cluster {
    /// Starts a server; `None` if PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(bin) = programs() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "PostgreSQL is missing; .ci/prepare installs it"
            );
            eprintln!("SKIPPED: install Debian's package postgresql to test the archive in it");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        if is_root() {
            let owner = format!("{ACCOUNT}:{ACCOUNT}");
            run(Command::new("chown").arg(owner).arg(dir.path()));
        }
        let data = dir.path().join("data");
        run(server_program(&bin.join("initdb"))
            .args(["--no-sync", "--auth=trust", "--username=whisht"])
            .args(["--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data));
        let server = launch(&bin, dir.path());
        let cluster = Self { bin, dir, server };
        cluster.wait();
        Some(cluster)
    }

    /// The URL of a new, empty database.
    pub(crate) fn database(&self, name: &str) -> String {
        run(Command::new(self.bin.join("createdb"))
            .args(["-U", "whisht", "-h"])
            .arg(self.dir.path())
            .arg(name));
        let host = self.dir.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://whisht@{host}/{name}")
    }

    /// Crashes the server and restarts it.
    pub(crate) fn restart(&mut self) {
        self.stop("-INT");
        self.server = launch(&self.bin, self.dir.path());
        self.wait();
    }

    fn wait(&self) {
        for _ in 0..600 {
            let mut ready = Command::new(self.bin.join("pg_isready"));
            ready
                .args(["-q", "-U", "whisht", "-h"])
                .arg(self.dir.path());
            if ready.status().unwrap().success() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        panic!("PostgreSQL does not come up: {log}");
    }

    fn stop(&mut self, signal: &str) {
        let id = self.server.id().to_string();
        // The server may have ended already.
        let _sent = Command::new("kill").args([signal, &id]).status();
        let _reaped = self.server.wait();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Immediate shutdown: its data is not needed.
        self.stop("-QUIT");
    }
}

fn launch(bin: &Path, dir: &Path) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .unwrap();
    server_program(&bin.join("postgres"))
        .arg("-D")
        .arg(dir.join("data"))
        .arg("-k")
        .arg(dir)
        .args(["-c", "listen_addresses=", "-c", "shared_buffers=16MB"])
        .args(["-c", "max_connections=30", "-c", "fsync=off"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A program of the server, run as a user that it accepts.
fn server_program(path: &Path) -> Command {
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"])
        .arg(path)
        .current_dir("/");
    command
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

/// The directory of the server's programs: Debian keeps them out of the path.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = versions
        .filter_map(|version: io::Result<_>| Some(version.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

/// Debian's account for the server.
const ACCOUNT: &str = "postgres";
