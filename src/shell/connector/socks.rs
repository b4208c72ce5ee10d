//! A SOCKS5 client that offers a user name and nothing else (RFC 1928, RFC 1929).
//!
//! A Tor daemon keeps streams with different user names on different circuits (`IsolateSOCKSAuth`).
//! A client that also offers "no authentication" leaves the choice to the daemon, and under
//! `PreferSOCKSNoAuth` all links share circuits. This client therefore fails if the daemon does not
//! choose the user name. Host names are sent as text; nothing is resolved here.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Why a connection through a SOCKS port failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::shell) enum SocksError {
    /// The connection to the proxy broke.
    #[error("the SOCKS port closed the connection: {0}")]
    Io(#[from] io::Error),
    /// The proxy accepts no user name.
    #[error("the SOCKS port accepts no user name")]
    NoIsolation,
    /// The other side does not speak SOCKS5.
    #[error("the port does not speak SOCKS5")]
    NotSocks,
    /// The proxy could not connect; its reply code.
    #[error("the proxy could not connect: reply code {0}")]
    Refused(u8),
}

/// Agrees on a user name as the method of authentication. The proxy connects nowhere yet.
///
/// # Errors
///
/// [`SocksError::NoIsolation`] if the proxy chooses another method.
pub(in crate::shell) async fn greet(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Result<(), SocksError> {
    stream.write_all(&[VERSION, 1, USER_NAME]).await?;
    stream.flush().await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    match chosen {
        [VERSION, USER_NAME] => Ok(()),
        [VERSION, _] => Err(SocksError::NoIsolation),
        _ => Err(SocksError::NotSocks),
    }
}

/// Connects to `host` and `port` through the proxy, under a user name of at most 255 bytes.
///
/// # Errors
///
/// [`SocksError`]; the stream is then of no use.
pub(super) async fn connect(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    user: &str,
    host: &str,
    port: u16,
) -> Result<(), SocksError> {
    greet(stream).await?;
    let mut login = vec![LOGIN_VERSION];
    push_text(&mut login, user)?;
    push_text(&mut login, PASSWORD)?;
    stream.write_all(&login).await?;
    stream.flush().await?;
    let mut accepted = [0; 2];
    stream.read_exact(&mut accepted).await?;
    match accepted {
        [LOGIN_VERSION, 0] => {}
        [LOGIN_VERSION, _] => return Err(SocksError::NoIsolation),
        _ => return Err(SocksError::NotSocks),
    }
    let mut request = vec![VERSION, CONNECT, RESERVED];
    push_host(&mut request, host)?;
    request.extend(port.to_be_bytes());
    stream.write_all(&request).await?;
    stream.flush().await?;
    reply(stream).await
}

/// Reads the reply, with the address that the proxy bound, which has no use here.
async fn reply(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), SocksError> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let kind = match head {
        [VERSION, 0, _, kind] => kind,
        [VERSION, code, ..] => return Err(SocksError::Refused(code)),
        _ => return Err(SocksError::NotSocks),
    };
    let address = match kind {
        IP4 => 4,
        IP6 => 16,
        NAME => usize::from(stream.read_u8().await?),
        _ => return Err(SocksError::NotSocks),
    };
    let mut bound = vec![0; address.saturating_add(PORT_LEN)];
    stream.read_exact(&mut bound).await?;
    Ok(())
}

fn push_host(request: &mut Vec<u8>, host: &str) -> Result<(), SocksError> {
    match host.parse() {
        Ok(std::net::IpAddr::V4(ip)) => {
            request.push(IP4);
            request.extend(ip.octets());
        }
        Ok(std::net::IpAddr::V6(ip)) => {
            request.push(IP6);
            request.extend(ip.octets());
        }
        Err(_) => {
            request.push(NAME);
            push_text(request, host)?;
        }
    }
    Ok(())
}

/// Appends a text after its length.
fn push_text(request: &mut Vec<u8>, text: &str) -> Result<(), SocksError> {
    let len = u8::try_from(text.len()).map_err(io::Error::other)?;
    request.push(len);
    request.extend(text.as_bytes());
    Ok(())
}

const VERSION: u8 = 5;
const LOGIN_VERSION: u8 = 1;
/// The method "user name and password".
const USER_NAME: u8 = 2;
/// The daemon isolates by the user name; the password must not be empty.
const PASSWORD: &str = "x";
const CONNECT: u8 = 1;
const RESERVED: u8 = 0;
const IP4: u8 = 1;
const NAME: u8 = 3;
const IP6: u8 = 4;
const PORT_LEN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the client against a proxy that answers with these bytes; returns the result, and what the
    /// client wrote.
    async fn against(answer: &[u8], host: &str) -> (Result<(), SocksError>, Vec<u8>) {
        let (mut client, mut proxy) = tokio::io::duplex(1024);
        proxy.write_all(answer).await.unwrap();
        let result = connect(&mut client, "user", host, 30303).await;
        drop(client);
        let mut written = Vec::new();
        proxy.read_to_end(&mut written).await.unwrap();
        (result, written)
    }

    #[tokio::test]
    async fn proxy_that_wants_no_user_name_carries_no_link() {
        let (result, written) = against(&[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0], "x.onion").await;
        assert!(matches!(result, Err(SocksError::NoIsolation)), "{result:?}");
        // The only method offered is the user name, and no target is named.
        assert_eq!(written, [5, 1, 2]);
        let (result, written) = against(&[5, 0xff], "x.onion").await;
        assert!(matches!(result, Err(SocksError::NoIsolation)), "{result:?}");
        assert_eq!(written, [5, 1, 2]);
    }

    #[tokio::test]
    async fn target_is_sent_under_the_user_name() {
        let answer = [5, 2, 1, 0, 5, 0, 0, 3, 2, b'a', b'b', 0, 1];
        let (result, written) = against(&answer, "x.onion").await;
        result.unwrap();
        let login = [&[5, 1, 2, 1, 4][..], b"user", &[1, b'x']].concat();
        let request = [&[5, 1, 0, 3, 7][..], b"x.onion", &30303_u16.to_be_bytes()].concat();
        assert_eq!(written, [login, request].concat());
    }

    #[tokio::test]
    async fn address_is_sent_as_an_address() {
        let answer = [5, 2, 1, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        for (host, sent) in [
            ("192.0.2.9", vec![1, 192, 0, 2, 9]),
            ("::1", [vec![4], vec![0; 15], vec![1]].concat()),
        ] {
            let (result, written) = against(&answer, host).await;
            result.unwrap();
            let request = [vec![5, 1, 0], sent, 30303_u16.to_be_bytes().to_vec()].concat();
            assert!(written.ends_with(&request), "{host}: {written:?}");
        }
    }

    #[tokio::test]
    async fn refusal_and_other_protocol_are_told_apart() {
        let (refused, _) = against(&[5, 2, 1, 0, 5, 4, 0, 1], "x.onion").await;
        assert!(
            matches!(refused, Err(SocksError::Refused(4))),
            "{refused:?}"
        );
        // The control port of Tor.
        let (other, _) = against(b"514 Authentication required.\r\n", "x.onion").await;
        assert!(matches!(other, Err(SocksError::NotSocks)), "{other:?}");
    }
}
