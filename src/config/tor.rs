//! The table `[tor]`: whether links go through Tor, and whose.
//!
//! With a mode other than `off`, every outgoing link goes through Tor, to onion services and to
//! clear addresses alike; there is no second way for when Tor is down. `only` closes the rest: no
//! listener but on loopback, no address of this machine in a descriptor.
//!
//! In a local network, Tor has to be a private one, and the operator says so (spec M17): arti is
//! given the network's description, a daemon is vouched for.

use core::fmt;
use core::str::FromStr;
use std::net::SocketAddr;
use std::path::PathBuf;

use circuits::ids::Profile;
use toml::de::DeValue;

use super::toml_value::{EntryError, count, flag, list, parsed, text};
use super::value::BadValue;
use crate::endpoint::Endpoint;
use crate::suggest::closest;

/// What one source says; `None` where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct TorSettings {
    /// Whose Tor. Default: none.
    pub mode: Option<TorMode>,
    /// Whether nothing may go out or come in but through Tor. Default: no.
    pub only: Option<bool>,
    /// The daemon's SOCKS port. Default: 127.0.0.1:9050.
    pub socks: Option<SocketAddr>,
    /// The daemon's control port, to ask how far it is. Default: it is not asked.
    pub control: Option<ControlPort>,
    /// The onion service by which the daemon leads to our listener. Default: none.
    pub onion: Option<Endpoint>,
    /// The port of arti's onion service. Default: 20819.
    pub onion_port: Option<u16>,
    /// Bridge lines for arti. Default: none, so that relays are contacted directly.
    pub bridges: Option<Vec<String>>,
    /// Programs that carry the traffic to bridges.
    pub transports: Option<Vec<PluggableTransport>>,
    /// A directory of `*.auth_private` files: keys to services that not everybody may find.
    pub keys: Option<PathBuf>,
    /// Who may find our onion service. Default: everybody who knows its address.
    pub readers: Option<Vec<ServiceReader>>,
    /// A file that describes a private Tor network, in the words of arti's configuration.
    pub network: Option<PathBuf>,
    /// The operator's word that the daemon belongs to a private network.
    pub private_daemon: Option<bool>,
}

/// Every key of the table.
pub(super) const KEYS: [&str; 12] = [
    "mode",
    "only",
    "socks",
    "control",
    "onion",
    "onion-port",
    "bridges",
    "transports",
    "keys",
    "readers",
    "network",
    "private-daemon",
];

impl TorSettings {
    /// Takes one entry of the file in.
    pub(super) fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), EntryError> {
        match key {
            "mode" => self.mode = Some(parsed(text(value)?)?),
            "only" => self.only = Some(flag(value)?),
            "socks" => self.socks = Some(parsed(text(value)?)?),
            "control" => self.control = Some(parsed(text(value)?)?),
            "onion" => self.onion = Some(parsed(text(value)?)?),
            "onion-port" => {
                let port = count(value, 1..=usize::from(u16::MAX))?;
                self.onion_port = u16::try_from(port).ok();
            }
            "bridges" => self.bridges = Some(list(value, |line| Ok(line.to_owned()))?),
            "transports" => self.transports = Some(list(value, str::parse)?),
            "keys" => self.keys = Some(text(value)?.into()),
            "readers" => self.readers = Some(list(value, str::parse)?),
            "network" => self.network = Some(text(value)?.into()),
            "private-daemon" => self.private_daemon = Some(flag(value)?),
            _ => return Err(EntryError::Key),
        }
        Ok(())
    }

    /// What these settings say, and what `weaker` ones say where these are silent.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            mode: self.mode.or(weaker.mode),
            only: self.only.or(weaker.only),
            socks: self.socks.or(weaker.socks),
            control: self.control.or(weaker.control),
            onion: self.onion.or(weaker.onion),
            onion_port: self.onion_port.or(weaker.onion_port),
            bridges: self.bridges.or(weaker.bridges),
            transports: self.transports.or(weaker.transports),
            keys: self.keys.or(weaker.keys),
            readers: self.readers.or(weaker.readers),
            network: self.network.or(weaker.network),
            private_daemon: self.private_daemon.or(weaker.private_daemon),
        }
    }
}

