//! Protects the memory of this process: no core dump, no reading by other programs of the user, no swap.
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

/// Keeps the memory of this process out of swap: each page from the moment at which it is first used.
///
/// The kernel has to permit that without a limit. Under a limit, an allocation beyond it would end the process.
///
/// # Errors
///
/// `PermissionDenied` under a limit, otherwise the error of the operating system.
#[cfg(target_os = "linux")]
pub fn lock_memory() -> io::Result<()> {
    use rustix::mm::{MlockAllFlags, mlockall};
    use rustix::process::{Resource, getrlimit};
    use rustix::thread::{CapabilitySet, capabilities};

    let limit = getrlimit(Resource::Memlock).current;
    if limit.is_some()
        && !capabilities(None)?
            .effective
            .contains(CapabilitySet::IPC_LOCK)
    {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?;
    Ok(())
}

/// Other systems have no common way.
#[cfg(not(target_os = "linux"))]
pub fn lock_memory() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The devices and files to which the system swaps memory, encrypted ones included. Empty where the system
/// does not tell.
#[must_use]
pub fn swap_devices() -> Vec<String> {
    let list = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    swap_names(&list)
}

/// The names in `/proc/swaps`. Compressed memory is not a device that outlives the machine's power.
fn swap_names(list: &str) -> Vec<String> {
    let rows = list.lines().skip(1);
    let names = rows.filter_map(|row| row.split_whitespace().next());
    names
        .filter(|name| !name.starts_with("/dev/zram"))
        .map(str::to_owned)
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_on_disk_is_named_and_compressed_memory_is_not() {
        let list = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
                    /dev/zram0                              partition\t4194300\t0\t100\n\
                    /dev/sda2                               partition\t8388604\t512\t-2\n\
                    /swapfile                               file\t\t1048572\t0\t-3\n";
        assert_eq!(swap_names(list), ["/dev/sda2", "/swapfile"]);
        assert!(swap_names("").is_empty());
    }
}
