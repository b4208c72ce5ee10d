//! The table `[rpc]`: which doors the node opens to programs on this machine, and to whom.
//!
//! The local socket is always there and needs no setting. HTTP and WebSocket are off unless an
//! address is named, and then only on loopback: JSON-RPC gives away keys and messages to whoever
//! is let in, in the clear, so it must not leave the machine. Over TCP a program needs the token
//! in the data directory, since every other user of the machine can connect there too.

use core::fmt;
use core::str::FromStr;
use std::net::SocketAddr;

use toml::de::DeValue;

use super::toml_value::{EntryError, flag, list, parsed, text};
use super::value::BadValue;
use crate::suggest::closest;

/// What one source says; `None` where it says nothing.
#[derive(Clone, Debug, Default)]
pub struct RpcSettings {
    /// Where to serve HTTP. Default: nowhere.
    pub http: Option<RpcListen>,
    /// Where to serve WebSocket; may be the address of HTTP. Default: nowhere.
    pub ws: Option<RpcListen>,
    /// What programs may call over TCP. Default: `shh`, `net` and `web3`.
    pub modules: Option<Vec<Module>>,
    /// Web pages that may call from a browser. Default: none.
    pub origins: Option<Vec<Origin>>,
    /// Whether private and shared keys are handed out, and sealed ones over TCP. Default: no.
    pub allow_key_export: Option<bool>,
    /// Whether programs are let in over TCP without the token. Default: no.
    pub danger_no_token: Option<bool>,
}

/// Every key of the table.
pub(super) const KEYS: [&str; 6] = [
    "http",
    "ws",
    "modules",
    "origins",
    "allow-key-export",
    "danger-no-token",
];

impl RpcSettings {
    /// Takes one entry of the file in.
    pub(super) fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), EntryError> {
        match key {
            "http" => self.http = Some(parsed(text(value)?)?),
            "ws" => self.ws = Some(parsed(text(value)?)?),
            "modules" => self.modules = Some(list(value, str::parse)?),
            "origins" => self.origins = Some(list(value, str::parse)?),
            "allow-key-export" => self.allow_key_export = Some(flag(value)?),
            "danger-no-token" => self.danger_no_token = Some(flag(value)?),
            _ => return Err(EntryError::Key),
        }
        Ok(())
    }

    /// What these settings say, and what `weaker` ones say where these are silent.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            http: self.http.or(weaker.http),
            ws: self.ws.or(weaker.ws),
            modules: self.modules.or(weaker.modules),
            origins: self.origins.or(weaker.origins),
            allow_key_export: self.allow_key_export.or(weaker.allow_key_export),
            danger_no_token: self.danger_no_token.or(weaker.danger_no_token),
        }
    }
}

/// Settings that are complete and fit together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RpcConfig {
    /// Where HTTP is served, if anywhere; a loopback address.
    pub http: Option<SocketAddr>,
    /// Where WebSocket is served, if anywhere; a loopback address.
    pub ws: Option<SocketAddr>,
    /// What programs may call over TCP.
    pub modules: Vec<Module>,
    /// Web pages that may call from a browser.
    pub origins: Vec<Origin>,
    /// Whether private and shared keys are handed out, and sealed ones over TCP.
    pub allow_key_export: bool,
    /// Whether programs are let in over TCP without the token.
    pub danger_no_token: bool,
}

impl RpcConfig {
    /// Completes settings with defaults and checks that they fit together.
    ///
    /// # Errors
    ///
    /// [`NotLoopback`] if a door would open to other machines.
    pub fn build(settings: RpcSettings) -> Result<Self, NotLoopback> {
        Ok(Self {
            http: loopback("rpc.http", settings.http)?,
            ws: loopback("rpc.ws", settings.ws)?,
            modules: settings
                .modules
                .unwrap_or_else(|| vec![Module::Shh, Module::Net, Module::Web3]),
            origins: settings.origins.unwrap_or_default(),
            allow_key_export: settings.allow_key_export.unwrap_or(false),
            danger_no_token: settings.danger_no_token.unwrap_or(false),
        })
    }
}

fn loopback(
    setting: &'static str,
    listen: Option<RpcListen>,
) -> Result<Option<SocketAddr>, NotLoopback> {
    match listen {
        None | Some(RpcListen::Closed) => Ok(None),
        Some(RpcListen::At(address)) if address.ip().is_loopback() => Ok(Some(address)),
        Some(RpcListen::At(address)) => Err(NotLoopback { setting, address }),
    }
}

/// JSON-RPC would be served to other machines.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{setting}` names {address}, which other machines can reach; JSON-RPC carries keys, messages \
     and its token in the clear, so it stays on this machine: use 127.0.0.1 or [::1], and `ssh -L` \
     to come from elsewhere"
)]
pub struct NotLoopback {
    /// The setting.
    pub setting: &'static str,
    /// The address.
    pub address: SocketAddr,
}

/// Where programs can connect over TCP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RpcListen {
    /// At this address.
    At(SocketAddr),
    /// Nowhere; overrides a weaker source that says otherwise.
    Closed,
}

impl FromStr for RpcListen {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text {
            "off" => Ok(Self::Closed),
            _ => text.parse().map(Self::At).map_err(|_| {
                BadValue::new("it wants an address and port such as 127.0.0.1:8545, or off")
            }),
        }
    }
}

/// A group of methods: what stands before the underscore of their names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Module {
    /// Peers, and the node's own address.
    Admin,
    /// The network's number.
    Net,
    /// Whisper.
    Shh,
    /// The version.
    Web3,
    /// Everything of whisht's own: identities, inbox, levels of privacy.
    Whisht,
}

impl Module {
    /// Every module.
    pub const ALL: [Self; 5] = [Self::Admin, Self::Net, Self::Shh, Self::Web3, Self::Whisht];

    /// Its name.
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

/// Where a web page comes from, as a browser writes it: `https://example.org`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin(String);

impl Origin {
    /// As a browser writes it.
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
                "{text:?} would let in whatever page a browser shows; name each page's origin"
            )));
        }
        let host = text.split_once("://").map_or("", |(_, host)| host);
        let allowed = |c: char| c.is_ascii_graphic() && !c.is_ascii_uppercase() && c != '*';
        let good = !host.is_empty() && !host.contains('/') && text.chars().all(allowed);
        good.then(|| Self(text.to_owned())).ok_or_else(|| {
            BadValue::new(format_args!(
                "{text:?} is no origin; write it in small letters and without a path, such as \
                 http://localhost:3000"
            ))
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
