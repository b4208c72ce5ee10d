//! The build script: tells the program its commit and its target.
//!
//! The commit comes from the variable `BUILD_COMMIT` of the build, which makers of packages set, or in a
//! release build from git. A build without git or outside of a repository has no commit, and does not
//! fail. Other builds do not ask git, because every commit would then compile the program again.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=BUILD_COMMIT");
    println!("cargo::rerun-if-changed=.ci/build.rs");
    let variable = |name| std::env::var(name).unwrap_or_default();
    println!("cargo::rustc-env=BUILT_TARGET={}", variable("TARGET"));
    let version = variable("CARGO_PKG_VERSION");
    let named = variable("BUILD_COMMIT");
    let commit = match named.as_str() {
        "" if variable("PROFILE") == "release" => commit(),
        "" => None,
        named => Some(named.to_owned()),
    };
    match commit.filter(|commit| is_plain(commit)) {
        Some(commit) => {
            println!("cargo::rustc-env=BUILT_COMMIT={commit}");
            println!("cargo::rustc-env=BUILT_VERSION={version} ({commit})");
        }
        None => println!("cargo::rustc-env=BUILT_VERSION={version}"),
    }
}

/// The commit of the repository, marked if files differ from it; `None` without git.
fn commit() -> Option<String> {
    // The log of HEAD changes with every commit; the sources may differ from the commit.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    for path in [
        &log,
        "src",
        "circuits/src",
        "tor/src",
        "watch/src",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    git(&[
        "describe",
        "--always",
        "--dirty=-modified",
        "--abbrev=12",
        "--exclude=*",
    ])
}

/// What git answers, on one line.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Whether a commit can stand in an instruction to cargo.
fn is_plain(commit: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._+".contains(c);
    !commit.is_empty() && commit.len() <= 80 && commit.chars().all(plain)
}
