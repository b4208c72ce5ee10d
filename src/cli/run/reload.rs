//! What SIGHUP changes in a running node: the settings of the file that need no restart.
//!
//! The whole file is read and checked as at the start. A file with an error changes nothing, so the node
//! never runs with half of its settings. Settings that a restart would change are named, and none is taken
//! over silently. Flags and variables keep their precedence.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{from_text, text_of};
use crate::bandwidth::BandwidthLimits;
use crate::cli::{Failure, is_given, log};
use crate::config::{Config, Settings, file, tables};
use crate::endpoint::PeerAddr;
use crate::gossip::packet::MinPow;
use crate::node::{Command, Cover};
use crate::shell::log_output;
use crate::shell::runtime::{DataLocation, RunningNode};

/// The settings in effect, and where they came from.
pub(super) struct Reload {
    /// From flags and variables, which this process keeps.
    options: Settings,
    /// What the command itself sets.
    change: fn(&mut Settings),
    named: Option<PathBuf>,
    location: DataLocation,
    /// The text of the file at the start.
    started_with: String,
    /// The settings in effect, but for those that need a restart.
    config: Config,
    /// The cells for which limits of bandwidth must leave room, as at the start.
    cells: (Cover, bool),
}

/// What a reload did.
#[derive(Debug, Default, Eq, PartialEq)]
struct Reloaded {
    /// Keys of settings that have changed.
    applied: Vec<&'static str>,
    /// Keys of settings that a restart would change.
    needs_restart: Vec<&'static str>,
}

impl Reload {
    /// Reads the configuration for the start of a node.
    ///
    /// # Errors
    ///
    /// [`Failure`] if the file cannot be read, or the settings do not fit together.
    pub(super) fn first(
        options: Settings,
        change: fn(&mut Settings),
        named: Option<PathBuf>,
        location: DataLocation,
    ) -> Result<Self, Failure> {
        let started_with = text_of(named.as_deref(), &location)?;
        let config = build(
            &options,
            change,
            (named.as_deref(), &location),
            &started_with,
        )?;
        Ok(Self {
            options,
            change,
            named,
            location,
            started_with,
            cells: cells_of(&config),
            config,
        })
    }

    /// The settings in effect.
    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// Reads the file again, and applies what needs no restart. Logs the result, and returns it as one line.
    /// The log file is opened again first, because programs that rotate logs send SIGHUP too.
    pub(super) async fn run(&mut self, host: &RunningNode) -> String {
        if let Err(error) = log_output::reopen() {
            tracing::warn!(%error, "the log goes on in the earlier file");
        }
        match self.apply(host).await {
            Ok(reloaded) => {
                if !reloaded.applied.is_empty() {
                    tracing::info!(
                        settings = reloaded.applied.join(", "),
                        "settings were reloaded"
                    );
                }
                if !reloaded.needs_restart.is_empty() {
                    let settings = reloaded.needs_restart.join(", ");
                    tracing::warn!(
                        settings,
                        "these changed settings need a restart of the node"
                    );
                }
                if reloaded == Reloaded::default() {
                    tracing::info!("the configuration was read again, and nothing has changed");
                }
                reloaded.line()
            }
            Err(failure) => {
                let cause = failure.message();
                tracing::error!("nothing was reloaded: {cause}");
                "the changed configuration is not valid, see the log".to_owned()
            }
        }
    }

    async fn apply(&mut self, host: &RunningNode) -> Result<Reloaded, Failure> {
        let place = (self.named.as_deref(), &self.location);
        let text = text_of(place.0, place.1)?;
        let mut config = build(&self.options, self.change, place, &text)?;
        let mut applied = Vec::new();
        if config.node.peers != self.config.node.peers {
            change_peers(host, &self.config, &config).await;
            applied.push("peers");
        }
        if config
            .node
            .min_pow
            .total_cmp(&self.config.node.min_pow)
            .is_ne()
            && let Some(min_pow) = MinPow::new(config.node.min_pow)
        {
            ask(host, Command::SetMinPow(min_pow)).await;
            applied.push("min-pow");
        }
        if config.rpc.modules != self.config.rpc.modules {
            host.rpc().allow_modules(&config.rpc.modules);
            applied.push("rpc.modules");
        }
        if config.log.filter != self.config.log.filter && log::set_filter(&config.log.filter) {
            applied.push("log.level");
        }
        let changed = file::changed_keys(&self.started_with, &text);
        let mut needs_restart: Vec<_> = changed
            .into_iter()
            .filter(|key| !RELOADED.contains(key) && !is_fixed(key))
            .collect();
        let limits = changed_limits(&self.config.node.bandwidth, &config.node.bandwidth);
        if cells_of(&config) == self.cells {
            if !limits.is_empty() {
                ask(host, Command::SetBandwidth(config.node.bandwidth)).await;
            }
            applied.extend(limits);
        } else {
            // These limits are for the cells that the node has after a restart.
            config.node.bandwidth = self.config.node.bandwidth;
            needs_restart.extend(limits);
        }
        self.config = config;
        Ok(Reloaded {
            applied,
            needs_restart,
        })
    }
}

