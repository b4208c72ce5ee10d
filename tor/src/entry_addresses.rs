//! Where a client's own connections may lead: what a watcher of the process has to let pass.
//!
//! With bridges, that is the bridges and nothing else. Without, it is every relay of the consensus
//! that the client keeps, and before it has one, the relays that it knows from its birth (or that a
//! private network's description names). Nothing here connects, or asks anybody.

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
    /// From the settings.
    named: BTreeSet<SocketAddr>,
    /// From the consensus.
    listed: BTreeSet<SocketAddr>,
    /// Where the client keeps the consensus; `None` if it must not go by it.
    blobs: Option<PathBuf>,
    /// The files that were read, by name and length.
    read: BTreeMap<OsString, u64>,
}

impl EntryAddresses {
    /// Those of a client with these settings.
    ///
    /// # Errors
    ///
    /// [`TorStartError`] if there can be no such client.
    pub fn of(settings: &ArtiSettings) -> Result<Self, TorStartError> {
        let config = settings.build()?;
        let bridges = settings.bridges.iter().filter_map(|line| {
            let mut words = line.split_whitespace();
            words.find_map(|word| word.parse().ok())
        });
        let fallbacks: &FallbackList = config.as_ref();
        let (named, blobs) = match settings.bridges.is_empty() {
            true => (
                fallbacks.iter().flat_map(|relay| relay.addrs()).collect(),
                Some(settings.directory.join("cache").join("dir_blobs")),
            ),
            false => (bridges.collect(), None),
        };
        Ok(Self {
            named,
            listed: BTreeSet::new(),
            blobs,
            read: BTreeMap::new(),
        })
    }

    /// Whether a connection may lead there. Looks whether there is a newer consensus before it
    /// says no.
    pub fn contains(&mut self, place: SocketAddr) -> bool {
        let known =
            |entries: &Self| entries.named.contains(&place) || entries.listed.contains(&place);
        known(self) || {
            self.refresh();
            known(self)
        }
    }

    /// Reads what was not read before. What cannot be read names nobody.
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

    fn place(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn settings(directory: PathBuf) -> ArtiSettings {
        ArtiSettings {
            directory,
            ..ArtiSettings::default()
        }
    }

    #[test]
    fn a_consensus_names_its_relays() {
        let found: Vec<_> = relays(CONSENSUS).collect();
        let listed = ["192.0.2.1:9001", "[2001:db8::1]:9002", "192.0.2.2:443"];
        assert_eq!(found, listed.map(place));
    }

    #[test]
    fn a_client_may_go_to_relays_of_a_consensus_that_comes_later() {
        let dir = std::env::temp_dir().join(format!("entries-{}", std::process::id()));
        let blobs = dir.join("cache/dir_blobs");
        fs::create_dir_all(&blobs).unwrap();
        let mut entries = EntryAddresses::of(&settings(dir.clone())).unwrap();
        let relay = place("192.0.2.1:9001");
        assert!(!entries.contains(relay));
        fs::write(blobs.join("con_microdesc_sha3-256-00"), CONSENSUS).unwrap();
        assert!(entries.contains(relay));
        assert!(!entries.contains(place("192.0.2.1:9002")));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_client_is_born_with_relays() {
        let entries = EntryAddresses::of(&settings("/nonexistent".into())).unwrap();
        assert!(entries.named.len() > 50, "{}", entries.named.len());
    }

    #[test]
    fn with_bridges_there_is_nothing_else() {
        let line = |address: &str| format!("{address} 0123456789012345678901234567890123456789");
        let with_bridges = ArtiSettings {
            bridges: vec![line("192.0.2.7:443"), line("[2001:db8::7]:443")],
            ..settings("/nonexistent".into())
        };
        let entries = EntryAddresses::of(&with_bridges).unwrap();
        let bridges = ["192.0.2.7:443", "[2001:db8::7]:443"].map(place);
        assert_eq!(entries.named, BTreeSet::from(bridges));
        assert_eq!(entries.blobs, None);
    }
}
