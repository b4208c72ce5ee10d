//! The table `[tor]`: whether links go through Tor, and through which one.
//!
//! With a mode other than `off`, every outgoing link goes through Tor, to onion services and to clear
//! addresses alike. There is no fallback while Tor is not ready. `only` closes the rest: no listener
//! but on loopback, no address of this machine in a descriptor.
//!
//! In a local network Tor must be a private network, and the operator has to declare it (spec M17):
//! arti gets the network's description, a daemon needs the operator's word.

use core::fmt;
use core::str::FromStr;
use std::net::SocketAddr;
use std::path::PathBuf;

use circuits::ids::Profile;

use super::setting::{Lines, One, Place, Port, Switch, settings};
use super::value::{self, BadValue, parsed};
use crate::endpoint::Endpoint;
use crate::suggest::closest;

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct TorSettings, "tor", "Tor", |all| &mut all.tor;

    /// Send every link through Tor: off, arti (in this process) or socks (a daemon)
    mode: TorMode = TorMode::Off;
        "tor.mode" "tor-mode" "WHISHT_TOR_MODE";
        One(parsed), "MODE" "\"off\"";
        "";

    /// Accept and make no connection except through Tor
    only: bool = false;
        "tor.only" "tor-only" "WHISHT_TOR_ONLY";
        Switch, "BOOL" "false";
        "";

    /// SOCKS port of the daemon, on loopback
    socks: SocketAddr = SOCKS;
        "tor.socks" "tor-socks" "WHISHT_TOR_SOCKS";
        One(value::socket_address), "ADDRESS:PORT" "\"127.0.0.1:9050\"";
        "";

    /// Control port of the daemon: 127.0.0.1:9051 or unix:PATH
    control: ControlPort;
        "tor.control" "tor-control" "WHISHT_TOR_CONTROL";
        One(parsed), "ADDRESS" "none";
        "`\"unix:/run/tor/control\"` is a socket in the file system. With it, `whisht status` shows \
         the progress of the daemon, and messages are queued until the daemon has a circuit";

    /// Onion service of the daemon that leads to the listener, such as NAME.onion:20819
    onion: Endpoint;
        "tor.onion" "tor-onion" "WHISHT_TOR_ONION";
        One(parsed), "NAME:PORT" "none";
        "A relay with `tor.only` must have one";

    /// Port of arti's onion service
    onion_port: u16 = ONION_PORT;
        "tor.onion-port" "tor-onion-port" "WHISHT_TOR_ONION_PORT";
        Port, "PORT" "20819";
        "";

    /// Connect arti to Tor through this bridge, by its bridge line; other users can read an argument,
    /// but not the file
    bridges: Vec<String> = Vec::new();
        "tor.bridges" "tor-bridge" "";
        Lines(|line| Ok(line.to_owned())), "LINE" "[]";
        "With bridges, arti contacts no other relay directly";

    /// Carry traffic to bridges with this program: NAME=PROGRAM
    transports: Vec<PluggableTransport> = Vec::new();
        "tor.transports" "tor-transport" "";
        Lines(parsed), "NAME=PROGRAM" "[]";
        "`[\"obfs4=/usr/bin/obfs4proxy\"]`";

    /// Directory of *.auth_private files: keys to onion services with restricted discovery
    keys: PathBuf;
        "tor.keys" "tor-keys" "WHISHT_TOR_KEYS";
        Place, "DIRECTORY" "none";
        "";

    /// Restrict the discovery of the own onion service to this reader: NAME=descriptor:x25519:KEY; other
    /// users can read an argument, but not the file
    readers: Vec<ServiceReader> = Vec::new();
        "tor.readers" "tor-reader" "";
        Lines(parsed), "READER" "[]";
        "Without readers, every client that knows the address finds the service";

    /// File that describes a private Tor network, as arti's configuration does
    network: PathBuf;
        "tor.network" "tor-network" "WHISHT_TOR_NETWORK";
        Place, "FILE" "the public network";
        "";

    /// Declare that the daemon belongs to a private Tor network, as a local network requires
    private_daemon: bool = false;
        "tor.private-daemon" "tor-private-daemon" "WHISHT_TOR_PRIVATE_DAEMON";
        Switch, "BOOL" "false";
        "";
}

/// Complete and consistent settings.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TorConfig {
    /// The Tor that carries links.
    pub backend: TorBackend,
    /// Whether connections in and out are made through Tor only.
    pub only: bool,
}

