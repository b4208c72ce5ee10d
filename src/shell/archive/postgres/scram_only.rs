//! A stream to a database that refuses every login but SCRAM.
//!
//! The server chooses how a client proves its password. tokio-postgres follows that choice, also if
//! it is to send the password in the clear or as an MD5 hash, so a false server would only have to
//! ask. This stream reads the server's messages until the login has ended, and fails before such a
//! request reaches the client. It must not change a byte, and it stops reading after the login.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection over any transport.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A stream whose server must ask for SCRAM.
pub(super) struct ScramOnly {
    inner: Box<dyn Duplex>,
    gate: AuthGate,
}

impl ScramOnly {
    pub(super) fn new(inner: Box<dyn Duplex>, gate: AuthGate) -> Self {
        Self { inner, gate }
    }
}

impl AsyncRead for ScramOnly {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if let Err(refusal) = this.gate.read(fresh) {
            // The client sees none of these bytes.
            buf.set_filled(before);
            return Poll::Ready(Err(io::Error::other(refusal)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ScramOnly {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Judges the server's messages of a login.
#[derive(Debug)]
pub(super) struct AuthGate {
    /// Whether something other than SCRAM shows who the server is: a certificate, or the owner of a
    /// socket in the file system.
    server_is_known: bool,
    has_password: bool,
    /// The bytes of the message that is not complete yet.
    pending: Vec<u8>,
    state: GateState,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum GateState {
    /// No method is agreed yet.
    Asked,
    /// SCRAM has begun.
    Scram,
    /// The login has ended; the rest is not read.
    Passed,
    Refused(AuthRefusal),
}

impl AuthGate {
    /// A gate before the first message of the server.
    pub(super) fn new(server_is_known: bool, has_password: bool) -> Self {
        Self {
            server_is_known,
            has_password,
            pending: Vec::new(),
            state: GateState::Asked,
        }
    }

    /// Judges the next bytes, cut anywhere.
    fn read(&mut self, bytes: &[u8]) -> Result<(), AuthRefusal> {
        match self.state {
            GateState::Passed => return Ok(()),
            GateState::Refused(refusal) => return Err(refusal),
            GateState::Asked | GateState::Scram => self.pending.extend_from_slice(bytes),
        }
        let pending = core::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while let Some((head, after)) = rest.split_first_chunk::<5>() {
            let [kind, len @ ..] = *head;
            // The length counts its own four bytes.
            let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
            if !(4..=MAX_LOGIN_MESSAGE_BYTES).contains(&len) {
                return self.refuse(AuthRefusal::Malformed);
            }
            let Some((body, after)) = after.split_at_checked(len.saturating_sub(4)) else {
                break;
            };
            if kind == AUTHENTICATION
                && let Err(refusal) = self.judge(body)
            {
                return self.refuse(refusal);
            }
            if self.state == GateState::Passed {
                return Ok(());
            }
            rest = after;
        }
        self.pending = rest.to_vec();
        Ok(())
    }

    fn refuse(&mut self, refusal: AuthRefusal) -> Result<(), AuthRefusal> {
        self.state = GateState::Refused(refusal);
        Err(refusal)
    }

    /// Judges an authentication request. tokio-postgres checks the order of SCRAM's messages and
    /// the server's signature.
    fn judge(&mut self, body: &[u8]) -> Result<(), AuthRefusal> {
        let (code, body) = body
            .split_first_chunk::<4>()
            .ok_or(AuthRefusal::Malformed)?;
        match (u32::from_be_bytes(*code), self.state) {
            (0, GateState::Scram) => self.state = GateState::Passed,
            (0, _) if self.server_is_known => self.state = GateState::Passed,
            (0, _) => return Err(AuthRefusal::ServerUnproved),
            (3, _) => return Err(AuthRefusal::Cleartext),
            (5, _) => return Err(AuthRefusal::Md5),
            (10, _) if !self.has_password => return Err(AuthRefusal::NoPassword),
            (10, _) => self.state = GateState::Scram,
            (11, GateState::Scram) => {
                let iterations = iterations(body).ok_or(AuthRefusal::Malformed)?;
                if !(MIN_SCRAM_ITERATIONS..=MAX_SCRAM_ITERATIONS).contains(&iterations) {
                    return Err(AuthRefusal::Iterations(iterations));
                }
            }
            (12, GateState::Scram) => {}
            (other, _) => return Err(AuthRefusal::Method(other)),
        }
        Ok(())
    }
}

/// The iteration count of SCRAM's first server message, `r=...,s=...,i=N` (RFC 5802, section 5.1).
fn iterations(message: &[u8]) -> Option<u32> {
    let message = core::str::from_utf8(message).ok()?;
    message
        .split(',')
        .find_map(|field| field.strip_prefix("i="))?
        .parse()
        .ok()
}

/// Why a server's way to log in is refused. The password was not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthRefusal {
    /// The server asks for the password itself.
    #[error(
        "it asks for the password in the clear, which was not sent; write scram-sha-256 as the \
         method into its pg_hba.conf"
    )]
    Cleartext,
    /// The server asks for an MD5 hash, from which the password can be found.
    #[error(
        "it asks for the password as an MD5 hash, which was not sent; set password_encryption to \
         scram-sha-256, set the user's password again, and write scram-sha-256 as the method into \
         its pg_hba.conf"
    )]
    Md5,
    /// Another method.
    #[error(
        "it asks for the login method {0}, which is not supported; write scram-sha-256 as the \
         method into its pg_hba.conf"
    )]
    Method(u32),
    /// The server lets every client in, so nothing shows that it is the right one.
    #[error(
        "it accepts the login without SCRAM, so it has not shown that it is the right server; write \
         scram-sha-256 as the method into its pg_hba.conf, or use its Unix socket or TLS"
    )]
    ServerUnproved,
    /// A cheap hash that gives the password to a false server, or an endless one.
    #[error(
        "it asks for {0} iterations of SCRAM; {MIN_SCRAM_ITERATIONS} to {MAX_SCRAM_ITERATIONS} are \
         accepted: set scram_iterations and set the user's password again"
    )]
    Iterations(u32),
    /// There is no password to prove.
    #[error(
        "it asks for a password; put the password into the URL in the configuration file, into \
         PGPASSWORD, or into the file that PGPASSFILE names"
    )]
    NoPassword,
    /// The messages do not follow PostgreSQL's protocol.
    #[error("its login messages are malformed; check that mail.store names a PostgreSQL server")]
    Malformed,
}

