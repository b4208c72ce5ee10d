//! Queries a Tor daemon's status on its control port (tor's control-spec).
//!
//! Each query is a connection of its own that only reads: PROTOCOLINFO, authentication, GETINFO.
//! Authentication is SAFECOOKIE, in which the daemon proves first that it can read the cookie;
//! another program that listens there learns nothing. Answers are bounded in length and number;
//! only the connectivity depends on them.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Take,
};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::tor::ControlPort;
use crate::shell::random;

/// A daemon's bootstrap status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct DaemonHealth {
    /// Progress in percent, 0 to 100.
    pub(super) percent: u8,
    /// The current step, in the daemon's words.
    pub(super) doing: String,
    /// Whether it has a circuit that carries traffic.
    pub(super) circuit: bool,
}

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    /// The daemon requires an authentication method that this node does not have.
    #[error("it asks for a password; set CookieAuthentication 1 in the torrc instead")]
    Password,
    /// The cookie file cannot be read.
    #[error("cannot read its cookie {}: {error}; let this user read it (Debian: group debian-tor)", path.display())]
    Cookie {
        /// The path, as the daemon names it.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// Another program listens there.
    #[error("the program there does not know the cookie, so it is not the Tor of this machine")]
    WrongServerHash,
    /// The answer does not follow the control protocol.
    #[error("its answers are not those of a Tor daemon")]
    MalformedReply,
    /// The connection failed or was cut.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Queries a daemon's bootstrap status.
///
/// # Errors
///
/// [`ControlError`] names the cause.
pub(super) async fn query(control: &ControlPort) -> Result<DaemonHealth, ControlError> {
    let exchange = async {
        match control {
            ControlPort::Tcp(address) => ControlConnection::new(TcpStream::connect(address).await?),
            ControlPort::Unix(path) => ControlConnection::new(UnixStream::connect(path).await?),
        }
        .health()
        .await
    };
    let silent = || Err(io::Error::from(io::ErrorKind::TimedOut).into());
    timeout(REPLY_TIMEOUT, exchange)
        .await
        .unwrap_or_else(|_| silent())
}

type ControlReader = BufReader<Take<Box<dyn AsyncRead + Send + Unpin>>>;

struct ControlConnection {
    reader: ControlReader,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl ControlConnection {
    fn new(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let reader: Box<dyn AsyncRead + Send + Unpin> = Box::new(reader);
        Self {
            reader: BufReader::new(reader.take(MAX_CONVERSATION_BYTES)),
            writer: Box::new(writer),
        }
    }

    async fn health(mut self) -> Result<DaemonHealth, ControlError> {
        let methods = self.command("PROTOCOLINFO 1").await?;
        let methods = methods.iter().find_map(|line| line.strip_prefix("AUTH "));
        self.authenticate(methods.ok_or(ControlError::MalformedReply)?)
            .await?;
        let question = "GETINFO status/bootstrap-phase status/circuit-established";
        health(&self.command(question).await?).ok_or(ControlError::MalformedReply)
    }

    async fn authenticate(&mut self, methods: &str) -> Result<(), ControlError> {
        let offered = field(methods, "METHODS").unwrap_or_default();
        let offers = |method| offered.split(',').any(|offered| offered == method);
        let proof = if offers("NULL") {
            String::new()
        } else if offers("SAFECOOKIE") {
            let path = field(methods, "COOKIEFILE").ok_or(ControlError::MalformedReply)?;
            self.safe_cookie_proof(PathBuf::from(path)).await?
        } else {
            return Err(ControlError::Password);
        };
        self.command(&format!("AUTHENTICATE {proof}")).await?;
        Ok(())
    }

    /// Verifies the daemon's proof that it knows the cookie, and computes this node's proof.
    async fn safe_cookie_proof(&mut self, path: PathBuf) -> Result<String, ControlError> {
        let cookie = match cookie(&path).await {
            Ok(cookie) => cookie,
            Err(error) => return Err(ControlError::Cookie { path, error }),
        };
        let ours = random::<32>().map_err(|_| io::Error::other("no randomness"))?;
        let challenge = format!("AUTHCHALLENGE SAFECOOKIE {}", hex::encode(ours));
        let answer = self.command(&challenge).await?;
        let answer = answer.first().ok_or(ControlError::MalformedReply)?;
        let bytes = |name| {
            let text = field(answer, name)?;
            hex::decode(text).ok().filter(|bytes| bytes.len() == 32)
        };
        let (Some(theirs), Some(proof)) = (bytes("SERVERNONCE"), bytes("SERVERHASH")) else {
            return Err(ControlError::MalformedReply);
        };
        mac(SERVER_TO_CONTROLLER_KEY, &cookie, &ours, &theirs)
            .verify_slice(&proof)
            .map_err(|_| ControlError::WrongServerHash)?;
        let mac = mac(CONTROLLER_TO_SERVER_KEY, &cookie, &ours, &theirs);
        Ok(hex::encode(mac.finalize().into_bytes()))
    }

    /// Sends one line, and returns the lines of the answer without their codes.
    async fn command(&mut self, line: &str) -> Result<Vec<String>, ControlError> {
        self.writer.write_all(line.as_bytes()).await?;
        self.writer.write_all(b"\r\n").await?;
        self.writer.flush().await?;
        let mut said = Vec::new();
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).await?;
            let line = line.strip_suffix("\r\n");
            let line = line.and_then(|line| line.strip_prefix("250"));
            match line.and_then(|line| line.split_at_checked(1)) {
                Some(("-", text)) => said.push(text.to_owned()),
                Some((" ", text)) => {
                    said.push(text.to_owned());
                    return Ok(said);
                }
                _ => return Err(ControlError::MalformedReply),
            }
        }
    }
}

