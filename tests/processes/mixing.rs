//! What an observer of a relay's line can pair: the delays of the program itself, by the clock.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use circuits::cell::{Cell, HopDelay};
use circuits::cell_builder::{Hop, LayerSpec, seal};
use circuits::dispersal::Payload;
use circuits::ids::{Epoch, NetworkId, Profile, RelayId};
use circuits::keys::OnionSecret;
use circuits::secret::Secret;
use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::endpoint::{Endpoint, PeerAddr};
use whisht::link::{
    Capability, Link, LinkConfig, LinkEvent, LinkKey, LinkLimits, Packing, Priority,
};
use whisht::onion_wire::OnionMessage;

use crate::node::NodeProcess;

/// A relay delays cells by multiples of 10 ms, and adds a random part of this unit. If the part were
/// missing, most cells would leave within a millisecond of such a multiple, and an observer could
/// pair them with the cells that arrived.
///
/// Noise of a slow machine adds to the random part, and keeps the remainder flat.
#[test]
fn delays_of_the_program_leave_no_remainder() {
    let scratch = tempfile::tempdir().unwrap();
    let relay = NodeProcess::start(
        scratch.path(),
        "relay",
        &["--relay", "--listen", "127.0.0.1:0"],
    );
    let mut client = CellClient::connect(&relay);
    let mut bins = [0_u32; 10];
    for _ in 0..CELLS {
        let remainder = client.echo().as_micros() % HopDelay::UNIT.as_micros();
        bins[usize::try_from(remainder / 1_000).unwrap()] += 1;
    }
    let mean = f64::from(CELLS) / 10.0;
    let chi_square: f64 = bins
        .iter()
        .map(|count| (f64::from(*count) - mean).powi(2) / mean)
        .sum();
    // Nine degrees of freedom: more than 48 has a probability of 2 in 10^7.
    assert!(chi_square < 48.0, "{bins:?}: {chi_square}");
}

/// A client that sends cells which return to it.
struct CellClient {
    stream: TcpStream,
    link: Link,
    rng: ChaCha20Rng,
    started: Instant,
    /// The relay, and this client by the handle of the link.
    hops: [Hop; 2],
    epoch: Epoch,
    connected: bool,
    returned: Option<Instant>,
}

impl CellClient {
    fn connect(relay: &NodeProcess) -> Self {
        let peer: PeerAddr = relay.enode().parse().unwrap();
        let Endpoint::Tcp(address) = peer.endpoint else {
            panic!("a node in a process has an address");
        };
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(11);
        let config = Arc::new(LinkConfig {
            client_id: "client".to_owned(),
            listen_port: 0,
            capabilities: vec![Capability::ONION_1],
            limits: LinkLimits::default(),
        });
        let key = Arc::new(LinkKey::generate(&mut rng));
        let start = circuits::time::Instant::ZERO;
        let link = Link::dial(config, key, peer.key, &mut rng, start).unwrap();
        let me = *OnionSecret::generate(&mut rng).public();
        let epoch = current_epoch();
        let hop = Hop {
            id: peer.key.id(),
            onion: onion_key(relay, epoch),
        };
        let mut client = Self {
            stream,
            link,
            rng,
            started: Instant::now(),
            hops: [
                hop,
                Hop {
                    id: RelayId([0; 32]),
                    onion: me,
                },
            ],
            epoch,
            connected: false,
            returned: None,
        };
        client.wait(|client| client.connected);
        let handle = client.link.handle().unwrap();
        client.hops[1].id.0[..16].copy_from_slice(&handle.0);
        let network = NetworkId::new(Profile::Local, "processes");
        let time = None;
        let status = OnionMessage::Status {
            network,
            epoch,
            time,
        };
        client.send(&status, Priority::Control);
        client
    }

    /// Sends one cell, and waits until it is back. Returns the time.
    fn echo(&mut self) -> Duration {
        // Longer than a disk takes to make the replay tag durable.
        let delay = HopDelay::from_units(6).unwrap();
        let layers = [delay, HopDelay::ZERO]
            .iter()
            .zip(self.hops)
            .map(|(delay, hop)| LayerSpec { hop, delay: *delay })
            .collect::<Vec<_>>();
        let delta = Payload::Drop.emit(&mut self.rng);
        let cell: Cell = seal(&mut self.rng, self.epoch, &layers, false, &delta).unwrap();
        self.returned = None;
        let sent = Instant::now();
        self.send(
            &OnionMessage::Cell(Box::new(*cell.as_bytes())),
            Priority::Cell,
        );
        self.wait(|client| client.returned.is_some());
        // The quota of a link is 20 cells a second.
        let rest = Duration::from_millis(75).saturating_sub(sent.elapsed());
        std::thread::sleep(rest);
        self.returned.unwrap() - sent
    }

    fn send(&mut self, message: &OnionMessage, priority: Priority) {
        let payload = message.encode().unwrap();
        let code = u16::from(message.code());
        self.link
            .send(
                priority,
                Capability::ONION_1,
                code,
                payload,
                Packing::Literal,
            )
            .unwrap();
        self.write();
    }

    fn write(&mut self) {
        let now = self.now();
        while let Some(bytes) = self.link.poll_transmit(now, usize::MAX) {
            self.stream.write_all(&bytes).unwrap();
        }
    }

    /// Reads until the condition holds.
    fn wait(&mut self, until: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !until(self) {
            assert!(started.elapsed() < WAIT_TIMEOUT, "the relay is silent");
            self.write();
            let mut buffer = [0; 16_384];
            match self.stream.read(&mut buffer) {
                Ok(0) => panic!("the relay disconnects"),
                Ok(len) => {
                    let now = self.now();
                    self.link
                        .receive(now, &mut self.rng, &buffer[..len])
                        .unwrap();
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("{error}"),
            }
            while let Some(event) = self.link.poll_event() {
                match event {
                    LinkEvent::Connected { .. } => self.connected = true,
                    LinkEvent::Message { code: CELL, .. } => self.returned = Some(Instant::now()),
                    LinkEvent::Message { .. } => {}
                    LinkEvent::Disconnected(reason) => panic!("{reason}"),
                }
            }
        }
        self.write();
    }

    fn now(&self) -> circuits::time::Instant {
        let micros = self.started.elapsed().as_micros();
        circuits::time::Instant::from_micros(u64::try_from(micros).unwrap())
    }
}

fn current_epoch() -> Epoch {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    Epoch::at(UnixSecs(u32::try_from(now).unwrap()))
}

/// The public half of the relay's onion key, from its data directory: a relay without peers
/// publishes no descriptor.
fn onion_key(relay: &NodeProcess, epoch: Epoch) -> circuits::keys::OnionPublic {
    let path = relay.dir().join("onion").join(format!("{}.key", epoch.0));
    let started = Instant::now();
    let digits = loop {
        match fs::read_to_string(&path) {
            Ok(digits) => break digits,
            Err(error) => assert!(started.elapsed() < WAIT_TIMEOUT, "{error}"),
        }
        std::thread::sleep(READ_TIMEOUT);
    };
    let mut bytes: [u8; 32] = hex::decode(digits.trim()).unwrap().try_into().unwrap();
    *OnionSecret::from_secret(Secret::take(&mut bytes)).public()
}

/// The code of a cell in `onion/1`.
const CELL: u16 = 3;
const CELLS: u32 = 240;
const READ_TIMEOUT: Duration = Duration::from_millis(5);
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
