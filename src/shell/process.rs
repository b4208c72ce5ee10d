//! Protects the memory of this process: no core dump, and no reading by other programs of the user.
//!
//! A core dump of a node holds all keys, in a file that outlives them. A process that is not dumpable
//! writes none, and the kernel lets no other program without privileges read its memory or attach to
//! it. A program under a tracer is left as it is: the tracer controls it anyway, and the leak test is
//! one.

use std::io;

/// Switches core dumps and foreign access to the memory off.
///
/// # Errors
///
/// The error of the operating system; what it refuses stays as it was.
#[cfg(target_os = "linux")]
pub fn protect_memory() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    if !is_traced() {
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

/// Other systems have no common way.
#[cfg(not(target_os = "linux"))]
pub fn protect_memory() -> io::Result<()> {
    Ok(())
}

/// Whether another process traces this one.
#[cfg(target_os = "linux")]
fn is_traced() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

/// Runs `create` so that nothing it creates can be used by others, not even for a moment. The mask
/// belongs to the whole process: a file that another thread creates meanwhile is at most as open.
#[cfg(target_os = "linux")]
pub(super) fn create_private<T>(create: impl FnOnce() -> T) -> T {
    use rustix::fs::Mode;

    let before = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let created = create();
    rustix::process::umask(before);
    created
}

/// Elsewhere the caller sets the mode afterwards.
#[cfg(not(target_os = "linux"))]
pub(super) fn create_private<T>(create: impl FnOnce() -> T) -> T {
    create()
}
