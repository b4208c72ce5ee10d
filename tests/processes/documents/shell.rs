//! A shell with a home directory of its own, in which the commands of one page run.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::node::NodeProcess;

use super::socks::SocksProxy;

/// The shell, its files, and the nodes that its commands started.
pub(super) struct Shell {
    home: TempDir,
    /// What replaces the placeholders, in order.
    values: Vec<(String, String)>,
    /// Variables that earlier commands exported.
    exported: Vec<(String, String)>,
    socks: Option<String>,
    nodes: Vec<Node>,
}

/// A node that a printed command started.
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Shell {
    pub(super) fn new() -> Self {
        let shell = Self {
            home: tempfile::tempdir().unwrap(),
            values: Vec::new(),
            exported: Vec::new(),
            socks: None,
            nodes: Vec::new(),
        };
        fs::create_dir(shell.path("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_whisht"), shell.path("bin/whisht")).unwrap();
        shell
    }

    /// A shell of a machine with a Tor daemon.
    pub(super) fn behind(tor: &SocksProxy) -> Self {
        let mut shell = Self::new();
        shell.use_tor(tor);
        shell
    }

    pub(super) fn use_tor(&mut self, tor: &SocksProxy) {
        self.socks = Some(tor.address().to_string());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Replaces a placeholder from now on; a later value takes precedence.
    pub(super) fn replace(&mut self, placeholder: &str, value: String) {
        self.values.insert(0, (placeholder.to_owned(), value));
    }

    /// Writes a file that only its owner can read.
    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    /// The directories of the package, in the home directory.
    pub(super) fn lay_out_system(&mut self) {
        for dir in ["etc", "etc/whisht", "var", "var/lib"] {
            fs::create_dir(self.path(dir)).unwrap();
        }
        let mut private = DirBuilder::new();
        private
            .mode(0o700)
            .create(self.path("var/lib/whisht"))
            .unwrap();
        let home = self.home.path().display().to_string();
        for dir in ["/etc/", "/var/"] {
            self.replace(dir, format!("{home}{dir}"));
        }
        self.replace("/usr/bin/whisht", "whisht".to_owned());
        self.replace("%S", "/var/lib".to_owned());
    }

    pub(super) fn write_config(&self, text: &str) {
        let path = self.path("etc/whisht/config.toml");
        fs::write(path, self.fill(text)).unwrap();
    }

    /// Writes the key file of another wallet, encrypted under [`PASSWORD`].
    pub(super) fn write_wallet(&self, name: &str) {
        self.write("wallet-password", PASSWORD);
        let made = format!(
            "whisht id new wallet --data-dir other --password-file wallet-password \
             && whisht id export wallet {name} --data-dir other"
        );
        let output = self.output(&made);
        assert!(output.status.success(), "{output:?}");
    }

    /// A node of the network of these tests, outside of this shell.
    pub(super) fn start_peer(&self) -> NodeProcess {
        NodeProcess::start(
            self.home.path(),
            "peer",
            &["--listen", "127.0.0.1:0", "--mail-serve"],
        )
    }

    /// Runs a printed command, which must succeed; returns its output. A command that starts a node
    /// is left running.
    pub(super) fn run(&mut self, printed: &str) -> String {
        let line = self.fill(printed);
        if let Some(variables) = line.strip_prefix("export ") {
            let assigned = variables.split(" #").next().unwrap_or_default();
            let assigned = assigned
                .split_whitespace()
                .filter_map(|one| one.split_once('='));
            let assigned = assigned.map(|(name, value)| (name.to_owned(), value.to_owned()));
            self.exported.extend(assigned);
            return String::new();
        }
        // The user of these tests is the owner of the directory.
        let line = line.strip_prefix("runuser -u _whisht -- ").unwrap_or(&line);
        let line = line.trim();
        if line.contains("whisht leaktest") && !line.contains("--ephemeral") {
            // The test runs the node of the directory.
            self.stop_nodes();
        }
        if line.contains("whisht run") || line.contains("whisht mail serve") {
            return self.start_node(line);
        }
        let output = self.output(line);
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        // A network of two nodes cannot confirm a message, as the page states.
        let is_handed_over = code == Some(3) && said.contains("handed to 1 peer; not confirmed");
        assert!(
            code == Some(0) || is_handed_over,
            "`{printed}` ended with {code:?}: {said}{shown}"
        );
        shown
    }

    /// Runs a command, and returns its output as JSON.
    pub(super) fn ask(&self, line: &str) -> Value {
        let output = self.output(line);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{line}: {output:?}"))
    }

    /// Runs a line in the shell. Where a password is prompted for, it runs at a terminal, into which
    /// [`PASSWORD`] is typed.
    pub(super) fn output(&self, line: &str) -> Output {
        let asks = ["whisht id new ", "whisht id import ", "whisht id passwd "];
        let asks = asks.iter().any(|begin| line.starts_with(begin)) && !line.contains("-file");
        let mut command = if asks {
            let mut terminal = self.command("script");
            terminal.args(["--quiet", "--return", "--command", line, "/dev/null"]);
            terminal
        } else {
            let mut shell = self.command("bash");
            shell.args(["-c", line]);
            shell
        };
        let typed = if asks { Stdio::piped() } else { Stdio::null() };
        let child = command
            .stdin(typed)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let id = child.id().to_string();
        let keyboard = child.stdin.take();
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
        if let Some(mut keyboard) = keyboard {
            loop {
                // The program may have ended, or may ask for nothing now.
                let _typed = writeln!(keyboard, "{PASSWORD}").and_then(|()| keyboard.flush());
                if let Ok(output) = ended.recv_timeout(TYPING_INTERVAL) {
                    return output;
                }
            }
        }
        ended.recv_timeout(COMMAND_TIMEOUT).unwrap_or_else(|_| {
            let _killed = Command::new("kill").args(["-KILL", &id]).status();
            panic!("`{line}` does not end")
        })
    }

    /// Starts a node in the place of those that run, unless the command runs in the background of
    /// its shell; returns its banner.
    fn start_node(&mut self, line: &str) -> String {
        let line = line.split(" #").next().unwrap_or_default().trim();
        let (line, is_background) = match line.strip_suffix('&') {
            Some(line) => (line, true),
            None => (line, false),
        };
        if !is_background {
            self.stop_nodes();
        }
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = self.command("bash");
        let command = command.args(["-c", &format!("exec {line}")]);
        let command = command
            .stdin(Stdio::null())
            .stderr(writer.try_clone().unwrap());
        self.nodes
            .push(Node(command.stdout(writer).spawn().unwrap()));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            // After the banner the node logs to the end of its life.
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                let _unheard = sender.send(line);
            }
        });
        let mut banner = String::new();
        while !banner.contains("identities ") {
            let line = lines.recv_timeout(COMMAND_TIMEOUT);
            banner += &line.unwrap_or_else(|_| panic!("no banner: {banner}"));
            banner.push('\n');
        }
        banner
    }

    /// Ends the nodes, as Ctrl-C does.
    pub(super) fn stop_nodes(&mut self) {
        for mut node in self.nodes.drain(..) {
            let id = node.0.id().to_string();
            let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
            let ended = node.0.wait().unwrap();
            assert!(sent.success() && ended.success(), "{ended:?}");
        }
    }

    /// A program with the environment of this shell: no network but a local one, and no variable of
    /// the caller that affects whisht.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WHISHT_") {
                command.env_remove(name);
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("XDG_RUNTIME_DIR", self.home.path())
            .env("SHELL", "/bin/bash")
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("WHISHT_PROFILE", "local")
            .env("WHISHT_NETWORK", "processes")
            .env("WHISHT_THREADS", "1")
            .envs(self.exported.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A line with values in the place of placeholders.
    fn fill(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (placeholder, value) in &self.values {
            text = text.replace(placeholder, value);
        }
        // A minute is long for a test.
        text = text.replace("whisht leaktest", "whisht leaktest --seconds 12");
        // The SOCKS port of a daemon is a default, which a test cannot use.
        match &self.socks {
            Some(socks) if text.contains("--tor-mode socks") => {
                let flags = format!("--tor-mode socks --tor-socks {socks} --tor-private-daemon");
                text.replace("--tor-mode socks", &flags)
            }
            Some(socks) if text.contains("mode = \"socks\"") => {
                format!("{text}\nsocks = \"{socks}\"\nprivate-daemon = true\n")
            }
            _ => text,
        }
    }
}

/// The first word of a text with this beginning, without punctuation after it.
pub(super) fn word(text: &str, begin: &str) -> Option<String> {
    let mut words = text.split_whitespace();
    words
        .find(|word| word.starts_with(begin))
        .map(str::to_owned)
}

/// An enode URL's key at an onion service.
pub(super) fn at_onion(enode: &str, onion: &str) -> String {
    let key = enode
        .strip_prefix("enode://")
        .and_then(|rest| rest.split_once('@'));
    format!("{}@{onion}.onion", key.expect("an enode URL").0)
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Whether a program is in the path.
pub(super) fn is_installed(program: &str) -> bool {
    let which = Command::new("bash")
        .args(["-c", &format!("command -v {program}")])
        .output();
    which.is_ok_and(|output| output.status.success())
}

/// The password that is typed at every prompt.
const PASSWORD: &str = "a hedge full of sparrows";
/// The interval between two passwords typed at a terminal.
const TYPING_INTERVAL: Duration = Duration::from_millis(500);
/// Only bounds the wait for a hanging process.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);
