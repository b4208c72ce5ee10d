//! What `whisht run` says once the node is up: how others reach it, and what it has.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::json;

use crate::cli::output::Printer;
use crate::config::mail::{MailConfig, MailStore};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::node::NodeConfig;
use crate::shell::runtime::RunningNode;

/// Says what others need to know, and with `tor_only` no address of this machine. `open` and
/// `locked` count the identities.
///
/// # Errors
///
/// Whatever keeps standard output from being written.
pub(super) fn show(
    printer: Printer,
    host: &RunningNode,
    node: &NodeConfig,
    tor_only: bool,
    mail: Option<&MailConfig>,
    (open, locked): (usize, usize),
) -> io::Result<()> {
    let doors = host.rpc();
    let addresses = host.handle().addresses();
    let enodes = enodes(host, tor_only);
    if printer.json {
        return printer.value(&json!({
            "enode": enodes,
            "listen": addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>(),
            "ipc": host.ipc_path(),
            "http": doors.http().map(|at| format!("http://{at}")),
            "ws": doors.ws().map(|at| format!("ws://{at}")),
            "rpc_token": doors.token_path(),
            "level": node.level.word(),
            "profile": node.profile.label(),
            "network": node.network,
            "relay": node.relay,
            "discovery": node.discovery.is_some(),
            "mail": mail.is_some(),
            "identities": open,
            "locked": locked,
        }));
    }
    printer.line(format_args!(
        "whisht {} on the network `{}` ({}), {}",
        env!("CARGO_PKG_VERSION"),
        node.network,
        node.profile.label(),
        if node.relay {
            "relaying for others"
        } else {
            "not relaying"
        }
    ))?;
    for address in addresses {
        printer.line(format_args!("listening on  {address}"))?;
    }
    for enode in &enodes {
        printer.line(format_args!("enode         {enode}"))?;
    }
    let unspecified = |address: &SocketAddr| address.ip().is_unspecified();
    if addresses.is_empty() && host.onion().is_none() {
        printer.line("listening on  nothing; connections go out only")?;
    } else if !tor_only && addresses.iter().any(unspecified) {
        printer
            .line("              (others replace the loopback address by this machine's own)")?;
    }
    if let Some(bootnodes) = &node.discovery {
        printer.line(match bootnodes.len() {
            0 => "discovery     tells strangers where this node is; knows nobody to ask".to_owned(),
            count => format!(
                "discovery     tells strangers where this node is; asks {count} bootnodes first"
            ),
        })?;
    }
    printer.line(format_args!("local socket  {}", host.ipc_path().display()))?;
    if let Some(at) = doors.http() {
        printer.line(format_args!("JSON-RPC      http://{at}"))?;
    }
    if let Some(at) = doors.ws() {
        printer.line(format_args!("JSON-RPC      ws://{at}"))?;
    }
    if let Some(path) = doors.token_path() {
        printer.line(format_args!("token         {}", path.display()))?;
    }
    printer.line(format_args!("level         {}", node.level))?;
    match locked {
        0 => printer.line(format_args!("identities    {open}"))?,
        _ => printer.line(format_args!(
            "identities    {open}, and {locked} locked: `whisht unlock` opens them"
        ))?,
    }
    match mail {
        Some(mail) => printer.line(format_args!("mail server   {}", offer(mail))),
        None => Ok(()),
    }
}

/// What a mail server keeps, and for whom.
fn offer(mail: &MailConfig) -> String {
    let place = match mail.store {
        MailStore::Postgres(_) => "in PostgreSQL",
        MailStore::Sqlite => "in mail.db",
    };
    let whom = match (&mail.password_file, mail.allow.len()) {
        (Some(_), 0) => "whoever knows its password".to_owned(),
        (Some(_), named) => format!("whoever knows its password, and {named} peers without"),
        (None, 0) => "everybody".to_owned(),
        (None, named) => format!("{named} peers only"),
    };
    let (days, megabytes) = (mail.age / 86_400, mail.bytes >> 20);
    format!("keeps {days} days, {megabytes} MB at the most, {place}; answers {whom}")
}

/// How peers would name us: by our onion service, and by our addresses unless nobody may know them.
fn enodes(host: &RunningNode, tor_only: bool) -> Vec<String> {
    let addresses = host.handle().addresses().iter().filter(|_| !tor_only);
    let endpoints = addresses.copied().map(specific).map(Endpoint::Tcp);
    let key = host.key();
    host.onion()
        .into_iter()
        .chain(endpoints)
        .map(|endpoint| PeerAddr { key, endpoint }.to_string())
        .collect()
}

/// What an unspecified address is to others, we cannot know.
fn specific(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
