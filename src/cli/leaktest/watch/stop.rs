//! What `wait` says of a traced thread (`ptrace(2)`).
//!
//! Decoded here from the bare number, since a signal without a name (the real-time ones) must not
//! make the watcher overlook a thread that waits for it.

/// Why a thread stands still, or has gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PtraceStop {
    /// Something of the tracer's interest: a new thread, a new program, a stop of the whole group.
    Event,
    /// It ended with this code.
    Exited(i32),
    /// It ended by this signal.
    Killed(i32),
    /// This signal is about to be delivered.
    Signal(i32),
    /// It enters or leaves a system call.
    SystemCall,
}

impl PtraceStop {
    /// Reads a status.
    pub(super) const fn decode(status: i32) -> Self {
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

/// `SIGTRAP`.
const TRAP: i32 = 5;
/// What `PTRACE_O_TRACESYSGOOD` adds to it.
const SYSTEM_CALL: i32 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_told_apart() {
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
