//! Where the node is reached, and what it may reach: listeners, advertised addresses, discovery.
//!
//! What a profile or Tor forbids is refused here, before a socket is opened: a local network never
//! leaves the machine (spec M17), and with `tor.only` nothing goes in or out beside Tor.

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
            // Arti's own onion service needs no listener.
            (TorBackend::Arti(_), _) if tor.only => Listen::Nowhere,
            (_, Profile::Main) if !tor.only => Listen::Everywhere,
            _ => Listen::Loopback,
        });
    };
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

/// Whom discovery asks first, if there is to be discovery.
pub(super) fn bootnodes(
    profile: Profile,
    tor: &TorConfig,
    settings: DiscoverySettings,
    listen: &Listen,
) -> Result<Option<Vec<Contact>>, ConfigError> {
    let bootnodes = settings.bootnodes.unwrap_or_default();
    if !settings.enabled.unwrap_or(false) {
        return match bootnodes.is_empty() {
            true => Ok(None),
            false => Err(ConfigError::BootnodesWithoutDiscovery),
        };
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

/// Where to listen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Listen {
    /// Nowhere: connections go out only.
    Nowhere,
    /// On every address of the machine.
    Everywhere,
    /// On loopback only.
    Loopback,
    /// On exactly these addresses.
    At(Vec<SocketAddr>),
}

/// Where a relay says that it can be reached.
pub(super) fn advertised(
    profile: Profile,
    tor: &TorConfig,
    relay: bool,
    said: Vec<Endpoint>,
    listen: &Listen,
) -> Result<Vec<directory::RelayEndpoint>, ConfigError> {
    if !relay {
        return match said.is_empty() {
            true => Ok(Vec::new()),
            false => Err(ConfigError::AdvertiseWithoutRelay),
        };
    }
    // The onion service of arti is filled in when its name is known.
    let (in_process, onion) = match &tor.backend {
        TorBackend::Arti(_) => (true, None),
        TorBackend::Daemon(daemon) => (false, daemon.onion),
        TorBackend::Off => (false, None),
    };
    if *listen == Listen::Nowhere && !in_process {
        return Err(ConfigError::RelayNeedsListener);
    }
    if tor.only
        && let Some(Endpoint::Tcp(address)) = said.iter().find(|said| !said.is_onion())
    {
        return Err(ConfigError::AdvertisesBesideTor(*address));
    }
    let public = match listen {
        Listen::At(addresses) if said.is_empty() && !tor.only => addresses.as_slice(),
        _ => &[],
    };
    let public = public.iter().filter(|address| is_public(address.ip()));
    let clear = said
        .into_iter()
        .chain(public.copied().map(Endpoint::Tcp))
        .filter(|said| Some(*said) != onion);
    let all: Vec<_> = clear.chain(onion).map(endpoint_to_directory).collect();
    match profile {
        _ if in_process || !all.is_empty() => Ok(all),
        _ if tor.only => Err(ConfigError::RelayNeedsOnion),
        // Loopback addresses are filled in when the ports are known.
        Profile::Local => Ok(all),
        Profile::Main => Err(ConfigError::RelayNeedsAddress),
    }
}

/// Whether strangers could connect to an address, as far as the address itself tells.
fn is_public(ip: IpAddr) -> bool {
    let private = match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    !(private || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast())
}

/// Checks that this build and this profile can use an endpoint.
pub(super) fn reachable(
    profile: Profile,
    tor: &TorConfig,
    endpoint: Endpoint,
    setting: &'static str,
) -> Result<(), ConfigError> {
    match endpoint {
        Endpoint::Onion(..) if !tor.is_on() => Err(ConfigError::OnionWithoutTor { setting }),
        Endpoint::Onion(..) => Ok(()),
        Endpoint::Tcp(address) if profile == Profile::Local && !address.ip().is_loopback() => {
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
