//! The honest peers: two correspondents, and a relay that sends cells.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use circuits::cell::HopDelay;
use circuits::cell_builder::{Hop, LayerSpec, seal};
use circuits::directory::{Descriptor, DescriptorRequest, Requirements};
use circuits::dispersal::Payload;
use circuits::ids::{Epoch, Profile, RelayId};
use circuits::keys::OnionSecret;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use whisht::link::{Capability, LinkEvent};
use whisht::onion_wire::OnionMessage;
use whisht::shell::rpc::RpcClient;

use crate::connection::PeerConnection;
use crate::envelope_attacks::unix_now;
use crate::testbed::{TargetNode, Testbed, ipc_socket};

/// Two correspondents who write to each other in turn.
pub(crate) struct MessageExchange {
    correspondents: [Correspondent; 2],
    times: Vec<Duration>,
}

/// A user with a node.
struct Correspondent {
    client: RpcClient,
    key: String,
    /// The id of the last message read.
    read: Option<String>,
}

impl MessageExchange {
    pub(crate) async fn new(testbed: &Testbed) -> Self {
        let [ann, ben] = testbed.honest();
        Self {
            correspondents: [
                Correspondent::new(&ipc_socket(ann)).await,
                Correspondent::new(&ipc_socket(ben)).await,
            ],
            times: Vec::new(),
        }
    }

    /// Exchanges messages until `time` is over.
    pub(crate) async fn run(mut self, time: Duration) -> Self {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.exchange().await;
            sleep(SEND_INTERVAL).await;
        }
        self
    }

    /// One writes, the other reads; the roles alternate.
    pub(crate) async fn exchange(&mut self) {
        let begun = Instant::now();
        let number = self.times.len();
        let [one, other] = &mut self.correspondents;
        let (writer, reader) = match number % 2 {
            0 => (one, other),
            _ => (other, one),
        };
        let text = hex::encode(format!("message number {number}"));
        let sent = writer.send(&reader.key, &text).await;
        if timeout(DELIVERY_TIMEOUT, reader.receive(&text))
            .await
            .is_err()
        {
            for correspondent in &mut self.correspondents {
                correspondent.print_status().await;
            }
            panic!("message number {number} did not arrive within {DELIVERY_TIMEOUT:?}");
        }
        self.times.push(begun.elapsed());
        // The message has arrived; the sender's confirmation from two peers is irrelevant.
        let _over = writer.client.call("whisht_cancel", json!([sent])).await;
    }
}

impl Correspondent {
    async fn new(socket: &std::path::Path) -> Self {
        let mut client = RpcClient::connect(socket).await.unwrap();
        let identity = json!([{"name": "desk", "password": ""}]);
        let identity = client.call("whisht_newIdentity", identity).await.unwrap();
        Self {
            client,
            key: identity["public_key"].as_str().unwrap().to_owned(),
            read: None,
        }
    }

    async fn send(&mut self, to: &str, payload: &str) -> Value {
        let message = json!([{"to": to, "payload": payload, "level": "open", "life": 60}]);
        self.client.call("whisht_send", message).await.unwrap()
    }

    /// Prints what may explain that a message was lost.
    async fn print_status(&mut self) {
        for method in ["whisht_status", "whisht_peers"] {
            let told = self.client.call(method, json!([])).await.unwrap();
            println!("{method}: {told}");
        }
        let outbox = self.client.call("whisht_outbox", json!([])).await.unwrap();
        println!(
            "last of the outbox: {:?}",
            outbox.as_array().unwrap().last()
        );
    }

