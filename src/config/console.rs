//! The table `[console]`: the pages for the browser of the user.
//!
//! The console is off by default and listens on 127.0.0.1 only. Its host name is random, because a cookie
//! for 127.0.0.1 is sent to every port of the machine, and a name of its own keeps the cookie from other
//! programs that serve pages.

use core::str::FromStr;

use super::setting::{One, Port, Switch, settings};
use super::value::{BadValue, parsed};

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct ConsoleSettings, "console", "Console", |all| &mut all.console;

    /// Open the console at the start, and print a URL that opens it once, within two minutes
    enable: bool = false;
        "console.enable" "console" "WHISHT_CONSOLE";
        Switch, "BOOL" "false";
        "`whisht console` opens it at any time";

    /// Serve the console under a random name that ends in .localhost, or under 127.0.0.1
    host: ConsoleHost = ConsoleHost::Random;
        "console.host" "console-host" "WHISHT_CONSOLE_HOST";
        One(parsed), "HOST" "\"random\"";
        "`\"127.0.0.1\"` is for browsers that do not find the random name; the cookie of the session then \
         also goes to other programs of this machine that serve pages, if the browser visits them";

    /// Serve the console on this port of 127.0.0.1
    port: u16;
        "console.port" "console-port" "WHISHT_CONSOLE_PORT";
        Port, "PORT" "a free port";
        "";
}

/// Complete settings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConsoleConfig {
    /// Whether the console opens with the node.
    pub enable: bool,
    /// The host name of its pages.
    pub host: ConsoleHost,
    /// The port; 0 for a free one.
    pub port: u16,
}

impl ConsoleConfig {
    /// Completes settings with defaults.
    #[must_use]
    pub fn build(settings: &ConsoleSettings) -> Self {
        Self {
            enable: settings.enable(),
            host: settings.host(),
            port: settings.port.unwrap_or(0),
        }
    }
}

/// The host name of the console's pages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConsoleHost {
    /// 16 random digits and `.localhost`.
    Random,
    /// The loopback address.
    Loopback,
}

impl ConsoleHost {
    /// The host name, with the label of this run.
    #[must_use]
    pub fn name(self, label: &str) -> String {
        match self {
            Self::Random => format!("{label}.localhost"),
            Self::Loopback => LOOPBACK.to_owned(),
        }
    }
}

impl FromStr for ConsoleHost {
    type Err = BadValue;

    fn from_str(word: &str) -> Result<Self, BadValue> {
        match word {
            "random" => Ok(Self::Random),
            LOOPBACK => Ok(Self::Loopback),
            _ => Err(BadValue::new(format_args!(
                "expected random or 127.0.0.1; this is {word:?}"
            ))),
        }
    }
}

const LOOPBACK: &str = "127.0.0.1";
