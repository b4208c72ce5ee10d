//! A temporary PostgreSQL server for one test: in a temporary directory, on a socket in it and, if
//! asked, at a port of loopback; removed on drop.
//!
//! The server refuses to run as root, so a test that is root runs it as the user `postgres`.
//! Without Debian's package the tests that need it are skipped with a message; in CI they fail.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// A running server.
pub(crate) struct Cluster {
    bin: PathBuf,
    dir: TempDir,
    port: u16,
    settings: Vec<&'static str>,
    server: Child,
}

impl Cluster {
    /// Starts a server; `None` if PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        // The port is part of the socket's name only.
        Self::create(5_432, "", &["listen_addresses="])
    }

    /// Starts a server that also listens at a loopback port, with rules of `pg_hba.conf` and
    /// settings. With `ssl=on`, its certificates are made first.
    pub(crate) fn listening(rules: &str, settings: &[&'static str]) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let settings = [&["listen_addresses=127.0.0.1"], settings].concat();
        Self::create(port, rules, &settings)
    }

    fn create(port: u16, rules: &str, settings: &[&'static str]) -> Option<Self> {
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
        if !rules.is_empty() {
            let rules = format!("local all all trust\n{rules}\n");
            fs::write(data.join("pg_hba.conf"), rules).unwrap();
        }
        if settings.contains(&"ssl=on") {
            make_certificates(&data);
        }
        let server = launch(&bin, dir.path(), port, settings);
        let cluster = Self {
            bin,
            dir,
            port,
            settings: settings.to_vec(),
            server,
        };
        cluster.wait();
        Some(cluster)
    }

    /// The port of loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A file of the server's data directory.
    pub(crate) fn file(&self, name: &str) -> String {
        self.dir
            .path()
            .join("data")
            .join(name)
            .display()
            .to_string()
    }

    /// Runs statements as the owner.
    pub(crate) fn execute(&self, statements: &str) {
        run(Command::new(self.bin.join("psql"))
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-U", "whisht"])
            .args(["-d", "postgres", "-p", &self.port.to_string(), "-h"])
            .arg(self.dir.path())
            .args(["-c", statements]));
    }

    /// The URL of a new, empty database.
    pub(crate) fn database(&self, name: &str) -> String {
        run(Command::new(self.bin.join("createdb"))
            .args(["-U", "whisht", "-p", &self.port.to_string(), "-h"])
            .arg(self.dir.path())
            .arg(name));
        let host = self.dir.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://whisht@{host}/{name}")
    }

    /// Crashes the server and restarts it.
    pub(crate) fn restart(&mut self) {
        self.stop("-INT");
        self.server = launch(&self.bin, self.dir.path(), self.port, &self.settings);
        self.wait();
    }

    fn wait(&self) {
        for _ in 0..600 {
            let mut ready = Command::new(self.bin.join("pg_isready"));
            ready
                .args(["-q", "-U", "whisht", "-p", &self.port.to_string(), "-h"])
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

/// A certificate authority, a certificate for 127.0.0.1 that it issues, and one that stands alone, as
/// PostgreSQL's manual makes it. Debian's server package brings openssl.
fn make_certificates(data: &Path) {
    let make = |name: &str, more: &[&str]| {
        let (key, certificate) = (
            data.join(format!("{name}.key")),
            data.join(format!("{name}.crt")),
        );
        let mut openssl = server_program(Path::new("openssl"));
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]);
        openssl.args([
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=whisht test",
            "-keyout",
        ]);
        run(openssl.arg(key).arg("-out").arg(certificate).args(more));
    };
    let (authority, key) = (data.join("authority.crt"), data.join("authority.key"));
    make("authority", &[]);
    make("alone", &[]);
    make(
        "server",
        &[
            "-CA",
            authority.to_str().unwrap(),
            "-CAkey",
            key.to_str().unwrap(),
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ],
    );
}

fn launch(bin: &Path, dir: &Path, port: u16, settings: &[&str]) -> Child {
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
        .args(["-p", &port.to_string(), "-c", "shared_buffers=16MB"])
        .args(["-c", "max_connections=30", "-c", "fsync=off"])
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
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