/// Settings that are complete and fit together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TorConfig {
    /// By whom links go through Tor.
    pub backend: TorBackend,
    /// Whether nothing may go out or come in but through Tor.
    pub only: bool,
}

/// Whose Tor carries our links.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum TorBackend {
    /// Nobody's: links are plain connections.
    #[default]
    Off,
    /// The one in this process.
    Arti(ArtiConfig),
    /// A daemon on this machine.
    Daemon(DaemonConfig),
}

/// Settings of the Tor in this process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ArtiConfig {
    /// The port of our onion service.
    pub onion_port: u16,
    /// Bridge lines.
    pub bridges: Vec<String>,
    /// Programs that carry the traffic to bridges.
    pub transports: Vec<PluggableTransport>,
    /// A directory of keys to services that not everybody may find.
    pub keys: Option<PathBuf>,
    /// Who may find our onion service; everybody, if nobody is named.
    pub readers: Vec<ServiceReader>,
    /// A file that describes a private network; the public one if absent.
    pub network: Option<PathBuf>,
}

/// Settings for a Tor daemon.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DaemonConfig {
    /// Its SOCKS port; a loopback address.
    pub socks: SocketAddr,
    /// Its control port.
    pub control: Option<ControlPort>,
    /// The onion service that leads to our listener.
    pub onion: Option<Endpoint>,
}

impl TorConfig {
    /// Completes settings with defaults and checks that they fit together.
    ///
    /// # Errors
    ///
    /// [`TorConfigError`] names the first rule broken, and what to do.
    pub fn build(settings: TorSettings, profile: Profile) -> Result<Self, TorConfigError> {
        let only = settings.only.unwrap_or(false);
        let mode = settings.mode.unwrap_or(TorMode::Off);
        if mode != TorMode::Off && profile == Profile::Local && !settings.is_private(mode) {
            return Err(TorConfigError::LocalNeedsPrivateTor);
        }
        let backend = match mode {
            TorMode::Off if only => return Err(TorConfigError::OnlyNeedsTor),
            TorMode::Off => TorBackend::Off,
            TorMode::Arti if cfg!(not(feature = "tor")) => return Err(TorConfigError::NoArti),
            TorMode::Arti => TorBackend::Arti(arti(settings)?),
            TorMode::Socks => TorBackend::Daemon(daemon(settings)?),
        };
        Ok(Self { backend, only })
    }

    /// Whether links go through Tor.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !matches!(self.backend, TorBackend::Off)
    }
}

impl TorSettings {
    fn is_private(&self, mode: TorMode) -> bool {
        match mode {
            TorMode::Off => true,
            TorMode::Arti => self.network.is_some(),
            TorMode::Socks => self.private_daemon == Some(true),
        }
    }
}

fn arti(settings: TorSettings) -> Result<ArtiConfig, TorConfigError> {
    if settings.socks.is_some() || settings.control.is_some() || settings.onion.is_some() {
        return Err(TorConfigError::DaemonOnly);
    }
    let config = ArtiConfig {
        onion_port: settings.onion_port.unwrap_or(ONION_PORT),
        bridges: settings.bridges.unwrap_or_default(),
        transports: settings.transports.unwrap_or_default(),
        keys: settings.keys,
        readers: settings.readers.unwrap_or_default(),
        network: settings.network,
    };
    match config.bridges.is_empty() && !config.transports.is_empty() {
        true => Err(TorConfigError::TransportWithoutBridge),
        false => Ok(config),
    }
}

