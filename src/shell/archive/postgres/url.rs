//! The address of a PostgreSQL database, and the lookup of its password.
//!
//! The password must not appear in output, and is looked up where PostgreSQL's own programs look.

use core::fmt;
use core::str::FromStr;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::shell::archive::passfile::{self, Login, PassfileError};

/// The address of a database and its login. Its output contains no password.
#[derive(Clone)]
pub struct PostgresUrl {
    config: Config,
    has_password: bool,
}

impl PostgresUrl {
    /// Whether the URL itself contains a password: then it must not be an argument, which every
    /// process of the machine can read.
    #[must_use]
    pub const fn has_password(&self) -> bool {
        self.has_password
    }

    /// Whether the connection stays on this machine without a name lookup: the database is at a
    /// loopback address, or behind a socket in the file system.
    #[must_use]
    pub fn stays_here(&self) -> bool {
        let hosts = self.config.get_hosts();
        let addresses = self.config.get_hostaddrs();
        let here = |host: &Host| match host {
            Host::Tcp(name) => name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()),
            Host::Unix(_) => true,
        };
        match (hosts.is_empty(), addresses.is_empty()) {
            (_, false) => addresses.iter().all(IpAddr::is_loopback),
            (false, true) => hosts.iter().all(here),
            (true, true) => false,
        }
    }

    /// Finds the password like PostgreSQL's own programs, unless the URL has it: in `PGPASSWORD`,
    /// in the file that `PGPASSFILE` names, in `~/.pgpass`.
    pub(super) fn with_password(mut self) -> Result<Config, PassfileError> {
        if self.has_password {
            return Ok(self.config);
        }
        if let Some(password) = std::env::var_os("PGPASSWORD") {
            self.config.password(password.as_encoded_bytes());
            return Ok(self.config);
        }
        let home = || std::env::home_dir().map(|home| home.join(".pgpass"));
        let file = std::env::var_os("PGPASSFILE").map(PathBuf::from);
        if let Some(file) = file.or_else(home) {
            let host = match self.config.get_hosts().first() {
                Some(Host::Tcp(host)) => host.clone(),
                _ => "localhost".to_owned(),
            };
            let user = self.config.get_user().unwrap_or_default().to_owned();
            let login = Login {
                host: &host,
                port: self.config.get_ports().first().copied().unwrap_or(5432),
                database: self.config.get_dbname().unwrap_or(&user),
                user: &user,
            };
            if let Some(password) = passfile::find(&file, &login)? {
                self.config.password(password.as_bytes());
            }
        }
        Ok(self.config)
    }
}

impl FromStr for PostgresUrl {
    type Err = InvalidPostgresUrl;

    fn from_str(url: &str) -> Result<Self, InvalidPostgresUrl> {
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Err(InvalidPostgresUrl);
        }
        let mut config: Config = url.parse().map_err(|_| InvalidPostgresUrl)?;
        let has_password = config.get_password().is_some();
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("whisht");
        }
        Ok(Self {
            config,
            has_password,
        })
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresUrl(..)")
    }
}

impl PartialEq for PostgresUrl {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
    }
}

/// The text is not a PostgreSQL URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it is not the address of a PostgreSQL database; write postgres://USER@HOST/DATABASE")]
pub struct InvalidPostgresUrl;

/// Time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