/// The Tor that carries links.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum TorBackend {
    /// None: links are plain connections.
    #[default]
    Off,
    /// Arti, in this process.
    Arti(ArtiConfig),
    /// A daemon on this machine.
    Daemon(DaemonConfig),
}

/// Settings of arti.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ArtiConfig {
    /// Port of the onion service of this node.
    pub onion_port: u16,
    /// Bridge lines.
    pub bridges: Vec<String>,
    /// Programs that carry traffic to bridges.
    pub transports: Vec<PluggableTransport>,
    /// Directory of keys to onion services with restricted discovery.
    pub keys: Option<PathBuf>,
    /// Readers to which discovery of the own onion service is restricted; empty for no restriction.
    pub readers: Vec<ServiceReader>,
    /// File that describes a private network; `None` for the public one.
    pub network: Option<PathBuf>,
}

/// Settings of a Tor daemon.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DaemonConfig {
    /// SOCKS port; a loopback address.
    pub socks: SocketAddr,
    /// Control port.
    pub control: Option<ControlPort>,
    /// Onion service that leads to the listener of this node.
    pub onion: Option<Endpoint>,
}

impl TorConfig {
    /// Completes settings with defaults and checks that they fit together.
    ///
    /// # Errors
    ///
    /// [`TorConfigError`] names the first rule broken, and what to do.
    pub fn build(settings: TorSettings, profile: Profile) -> Result<Self, TorConfigError> {
        let (only, mode) = (settings.only(), settings.mode());
        if mode == TorMode::Off {
            settings.check_without_tor()?;
        }
        if mode != TorMode::Off && profile == Profile::Local && !settings.is_private(mode) {
            return Err(TorConfigError::LocalNeedsPrivateTor);
        }
        let backend = match mode {
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
    /// Refuses settings that have no effect while Tor is off: a user who wrote one expects Tor, and
    /// the node would connect in the clear. A value that asks for nothing is accepted.
    fn check_without_tor(&self) -> Result<(), TorConfigError> {
        if self.only() {
            return Err(TorConfigError::OnlyNeedsTor);
        }
        let given = [
            ("tor.bridges", !self.bridges().is_empty(), TorMode::Arti),
            (
                "tor.transports",
                !self.transports().is_empty(),
                TorMode::Arti,
            ),
            ("tor.keys", self.keys.is_some(), TorMode::Arti),
            ("tor.readers", !self.readers().is_empty(), TorMode::Arti),
            ("tor.network", self.network.is_some(), TorMode::Arti),
            ("tor.onion-port", self.onion_port.is_some(), TorMode::Arti),
            ("tor.socks", self.socks.is_some(), TorMode::Socks),
            ("tor.control", self.control.is_some(), TorMode::Socks),
            ("tor.onion", self.onion.is_some(), TorMode::Socks),
            ("tor.private-daemon", self.private_daemon(), TorMode::Socks),
        ];
        match given.into_iter().find(|(_, is_given, _)| *is_given) {
            Some((setting, _, mode)) => Err(TorConfigError::NeedsMode { setting, mode }),
            None => Ok(()),
        }
    }

    fn is_private(&self, mode: TorMode) -> bool {
        match mode {
            TorMode::Off => true,
            TorMode::Arti => self.network.is_some(),
            TorMode::Socks => self.private_daemon(),
        }
    }
}

fn arti(settings: TorSettings) -> Result<ArtiConfig, TorConfigError> {
    if settings.socks.is_some() || settings.control.is_some() || settings.onion.is_some() {
        return Err(TorConfigError::DaemonOnly);
    }
    let config = ArtiConfig {
        onion_port: settings.onion_port(),
        bridges: settings.bridges(),
        transports: settings.transports(),
        readers: settings.readers(),
        keys: settings.keys,
        network: settings.network,
    };
    if config.bridges.is_empty() && !config.transports.is_empty() {
        return Err(TorConfigError::TransportWithoutBridge);
    }
    Ok(config)
}

fn daemon(settings: TorSettings) -> Result<DaemonConfig, TorConfigError> {
    let of_arti = [
        settings.bridges.is_some(),
        settings.transports.is_some(),
        settings.keys.is_some(),
        settings.readers.is_some(),
        settings.network.is_some(),
        settings.onion_port.is_some(),
    ];
    if of_arti.contains(&true) {
        return Err(TorConfigError::ArtiOnly);
    }
    let socks = settings.socks();
    if !socks.ip().to_canonical().is_loopback() {
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

/// The mode of Tor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TorMode {
    /// No Tor.
    Off,
    /// Arti, in this process.
    Arti,
    /// A daemon, by SOCKS.
    Socks,
}

impl TorMode {
    const ALL: [Self; 3] = [Self::Off, Self::Arti, Self::Socks];

    /// The name.
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

/// The control port of a daemon.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ControlPort {
    /// An address of loopback.
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
            Ok(address) if address.ip().to_canonical().is_loopback() => Ok(Self::Tcp(address)),
            _ => Err(BadValue::new(
                "expected an address of loopback such as 127.0.0.1:9051, or unix:PATH",
            )),
        }
    }
}

/// A pluggable transport: `obfs4=/usr/bin/obfs4proxy`, several names separated by commas.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PluggableTransport {
    /// Names that bridge lines use.
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
                "expected NAME=PROGRAM, such as obfs4=/usr/bin/obfs4proxy",
            ));
        }
        let program = program.into();
        Ok(Self { protocols, program })
    }
}

