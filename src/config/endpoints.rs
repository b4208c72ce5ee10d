//! Addresses of the node and of its peers: listeners, advertised addresses, discovery.
//!
//! Addresses that a profile or Tor forbids are refused here, before a socket is opened: a local network
//! never leaves the machine (spec M17), and with `tor.only` all connections use Tor.

use std::net::{IpAddr, SocketAddr};

use circuits::directory;
use circuits::ids::Profile;

use super::ConfigError;
use super::discovery::DiscoverySettings;
use super::tor::{TorBackend, TorConfig};
use crate::discovery::Contact;
use crate::endpoint::Endpoint;

pub(super) fn listen(
    profile: Profile,
    tor: &TorConfig,
    addresses: Option<Vec<SocketAddr>>,
) -> Result<Listen, ConfigError> {
    let Some(addresses) = addresses else {
        return Ok(match (&tor.backend, profile) {
            // Arti accepts connections to its onion service without a listener.
            (TorBackend::Arti(_), _) if tor.only => Listen::Nowhere,
            (_, Profile::Main) if !tor.only => Listen::Everywhere,
            _ => Listen::Loopback,
        });
    };
    // `[::ffff:127.0.0.1]` is 127.0.0.1, and an IPv6 socket of its own would not be reached.
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let addresses: Vec<SocketAddr> = addresses.into_iter().map(canonical).collect();
    for address in &addresses {
        if tor.only && !address.ip().is_loopback() {
            return Err(ConfigError::ListensBesideTor(*address));
        }
        reachable(profile, tor, Endpoint::Tcp(*address), "listen")?;
    }
    Ok(if addresses.is_empty() {
        Listen::Nowhere
    } else {
        Listen::At(addresses)
    })
}

/// The nodes that discovery asks first; `None` without discovery.
pub(super) fn bootnodes(
    profile: Profile,
    tor: &TorConfig,
    settings: &DiscoverySettings,
    listen: &Listen,
) -> Result<Option<Vec<Contact>>, ConfigError> {
    let bootnodes = settings.bootnodes();
    if !settings.enabled() {
        if bootnodes.is_empty() {
            return Ok(None);
        }
        return Err(ConfigError::BootnodesWithoutDiscovery);
    }
    if tor.is_on() {
        return Err(ConfigError::DiscoveryBesideTor);
    }
    if *listen == Listen::Nowhere {
        return Err(ConfigError::DiscoveryNeedsListener);
    }
    for contact in &bootnodes {
        let endpoint = Endpoint::Tcp(contact.socket());
        reachable(profile, tor, endpoint, "discovery.bootnodes")?;
    }
    Ok(Some(bootnodes))
}

/// The addresses to listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Listen {
    /// None: only outbound connections.
    Nowhere,
    /// Every address of the machine.
    Everywhere,
    /// Loopback only.
    Loopback,
    /// Exactly these addresses.
    At(Vec<SocketAddr>),
}

/// The addresses that a relay publishes in its descriptor.
pub(super) fn advertised(
    profile: Profile,
    tor: &TorConfig,
    relay: bool,
    configured: Vec<Endpoint>,
    listen: &Listen,
) -> Result<Vec<directory::RelayEndpoint>, ConfigError> {
    for endpoint in &configured {
        reachable(profile, tor, *endpoint, "advertise")?;
    }
    if !relay {
        if configured.is_empty() {
            return Ok(Vec::new());
        }
        return Err(ConfigError::AdvertiseWithoutRelay);
    }
    // `Config::reached_by` adds the onion service of arti when its name is known.
    let (in_process, onion) = match &tor.backend {
        TorBackend::Arti(_) => (true, None),
        TorBackend::Daemon(daemon) => (false, daemon.onion),
        TorBackend::Off => (false, None),
    };
    if *listen == Listen::Nowhere && !in_process {
        return Err(ConfigError::RelayNeedsListener);
    }
    if tor.only
        && let Some(Endpoint::Tcp(address)) =
            configured.iter().find(|configured| !configured.is_onion())
    {
        return Err(ConfigError::AdvertisesBesideTor(*address));
    }
    let public = match listen {
        Listen::At(addresses) if configured.is_empty() && !tor.only => addresses.as_slice(),
        _ => &[],
    };
    let public = public.iter().filter(|address| is_public(address.ip()));
    let clear = configured
        .into_iter()
        .chain(public.copied().map(Endpoint::Tcp))
        .filter(|configured| Some(*configured) != onion);
    let all: Vec<_> = clear.chain(onion).map(endpoint_to_directory).collect();
    match profile {
        _ if in_process || !all.is_empty() => Ok(all),
        _ if tor.only => Err(ConfigError::RelayNeedsOnion),
        // `Config::bound` adds loopback addresses when the ports are known.
        Profile::Local => Ok(all),
        // The shell adds the public addresses of this machine. Without any, the relay forwards cells and is
        // not listed, as the status says.
        Profile::Main if listen.is_outward() => Ok(all),
        Profile::Main => Err(ConfigError::RelayNeedsAddress),
    }
}

impl Listen {
    /// Whether a listener is on another address than loopback.
    fn is_outward(&self) -> bool {
        match self {
            Self::Everywhere => true,
            Self::At(addresses) => addresses
                .iter()
                .any(|address| !address.ip().to_canonical().is_loopback()),
            Self::Loopback | Self::Nowhere => false,
        }
    }
}

/// Whether the directory of the main network lists an address. Only the address itself is examined. A descriptor
/// with another one costs its proof of work and is refused by every node.
pub(super) fn is_public(ip: IpAddr) -> bool {
    let any_port = SocketAddr::new(ip.to_canonical(), 1);
    to_directory(any_port).allowed(Profile::Main)
}

/// Checks that an endpoint can be used with this profile and this Tor.
pub(super) fn reachable(
    profile: Profile,
    tor: &TorConfig,
    endpoint: Endpoint,
    setting: &'static str,
) -> Result<(), ConfigError> {
    match endpoint {
        Endpoint::Onion(..) if !tor.is_on() => Err(ConfigError::OnionWithoutTor { setting }),
        Endpoint::Onion(..) => Ok(()),
        Endpoint::Tcp(address)
            if profile == Profile::Local && !address.ip().to_canonical().is_loopback() =>
        {
            Err(ConfigError::LocalLeavesMachine { setting, address })
        }
        Endpoint::Tcp(_) => Ok(()),
    }
}

pub(super) fn endpoint_to_directory(endpoint: Endpoint) -> directory::RelayEndpoint {
    match endpoint {
        Endpoint::Tcp(address) => to_directory(address),
        Endpoint::Onion(key, port) => directory::RelayEndpoint::Onion(key, port),
    }
}

pub(super) const fn to_directory(address: SocketAddr) -> directory::RelayEndpoint {
    match address {
        SocketAddr::V4(address) => directory::RelayEndpoint::Ip4(*address.ip(), address.port()),
        SocketAddr::V6(address) => directory::RelayEndpoint::Ip6(*address.ip(), address.port()),
    }
}
