//! A pseudo-terminal of a given size, and the screen that a user would see in it.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// What a command left on the screen, and its exit status.
pub(crate) struct Shown {
    pub(crate) status: ExitStatus,
    pub(crate) screen: Screen,
}

/// Runs a command whose output is a terminal of `columns` columns; its input is what the command has.
pub(crate) fn at_width(columns: usize, command: &mut Command) -> Shown {
    let (mut master, slave) = terminal(columns);
    let mut child = command
        .stdout(Stdio::from(slave.try_clone().unwrap()))
        .stderr(Stdio::from(slave))
        .spawn()
        .unwrap();
    // The command holds copies of the terminal; without them reading below would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut screen = Screen::new(columns);
    let mut buffer = [0; 4096];
    let mut bytes = Vec::new();
    // The error is EIO: the last process has closed the terminal.
    while let Ok(count @ 1..) = master.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
    }
    screen.print(&String::from_utf8_lossy(&bytes));
    let status = child.wait().unwrap();
    Shown { status, screen }
}

/// A terminal of `columns` columns: its master, and the side of the program.
pub(crate) fn terminal(columns: usize) -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = Winsize {
        ws_row: 50,
        ws_col: u16::try_from(columns).unwrap(),
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap();
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path.to_str().unwrap())
        .unwrap();
    (File::from(master), slave)
}

/// A screen without a lower end: rows, and which of them the terminal broke by itself.
pub(crate) struct Screen {
    columns: usize,
    rows: Vec<Vec<char>>,
    /// Whether the terminal, and not the program, ended the row.
    broken: Vec<bool>,
    row: usize,
    column: usize,
}

impl Screen {
    pub(crate) fn new(columns: usize) -> Self {
        Self {
            columns,
            rows: vec![Vec::new()],
            broken: vec![false],
            row: 0,
            column: 0,
        }
    }

    /// Prints text with the control sequences of the program.
    pub(crate) fn print(&mut self, text: &str) {
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\r' => self.column = 0,
                '\n' => self.down(),
                '\u{1b}' => {
                    assert_eq!(chars.next(), Some('['), "an unknown control sequence");
                    let mut number = String::new();
                    while let Some(digit) =
                        chars.next_if(|c| c.is_ascii_digit() || "?;".contains(*c))
                    {
                        number.push(digit);
                    }
                    self.control(chars.next().unwrap(), number.parse().unwrap_or(1));
                }
                c => self.put(c),
            }
        }
    }

    fn control(&mut self, kind: char, number: usize) {
        match kind {
            'A' => self.row = self.row.saturating_sub(number),
            'B' => (0..number).for_each(|_| self.down()),
            'K' => {
                // indicatif erases whole lines only, with 2; the end of a line has no number.
                let kept = if number == 2 { 0 } else { self.column };
                self.rows[self.row].truncate(kept);
                self.broken[self.row] = false;
            }
            'h' | 'l' | 'm' => {}
            other => panic!("an unknown control sequence: {other}"),
        }
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push(Vec::new());
            self.broken.push(false);
        }
    }

    fn put(&mut self, c: char) {
        if self.column == self.columns {
            self.broken[self.row] = true;
            self.column = 0;
            self.down();
        }
        let column = self.column;
        let row = &mut self.rows[self.row];
        row.resize(row.len().max(column + 1), ' ');
        row[column] = c;
        self.column += 1;
    }

    /// The lines of the program: rows that the terminal broke are joined again.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = String::new();
        for (row, broken) in self.rows.iter().zip(&self.broken) {
            line.extend(row);
            if !broken {
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
            }
        }
        lines
    }

    /// All text, with the line breaks of the program as spaces.
    pub(crate) fn words(&self) -> String {
        let lines = self.lines().join(" ");
        lines.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}
