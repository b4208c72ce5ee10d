//! The address of a PostgreSQL database, and the lookup of its password and certificates.
//!
//! The password must not appear in output. Password and certificates are looked up where PostgreSQL's
//! own programs look.

use core::fmt;
use core::str::FromStr;
use std::net::IpAddr;
use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use super::PostgresError;
use super::connector::{CONNECT_TIMEOUT, PostgresConnector, TlsMode};
use super::tls::{TlsError, TrustedCertificates};
use crate::shell::archive::passfile::{self, Login, PassfileError};

/// The address of a database and its login. Its output contains no password.
#[derive(Clone)]
pub struct PostgresUrl {
    config: Config,
    has_password: bool,
    tls: TlsMode,
    /// The file of certificates that the URL names.
    certificates: Option<PathBuf>,
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

    /// A connector with the password and the certificates.
    pub(super) fn connector(self) -> Result<PostgresConnector, PostgresError> {
        let tls = self.tls;
        let certificates = self.certificates()?;
        let config = self.with_password().map_err(PostgresError::Password)?;
        Ok(PostgresConnector::new(config, tls, certificates))
    }

    /// Reads the certificates: those of the URL, of `PGSSLROOTCERT`, or of the file in the home
    /// directory if it exists.
    fn certificates(&self) -> Result<Option<TrustedCertificates>, TlsError> {
        let named = self.certificates.clone();
        let named = named.or_else(|| std::env::var_os("PGSSLROOTCERT").map(PathBuf::from));
        let home = || std::env::home_dir().map(|home| home.join(".postgresql/root.crt"));
        let file = named.or_else(|| home().filter(|path| path.exists()));
        file.map(|path| TrustedCertificates::read(&path))
            .transpose()
    }

    /// Finds the password like PostgreSQL's own programs, unless the URL has it: in `PGPASSWORD`,
    /// in the file that `PGPASSFILE` names, in `~/.pgpass`.
    fn with_password(mut self) -> Result<Config, PassfileError> {
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
        let parameters = TlsParameters::take_from(url).ok_or(InvalidPostgresUrl)?;
        let mut config: Config = parameters.url.parse().map_err(|_| InvalidPostgresUrl)?;
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
            tls: parameters.tls,
            certificates: parameters.certificates,
        })
    }
}

/// The parameters of a URL that are about TLS, in the words of PostgreSQL's own programs.
struct TlsParameters {
    /// The URL without them.
    url: String,
    tls: TlsMode,
    certificates: Option<PathBuf>,
}

impl TlsParameters {
    fn take_from(url: &str) -> Option<Self> {
        let mut taken = Self {
            url: url.to_owned(),
            tls: TlsMode::BeyondLoopback,
            certificates: None,
        };
        let Some((address, query)) = url.split_once('?') else {
            return Some(taken);
        };
        let mut others = Vec::new();
        for parameter in query.split('&') {
            match parameter.split_once('=') {
                Some(("sslmode", mode)) => {
                    taken.tls = match mode {
                        "disable" => TlsMode::Off,
                        "allow" | "prefer" => TlsMode::BeyondLoopback,
                        "require" | "verify-ca" | "verify-full" => TlsMode::Always,
                        _ => return None,
                    }
                }
                Some(("sslrootcert", path)) => {
                    taken.certificates = Some(PathBuf::from(percent_decode(path)?));
                }
                // Neither has an effect here, and an operator would rely on it.
                Some(("sslnegotiation" | "channel_binding", _)) => return None,
                _ => others.push(parameter),
            }
        }
        taken.url = format!("{address}?{}", others.join("&"));
        if others.is_empty() {
            taken.url.truncate(address.len());
        }
        Some(taken)
    }
}

/// A text in which `%41` stands for `A`.
fn percent_decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.extend(hex::decode(digits).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresUrl(..)")
    }
}

impl PartialEq for PostgresUrl {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
            && self.tls == other.tls
            && self.certificates == other.certificates
    }
}

/// The text is not a PostgreSQL URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it is not the address of a PostgreSQL database; write postgres://USER@HOST/DATABASE")]
pub struct InvalidPostgresUrl;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_names_tls_as_libpq_does() {
        let tls = |query: &str| {
            let url = format!("postgres://u@db.example/mail{query}");
            let url: Result<PostgresUrl, _> = url.parse();
            url.ok().map(|url| (url.tls, url.certificates))
        };
        assert_eq!(tls(""), Some((TlsMode::BeyondLoopback, None)));
        assert_eq!(tls("?sslmode=disable"), Some((TlsMode::Off, None)));
        let root = Some(PathBuf::from("/etc/my root.crt"));
        assert_eq!(
            tls("?connect_timeout=3&sslmode=verify-full&sslrootcert=/etc%2Fmy%20root.crt"),
            Some((TlsMode::Always, root))
        );
        for wrong in [
            "?sslmode=yes",
            "?sslrootcert=%zz",
            "?sslrootcert=%4",
            "?channel_binding=disable",
        ] {
            assert_eq!(tls(wrong), None, "{wrong}");
        }
    }
}
