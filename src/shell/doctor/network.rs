//! Ports of this machine, and Tor.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::Finding;
use crate::config::tor::{ArtiConfig, ControlPort, DaemonConfig, TorBackend};
use crate::config::{Config, Listen};

/// Examines ports and Tor. The ports of a running node are in use by itself.
pub(super) fn examine(config: &Config, runs: bool) -> Vec<Finding> {
    let mut found = if runs {
        vec![Finding::ok(PORTS, "held by the running node")]
    } else {
        ports(config)
    };
    found.extend(match &config.tor.backend {
        TorBackend::Off => vec![Finding::ok(
            TOR,
            "off: peers see the address of this machine",
        )],
        TorBackend::Arti(arti) => embedded(arti),
        TorBackend::Daemon(daemon) => socks_daemon(daemon),
    });
    found
}

/// Whether the configured ports are free.
fn ports(config: &Config) -> Vec<Finding> {
    let rpc = [("rpc.http", config.rpc.http), ("rpc.ws", config.rpc.ws)];
    let mut wanted: Vec<(&str, SocketAddr)> = rpc
        .into_iter()
        .filter_map(|(setting, address)| Some((setting, address?)))
        .collect();
    // HTTP and WebSocket may share an address.
    wanted.dedup_by_key(|(_, address)| *address);
    if config.console.enable && config.console.port != 0 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.console.port));
        wanted.push(("console.port", address));
    }
    if let Listen::At(addresses) = &config.listen {
        wanted.extend(addresses.iter().map(|address| ("listen", *address)));
    }
    let mut found: Vec<Finding> = wanted
        .iter()
        .filter_map(|(setting, address)| port(setting, *address))
        .collect();
    if config.listen == Listen::Everywhere
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT)).is_err()
    {
        found.push(Finding::warning(
            PORTS,
            format!("port {DEFAULT_PORT} is taken, so the node listens on one of the next nine"),
            "stop the other program, or name an address with `listen`; firewall rules must name the port",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok(PORTS, "free"));
    }
    found
}

fn port(setting: &str, address: SocketAddr) -> Option<Finding> {
    // Port 0 stands for a free one.
    let error = TcpListener::bind(address).err()?;
    let (text, remedy) = match error.kind() {
        ErrorKind::AddrInUse => (
            format!("`{setting}` is {address}, where another program listens"),
            "stop that program (`ss -ltnp` shows it), or choose another port",
        ),
        ErrorKind::AddrNotAvailable => (
            format!("`{setting}` is {address}, which is not an address of this machine"),
            "use an address that `ip address` shows",
        ),
        ErrorKind::PermissionDenied => (
            format!("`{setting}` is {address}, and this user may not listen there"),
            "choose a port from 1024 upwards",
        ),
        _ => (
            format!("`{setting}` is {address}: {error}"),
            "choose another address",
        ),
    };
    Some(Finding::wrong(PORTS, text, remedy))
}

fn socks_daemon(daemon: &DaemonConfig) -> Vec<Finding> {
    let mut found = vec![match greet(daemon.socks) {
        Ok(true) => Finding::ok(TOR, format!("the daemon answers at {}", daemon.socks)),
        Ok(false) => Finding::wrong(
            TOR,
            format!(
                "{} does not speak SOCKS5, or accepts no user name",
                daemon.socks
            ),
            "set tor.socks to the SocksPort of the torrc, without PreferSOCKSNoAuth",
        ),
        Err(error) => Finding::wrong(
            TOR,
            format!("no Tor daemon answers at {}: {error}", daemon.socks),
            "start it (`systemctl start tor`), or set tor.socks to its port",
        ),
    }];
    let control = daemon.control.as_ref().map(|control| match control {
        ControlPort::Tcp(address) => TcpStream::connect_timeout(address, TIMEOUT).map(drop),
        ControlPort::Unix(path) => UnixStream::connect(path).map(drop),
    });
    if let Some(Err(error)) = control {
        found.push(Finding::warning(
            TOR,
            format!("the control port does not answer: {error}"),
            "add `ControlPort 9051` and `CookieAuthentication 1` to the torrc, or leave tor.control out",
        ));
    }
    found
}

/// Whether a port speaks SOCKS5 and accepts a user name. It is asked to connect nowhere.
fn greet(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(&[5, 1, 2])?;
    let mut chosen = [0; 2];
    Ok(stream.read_exact(&mut chosen).is_ok() && chosen == [5, 2])
}

fn embedded(arti: &ArtiConfig) -> Vec<Finding> {
    let mut found: Vec<Finding> = arti
        .transports
        .iter()
        .filter(|transport| !is_program(&transport.program))
        .map(|transport| {
            Finding::wrong(
                TOR,
                format!(
                    "`tor.transports`: {} is not a program",
                    transport.program.display()
                ),
                "install it (`apt install obfs4proxy`), or correct its path",
            )
        })
        .collect();
    let paths = [("tor.keys", &arti.keys), ("tor.network", &arti.network)];
    for (setting, path) in paths {
        if let Some(path) = path.as_ref().filter(|path| !path.exists()) {
            found.push(Finding::wrong(
                TOR,
                format!("`{setting}`: {} does not exist", path.display()),
                "correct the path, or leave the setting out",
            ));
        }
    }
    if found.is_empty() {
        found.push(Finding::ok(
            TOR,
            "embedded; its state shows while the node runs",
        ));
    }
    found
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

const PORTS: &str = "ports";
const TOR: &str = "tor";
const DEFAULT_PORT: u16 = 20_819;
const TIMEOUT: Duration = Duration::from_secs(2);