fn health(said: &[String]) -> Option<DaemonHealth> {
    let value = |name| said.iter().find_map(|line| line.strip_prefix(name));
    let phase = value("status/bootstrap-phase=")?;
    Some(DaemonHealth {
        percent: field(phase, "PROGRESS")?.parse().ok()?,
        doing: field(phase, "SUMMARY")?.to_owned(),
        circuit: value("status/circuit-established=")? == "1",
    })
}

/// The value of `name=value` or `name="value"` in a line. Tor escapes quotes in values; the values
/// that are read here contain none.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let starts = |(at, _): &(usize, &str)| {
        line.get(..*at)
            .is_some_and(|before| before.is_empty() || before.ends_with(' '))
    };
    let pattern = format!("{name}=");
    let (at, _) = line.match_indices(&pattern).find(starts)?;
    let value = line.get(at..)?.strip_prefix(&pattern)?;
    match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split(' ').next(),
    }
}

async fn cookie(path: &PathBuf) -> io::Result<Zeroizing<[u8; 32]>> {
    let mut cookie = Zeroizing::new([0; 32]);
    let mut file = tokio::fs::File::open(path).await?;
    file.read_exact(&mut *cookie).await?;
    Ok(cookie)
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn mac(whose: &[u8], cookie: &[u8; 32], ours: &[u8], theirs: &[u8]) -> Hmac<Sha256> {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(whose).expect("any length");
    mac.chain_update(cookie)
        .chain_update(ours)
        .chain_update(theirs)
}

/// The keys of both proofs, by control-spec 3.24.
const SERVER_TO_CONTROLLER_KEY: &[u8] = b"Tor safe cookie authentication server-to-controller hash";
const CONTROLLER_TO_SERVER_KEY: &[u8] = b"Tor safe cookie authentication controller-to-server hash";
/// Maximum length of a whole conversation in bytes; a real one has under a thousand.
const MAX_CONVERSATION_BYTES: u64 = 16 << 10;
/// A daemon on this machine answers at once.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
