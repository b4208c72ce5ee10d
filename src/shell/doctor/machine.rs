//! The machine: disk, limits, memory, randomness, clock, user.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Finding, RunningProcess};
use crate::config::Config;
use crate::shell::random;

/// Examines the machine; limits are those of the running node, if there is one.
#[expect(
    clippy::disallowed_methods,
    reason = "the clock itself is examined, and the shell reads clocks"
)]
pub(super) fn examine(
    dir: &Path,
    config: &Config,
    process: Option<&RunningProcess>,
) -> Vec<Finding> {
    let place = existing(dir);
    let mut found = vec![match rustix::fs::statvfs(place) {
        Ok(system) => disk(system.f_bavail.saturating_mul(system.f_frsize), config),
        Err(error) => Finding::not_checked("disk", format!("{}: {error}", place.display())),
    }];
    let pid = process.and_then(|process| process.pid);
    found.push(open_files(pid, config));
    found.push(memory(pid, config));
    found.push(entropy());
    found.push(clock(dir, SystemTime::now()));
    if rustix::process::geteuid().is_root() {
        found.push(Finding::warning(
            "user",
            "this command runs as root; a node needs no right of root",
            "run the node as a user of its own",
        ));
    }
    found
}

/// The directory, or the one above it that exists.
fn existing(dir: &Path) -> &Path {
    let mut above = dir.ancestors();
    above.find(|path| path.is_dir()).unwrap_or(dir)
}

/// Judges the free space in bytes.
pub(super) fn disk(free: u64, config: &Config) -> Finding {
    let archive = config.mail.as_ref().map_or(0, |mail| mail.bytes);
    let text = format!("{} MB free", free >> 20);
    let remedy = "make room, or move the data directory to a larger disk";
    if free < MIN_FREE {
        Finding::wrong("disk", text, remedy)
    } else if free < FEW_FREE.saturating_add(archive / 10) {
        Finding::warning("disk", text, remedy)
    } else {
        Finding::ok("disk", text)
    }
}

fn open_files(pid: Option<u32>, config: &Config) -> Finding {
    let limits = pid.map(|pid| fs::read_to_string(format!("/proc/{pid}/limits")));
    let limit = match limits {
        Some(Ok(limits)) => file_limit(&limits),
        Some(Err(_)) => None,
        None => {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
            Some(limit.current.unwrap_or(u64::MAX))
        }
    };
    limit.map_or_else(
        || {
            Finding::not_checked(
                "open files",
                "the system does not show the limit of the node",
            )
        },
        |limit| judge_files(limit, config),
    )
}

/// Judges the limit of open files.
pub(super) fn judge_files(limit: u64, config: &Config) -> Finding {
    let peers = u64::try_from(config.node.max_peers).unwrap_or(u64::MAX);
    let needed = peers.saturating_mul(2).saturating_add(OTHER_FILES);
    let remedy = format!(
        "allow {needed} or more: `ulimit -n {needed}` before the start, or LimitNOFILE={needed} in the unit"
    );
    if limit < needed / 2 {
        let text = format!("at most {limit} open files; {needed} are needed");
        Finding::wrong("open files", text, remedy)
    } else if limit < needed {
        let text = format!("at most {limit} open files; {needed} are better");
        Finding::warning("open files", text, remedy)
    } else {
        Finding::ok("open files", format!("at most {limit}"))
    }
}

/// The soft limit of open files in `/proc/PID/limits`.
pub(super) fn file_limit(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn memory(pid: Option<u32>, config: &Config) -> Finding {
    let name = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let groups = fs::read_to_string(format!("/proc/{name}/cgroup")).unwrap_or_default();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let group = group.map(|group| format!("/sys/fs/cgroup{group}/memory.max"));
    let max = group.and_then(|path| fs::read_to_string(path).ok());
    let limit = max.and_then(|max| max.trim().parse().ok());
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    match (limit, available(&info)) {
        (None, None) => Finding::not_checked("memory", "the system does not show it"),
        (limit, free) => judge_memory(limit, free, config),
    }
}

/// The available memory in `/proc/meminfo`, in bytes.
pub(super) fn available(info: &str) -> Option<u64> {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1 << 10)
}

/// Judges the limit of the control group and the memory of the machine, in bytes.
pub(super) fn judge_memory(limit: Option<u64>, free: Option<u64>, config: &Config) -> Finding {
    let pool = u64::try_from(config.node.pool_bytes).unwrap_or(u64::MAX);
    let needed = pool.saturating_mul(2).saturating_add(BASE_MEMORY);
    let megabytes = needed >> 20;
    let remedy = format!("allow {megabytes} MB, or set `pool-mb` to less");
    match (limit, free) {
        (Some(limit), _) if limit < needed => Finding::wrong(
            "memory",
            format!(
                "the control group allows {} MB; the settings need up to {megabytes} MB",
                limit >> 20
            ),
            remedy,
        ),
        (_, Some(free)) if free < needed / 2 => Finding::warning(
            "memory",
            format!(
                "{} MB are available; the settings need up to {megabytes} MB",
                free >> 20
            ),
            remedy,
        ),
        (_, free) => {
            let free = free.map_or_else(String::new, |free| format!("{} MB available", free >> 20));
            Finding::ok("memory", free)
        }
    }
}

fn entropy() -> Finding {
    match (random::<32>(), random::<32>()) {
        (Ok(one), Ok(other)) if one != other => {
            Finding::ok("entropy", "the system gives random bytes")
        }
        (Ok(_), Ok(_)) => Finding::wrong(
            "entropy",
            "the system gave the same random bytes twice",
            "make no key on this machine; it may be a copy of a paused machine",
        ),
        _ => Finding::wrong(
            "entropy",
            "the system gives no random bytes",
            "wait until the machine has started, or check /dev/urandom",
        ),
    }
}

/// Judges the clock by the files of earlier runs. The running node compares it with its peers.
pub(super) fn clock(dir: &Path, now: SystemTime) -> Finding {
    let remedy = "set the clock, and let NTP keep it";
    if now < UNIX_EPOCH + Duration::from_secs(EARLIEST) {
        let text = "the clock shows a time before this program was written";
        return Finding::wrong("clock", text, remedy);
    }
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let times = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok());
    match times.max() {
        Some(newest) if newest > now + DAY => Finding::wrong(
            "clock",
            "the clock is more than a day behind the files of the last run",
            remedy,
        ),
        _ => Finding::ok("clock", "not behind the files of the last run"),
    }
}

/// Less than this fails soon, in bytes.
const MIN_FREE: u64 = 64 << 20;
/// Less than this lasts for some days, in bytes.
const FEW_FREE: u64 = 512 << 20;
/// Files beside links: databases, sockets, clients of JSON-RPC, handshakes.
const OTHER_FILES: u64 = 256;
/// Memory beside the pool, in bytes: a proof of work of a password takes 256 MB for a second.
const BASE_MEMORY: u64 = 320 << 20;
/// The beginning of 2026.
const EARLIEST: u64 = 1_767_225_600;
const DAY: Duration = Duration::from_secs(86_400);
