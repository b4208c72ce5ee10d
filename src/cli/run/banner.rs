//! The banner of `whisht run`: what is printed once the node is up, for users and for programs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cli::console::NOTE;
use crate::cli::output::Printer;
use crate::config::Config;
use crate::config::mail::{MailConfig, MailStore};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::shell::console::ConsoleUrl;
use crate::shell::runtime::RunningNode;

/// How others reach a node that is up, and what it serves; one line of JSON under `--json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(in crate::cli) struct Banner {
    /// Enode URLs: of the onion service, then of each listener.
    pub(in crate::cli) enode: Vec<String>,
    /// Addresses of the listeners.
    pub(in crate::cli) listen: Vec<SocketAddr>,
    /// Path of the local socket.
    pub(in crate::cli) ipc: PathBuf,
    /// URL of JSON-RPC over HTTP.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(in crate::cli) http: Option<String>,
    /// URL of JSON-RPC over WebSocket.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(in crate::cli) ws: Option<String>,
    /// URL of the metrics.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(in crate::cli) metrics: Option<String>,
    /// A URL that opens the console once; a secret until it is used.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(in crate::cli) console: Option<String>,
    /// Path of the token of JSON-RPC over TCP.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(in crate::cli) rpc_token: Option<PathBuf>,
    level: String,
    profile: String,
    network: String,
    relay: bool,
    discovery: bool,
    /// Whether the node is a mail server.
    pub(in crate::cli) mail: bool,
    /// Number of identities that are not locked.
    identities: usize,
    /// Number of identities that are locked.
    locked: usize,
}

/// What the text form shows in addition.
#[derive(Debug)]
pub(super) struct Details {
    /// Whether the node has an onion service.
    onion: bool,
    tor_only: bool,
    /// Number of bootnodes, with discovery.
    bootnodes: Option<usize>,
    /// What the mail server keeps, and for whom.
    offer: Option<String>,
}

impl Details {
    /// Takes the details that are known before the node runs.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            onion: false,
            tor_only: config.tor.only,
            bootnodes: config.node.discovery.as_ref().map(Vec::len),
            offer: config.mail.as_ref().map(offer),
        }
    }
}

impl Banner {
    /// Takes the part that is known before the node runs. `open` and `locked` count identities.
    pub(super) fn of(config: &Config, (open, locked): (usize, usize)) -> Self {
        let node = &config.node;
        Self {
            enode: Vec::new(),
            listen: Vec::new(),
            ipc: PathBuf::new(),
            http: None,
            ws: None,
            metrics: None,
            console: None,
            rpc_token: None,
            level: node.level.word().to_owned(),
            profile: node.profile.label().to_owned(),
            network: node.network.clone(),
            relay: node.relay,
            discovery: node.discovery.is_some(),
            mail: config.mail.is_some(),
            identities: open,
            locked,
        }
    }

    /// Adds what the running node knows, and prints the banner. With `tor.only` no address of this
    /// machine is in it.
    ///
    /// # Errors
    ///
    /// The error of standard output.
    pub(super) fn show(
        self,
        printer: Printer,
        host: &RunningNode,
        console: Option<&ConsoleUrl>,
        details: Details,
    ) -> io::Result<()> {
        let endpoints = host.rpc();
        let banner = Self {
            enode: enodes(host, details.tor_only),
            listen: host.handle().addresses().to_vec(),
            ipc: host.ipc_path().to_owned(),
            http: endpoints.http().map(|at| format!("http://{at}")),
            ws: endpoints.ws().map(|at| format!("ws://{at}")),
            metrics: host
                .metrics()
                .address()
                .map(|at| format!("http://{at}/metrics")),
            console: console.map(|url| url.as_str().to_owned()),
            rpc_token: endpoints.token_path().map(ToOwned::to_owned),
            ..self
        };
        if printer.json {
            return printer.value(&banner);
        }
        let details = Details {
            onion: host.onion().is_some(),
            ..details
        };
        let sections = [banner.reachability(&details), banner.services(&details)];
        sections
            .into_iter()
            .flatten()
            .try_for_each(|line| printer.line(line))
    }

    /// Network, listeners and enode URLs.
    fn reachability(&self, details: &Details) -> Vec<String> {
        let role = if self.relay {
            "relaying for others"
        } else {
            "not relaying"
        };
        let mut lines = vec![format!(
            "whisht {} on the network `{}` ({}), {role}",
            env!("CARGO_PKG_VERSION"),
            self.network,
            self.profile,
        )];
        let listen = self.listen.iter();
        lines.extend(listen.map(|address| format!("listening on  {address}")));
        let enode = self.enode.iter();
        lines.extend(enode.map(|enode| format!("enode         {enode}")));
        let unspecified = |address: &SocketAddr| address.ip().is_unspecified();
        if self.listen.is_empty() && !details.onion {
            lines.push("listening on  nothing; only outbound connections".to_owned());
        } else if !details.tor_only && self.listen.iter().any(unspecified) {
            lines.push(
                "              (others use this machine's address in place of the loopback address)"
                    .to_owned(),
            );
        }
        lines.extend(details.bootnodes.map(|count| match count {
            0 => "discovery     gives this node's address to every node that asks; has no bootnode"
                .to_owned(),
            count => format!(
                "discovery     gives this node's address to every node that asks; starts at {count} \
                 bootnodes"
            ),
        }));
        lines
    }