/// A client that may find the onion service of this node: `NAME=descriptor:x25519:KEY`.
#[derive(Clone, Eq, PartialEq)]
pub struct ServiceReader {
    /// Name for the operator's use.
    pub name: String,
    /// Public key, as the client's Tor prints it.
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
                "expected NAME=descriptor:x25519:KEY, as the reader's Tor prints it",
            )),
        }
    }
}

impl fmt::Debug for ServiceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceReader([redacted])")
    }
}

/// A contradiction between settings of Tor.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TorConfigError {
    /// A setting that only arti understands.
    #[error(
        "`tor.bridges`, `tor.transports`, `tor.keys`, `tor.readers`, `tor.network` and \
         `tor.onion-port` need tor.mode = \"arti\"; put them into the torrc of the daemon"
    )]
    ArtiOnly,
    /// A setting that only a daemon needs.
    #[error("`tor.socks`, `tor.control` and `tor.onion` need tor.mode = \"socks\"; leave them out")]
    DaemonOnly,
    /// A local network must not use the public Tor network.
    #[error(
        "the local profile never leaves this machine, and Tor does; name a private Tor network with \
         `tor.network`, or declare the daemon's network private with `tor.private-daemon`"
    )]
    LocalNeedsPrivateTor,
    /// This program was built without arti.
    #[error(
        "this whisht was built without arti; use tor.mode = \"socks\" with a Tor daemon, or build \
         with --features tor"
    )]
    NoArti,
    /// A setting without effect, because Tor is off.
    #[error(
        "`{setting}` has no effect: tor.mode is \"off\", and links would leave in the clear; set \
         tor.mode to \"{}\", or leave `{setting}` out",
        mode.word()
    )]
    NeedsMode {
        /// The setting.
        setting: &'static str,
        /// The mode that it belongs to.
        mode: TorMode,
    },
    /// Readers of an onion service that does not exist.
    #[error(
        "`tor.readers` has no effect: this node has no onion service, because it neither listens nor \
         relays; leave out --no-listen, or `tor.readers`"
    )]
    ReadersNeedService,
    /// An address that is not an onion service.
    #[error(
        "`tor.onion` is not an onion service; give the name of the daemon's onion service and its \
         port, such as NAME.onion:20819"
    )]
    NotOnion,
    /// `only` without Tor.
    #[error("`tor.only` needs Tor; set tor.mode to \"arti\" or \"socks\"")]
    OnlyNeedsTor,
    /// The daemon runs on another machine.
    #[error(
        "`tor.socks` is {0}, which is not on this machine; an observer on the way there would see \
         what Tor is to hide: run a Tor daemon here, and give its loopback address"
    )]
    SocksLeavesMachine(SocketAddr),
    /// Transports without bridges.
    #[error(
        "`tor.transports` carries traffic to bridges, and `tor.bridges` is empty; add bridge lines, or \
         leave it out"
    )]
    TransportWithoutBridge,
}

/// The SOCKS port of Debian's tor.
const SOCKS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9050);
/// As the port of plain connections.
const ONION_PORT: u16 = 20_819;

#[cfg(test)]
mod tests;
