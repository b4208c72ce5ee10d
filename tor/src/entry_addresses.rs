//! Addresses that the Tor client may connect to, for a process monitor that checks connections.
//!
//! With bridges, these are only the bridges. Without bridges, they are all relays of the cached
//! consensus and, before there is one, the built-in fallback relays (or those in the description of
//! a private network). This module opens no connection and sends no query.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use tor_dircommon::fallback::FallbackList;
use tor_linkspec::HasAddrs as _;

use crate::error::TorStartError;
use crate::settings::ArtiSettings;

/// The addresses at which a client may enter the Tor network.
#[derive(Clone, Debug)]
pub struct EntryAddresses {
    /// Bridges or fallback relays from the settings.
    named: BTreeSet<SocketAddr>,
    /// Relays from the cached consensus.
    listed: BTreeSet<SocketAddr>,
    /// Directory of the cached consensus; `None` if bridges are set.
    blobs: Option<PathBuf>,
    /// The consensus files read so far, by name and length.
    read: BTreeMap<OsString, u64>,
}

impl EntryAddresses {
    /// The addresses of a client with these settings.
    ///
    /// # Errors
    ///
    /// [`TorStartError`] if the settings are invalid.
    pub fn of(settings: &ArtiSettings) -> Result<Self, TorStartError> {
        let config = settings.build()?;
        let bridges = settings.bridges.iter().filter_map(|line| {
            let mut words = line.split_whitespace();
            words.find_map(|word| word.parse().ok())
        });
        let fallbacks: &FallbackList = config.as_ref();
        let (named, blobs) = if settings.bridges.is_empty() {
            (
                fallbacks.iter().flat_map(|relay| relay.addrs()).collect(),
                Some(settings.directory.join("cache").join("dir_blobs")),
            )
        } else {
            (bridges.collect(), None)
        };
        Ok(Self {
            named,
            listed: BTreeSet::new(),
            blobs,
            read: BTreeMap::new(),
        })
    }

    /// Whether the client may connect to this address. An unknown address makes the method read
    /// new consensus files first.
    pub fn contains(&mut self, address: SocketAddr) -> bool {
        let known =
            |entries: &Self| entries.named.contains(&address) || entries.listed.contains(&address);
        known(self) || {
            self.refresh();
            known(self)
        }
    }

    /// Reads new consensus files. An unreadable file adds no addresses.
    fn refresh(&mut self) {
        let Some(files) = self.blobs.as_ref().and_then(|path| fs::read_dir(path).ok()) else {
            return;
        };
        for file in files.flatten() {
            let name = file.file_name();
            let length = file
                .metadata()
                .map(|metadata| metadata.len())
                .unwrap_or_default();
            let consensus = name.to_string_lossy().starts_with("con_");
            if !consensus || self.read.get(&name) == Some(&length) {
                continue;
            }
            if let Ok(text) = fs::read_to_string(file.path()) {
                self.listed.extend(relays(&text));
                self.read.insert(name, length);
            }
        }
    }
}

/// The addresses of a consensus (Tor's directory specification, section "Router status entries"):
/// lines `r NAME IDENTITY [DIGEST] DATE TIME IP ORPORT DIRPORT` and `a ADDRESS:PORT`.
fn relays(consensus: &str) -> impl Iterator<Item = SocketAddr> {
    consensus.lines().filter_map(|line| {
        let mut words = line.split(' ');
        match words.next()? {
            "r" => {
                let [port, ip] = [words.nth_back(1)?, words.next_back()?];
                Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
            }
            "a" => words.next()?.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSENSUS: &str = "network-status-version 3 microdesc\n\
        known-flags Authority Exit\n\
        r one AAoQ1DAR6kkoo19hBAX5K0QztNw 2038-01-01 00:00:00 192.0.2.1 9001 0\n\
        a [2001:db8::1]:9002\n\
        m UhHsYDTFuU2qvnHHYnQIWRkTCJuJ\n\
        r two AAoQ1DAR6kkoo19hBAX5K0QztNw digest 2038-01-01 00:00:00 192.0.2.2 443 80\n\
        r bad AAoQ1DAR6kkoo19hBAX5K0QztNw 2038-01-01 00:00:00 192.0.2.300 443 80\n\
        r\n\
        a\n";

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn settings(directory: PathBuf) -> ArtiSettings {
        ArtiSettings {
            directory,
            ..ArtiSettings::default()
        }
    }

    #[test]
    fn consensus_lists_addresses_of_its_relays() {
        let found: Vec<_> = relays(CONSENSUS).collect();
        let listed = ["192.0.2.1:9001", "[2001:db8::1]:9002", "192.0.2.2:443"];
        assert_eq!(found, listed.map(address));
    }

    #[test]
    fn entry_addresses_include_relays_of_later_consensus() {
        let dir = std::env::temp_dir().join(format!("entries-{}", std::process::id()));
        let blobs = dir.join("cache/dir_blobs");
        fs::create_dir_all(&blobs).unwrap();
        let mut entries = EntryAddresses::of(&settings(dir.clone())).unwrap();
        let relay = address("192.0.2.1:9001");
        assert!(!entries.contains(relay));
        fs::write(blobs.join("con_microdesc_sha3-256-00"), CONSENSUS).unwrap();
        assert!(entries.contains(relay));
        assert!(!entries.contains(address("192.0.2.1:9002")));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn entry_addresses_without_consensus_are_fallback_relays() {
        let entries = EntryAddresses::of(&settings("/nonexistent".into())).unwrap();
        assert!(entries.named.len() > 50, "{}", entries.named.len());
    }

    #[test]
    fn entry_addresses_with_bridges_are_only_the_bridges() {
        let line = |address: &str| format!("{address} 0123456789012345678901234567890123456789");
        let with_bridges = ArtiSettings {
            bridges: vec![line("192.0.2.7:443"), line("[2001:db8::7]:443")],
            ..settings("/nonexistent".into())
        };
        let entries = EntryAddresses::of(&with_bridges).unwrap();
        let bridges = ["192.0.2.7:443", "[2001:db8::7]:443"].map(address);
        assert_eq!(entries.named, BTreeSet::from(bridges));
        assert_eq!(entries.blobs, None);
    }
}
