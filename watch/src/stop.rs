//! What `wait` reports about a traced thread (`ptrace(2)`).
//!
//! The status is decoded here from the bare number. The libraries fail on a signal without a name (the
//! real-time ones), and a tracer that overlooks one stop leaves that thread stopped.

use rustix::process::{Pid, WaitOptions, waitpid};

/// Why a thread is stopped, or how it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PtraceStop {
    /// An event for the tracer: a new thread, a new program, a stop of the whole group.
    Event,
    /// The thread ended with this code.
    Exited(i32),
    /// The thread ended by this signal.
    Killed(i32),
    /// This signal is about to be delivered.
    Signal(i32),
    /// The thread enters or leaves a system call.
    SystemCall,
}

impl PtraceStop {
    /// Decodes a wait status.
    const fn decode(status: i32) -> Self {
        let upper = (status >> 8) & 0xff;
        match status & 0x7f {
            0 => Self::Exited(upper),
            0x7f if status >> 16 != 0 => Self::Event,
            0x7f if upper == TRAP | SYSTEM_CALL => Self::SystemCall,
            0x7f => Self::Signal(upper),
            signal => Self::Killed(signal),
        }
    }
}

/// Waits for the next stop or end of `process`, or of any thread that this thread started or traces;
/// `None` if no thread is left.
pub(crate) fn wait(process: Option<Pid>, options: WaitOptions) -> Option<(Pid, PtraceStop)> {
    let options = options | WaitOptions::from_bits_retain(ALL_KINDS | OWN_THREAD);
    loop {
        // `waitpid` without a number waits for this process's own group.
        let changed = match process {
            Some(process) => waitpid(Some(process), options),
            None => rustix::process::wait(options),
        };
        match changed {
            Ok(Some((thread, status))) => {
                return Some((thread, PtraceStop::decode(status.as_raw())));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// `SIGTRAP`.
const TRAP: i32 = 5;
/// The bit that `PTRACE_O_TRACESYSGOOD` adds to `SIGTRAP`.
const SYSTEM_CALL: i32 = 0x80;
/// `__WALL`: children of every kind, threads among them.
const ALL_KINDS: u32 = 0x4000_0000;
/// `__WNOTHREAD`: only threads that this thread started or traces.
const OWN_THREAD: u32 = 0x2000_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_status_decodes_to_stop() {
        for (status, stop) in [
            (0, PtraceStop::Exited(0)),
            (7 << 8, PtraceStop::Exited(7)),
            (9, PtraceStop::Killed(9)),
            (11 | 0x80, PtraceStop::Killed(11)),
            (19 << 8 | 0x7f, PtraceStop::Signal(19)),
            (34 << 8 | 0x7f, PtraceStop::Signal(34)),
            (5 << 8 | 0x7f, PtraceStop::Signal(5)),
            (0x85 << 8 | 0x7f, PtraceStop::SystemCall),
            (3 << 16 | 5 << 8 | 0x7f, PtraceStop::Event),
            (128 << 16 | 19 << 8 | 0x7f, PtraceStop::Event),
        ] {
            assert_eq!(PtraceStop::decode(status), stop, "{status:x}");
        }
    }
}