impl Reloaded {
    /// One line for the service manager.
    fn line(&self) -> String {
        match (self.applied.as_slice(), self.needs_restart.as_slice()) {
            ([], []) => "nothing to reload".to_owned(),
            (applied, []) => format!("reloaded {}", applied.join(", ")),
            (_, needed) => format!("restart needed for {}", needed.join(", ")),
        }
    }
}

/// The settings that the sources give together.
fn build(
    options: &Settings,
    change: fn(&mut Settings),
    (named, location): (Option<&Path>, &DataLocation),
    text: &str,
) -> Result<Config, Failure> {
    let mut settings = options.clone().or(from_text(named, location, text)?);
    change(&mut settings);
    Ok(Config::build(settings)?)
}

/// The cover traffic of a node, and whether it relays: from these follows how much its cells need.
const fn cells_of(config: &Config) -> (Cover, bool) {
    (config.node.cover, config.node.relay)
}

/// Keys of the limits that differ.
fn changed_limits(before: &BandwidthLimits, after: &BandwidthLimits) -> Vec<&'static str> {
    let of_second = before.per_second != after.per_second;
    let of_day = before.received_per_day != after.received_per_day;
    let limits = [
        ("bandwidth.max", of_second),
        ("bandwidth.max-mb-day", of_day),
    ];
    let changed = limits.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(key, _)| key).collect()
}

/// Removes the peers that are not in the settings any more, and adds the new ones. A trusted peer stays
/// connected, whatever `peers` says.
async fn change_peers(host: &RunningNode, before: &Config, after: &Config) {
    let key = |peer: &PeerAddr| peer.key;
    let trusted: BTreeSet<_> = after.node.trusted_peers.iter().map(key).collect();
    for peer in &before.node.peers {
        if !after.node.peers.contains(peer) && !trusted.contains(&peer.key) {
            ask(host, Command::RemovePeer(peer.key)).await;
        }
    }
    for peer in &after.node.peers {
        if !before.node.peers.contains(peer) {
            ask(host, Command::AddPeer(*peer)).await;
        }
    }
}

/// Carries out a command, and logs a refusal.
async fn ask(host: &RunningNode, command: Command) {
    match host.handle().command(command).await {
        Ok(Ok(_)) => {}
        Ok(Err(refusal)) => tracing::error!("a reloaded setting was refused: {refusal}"),
        Err(stopped) => tracing::debug!("no reload: {stopped}"),
    }
}

/// Whether a flag or a variable gives the setting, so that no file changes it.
fn is_fixed(key: &str) -> bool {
    let tables = tables();
    let mut settings = tables.iter().flat_map(|table| &table.settings);
    let Some(setting) = settings.find(|setting| setting.names.key == key) else {
        return false;
    };
    let names = setting.names;
    let by_variable = !names.env.is_empty() && std::env::var_os(names.env).is_some();
    let by_no_listen = key == "listen" && is_given("--no-listen");
    by_variable || by_no_listen || is_given(&format!("--{}", names.flag))
}

/// Keys of the settings that a reload changes; docs/operating.md has them.
const RELOADED: [&str; 6] = [
    "peers",
    "min-pow",
    "bandwidth.max",
    "bandwidth.max-mb-day",
    "rpc.modules",
    "log.level",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reloaded_settings_exist_and_the_page_for_operators_names_them() {
        let page = include_str!("../../../docs/operating.md");
        let line = page.lines().find(|line| line.contains("SIGHUP reloads"));
        let tables = tables();
        let keys = tables.iter().flat_map(|table| &table.settings);
        let keys: Vec<&str> = keys.map(|setting| setting.names.key).collect();
        for key in RELOADED {
            assert!(keys.contains(&key), "{key}");
            assert!(line.unwrap().contains(&format!("`{key}`")), "{key}");
        }
    }

    #[test]
    fn status_names_the_settings_that_need_a_restart_first() {
        let reloaded = |applied: &[&'static str], needed: &[&'static str]| Reloaded {
            applied: applied.to_vec(),
            needs_restart: needed.to_vec(),
        };
        assert_eq!(reloaded(&[], &[]).line(), "nothing to reload");
        assert_eq!(reloaded(&["peers"], &[]).line(), "reloaded peers");
        let both = reloaded(&["peers"], &["relay", "listen"]);
        assert_eq!(both.line(), "restart needed for relay, listen");
    }
}
