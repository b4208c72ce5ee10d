//! Attacks on JSON-RPC over HTTP and WebSocket, by programs with the token and without it.

use std::io;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::attackers::Attacker;
use crate::connection::{until_closed, write};

impl Attacker {
    pub(crate) async fn http_noise(&mut self) -> io::Result<()> {
        let mut stream = self.connect_http().await?;
        match self.below(4) {
            0 => write(&mut stream, &self.junk(8_192)).await?,
            // A header section without an end.
            1 => {
                write(&mut stream, b"POST / HTTP/1.1\r\n").await?;
                for _ in 0..40 {
                    let field = [b"x: ".to_vec(), vec![b'y'; 1_000], b"\r\n".to_vec()].concat();
                    write(&mut stream, &field).await?;
                }
            }
            // Without a token, and with more data than the node reads.
            2 => {
                let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 90000000\r\n\r\n";
                write(&mut stream, head.as_bytes()).await?;
                for _ in 0..64 {
                    write(&mut stream, &vec![b'['; 65_536]).await?;
                }
            }
            _ => {}
        }
        until_closed(&mut stream, Duration::from_secs(3)).await;
        Ok(())
    }

    pub(crate) async fn http_mutants(&mut self) -> io::Result<()> {
        for _ in 0..20 {
            let body = self.mutant_request();
            let mut request = self.post(&body);
            if self.below(3) == 0 {
                request = self.mutate(&request);
            }
            let mut stream = self.connect_http().await?;
            write(&mut stream, &request).await?;
            until_closed(&mut stream, Duration::from_millis(50)).await;
        }
        Ok(())
    }

    pub(crate) async fn http_flood(&mut self) -> io::Result<()> {
        let request = self.request().to_string();
        let many = self.post(request.as_bytes()).repeat(64);
        let mut stream = self.connect_http().await?;
        for _ in 0..20 {
            timeout(Duration::from_secs(2), stream.write_all(&many)).await??;
        }
        Ok(())
    }

    pub(crate) async fn websocket_mutants(&mut self) -> io::Result<()> {
        let mut socket = self.connect_websocket().await?;
        for _ in 0..30 {
            let request = self.mutant_request();
            let message = match self.below(4) {
                0 => Message::binary(request),
                1 => Message::Ping(self.junk(125).into()),
                _ => Message::text(String::from_utf8_lossy(&request).into_owned()),
            };
            socket.send(message).await.map_err(io::Error::other)?;
            let _nothing = timeout(Duration::from_millis(20), socket.next()).await;
        }
        // Without the frames that the protocol prescribes.
        let junk = self.junk(4_096);
        write(socket.get_mut(), &junk).await?;
        until_closed(socket.get_mut(), Duration::from_secs(1)).await;
        Ok(())
    }

    pub(crate) async fn websocket_never_reads(&mut self) -> io::Result<()> {
        let mut socket = self.connect_websocket().await?;
        let ask = |method: &str, params: Value| {
            let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
            Message::text(request.to_string())
        };
        for _ in 0..80 {
            let subscription = ask("whisht_subscribe", json!(["events"]));
            let sent = socket.send(subscription);
            sent.await.map_err(io::Error::other)?;
        }
        for _ in 0..2_000 {
            let request = ask("whisht_status", json!([]));
            match timeout(Duration::from_secs(2), socket.send(request)).await {
                Ok(sent) => sent.map_err(io::Error::other)?,
                Err(_) => break,
            }
        }
        sleep(Duration::from_secs(5)).await;
        Ok(())
    }

    async fn connect_http(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.target.rpc).await
    }

    async fn connect_websocket(&self) -> io::Result<WebSocketStream<TcpStream>> {
        let stream = self.connect_http().await?;
        let url = format!("ws://{}", self.target.rpc);
        let mut request = url.into_client_request().unwrap();
        let shown = format!("Bearer {}", self.target.token).parse().unwrap();
        request.headers_mut().insert("authorization", shown);
        let opened = tokio_tungstenite::client_async(request, stream).await;
        opened.map(|(socket, _)| socket).map_err(io::Error::other)
    }

    /// A request over HTTP from a program with the token.
    fn post(&self, body: &[u8]) -> Vec<u8> {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.target.token,
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    /// A mutated request, except valid commands that change the node's policy: a program with the
    /// token may raise the minimum work, and the honest messages would then be refused rightly.
    fn mutant_request(&mut self) -> Vec<u8> {
        loop {
            let request = match self.below(2) {
                0 => self.mutant("rpc_request"),
                _ => {
                    let request = self.request().to_string();
                    self.mutate(request.as_bytes())
                }
            };
            let is_wish = |name: &[u8]| name.eq_ignore_ascii_case(b"shh_set");
            if !request.windows(7).any(is_wish) {
                return request;
            }
        }
    }
}
