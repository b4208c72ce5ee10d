//! Clients of the RPC endpoints, honest or not: HTTP by the byte, WebSocket by the frame.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};
use whisht::config::{Config, file};
use whisht::shell::runtime::{DataLocation, RunningNode};

/// Only bounds the wait; an idle machine needs far less.
pub(crate) const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);

/// A node in a network of this test's own, with HTTP and WebSocket at one port.
pub(crate) async fn node(more: &str) -> RunningNode {
    RunningNode::open(config(more), &DataLocation::Ephemeral, None)
        .await
        .unwrap()
}

/// The same in a data directory.
pub(crate) async fn node_in(dir: &Path, more: &str) -> RunningNode {
    RunningNode::open(config(more), &DataLocation::Directory(dir.to_owned()), None)
        .await
        .unwrap()
}

/// The node's settings, and further lines; those of the table `[rpc]` come last.
fn config(more: &str) -> Config {
    let base = "profile = 'local'\nnetwork = 'rpc-test'\nlevel = 'open'\nthreads = 1\n\
                listen = ['127.0.0.1:0']\n[rpc]\n";
    let mut text = format!("{base}{more}\n");
    for endpoint in ["http", "ws"] {
        if !more.contains(&format!("{endpoint} = ")) {
            text += &format!("{endpoint} = '127.0.0.1:0'\n");
        }
    }
    Config::build(file::parse(Path::new("test"), &text).unwrap()).unwrap()
}

/// The HTTP address.
pub(crate) fn http(host: &RunningNode) -> SocketAddr {
    host.rpc().http().unwrap()
}

/// The token of TCP clients.
pub(crate) fn token(host: &RunningNode) -> String {
    std::fs::read_to_string(host.rpc().token_path().unwrap()).unwrap()
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl HttpAnswer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

/// A request of an honest program with the token. A header with the name of a default one replaces
/// it; an empty header removes it.
pub(crate) fn request(
    host: &RunningNode,
    method: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Vec<u8> {
    let own = [
        ("host", http(host).to_string()),
        ("authorization", authorization(host)),
        ("content-type", "application/json".to_owned()),
        ("content-length", body.len().to_string()),
        ("connection", "close".to_owned()),
    ];
    let mut head = format!("{method} / HTTP/1.1\r\n");
    let is_given = |name: &str| {
        headers
            .iter()
            .any(|(given, _)| given.eq_ignore_ascii_case(name))
    };
    for (name, value) in own.iter().filter(|(name, _)| !is_given(name)) {
        head += &format!("{name}: {value}\r\n");
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        head += &format!("{name}: {value}\r\n");
    }
    format!("{head}\r\n{body}").into_bytes()
}

fn authorization(host: &RunningNode) -> String {
    match host.rpc().token_path() {
        Some(_) => format!("Bearer {}", token(host)),
        None => String::new(),
    }
}

/// Sends bytes to the HTTP address and reads until the node closes.
pub(crate) async fn exchange(host: &RunningNode, sent: &[u8]) -> HttpAnswer {
    let mut stream = TcpStream::connect(http(host)).await.unwrap();
    // The node may answer and close before it has read everything.
    let _ = stream.write_all(sent).await;
    read_answer(&mut stream).await
}

/// Reads a response until the node closes.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> HttpAnswer {
    let mut received = Vec::new();
    // A reset connection may still have delivered the response.
    let _ = timeout(CLIENT_TIMEOUT, stream.read_to_end(&mut received))
        .await
        .expect("an answer, and then the end");
    let text = String::from_utf8(received).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    HttpAnswer {
        status: status.unwrap_or_default(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Sends a text by POST like an honest program, with these headers.
pub(crate) async fn post(host: &RunningNode, headers: &[(&str, &str)], body: &str) -> HttpAnswer {
    exchange(host, &request(host, "POST", headers, body)).await
}

/// Calls a method over HTTP.
pub(crate) async fn call(host: &RunningNode, method: &str, params: Value) -> Value {
    post(host, &[], &rpc(1, method, params)).await.json()
}

/// The text of a request.
pub(crate) fn rpc(id: u64, method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

/// A client over WebSocket.
pub(crate) struct Ws(WebSocketStream<TcpStream>);

impl Ws {
    /// Connects like an honest program.
    pub(crate) async fn connect(host: &RunningNode) -> Self {
        let shown = authorization(host);
        match Self::try_connect(host, "/", &[("authorization", &shown)]).await {
            Ok(ws) => ws,
            Err(status) => panic!("refused: {status}"),
        }
    }

    /// Connects, or returns the HTTP status of the refusal.
    pub(crate) async fn try_connect(
        host: &RunningNode,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, u16> {
        let at = host.rpc().ws().unwrap();
        let stream = TcpStream::connect(at).await.unwrap();
        let mut request = format!("ws://{at}{path}").into_client_request().unwrap();
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            let name: HeaderName = name.parse().unwrap();
            request
                .headers_mut()
                .insert(name, HeaderValue::from_str(value).unwrap());
        }
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// Sends, and returns whether the node still accepted it.
    pub(crate) async fn try_send(&mut self, text: &str) -> bool {
        self.0.send(Message::text(text)).await.is_ok()
    }

    /// The next text; `None` if the node closes.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        self.next_text()
            .await
            .map(|text| serde_json::from_str(&text).unwrap())
    }

    pub(crate) async fn next_text(&mut self) -> Option<String> {
        loop {
            let message = timeout(CLIENT_TIMEOUT, self.0.next())
                .await
                .expect("a message");
            match message {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(other)) => panic!("{other:?}"),
            }
        }
    }

    /// The close code, if the node sends one.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        let message = timeout(CLIENT_TIMEOUT, self.0.next())
            .await
            .expect("a message");
        match message {
            Some(Ok(Message::Close(Some(frame)))) => Some(frame.code.into()),
            _ => None,
        }
    }

    /// Whether nothing arrives for a while.
    pub(crate) async fn is_silent(&mut self, time: Duration) -> bool {
        timeout(time, self.0.next()).await.is_err()
    }

    /// Calls a method; asserts that the answer is the next message.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(&rpc(7, method, params)).await;
        let answer = self.next().await.expect("an answer");
        assert_eq!(answer["id"], 7, "{answer}");
        answer
    }

    /// Calls a method that succeeds.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.call(method, params).await;
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].take()
    }
}

/// Calls a method over the local socket.
pub(crate) async fn ipc(host: &RunningNode, method: &str, params: Value) -> Value {
    let mut stream = UnixStream::connect(host.ipc_path()).await.unwrap();
    let sent = rpc(1, method, params);
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"\n") {
        let read = timeout(CLIENT_TIMEOUT, stream.read_buf(&mut received)).await;
        assert_ne!(read.expect("an answer").unwrap(), 0, "the node disconnects");
    }
    serde_json::from_slice(&received).unwrap()
}