fn daemon(settings: TorSettings) -> Result<DaemonConfig, TorConfigError> {
    let ours = [
        settings.bridges.is_some(),
        settings.transports.is_some(),
        settings.keys.is_some(),
        settings.readers.is_some(),
        settings.network.is_some(),
        settings.onion_port.is_some(),
    ];
    if ours.contains(&true) {
        return Err(TorConfigError::ArtiOnly);
    }
    let socks = settings.socks.unwrap_or(SOCKS);
    if !socks.ip().is_loopback() {
        return Err(TorConfigError::SocksLeavesMachine(socks));
    }
    match settings.onion {
        Some(Endpoint::Tcp(_)) => Err(TorConfigError::NotOnion),
        onion => Ok(DaemonConfig {
            socks,
            control: settings.control,
            onion,
        }),
    }
}

/// Whose Tor, in one word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TorMode {
    /// None.
    Off,
    /// The one in this process.
    Arti,
    /// A daemon's, by SOCKS.
    Socks,
}

impl TorMode {
    const ALL: [Self; 3] = [Self::Off, Self::Arti, Self::Socks];

    /// Its name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Arti => "arti",
            Self::Socks => "socks",
        }
    }
}

impl FromStr for TorMode {
    type Err = BadValue;

    fn from_str(word: &str) -> Result<Self, BadValue> {
        let found = Self::ALL.into_iter().find(|mode| mode.word() == word);
        found.ok_or_else(|| {
            BadValue::new(match closest(word, Self::ALL.map(Self::word)) {
                Some(near) => format!("there is no mode {word:?}; did you mean {near}?"),
                None => format!("there is no mode {word:?}; choose off, arti or socks"),
            })
        })
    }
}

/// A daemon's control port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ControlPort {
    /// On loopback.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl FromStr for ControlPort {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Tcp(address)),
            _ => Err(BadValue::new(
                "a control port is an address of loopback such as 127.0.0.1:9051, or unix:PATH",
            )),
        }
    }
}

/// A pluggable transport: `obfs4=/usr/bin/obfs4proxy`, several names separated by commas.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PluggableTransport {
    /// The names that bridge lines use.
    pub protocols: Vec<String>,
    /// The program.
    pub program: PathBuf,
}

impl FromStr for PluggableTransport {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let (names, program) = text.split_once('=').unwrap_or_default();
        let protocols: Vec<String> = names.split(',').map(str::to_owned).collect();
        if program.is_empty() || protocols.iter().any(String::is_empty) {
            return Err(BadValue::new(
                "a transport is written NAME=PROGRAM, such as obfs4=/usr/bin/obfs4proxy",
            ));
        }
        let program = program.into();
        Ok(Self { protocols, program })
    }
}

/// Somebody who may find our onion service: `NAME=descriptor:x25519:KEY`.
#[derive(Clone, Eq, PartialEq)]
pub struct ServiceReader {
    /// For the operator's use.
    pub name: String,
    /// As that somebody's Tor printed it.
    pub key: String,
}

impl FromStr for ServiceReader {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.split_once('=') {
            Some((name, key)) if !name.is_empty() && key.starts_with("descriptor:x25519:") => {
                Ok(Self {
                    name: name.to_owned(),
                    key: key.to_owned(),
                })
            }
            _ => Err(BadValue::new(
                "a reader is written NAME=descriptor:x25519:KEY, as the reader's Tor prints it",
            )),
        }
    }
}

impl fmt::Debug for ServiceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceReader([redacted])")
    }
}

