//! Attacks that follow the rules, and take what honest peers need: places, turns, queues, memory.
//!
//! Each is one attacker's part of an attack that many make at once, with a bounded number of
//! connections and bytes.

use std::io;
use std::time::Duration;

use circuits::ids::Epoch;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use whisht::envelope::Envelope;
use whisht::gossip::packet::{code, outgoing};
use whisht::link::Capability;
use whisht::onion_wire::OnionMessage;

use crate::attackers::Attacker;
use crate::connection::{PeerConnection, connect, new_key, write};
use crate::envelope_attacks::{shh, unix_now};
use crate::frame_attacks::SHH_MESSAGES;
use crate::handshake_attacks::RawConnection;

impl Attacker {
    /// Tiny envelopes that pay the minimum for a short life, in a steady stream.
    pub(crate) async fn paid_trickle(&mut self) -> io::Result<()> {
        let mut connection = self.peer().await?;
        for _ in 0..100 {
            let junk: Vec<_> = (0..10).map(|_| self.envelope_with_pow(15, 20)).collect();
            shh(&mut connection, code::MESSAGES, outgoing::messages(&junk)).await?;
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Envelopes that cost every key pair of the node a whole decryption: each begins with a point
    /// of the curve.
    pub(crate) async fn curve_points(&mut self) -> io::Result<()> {
        let mut connection = self.peer().await?;
        let junk: Vec<_> = (0..300).map(|_| self.envelope_with_curve_point()).collect();
        for some in junk.chunks(50) {
            shh(&mut connection, code::MESSAGES, outgoing::messages(some)).await?;
        }
        connection.drain_for(Duration::from_secs(1)).await;
        Ok(())
    }

    fn envelope_with_curve_point(&mut self) -> Envelope {
        let point = new_key(&mut self.rng).public();
        self.envelope_with_data_start(&[&[4], &point.0[..]].concat(), 200, 30)
    }

    /// Links for cells only, which bring none.
    pub(crate) async fn idle_cell_links(&mut self) -> io::Result<()> {
        let mut links = Vec::new();
        for _ in 0..IDLE_LINKS {
            let only_cells = [Capability::ONION_1];
            let opened = PeerConnection::open(&self.target, &mut self.rng, &only_cells).await;
            let Ok(mut link) = opened else { continue };
            if self.below(2) == 0 {
                let (network, epoch) = (self.target.network, Epoch::at(unix_now()));
                let status = OnionMessage::Status {
                    network,
                    epoch,
                    time: None,
                };
                link.send_onion(&status).await?;
            }
            links.push(link);
        }
        sleep(HOLD_TIME).await;
        Ok(())
    }

    /// Gossip peers that bring nothing.
    pub(crate) async fn idle_gossip_links(&mut self) -> io::Result<()> {
        let mut links = Vec::new();
        for _ in 0..IDLE_LINKS / 2 {
            if let Ok(link) = self.peer().await {
                links.push(link);
            }
        }
        sleep(HOLD_TIME).await;
        Ok(())
    }

    /// Connections without a handshake, as fast as they can be opened.
    pub(crate) async fn silent_connections(&mut self) -> io::Result<()> {
        let mut streams = Vec::new();
        for _ in 0..IDLE_LINKS * 4 {
            streams.push(connect(&self.target).await?);
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Several links, each with a frame of the largest size that never ends.
    pub(crate) async fn unfinished_frames(&mut self) -> io::Result<()> {
        let mut links = Vec::new();
        for _ in 0..4 {
            let mut raw = RawConnection::with_hello(&self.target, &mut self.rng).await?;
            let mut wire = raw.seal(SHH_MESSAGES, &vec![0; 2_400_000]);
            wire.truncate(2_300_000);
            // The node may end the link before it has taken everything.
            if write(&mut raw.stream, &wire).await.is_ok() {
                links.push(raw);
            }
        }
        sleep(Duration::from_secs(2)).await;
        Ok(())
    }

    /// Peers that say their status, take what the pool offers first, and leave.
    pub(crate) async fn arrivals(&mut self) -> io::Result<()> {
        for _ in 0..20 {
            let mut connection = self.peer().await?;
            connection.drain_for(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// A short batch with a long answer.
    pub(crate) async fn batch_bomb(&mut self) -> io::Result<()> {
        let batch = json!(vec![call("whisht_peers", &json!([])); 512]);
        self.request_over_ipc(&batch).await
    }

    /// Passwords to derive keys from, more than the node has processors.
    pub(crate) async fn passwords(&mut self) -> io::Result<()> {
        let derive = |number: usize| {
            let password = json!([format!("password {number}")]);
            call("shh_generateSymKeyFromPassword", &password)
        };
        let batch: Vec<_> = (0..8).map(derive).collect();
        self.request_over_ipc(&json!(batch)).await
    }

    /// Sends a request, and reads and discards the answer for a while.
    async fn request_over_ipc(&self, request: &Value) -> io::Result<()> {
        let mut stream = self.connect_ipc().await?;
        stream.write_all(request.to_string().as_bytes()).await?;
        let mut buffer = vec![0; 65_536];
        let read = async { while let Ok(1..) = stream.read(&mut buffer).await {} };
        let _over = timeout(Duration::from_secs(4), read).await;
        Ok(())
    }
}

fn call(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// Links that one attacker holds.
const IDLE_LINKS: usize = 24;
/// Time for which they are held.
const HOLD_TIME: Duration = Duration::from_secs(10);
