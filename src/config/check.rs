//! All errors of a configuration file at once, and the settings in it that can do harm.
//!
//! `whisht run` stops at the first error, because it cannot go on. Here each error has its line, so that
//! one pass over the file repairs it. Contradictions between settings are found one after the other, by
//! leaving out the setting that the last one named; the search ends at a setting on which others depend,
//! because what follows could be a consequence.

use std::path::Path;

use super::file::{FileError, FileReading};
use super::tor::TorConfigError;
use super::warnings::{ConfigWarning, exposures, hints};
use super::{Config, ConfigError};

/// What is wrong with a file, and what may be.
#[derive(Debug, Default)]
pub struct FileReport {
    /// What must be changed, by line.
    pub errors: Vec<FileError>,
    /// What may be meant, with the line of the setting; `None` if the file does not have it.
    pub warnings: Vec<(Option<usize>, ConfigWarning)>,
}

impl FileReport {
    /// Examines the text of a file. `path` is for the errors.
    #[must_use]
    pub fn of(path: &Path, text: &str) -> Self {
        let reading = FileReading::of(path, text);
        let line_of = |key: &str| {
            let mut entries = reading.entries.iter();
            entries
                .find(|entry| entry.key == key)
                .map(|entry| entry.line)
        };
        let mut report = Self::default();
        let mut left_out: Vec<&str> = Vec::new();
        loop {
            let settings = FileReading::without(path, text, &left_out).settings;
            match Config::build(settings) {
                Ok(config) => {
                    let all = exposures(&config).into_iter().chain(hints(&config));
                    let located = all.map(|warning| (line_of(warning.setting), warning));
                    report.warnings = located.collect();
                    break;
                }
                Err(error) => {
                    let setting = error.setting();
                    report.errors.push(FileError {
                        path: path.to_owned(),
                        line: line_of(setting).unwrap_or(1),
                        cause: error.to_string(),
                    });
                    let is_done = left_out.contains(&setting)
                        || line_of(setting).is_none()
                        || BASES.contains(&setting);
                    if is_done {
                        break;
                    }
                    left_out.push(setting);
                }
            }
        }
        report.errors.extend(reading.errors);
        report.errors.sort_by_key(|error| error.line);
        report
    }
}

impl ConfigError {
    /// Key of the setting to change first.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        match self {
            Self::AdvertiseWithoutRelay | Self::AdvertisesBesideTor(_) => "advertise",
            Self::BandwidthTooLow { .. } => "bandwidth.max",
            Self::DailyVolumeTooLow { .. } => "bandwidth.max-mb-day",
            Self::MetricsLeaveMachine(_) => "metrics.listen",
            Self::BootnodesWithoutDiscovery => "discovery.bootnodes",
            Self::DiscoveryBesideTor | Self::DiscoveryNeedsListener => "discovery.enabled",
            Self::LevelNeedsCover(_) => "cover",
            Self::Levels(_) => "levels.custom",
            Self::ListensBesideTor(_) => "listen",
            Self::LocalLeavesMachine { setting, .. } | Self::OnionWithoutTor { setting } => {
                match *setting {
                    // The setting is a list, and the error is about one item.
                    "peer" => "peers",
                    setting => setting,
                }
            }
            Self::LocalNeedsName => "profile",
            Self::RelayNeedsAddress | Self::RelayNeedsListener | Self::RelayNeedsOnion => "relay",
            Self::RpcLeavesMachine(error) => error.setting,
            Self::Signers(_) => "directory.signers",
            Self::Tor(error) => error.setting(),
            Self::WithoutEffect { setting, .. } => setting,
        }
    }
}

impl TorConfigError {
    /// Key of the setting to change first.
    const fn setting(&self) -> &'static str {
        match self {
            Self::ArtiOnly | Self::DaemonOnly | Self::LocalNeedsPrivateTor | Self::NoArti => {
                "tor.mode"
            }
            Self::NeedsMode { setting, .. } => setting,
            Self::NotOnion => "tor.onion",
            Self::OnlyNeedsTor => "tor.only",
            Self::ReadersNeedService => "tor.readers",
            Self::SocksLeavesMachine(_) => "tor.socks",
            Self::TransportWithoutBridge => "tor.transports",
        }
    }
}

/// Settings on which others depend.
const BASES: [&str; 5] = ["mail.serve", "profile", "relay", "tor.mode", "tor.only"];

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<(usize, String)> {
        let report = FileReport::of(Path::new("config.toml"), text);
        let errors = report.errors.into_iter();
        errors.map(|error| (error.line, error.cause)).collect()
    }

    #[test]
    fn all_errors_of_a_file_are_found_with_their_lines() {
        let text = "levle = 'open'\nmax-peers = 0\n\n[rpc]\nhttp = '0.0.0.0:8545'\norigins = ['*']\n\
                    [mail]\ndays = 3\nmax-mb = 5\n[tro]\nonly = true\n";
        let found = errors(text);
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 5, 6, 8, 9, 10], "{found:?}");
        for (line, part) in [
            (1, "did you mean `level`?"),
            (2, "from 1 to 500"),
            (5, "other machines can reach"),
            (6, "every page"),
            (8, "mail.serve"),
            (9, "mail.serve"),
            (10, "did you mean [tor]?"),
        ] {
            let named = |(own, cause): &(usize, String)| *own == line && cause.contains(part);
            assert!(found.iter().any(named), "{line}: {part}: {found:?}");
        }
    }

    #[test]
    fn error_of_the_syntax_does_not_hide_the_other_errors() {
        let found = errors("relay = yes\nmax-peers = 0\nlevel = 'opne'\n");
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3], "{found:?}");
        assert!(found[0].1.contains("expected true or false"), "{found:?}");
    }

    #[test]
    fn contradiction_about_a_base_setting_ends_the_search() {
        let found = errors("relay = true\nlisten = []\nadvertise = ['8.8.8.8:1']\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].1.contains("must listen"), "{found:?}");
    }

    #[test]
    fn discovery_with_tor_is_refused_at_its_line() {
        let found = errors("tor.mode = 'socks'\n\n[discovery]\nenabled = true\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, 4);
    }

    #[test]
    fn setting_that_hurts_is_a_warning_with_its_line() {
        let report = FileReport::of(Path::new("c"), "relay = false\ncover = 'off'\n");
        assert!(report.errors.is_empty());
        let named = |(line, warning): &(Option<usize>, ConfigWarning)| (*line, warning.setting);
        let found: Vec<_> = report.warnings.iter().map(named).collect();
        assert_eq!(found, [(Some(2), "cover"), (None, "peers")]);
    }
}
