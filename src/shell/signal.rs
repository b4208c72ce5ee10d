//! SIGINT, SIGTERM and SIGHUP.
//!
//! SIGHUP says to a program at a terminal that the terminal is gone: it ends as with SIGTERM. To a
//! daemon it says to read its configuration again. A program that `nohup` started keeps ignoring the
//! signal.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for the user or the system to ask the process to end.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if the signal is ignored.
    hangup: Option<Signal>,
    has_terminal: bool,
}

impl Interrupts {
    /// Takes over the signals; from here on they no longer end the process by themselves.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn take() -> io::Result<Self> {
        let hangup = if ignores_hangup() {
            None
        } else {
            Some(signal(SignalKind::hangup())?)
        };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup,
            has_terminal: has_terminal(),
        })
    }

    /// Completes at the next signal that ends the process; requests to reload are ignored meanwhile.
    pub async fn next(&mut self) {
        while self.next_request().await == SignalRequest::Reload {
            tracing::warn!("SIGHUP: the program does not reload now");
        }
    }

    /// Completes at the next signal, with what it asks for.
    pub async fn next_request(&mut self) -> SignalRequest {
        tokio::select! {
            _ = self.interrupt.recv() => return SignalRequest::End,
            _ = self.terminate.recv() => return SignalRequest::End,
            () = received(&mut self.hangup) => {}
        }
        if self.has_terminal {
            tracing::info!("SIGHUP: the terminal was closed, and the node ends");
            return SignalRequest::End;
        }
        SignalRequest::Reload
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignalRequest {
    /// To end in order.
    End,
    /// To read the configuration again.
    Reload,
}

/// Completes when the signal arrives; never without a signal.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether SIGHUP was ignored when the process started: bit 0 of the mask in `/proc/self/status`.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// Whether the process has a controlling terminal: the fifth field after the name in `/proc/self/stat`
/// is its number, and 0 without one. Where the file is missing the process is taken to have one.
fn has_terminal() -> bool {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return true;
    };
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().nth(TERMINAL_FIELD) != Some("0")
}

/// Index of the number of the terminal among the fields after the name (proc_pid_stat(5), tty_nr).
const TERMINAL_FIELD: usize = 4;
