//! Attacks by programs of the same user on the node's local socket.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::attackers::Attacker;

impl Attacker {
    pub(crate) async fn ipc_noise(&mut self) -> io::Result<()> {
        let mut stream = self.connect_ipc().await?;
        let noise = match self.below(3) {
            0 => self.junk(4_096),
            1 => vec![b'['; self.below(100_000)],
            _ => b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        };
        stream.write_all(&noise).await?;
        listen(&mut stream, Duration::from_secs(1)).await;
        Ok(())
    }

    pub(crate) async fn ipc_mutants(&mut self) -> io::Result<()> {
        let mut stream = self.connect_ipc().await?;
        for _ in 0..30 {
            let request = self.request();
            let request = self.mutate(request.to_string().as_bytes());
            stream.write_all(&request).await?;
            listen(&mut stream, Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub(crate) async fn ipc_flood(&mut self) -> io::Result<()> {
        let mut stream = self.connect_ipc().await?;
        let many = json!(vec![self.request(); 64]).to_string();
        for _ in 0..20 {
            timeout(Duration::from_secs(2), stream.write_all(many.as_bytes())).await??;
        }
        Ok(())
    }

    pub(crate) async fn ipc_oversized(&mut self) -> io::Result<()> {
        let mut stream = self.connect_ipc().await?;
        stream.write_all(b"[\"").await?;
        for _ in 0..48 {
            stream.write_all(&vec![b'x'; 65_536]).await?;
        }
        listen(&mut stream, Duration::from_secs(1)).await;
        Ok(())
    }

    pub(crate) async fn connect_ipc(&self) -> io::Result<UnixStream> {
        UnixStream::connect(&self.target.ipc).await
    }

    /// A valid or invalid request without an effect.
    pub(crate) fn request(&mut self) -> Value {
        let methods = [
            ("whisht_status", json!([])),
            ("whisht_peers", json!([])),
            ("whisht_relays", json!({})),
            ("whisht_inbox", json!([3])),
            ("whisht_outbox", json!([])),
            ("whisht_identities", json!(null)),
            ("whisht_cancel", json!([7])),
            ("whisht_subscribe", json!(["events"])),
            ("whisht_unsubscribe", json!(["0x1"])),
            ("whisht_addPeer", json!(["enode://00@127.0.0.1:1"])),
            (
                "whisht_estimate",
                json!([{"to": "unknown", "payload": "00"}]),
            ),
            (
                "whisht_send",
                json!([{"to": "unknown", "payload": "00", "life": 60}]),
            ),
            ("nonsense", json!([[[[]]]])),
        ];
        let (method, params) = &methods[self.below(methods.len())];
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    }
}

/// Reads and discards for this time.
async fn listen(stream: &mut UnixStream, time: Duration) {
    let mut buffer = [0; 4_096];
    let read = async { while let Ok(1..) = stream.read(&mut buffer).await {} };
    let _over = timeout(time, read).await;
}