    /// Interfaces for programs, level, identities and mail.
    fn services(&self, details: &Details) -> Vec<String> {
        let mut lines = vec![format!("local socket  {}", self.ipc.display())];
        let urls = self.http.iter().chain(&self.ws);
        lines.extend(urls.map(|url| format!("JSON-RPC      {url}")));
        let token = self.rpc_token.iter();
        lines.extend(token.map(|path| format!("token         {}", path.display())));
        let metrics = self.metrics.iter();
        lines.extend(metrics.map(|url| format!("metrics       {url}")));
        if let Some(url) = &self.console {
            lines.push(format!("console       {url}"));
            lines.push(format!("              ({NOTE})"));
        }
        lines.push(format!("level         {}", self.level));
        lines.push(match (self.identities, self.locked) {
            (open, 0) => format!("identities    {open}"),
            (open, locked) => {
                format!("identities    {open}, and {locked} locked: `whisht unlock` unlocks them")
            }
        });
        let offer = details.offer.iter();
        lines.extend(offer.map(|offer| format!("mail server   {offer}")));
        lines
    }
}

/// What a mail server keeps, and for whom.
fn offer(mail: &MailConfig) -> String {
    let place = match mail.store {
        MailStore::Postgres(_) => "in PostgreSQL",
        MailStore::Sqlite => "in mail.db",
    };
    let clients = match (&mail.password_file, mail.allow.len()) {
        (Some(_), 0) => "clients with its password".to_owned(),
        (Some(_), named) => format!("clients with its password, and {named} peers without"),
        (None, 0) => "every peer".to_owned(),
        (None, named) => format!("{named} peers only"),
    };
    let (days, megabytes) = (mail.age / 86_400, mail.bytes >> 20);
    format!("keeps {days} days, {megabytes} MB at most, {place}; answers {clients}")
}

/// Enode URLs: of the onion service, and of the listeners unless `tor_only` hides their addresses.
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

/// The loopback address in place of an unspecified one: the program does not know the machine's
/// address in the network.
fn specific(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner() -> Banner {
        Banner {
            enode: vec!["enode://ab@127.0.0.1:1".into()],
            listen: vec!["0.0.0.0:1".parse().unwrap()],
            ipc: "/data/whisht.ipc".into(),
            http: Some("http://127.0.0.1:2".into()),
            ws: None,
            metrics: None,
            console: None,
            rpc_token: Some("/data/rpc-token".into()),
            level: "normal".into(),
            profile: "local".into(),
            network: "demo".into(),
            relay: true,
            discovery: true,
            mail: false,
            identities: 1,
            locked: 2,
        }
    }

    fn details() -> Details {
        Details {
            onion: false,
            tor_only: false,
            bootnodes: Some(3),
            offer: None,
        }
    }

    #[test]
    fn banner_has_the_json_that_programs_read() {
        let json = serde_json::to_string(&banner()).unwrap();
        assert_eq!(
            json,
            r#"{"enode":["enode://ab@127.0.0.1:1"],"listen":["0.0.0.0:1"],"ipc":"/data/whisht.ipc","http":"http://127.0.0.1:2","ws":null,"metrics":null,"console":null,"rpc_token":"/data/rpc-token","level":"normal","profile":"local","network":"demo","relay":true,"discovery":true,"mail":false,"identities":1,"locked":2}"#
        );
        let read: Banner = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
    }

    #[test]
    fn banner_text_names_listeners_services_and_locked_identities() {
        let (banner, details) = (banner(), details());
        let lines = [banner.reachability(&details), banner.services(&details)].concat();
        for part in [
            "`demo` (local), relaying",
            "listening on  0.0.0.0:1",
            "in place of the loopback address",
            "3 bootnodes",
            "JSON-RPC      http://127.0.0.1:2",
            "token         /data/rpc-token",
            "1, and 2 locked",
        ] {
            let shown = lines.iter().any(|line| line.contains(part));
            assert!(shown, "{part}: {lines:?}");
        }
    }

    #[test]
    fn banner_of_a_node_without_listener_names_outbound_connections_only() {
        let silent = Banner {
            listen: Vec::new(),
            ..banner()
        };
        let shown = |onion| {
            let lines = silent.reachability(&Details { onion, ..details() });
            lines.iter().any(|line| line.contains("only outbound"))
        };
        assert!(shown(false) && !shown(true));
    }
}