/// Why the settings of Tor do not fit together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TorConfigError {
    /// A setting that only arti understands.
    #[error(
        "`tor.bridges`, `tor.transports`, `tor.keys`, `tor.readers`, `tor.network` and \
         `tor.onion-port` are for tor.mode = \"arti\"; a daemon has them in its torrc"
    )]
    ArtiOnly,
    /// A setting that only a daemon needs.
    #[error(
        "`tor.socks`, `tor.control` and `tor.onion` are for tor.mode = \"socks\"; leave them out"
    )]
    DaemonOnly,
    /// A local network must not touch the public Tor network.
    #[error(
        "the local profile never leaves this machine, and Tor does; name a private Tor network \
         with `tor.network`, or vouch for the daemon's with `tor.private-daemon`"
    )]
    LocalNeedsPrivateTor,
    /// This program was built without arti.
    #[error(
        "this whisht was built without arti; use tor.mode = \"socks\" with a Tor daemon, or build \
         with --features tor"
    )]
    NoArti,
    /// A clear address where an onion service belongs.
    #[error(
        "`tor.onion` is the name of the daemon's onion service and its port, such as NAME.onion:20819"
    )]
    NotOnion,
    /// Nothing but Tor, and no Tor.
    #[error("`tor.only` needs Tor; set tor.mode to \"arti\" or \"socks\"")]
    OnlyNeedsTor,
    /// The daemon is somewhere else.
    #[error(
        "`tor.socks` names {0}, which is not on this machine; whoever listens in between would see \
         what the Tor daemon is to hide"
    )]
    SocksLeavesMachine(SocketAddr),
    /// Transports carry traffic to bridges only.
    #[error(
        "`tor.transports` without `tor.bridges` carries nothing; add bridge lines, or leave it out"
    )]
    TransportWithoutBridge,
}

/// Where Debian's tor listens.
const SOCKS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9050);
/// As for plain connections.
const ONION_PORT: u16 = 20_819;

#[cfg(test)]
mod tests {
    use super::*;

    fn build(settings: TorSettings) -> Result<TorConfig, TorConfigError> {
        TorConfig::build(settings, Profile::Main)
    }

    fn socks() -> TorSettings {
        TorSettings {
            mode: Some(TorMode::Socks),
            ..TorSettings::default()
        }
    }

    #[test]
    fn without_a_word_there_is_no_tor() {
        let config = build(TorSettings::default()).unwrap();
        assert!(!config.is_on() && !config.only);
    }

    #[test]
    fn nothing_but_tor_needs_a_tor() {
        let settings = TorSettings {
            only: Some(true),
            ..TorSettings::default()
        };
        assert_eq!(build(settings), Err(TorConfigError::OnlyNeedsTor));
    }

    #[test]
    fn a_daemon_on_another_machine_is_refused() {
        let far = "192.0.2.1:9050".parse().unwrap();
        let settings = TorSettings {
            socks: Some(far),
            ..socks()
        };
        assert_eq!(
            build(settings),
            Err(TorConfigError::SocksLeavesMachine(far))
        );
    }

    #[test]
    fn a_setting_for_the_other_mode_is_an_error_and_not_ignored() {
        let settings = TorSettings {
            bridges: Some(vec!["obfs4 192.0.2.1:443".to_owned()]),
            ..socks()
        };
        assert_eq!(build(settings), Err(TorConfigError::ArtiOnly));
    }

    #[test]
    fn a_local_network_takes_a_private_tor_only() {
        assert_eq!(
            TorConfig::build(socks(), Profile::Local),
            Err(TorConfigError::LocalNeedsPrivateTor)
        );
        let vouched = TorSettings {
            private_daemon: Some(true),
            ..socks()
        };
        assert!(TorConfig::build(vouched, Profile::Local).unwrap().is_on());
    }

    #[test]
    fn transports_and_readers_read_as_they_are_written() {
        let transport: PluggableTransport = "obfs4,meek_lite=/usr/bin/obfs4proxy".parse().unwrap();
        assert_eq!(transport.protocols, ["obfs4", "meek_lite"]);
        assert!("obfs4".parse::<PluggableTransport>().is_err());
        assert!(
            "alice=descriptor:x25519:ABC"
                .parse::<ServiceReader>()
                .is_ok()
        );
        assert!("alice=ABC".parse::<ServiceReader>().is_err());
    }
}
