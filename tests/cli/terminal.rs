//! Password prompts. `script` provides a terminal; its output and the typed text pass through
//! pipes.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::{run, scratch, secret_file, succeeds};

/// The program at a terminal of its own.
pub(crate) struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    shown: String,
    seen: usize,
    /// The terminal's device file.
    path: String,
}

impl Terminal {
    pub(crate) fn open(dir: &Path, args: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_whisht");
        // Without `exec` a shell other than bash would wait, and end by the same Ctrl-C.
        let line = format!(
            "tty; exec '{program}' --data-dir '{}' {args}",
            dir.display()
        );
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env_remove("WHISHT_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script(1) of Debian's package bsdutils is installed");
        let mut output = child.stdout.take().unwrap();
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 1024];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                // The receiver may have ended.
                let _sent = sender.send(buffer[..count].to_vec());
            }
        });
        let mut terminal = Self {
            keyboard: child.stdin.take().unwrap(),
            child,
            screen,
            shown: String::new(),
            seen: 0,
            path: String::new(),
        };
        terminal.until("\n");
        terminal.path = terminal.shown.lines().next().unwrap().to_owned();
        terminal
    }

    /// Waits until new output contains `text`.
    pub(crate) fn until(&mut self, text: &str) {
        let start = Instant::now();
        loop {
            let new = self.shown.get(self.seen..).unwrap();
            if let Some(at) = new.find(text) {
                self.seen += at + text.len();
                return;
            }
            assert!(
                start.elapsed() < PROMPT_TIMEOUT,
                "no {text:?} in {:?}",
                self.shown
            );
            if let Ok(bytes) = self.screen.recv_timeout(Duration::from_millis(100)) {
                self.shown += &String::from_utf8_lossy(&bytes);
            }
        }
    }

    /// Types a password once the terminal hides it, which is shortly after the prompt.
    pub(crate) fn types(&mut self, line: &str) {
        let start = Instant::now();
        while !self.hides() {
            assert!(
                start.elapsed() < PROMPT_TIMEOUT,
                "the terminal shows the typed text"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        self.keyboard.write_all(line.as_bytes()).unwrap();
        self.keyboard.write_all(b"\r").unwrap();
    }

    /// Types a line that the terminal shows.
    pub(crate) fn types_openly(&mut self, line: &str) {
        self.keyboard.write_all(line.as_bytes()).unwrap();
        self.keyboard.write_all(b"\r").unwrap();
    }

    /// Presses a key.
    pub(crate) fn presses(&mut self, key: &str) {
        self.keyboard.write_all(key.as_bytes()).unwrap();
    }

    /// Whether the terminal hides typed text.
    pub(crate) fn hides(&self) -> bool {
        let told = Command::new("stty").args(["-F", &self.path, "-a"]).output();
        let told = String::from_utf8(told.unwrap().stdout).unwrap();
        told.split_whitespace().any(|flag| flag == "-echo")
    }

    /// Waits for the exit; returns the code and all output.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(
                start.elapsed() < PROMPT_TIMEOUT,
                "still running: {:?}",
                self.shown
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        while let Ok(bytes) = self.screen.recv_timeout(Duration::from_secs(1)) {
            self.shown += &String::from_utf8_lossy(&bytes);
        }
        let status = self.child.wait().unwrap();
        (status.code(), std::mem::take(&mut self.shown))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The process has ended unless the test failed. Its terminal ends with it, and so does the
        // program.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Only bounds the wait for a hanging process.
const PROMPT_TIMEOUT: Duration = Duration::from_secs(60);

#[test]
fn new_password_is_prompted_twice_without_echo() {
    let data = scratch();
    let mut terminal = Terminal::open(&data.path, "id new desk --danger-light-kdf");
    terminal.until("new password for `desk`: ");
    terminal.types("hedge at nine");
    terminal.until("once more: ");
    terminal.types("hedge at nine");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("made desk") && !shown.contains("hedge"),
        "{shown}"
    );

    let file = secret_file(&data.parent, "hedge", "hedge at nine\n");
    let args = [
        "id",
        "passwd",
        "desk",
        "--old-password-file",
        &file,
        "--no-password",
    ];
    succeeds(&run(&data.path, &args));
}

#[test]
fn mismatched_or_empty_password_creates_nothing() {
    let data = scratch();
    let mut terminal = Terminal::open(&data.path, "id new desk --danger-light-kdf");
    terminal.until("new password for `desk`: ");
    terminal.types("hedge");
    terminal.until("once more: ");
    terminal.types("hegde");
    terminal.until("the two passwords differ");
    assert_eq!(terminal.end().0, Some(2));

    let mut terminal = Terminal::open(&data.path, "id new desk");
    terminal.until("new password for `desk`: ");
    terminal.types("");
    terminal.until("--no-password");
    assert_eq!(terminal.end().0, Some(2));
    assert_eq!(
        succeeds(&run(&data.path, &["id", "list", "--json"])),
        "[]\n"
    );
}

#[test]
fn node_start_prompts_again_after_wrong_password() {
    let data = scratch();
    let hedge = secret_file(&data.parent, "hedge", "hedge at nine\n");
    let args = [
        "id",
        "new",
        "desk",
        "--danger-light-kdf",
        "--password-file",
        &hedge,
    ];
    succeeds(&run(&data.path, &args));
    let node = "run --profile local --network cli-test --no-listen --threads 1";
    let mut terminal = Terminal::open(&data.path, node);
    terminal.until("password for desk (Enter to start locked): ");
    terminal.types("hedge at ten");
    terminal.until("A password cannot be");
    terminal.until("password for desk (Enter to start locked): ");
    terminal.types("hedge at nine");
    terminal.until("identities    1");
    succeeds(&run(&data.path, &["inbox"]));
    // Ctrl-C.
    terminal.keyboard.write_all(&[3]).unwrap();
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("at nine"), "{shown}");

    let mut terminal = Terminal::open(&data.path, node);
    terminal.until("Enter to start locked");
    terminal.types("");
    terminal.until("1 locked: `whisht unlock` unlocks them");
    let mut unlocking = Terminal::open(&data.path, "unlock");
    unlocking.until("password for desk: ");
    unlocking.types("hedge at nine");
    unlocking.until("unlocked desk");
    assert_eq!(unlocking.end().0, Some(0));
}

#[test]
fn closed_terminal_shuts_the_node_down_in_order() {
    let data = scratch();
    let node = "run --profile local --network cli-test --no-listen --threads 1";
    let mut terminal = Terminal::open(&data.path, node);
    terminal.until("identities");
    let socket = data.path.join("whisht.ipc");
    assert!(socket.exists());
    // The terminal ends with the process that provides it, and the system sends SIGHUP.
    terminal.child.kill().unwrap();
    let start = Instant::now();
    while socket.exists() {
        assert!(
            start.elapsed() < PROMPT_TIMEOUT,
            "the socket is left behind"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn weak_password_is_accepted_with_a_warning() {
    let data = scratch();
    for (name, password, is_weak) in [("one", "x", true), ("two", "hedge at nine", false)] {
        let file = secret_file(&data.parent, name, &format!("{password}\n"));
        let args = [
            "id",
            "new",
            name,
            "--danger-light-kdf",
            "--password-file",
            &file,
        ];
        let output = run(&data.path, &args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert_eq!(said.contains("fewer than 8 characters"), is_weak, "{said}");
    }
}
