//! Connects to a database so that no other machine learns the password or takes its place.
//!
//! | the database is | TLS | login |
//! |---|---|---|
//! | behind a Unix socket | no | SCRAM, or none |
//! | at a loopback address | if the URL asks for it | SCRAM; with TLS also none |
//! | elsewhere | always, with a verified certificate | SCRAM, or none |
//!
//! With TLS, SCRAM is bound to the certificate of the server, see [`channel_binding`].
//!
//! "None" is a database that does not ask for a password, for example because it knows the user of
//! the socket. A loopback address proves nothing: each user of the machine can listen there
//! before the database does.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::{Client, Config, NoTls};

use super::PostgresError;
use super::channel_binding::{self, BindChannel};
use super::scram_only::{AuthGate, Duplex, ScramOnly};
use super::tls::{TlsError, TrustedCertificates};

/// When a connection over TCP uses TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TlsMode {
    /// Never; other machines are out of reach.
    Off,
    /// To other machines.
    BeyondLoopback,
    /// Always.
    Always,
}

/// Makes connections to a database.
pub(super) struct PostgresConnector {
    /// For streams without TLS.
    config: Config,
    /// The same for streams with TLS.
    bound: Config,
    mode: TlsMode,
    certificates: Option<TrustedCertificates>,
}

impl PostgresConnector {
    pub(super) fn new(
        mut config: Config,
        mode: TlsMode,
        certificates: Option<TrustedCertificates>,
    ) -> Self {
        // TLS is done here, before tokio-postgres sees the stream. Where it is used, tokio-postgres must
        // take the stream as one of TLS without asking the server again.
        let mut bound = config.clone();
        bound.ssl_mode(SslMode::Require);
        bound.ssl_negotiation(SslNegotiation::Direct);
        config.ssl_mode(SslMode::Disable);
        Self {
            config,
            bound,
            mode,
            certificates,
        }
    }

    /// Connects to the first host of the URL that answers as it should and accepts writes.
    pub(super) async fn connect(&self) -> Result<Client, PostgresError> {
        let (hosts, addresses) = (self.config.get_hosts(), self.config.get_hostaddrs());
        let mut failure = PostgresError::NoHost;
        for number in 0..hosts.len().max(addresses.len()) {
            let ports = self.config.get_ports();
            let port = ports.get(number).or_else(|| ports.first());
            let port = port.copied().unwrap_or(DEFAULT_PORT);
            let address = addresses.get(number).copied();
            let connected = match (hosts.get(number), address) {
                (Some(Host::Unix(dir)), _) => self.connect_unix(dir, port).await,
                (Some(Host::Tcp(name)), Some(ip)) => {
                    self.connect_tcp(name, [SocketAddr::new(ip, port)]).await
                }
                (None, Some(ip)) => {
                    let name = ip.to_string();
                    self.connect_tcp(&name, [SocketAddr::new(ip, port)]).await
                }
                (Some(Host::Tcp(name)), None) => match lookup_host((name.as_str(), port)).await {
                    Ok(found) => self.connect_tcp(name, found).await,
                    Err(error) => Err(TlsError::System(error).into()),
                },
                (None, None) => continue,
            };
            match connected {
                Ok(connected) => return Ok(connected),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn connect_unix(&self, dir: &Path, port: u16) -> Result<Client, PostgresError> {
        let path = dir.join(format!(".s.PGSQL.{port}"));
        let stream = self.in_time(UnixStream::connect(path)).await?;
        self.log_in(Box::new(stream), true, None).await
    }

    /// Tries the addresses of a host in turn.
    async fn connect_tcp(
        &self,
        name: &str,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Client, PostgresError> {
        let mut failure = PostgresError::NoHost;
        for address in addresses {
            match self.connect_address(name, address).await {
                Ok(connected) => return Ok(connected),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn connect_address(
        &self,
        name: &str,
        address: SocketAddr,
    ) -> Result<Client, PostgresError> {
        // A name that a name server maps to loopback is not this machine.
        let is_local =
            address.ip().is_loopback() && (name == "localhost" || name.parse() == Ok(address.ip()));
        let tls = match (self.mode, is_local) {
            (TlsMode::Always, _) | (TlsMode::BeyondLoopback, false) => true,
            (TlsMode::Off | TlsMode::BeyondLoopback, true) => false,
            (TlsMode::Off, false) => return Err(TlsError::Disabled.into()),
        };
        // Checked before the connection, so that no other machine is contacted in vain.
        let certificates = match (&self.certificates, tls) {
            (Some(certificates), true) => Some(certificates),
            (None, true) => return Err(TlsError::NoCertificates.into()),
            (_, false) => None,
        };
        let stream = self.in_time(TcpStream::connect(address)).await?;
        self.tune(&stream).map_err(TlsError::System)?;
        match certificates {
            Some(certificates) => {
                let stream = certificates.connect(stream, name).await?;
                let (_, session) = stream.get_ref();
                let shown = session.peer_certificates().and_then(<[_]>::first);
                let end_point = shown.and_then(|shown| channel_binding::end_point(shown));
                let binding = BindChannel { end_point };
                self.log_in(Box::new(stream), true, Some(binding)).await
            }
            None => self.log_in(Box::new(stream), false, None).await,
        }
    }

    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        if self.config.get_keepalives() {
            let keepalive = TcpKeepalive::new().with_time(self.config.get_keepalives_idle());
            SockRef::from(stream).set_tcp_keepalive(&keepalive)?;
        }
        Ok(())
    }

    async fn in_time<S>(
        &self,
        connecting: impl Future<Output = io::Result<S>>,
    ) -> Result<S, PostgresError> {
        let limit = self.config.get_connect_timeout();
        let limit = limit.copied().unwrap_or(CONNECT_TIMEOUT);
        let connected = timeout(limit, connecting).await;
        let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        connected.map_err(|error| TlsError::System(error).into())
    }

    async fn log_in(
        &self,
        stream: Box<dyn Duplex>,
        server_is_known: bool,
        binding: Option<BindChannel>,
    ) -> Result<Client, PostgresError> {
        let has_password = self.config.get_password().is_some();
        let gate = AuthGate::new(server_is_known, has_password);
        let stream = ScramOnly::new(stream, gate);
        // The user of the client receives the errors of the connection.
        let client = match binding {
            Some(binding) => {
                let (client, connection) = self.bound.connect_raw(stream, binding).await?;
                tokio::spawn(async move { drop(connection.await) });
                client
            }
            None => {
                let (client, connection) = self.config.connect_raw(stream, NoTls).await?;
                tokio::spawn(async move { drop(connection.await) });
                client
            }
        };
        let row = client.query_one("SHOW transaction_read_only", &[]).await?;
        if row.try_get::<_, &str>(0)? == "on" {
            return Err(PostgresError::ReadOnly);
        }
        Ok(client)
    }
}

const DEFAULT_PORT: u16 = 5_432;
/// Time limit for a connection without a login.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