/// The type of authentication requests.
const AUTHENTICATION: u8 = b'R';
/// Maximum length of a message before the login has ended. PostgreSQL's own are below 1 KB, and its
/// error texts below 8 KB.
const MAX_LOGIN_MESSAGE_BYTES: usize = 65_536;
/// The minimum of RFC 7677, section 4, and PostgreSQL's default.
const MIN_SCRAM_ITERATIONS: u32 = 4_096;
/// About a second of one core.
const MAX_SCRAM_ITERATIONS: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(code: u32, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len() + 8).unwrap();
        [&[b'R'][..], &len.to_be_bytes(), &code.to_be_bytes(), body].concat()
    }

    fn challenge(iterations: u32) -> Vec<u8> {
        request(11, format!("r=abc,s=QSXCR,i={iterations}").as_bytes())
    }

    /// Judges a login, however it is cut.
    fn judge(server_is_known: bool, messages: &[Vec<u8>]) -> Result<(), AuthRefusal> {
        let bytes = messages.concat();
        let all = AuthGate::new(server_is_known, true).read(&bytes);
        let mut gate = AuthGate::new(server_is_known, true);
        let single = bytes.iter().try_for_each(|byte| gate.read(&[*byte]));
        assert_eq!(all, single);
        all
    }

    #[test]
    fn scram_login_passes() {
        let login = [request(10, b"SCRAM-SHA-256\0\0"), challenge(4_096)];
        let login = [&login[..], &[request(12, b"v=x"), request(0, b"")]].concat();
        assert_eq!(judge(false, &login), Ok(()));
        // What follows the login is the client's business.
        assert_eq!(
            judge(false, &[login, vec![request(3, b"")]].concat()),
            Ok(())
        );
    }

    #[test]
    fn password_request_other_than_scram_is_refused() {
        for known in [false, true] {
            let notice = b"N\0\0\0\x05x".to_vec();
            let refusals = [
                (request(3, b""), AuthRefusal::Cleartext),
                (request(5, b"salt"), AuthRefusal::Md5),
                (request(7, b""), AuthRefusal::Method(7)),
            ];
            for (message, refusal) in refusals {
                assert_eq!(judge(known, &[message.clone()]), Err(refusal));
                assert_eq!(judge(known, &[notice.clone(), message]), Err(refusal));
            }
        }
        // Also in the middle of SCRAM.
        let login = [request(10, b"SCRAM-SHA-256\0\0"), request(3, b"")];
        assert_eq!(judge(false, &login), Err(AuthRefusal::Cleartext));
    }

    #[test]
    fn login_without_proof_requires_known_server() {
        let open = [request(0, b"")];
        assert_eq!(judge(false, &open), Err(AuthRefusal::ServerUnproved));
        assert_eq!(judge(true, &open), Ok(()));
    }

    #[test]
    fn scram_with_cheap_or_endless_hash_is_refused() {
        for count in [1, 4_095, 1_000_001, u32::MAX] {
            let login = [request(10, b"SCRAM-SHA-256\0\0"), challenge(count)];
            assert_eq!(judge(true, &login), Err(AuthRefusal::Iterations(count)));
        }
    }

    #[test]
    fn login_message_of_any_length_is_not_buffered() {
        let endless = [&[b'E'][..], &u32::MAX.to_be_bytes()].concat();
        assert_eq!(judge(false, &[endless]), Err(AuthRefusal::Malformed));
        assert_eq!(
            judge(false, &[b"R\0\0\0\x03".to_vec()]),
            Err(AuthRefusal::Malformed)
        );
        let mut gate = AuthGate::new(false, false);
        let asked = gate.read(&request(10, b"SCRAM-SHA-256\0\0"));
        assert_eq!(asked, Err(AuthRefusal::NoPassword));
        assert_eq!(gate.read(b""), Err(AuthRefusal::NoPassword));
    }
}