    async fn receive(&mut self, payload: &str) {
        loop {
            let after = json!({"after": self.read});
            let messages = self.client.call("whisht_inbox", after).await.unwrap();
            for message in messages.as_array().unwrap() {
                self.read = message["id"].as_str().map(str::to_owned);
                if message["payload"] == payload {
                    return;
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl fmt::Display for MessageExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.times.clone();
        times.sort();
        let (middle, worst) = (times[times.len() / 2], times[times.len() - 1]);
        write!(
            f,
            "messages: {} sent, all arrived; half within {middle:.1?}, all within {worst:.1?}",
            times.len()
        )
    }
}

/// A relay whose cells the node sends back to it.
pub(crate) struct CellEcho {
    target: Arc<TargetNode>,
    rng: ChaCha20Rng,
    connections: usize,
    sent: usize,
    returned: usize,
}

impl CellEcho {
    pub(crate) fn new(target: &Arc<TargetNode>, seed: u64) -> Self {
        Self {
            target: Arc::clone(target),
            rng: ChaCha20Rng::seed_from_u64(seed),
            connections: 0,
            sent: 0,
            returned: 0,
        }
    }

    /// Sends cells at intervals until `time` is over.
    pub(crate) async fn run(mut self, time: Duration) -> Self {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.connections += 1;
            if let Ok(Some(())) = timeout(CELL_TIMEOUT, self.send_one()).await {
                self.returned += 1;
            }
            sleep(SEND_INTERVAL).await;
        }
        self
    }

    /// One cell, on a connection of its own; `None` if it does not return.
    async fn send_one(&mut self) -> Option<()> {
        let only_cells = [Capability::ONION_1];
        let mut connection = PeerConnection::open(&self.target, &mut self.rng, &only_cells)
            .await
            .ok()?;
        let epoch = Epoch::at(unix_now());
        let network = self.target.network;
        connection
            .send_onion(&OnionMessage::Status {
                network,
                epoch,
                time: None,
            })
            .await
            .ok()?;
        let hop = self.ask_hop(&mut connection, epoch).await?;
        let myself = *OnionSecret::generate(&mut self.rng).public();
        // A relay forwards to a peer outside the directory by the handle of its link only.
        let mut own = RelayId([0; 32]);
        own.0[..16].copy_from_slice(&connection.link.handle()?.0);
        let hops = [
            hop,
            Hop {
                id: own,
                onion: myself,
            },
        ];
        let layers = hops.map(|hop| LayerSpec {
            hop,
            delay: HopDelay::ZERO,
        });
        let delta = Payload::Drop.emit(&mut self.rng);
        let cell = seal(&mut self.rng, epoch, &layers, false, &delta).unwrap();
        connection
            .send_onion(&OnionMessage::Cell(Box::new(*cell.as_bytes())))
            .await
            .ok()?;
        self.sent += 1;
        loop {
            if let OnionMessage::Cell(_) = connection.next_onion().await? {
                return Some(());
            }
        }
    }

    /// Asks the target for its descriptor, which has its onion key.
    async fn ask_hop(&self, connection: &mut PeerConnection, epoch: Epoch) -> Option<Hop> {
        let question = OnionMessage::GetDescriptors(DescriptorRequest {
            epoch,
            bucket: None,
            have: Vec::new(),
        });
        connection.send_onion(&question).await.ok()?;
        let terms = Requirements::new(self.target.network, Profile::Local);
        let id = self.target.key.id();
        loop {
            let OnionMessage::Descriptors(raw) = connection.next_onion().await? else {
                continue;
            };
            let relays = raw
                .iter()
                .filter_map(|raw| Descriptor::decode(raw).ok()?.verify(&terms).ok());
            let mut onions = relays
                .filter(|relay| relay.id() == id)
                .filter_map(|relay| relay.onion(epoch).copied());
            if let Some(onion) = onions.next() {
                return Some(Hop { id, onion });
            }
        }
    }

    /// Fails unless nearly all connections brought a cell back. The accept limiter may drop a connection.
    pub(crate) fn assert_returned(&self) {
        assert!(
            self.returned > 0 && self.returned * 10 >= self.connections * 9,
            "{self}"
        );
    }
}

impl fmt::Display for CellEcho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cells: {} connections, {} sent, {} returned",
            self.connections, self.sent, self.returned
        )
    }
}

impl PeerConnection {
    /// The next message of `onion/1`; `None` once the connection has ended.
    async fn next_onion(&mut self) -> Option<OnionMessage> {
        loop {
            match self.next().await? {
                LinkEvent::Message {
                    capability: Capability::ONION_1,
                    code,
                    payload,
                } => {
                    let message = OnionMessage::decode(u8::try_from(code).ok()?, &payload);
                    if let Some(message) = message.ok()? {
                        return Some(message);
                    }
                }
                LinkEvent::Disconnected(_) => return None,
                _ => {}
            }
        }
    }
}

/// Timeout of a delivery: far above the usual time, even on a busy machine.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for one cell without delays.
const CELL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two messages.
const SEND_INTERVAL: Duration = Duration::from_millis(200);
