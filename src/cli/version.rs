//! `whisht version`: what this program was built from, for reports of bugs.

use serde::Serialize;

use super::output::Printer;
use super::{Exit, Failure};

/// What this program was built from.
#[derive(Debug, Serialize)]
pub(super) struct BuildInfo {
    version: &'static str,
    /// The commit, if the build knew it: from `BUILD_COMMIT`, or from git in a release build.
    commit: Option<&'static str>,
    target: &'static str,
    /// Optional parts that are compiled in.
    features: Vec<&'static str>,
}

/// Shows version, commit, target and features.
///
/// # Errors
///
/// [`Failure`] if standard output is closed.
pub(super) fn run(json: bool) -> Result<Exit, Failure> {
    let printer = Printer { json, local: false };
    let build = BuildInfo::this();
    if json {
        printer.value(&build)?;
        return Ok(Exit::Done);
    }
    printer.line(format_args!("whisht    {}", build.version))?;
    printer.line(format_args!(
        "commit    {}",
        build
            .commit
            .unwrap_or("unknown: this is not a release build")
    ))?;
    printer.line(format_args!("target    {}", build.target))?;
    let features = match build.features.as_slice() {
        [] => "none".to_owned(),
        features => features.join(", "),
    };
    printer.line(format_args!("features  {features}"))?;
    Ok(Exit::Done)
}

/// The text of `--version`: the version, and the commit if it is known.
pub(super) const SHORT: &str = env!("BUILT_VERSION");

impl BuildInfo {
    /// One line: version, commit, target and features.
    pub(super) fn line(&self) -> String {
        format!(
            "whisht {}, commit {}, {}, features: {}",
            self.version,
            self.commit.unwrap_or("unknown"),
            self.target,
            self.features.join(" ")
        )
    }

    pub(super) fn this() -> Self {
        let optional = [
            ("sim", cfg!(feature = "sim")),
            ("tor", cfg!(feature = "tor")),
        ];
        let features = optional.into_iter().filter(|(_, enabled)| *enabled);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("BUILT_COMMIT"),
            target: env!("BUILT_TARGET"),
            features: features.map(|(name, _)| name).collect(),
        }
    }
}
