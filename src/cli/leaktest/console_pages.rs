//! A step of the workload: opens the console and loads its pages, as a browser on this machine does.
//!
//! The step shows that serving pages makes the node call nothing but loopback.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Loads the pages behind a one-time URL.
///
/// # Errors
///
/// What the console answered instead, or the error of the connection.
pub(super) async fn visit(url: &str) -> Result<(), String> {
    let (host, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .ok_or("the console has no URL of the known form")?;
    let (_, port) = host.rsplit_once(':').ok_or("the URL has no port")?;
    let port = port.parse().map_err(|_| "the URL has no port")?;
    let console = ConsolePages {
        host,
        place: (Ipv4Addr::LOCALHOST, port).into(),
    };
    let opened = console.get(path, "").await?;
    let cookie = cookie(&opened).ok_or_else(|| format!("login: {}", status(&opened)))?;
    for page in PAGES {
        let answer = console.get(page, cookie).await?;
        if status(&answer) != "200" {
            return Err(format!("/{page}: {}", status(&answer)));
        }
    }
    Ok(())
}

struct ConsolePages<'a> {
    host: &'a str,
    place: SocketAddr,
}

impl ConsolePages<'_> {
    async fn get(&self, path: &str, cookie: &str) -> Result<String, String> {
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n",
            self.host
        );
        let exchange = async {
            let mut stream = TcpStream::connect(self.place).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.take(MAX_PAGE).read_to_end(&mut answer).await?;
            Ok::<_, io::Error>(String::from_utf8_lossy(&answer).into_owned())
        };
        exchange.await.map_err(|error| error.to_string())
    }
}

/// The status of an answer.
fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// The name and value of the cookie that an answer sets.
fn cookie(answer: &str) -> Option<&str> {
    let header = answer
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))?;
    header.split(';').next()
}

/// The pages that need no conversation.
const PAGES: [&str; 12] = [
    "",
    "send",
    "outbox",
    "unlock",
    "card",
    "network",
    "files",
    "files/new",
    "settings",
    "panic",
    "app.css",
    "app.js",
];
/// Bytes of a page that are read; pages are far smaller.
const MAX_PAGE: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_is_name_and_value_without_attributes() {
        let answer = "HTTP/1.1 303 See Other\r\nset-cookie: whisht=ab; HttpOnly; Path=/\r\n\r\n";
        assert_eq!(cookie(answer), Some("whisht=ab"));
        assert_eq!(status(answer), "303");
        assert_eq!(cookie("HTTP/1.1 410 Gone\r\n\r\n"), None);
    }
}
