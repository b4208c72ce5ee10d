//! The table `[rpc]`: the endpoints of JSON-RPC over TCP, and their clients.
//!
//! The local socket is always there and has no setting. HTTP and WebSocket are off by default and
//! listen on loopback only: JSON-RPC carries keys and messages in the clear, so it must not leave the
//! machine. Clients over TCP need the token in the data directory, because every user of the machine
//! can connect to a loopback port.

use core::fmt;
use core::str::FromStr;
use std::net::SocketAddr;

use super::error::ConfigError;
use super::setting::{List, One, Switch, settings};
use super::value::{BadValue, parsed};
use crate::suggest::closest;

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct RpcSettings, "rpc", "JSON-RPC over TCP", |all| &mut all.rpc;

    /// Serve HTTP on this loopback address, such as 127.0.0.1:8545
    http: RpcListen = RpcListen::Closed;
        "rpc.http" "rpc-http" "WHISHT_RPC_HTTP";
        One(parsed), "ADDRESS:PORT" "\"off\"";
        "";

    /// Serve WebSocket on this loopback address, which may be the address of HTTP
    ws: RpcListen = RpcListen::Closed;
        "rpc.ws" "rpc-ws" "WHISHT_RPC_WS";
        One(parsed), "ADDRESS:PORT" "\"off\"";
        "";

    /// Methods that may be called, by module: admin, net, shh, web3, whisht
    modules: Vec<Module> = vec![Module::Shh, Module::Net, Module::Web3];
        "rpc.modules" "rpc-modules" "WHISHT_RPC_MODULES";
        List(parsed), "MODULE" "[\"shh\", \"net\", \"web3\"]";
        "";

    /// Accept calls from web pages of this origin, such as http://localhost:3000
    origins: Vec<Origin> = Vec::new();
        "rpc.origins" "rpc-origins" "WHISHT_RPC_ORIGINS";
        List(parsed), "ORIGIN" "[]";
        "";

    /// Export private and shared keys to clients that may call shh, and encrypted keys over TCP
    allow_key_export: bool = false;
        "rpc.allow-key-export" "rpc-allow-key-export" "WHISHT_RPC_ALLOW_KEY_EXPORT";
        Switch, "BOOL" "false";
        "Encrypted key files are exported to clients that may call `whisht`";

    /// Accept every program on this machine, of any user, without the token
    danger_no_token: bool = false;
        "rpc.danger-no-token" "rpc-danger-no-token" "WHISHT_RPC_DANGER_NO_TOKEN";
        Switch, "BOOL" "false";
        "";
}

/// Complete and consistent settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RpcConfig {
    /// Where HTTP is served, if anywhere; a loopback address.
    pub http: Option<SocketAddr>,
    /// Where WebSocket is served, if anywhere; a loopback address.
    pub ws: Option<SocketAddr>,
    /// Modules that clients over TCP may call.
    pub modules: Vec<Module>,
    /// Origins of web pages that may call from a browser.
    pub origins: Vec<Origin>,
    /// Whether private and shared keys are exported, and encrypted keys over TCP.
    pub allow_key_export: bool,
    /// Whether clients over TCP need no token.
    pub danger_no_token: bool,
}

impl RpcConfig {
    /// Completes settings with defaults and checks that they fit together.
    ///
    /// # Errors
    ///
    /// [`NotLoopback`] if other machines could reach an endpoint; [`ConfigError::WithoutEffect`] if
    /// origins are named, and no endpoint has a use for them.
    pub fn build(settings: RpcSettings) -> Result<Self, ConfigError> {
        let http = loopback("rpc.http", settings.http())?;
        let ws = loopback("rpc.ws", settings.ws())?;
        if http.is_none() && ws.is_none() && !settings.origins().is_empty() {
            return Err(ConfigError::WithoutEffect {
                setting: "rpc.origins",
                needs: "rpc.http",
            });
        }
        Ok(Self {
            http,
            ws,
            modules: settings.modules(),
            origins: settings.origins(),
            allow_key_export: settings.allow_key_export(),
            danger_no_token: settings.danger_no_token(),
        })
    }
}

fn loopback(setting: &'static str, listen: RpcListen) -> Result<Option<SocketAddr>, NotLoopback> {
    match listen {
        RpcListen::Closed => Ok(None),
        RpcListen::At(address) if address.ip().to_canonical().is_loopback() => Ok(Some(address)),
        RpcListen::At(address) => Err(NotLoopback { setting, address }),
    }
}

/// Other machines could reach JSON-RPC.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{setting}` is {address}, which other machines can reach; JSON-RPC carries keys, messages and \
     its token in the clear, so it stays on this machine: use 127.0.0.1 or [::1], and `ssh -L` to \
     connect from another machine"
)]
pub struct NotLoopback {
    /// The setting.
    pub setting: &'static str,
    /// The address.
    pub address: SocketAddr,
}

/// The address of an endpoint over TCP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RpcListen {
    /// Clients connect to this address.
    At(SocketAddr),
    /// The endpoint is closed, also if a weaker source has an address.
    Closed,
}

impl FromStr for RpcListen {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text {
            "off" => Ok(Self::Closed),
            _ => text.parse().map(Self::At).map_err(|_| {
                BadValue::new("expected an address and port such as 127.0.0.1:8545, or off")
            }),
        }
    }
}

/// A group of methods: the part of their names before the underscore.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Module {
    /// Peers, and the node's own address.
    Admin,
    /// Number of the network.
    Net,
    /// Whisper.
    Shh,
    /// Version of the program.
    Web3,
    /// Identities, inbox, privacy levels: the methods that other programs do not have.
    Whisht,
}

impl Module {
    /// All modules.
    pub const ALL: [Self; 5] = [Self::Admin, Self::Net, Self::Shh, Self::Web3, Self::Whisht];

    /// The name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Net => "net",
            Self::Shh => "shh",
            Self::Web3 => "web3",
            Self::Whisht => "whisht",
        }
    }

    /// The module that a method belongs to.
    #[must_use]
    pub fn of(method: &str) -> Option<Self> {
        let (word, _) = method.split_once('_')?;
        Self::ALL.into_iter().find(|module| module.word() == word)
    }
}

impl FromStr for Module {
    type Err = BadValue;

    fn from_str(word: &str) -> Result<Self, BadValue> {
        let found = Self::ALL.into_iter().find(|module| module.word() == word);
        found.ok_or_else(|| {
            let words = Self::ALL.map(Self::word);
            BadValue::new(match closest(word, words) {
                Some(near) => format!("there is no module {word:?}; did you mean {near}?"),
                None => format!(
                    "there is no module {word:?}; there are {}",
                    words.join(", ")
                ),
            })
        })
    }
}

/// The origin of a web page, as a browser writes it: `https://example.org`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin(String);

impl Origin {
    /// The origin as a browser writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if matches!(text, "*" | "null") {
            return Err(BadValue::new(format_args!(
                "{text:?} would accept every page that a browser shows; name each page's origin"
            )));
        }
        let host = text.split_once("://").map_or("", |(_, host)| host);
        let allowed = |c: char| c.is_ascii_graphic() && !c.is_ascii_uppercase() && c != '*';
        let good = !host.is_empty() && !host.contains('/') && text.chars().all(allowed);
        good.then(|| Self(text.to_owned())).ok_or_else(|| {
            BadValue::new(
                "expected an origin in lower case and without a path, such as http://localhost:3000",
            )
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
