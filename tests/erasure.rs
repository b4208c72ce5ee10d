//! What is left of an onion key in the memory of a node after the key has expired.
//!
//! The test runs a relay in simulated time, learns its onion key from the record that the node asks
//! the shell to store, and searches the memory of this process for it. It keeps the key with all bits
//! inverted, so that a match is the node's and not its own. Then it takes every 32 bytes of memory as
//! the key of the node's stream cipher, and searches their keystreams for the onion key. No entropy
//! comes after the key is drawn: erasure must not depend on it. The binary contains this one test,
//! because the memory of others would be searched too. It needs Linux's `/proc`.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use circuits::ids::Epoch;
use circuits::secret::Secret;
use circuits::time::{Instant, Now, UnixSecs};
use whisht::config::{Config, file};
use whisht::link::LinkKey;
use whisht::node::{Input, Node, NodeKeys, Output, Record, Restored};
use zeroize::Zeroize;

/// 32 secret bytes, inverted.
struct Inverted([u8; 32]);

impl Inverted {
    fn of(secret: &[u8; 32]) -> Self {
        let mut inverted = [0; 32];
        for (target, byte) in inverted.iter_mut().zip(secret) {
            *target = !byte;
        }
        Self(inverted)
    }

    /// Whether `window` begins with the secret.
    fn matches(&self, window: &[u8]) -> bool {
        window.iter().zip(&self.0).all(|(byte, own)| *byte == !own)
    }
}

#[test]
fn memory_holds_neither_expired_onion_key_nor_what_would_remake_it() {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    let mut relay = Relay::start(&seed);
    seed.zeroize();
    relay.reseed();
    relay.run_until(START.0 + 60);
    let key = relay.keys.remove(0);
    let in_use = count(|window| key.matches(window));
    assert!(in_use > 0, "the search finds a key that is in use");

    // A control: the search for what would remake the key finds a generator's key.
    let planted = Secret::<32>::init_with(|bytes| getrandom::fill(bytes).unwrap());
    let drawn = Inverted::of(&keystream(planted.expose())[96..128].try_into().unwrap());
    assert!(count(|window| remakes(window, &drawn)) > 0);
    drop(planted);

    let expired = Epoch::at(START).next().next().start().0 + 3_600;
    relay.run_until(expired);
    assert_eq!(
        count(|window| key.matches(window)),
        0,
        "the key is in memory"
    );
    let sources = count(|window| remakes(window, &key));
    assert_eq!(sources, 0, "what remakes the key is in memory");
}

/// Whether the keystream of these 32 bytes contains the secret.
fn remakes(window: &[u8], secret: &Inverted) -> bool {
    let mut seen = [false; 256];
    window
        .iter()
        .for_each(|byte| seen[usize::from(*byte)] = true);
    // 32 random bytes have 30 different values on average; addresses, numbers and text have few.
    if seen.iter().filter(|seen| **seen).count() < 20 {
        return false;
    }
    let stream = keystream(window.try_into().unwrap());
    let mut words = stream.windows(32).step_by(4);
    words.any(|own| secret.matches(own))
}

/// The first bytes that a generator with this key gives.
fn keystream(key: &[u8; 32]) -> Vec<u8> {
    let mut stream = vec![0; 2_048];
    ChaCha20::new(key.into(), &[0; 12].into()).apply_keystream(&mut stream);
    stream
}

/// A relay in simulated time, with a disk that keeps nothing.
struct Relay {
    node: Node,
    now: Now,
    due: Option<Instant>,
    /// The onion keys that the node asked to store.
    keys: Vec<Inverted>,
}

impl Relay {
    fn start(seed: &[u8; 32]) -> Self {
        let settings = "profile = 'local'\nnetwork = 'test'\nrelay = true\n\
                        listen = ['127.0.0.1:9']\nadvertise = ['127.0.0.1:9']\n";
        let settings = file::parse(Path::new("test"), settings).unwrap();
        let config = Config::build(settings).unwrap().node;
        let keys = NodeKeys {
            link: LinkKey::from_bytes(&mut [1; 32]).unwrap(),
            guard_seed: Secret::init_with(|seed| seed.fill(2)),
            mail_password: None,
        };
        let now = Now {
            mono: Instant::ZERO,
            unix: START,
        };
        let node = Node::new(config, keys, Restored::default(), seed, now).unwrap();
        Self {
            node,
            now,
            due: Some(now.mono),
            keys: Vec::new(),
        }
    }

    /// Passes entropy to the node.
    fn reseed(&mut self) {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).unwrap();
        self.handle(Input::Entropy(&entropy));
        entropy.zeroize();
    }

    /// Runs all timers until this second.
    fn run_until(&mut self, until: u32) {
        let end = Instant::ZERO.after(Duration::from_secs(u64::from(until - START.0)));
        while let Some(due) = self.due.filter(|due| *due <= end) {
            self.now.mono = due.max(self.now.mono);
            let passed = self.now.mono.since(Instant::ZERO).as_secs();
            self.now.unix = UnixSecs(START.0 + u32::try_from(passed).unwrap());
            self.handle(Input::Timeout);
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let mut stored = None;
        for output in self.node.handle(self.now, input) {
            match output {
                Output::Timeout(due) => self.due = Some(due),
                Output::Store(id, record) => {
                    stored = Some(id);
                    if let Record::OnionKey(_, secret) = record {
                        self.keys.push(Inverted::of(secret.expose()));
                    }
                }
                _ => {}
            }
        }
        if let Some(id) = stored {
            self.handle(Input::Stored(id));
        }
    }
}

/// The number of 32-byte values in the writable memory of this process that `matches` accepts; they
/// begin at multiples of eight.
fn count(matches: impl Fn(&[u8]) -> bool) -> usize {
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut buffer = vec![0; CHUNK + 32];
    let own = buffer.as_ptr().addr()..buffer.as_ptr().addr() + buffer.len();
    let mut found = 0;
    for (mut start, end) in writable_regions() {
        while start < end {
            let len = (end - start).min(buffer.len());
            memory
                .seek(SeekFrom::Start(start.try_into().unwrap()))
                .unwrap();
            // A region may have gone since it was listed.
            if memory.read_exact(&mut buffer[..len]).is_err() {
                break;
            }
            let windows = buffer[..len].windows(32).step_by(8).take(CHUNK / 8);
            for (at, window) in windows.enumerate() {
                if !own.contains(&(start + at * 8)) && matches(window) {
                    found += 1;
                }
            }
            start += CHUNK;
        }
    }
    buffer.zeroize();
    found
}

/// The writable regions of this process, as addresses.
fn writable_regions() -> Vec<(usize, usize)> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let region = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let parse = |address| usize::from_str_radix(address, 16).ok();
        rest.starts_with("rw")
            .then_some((parse(start)?, parse(end)?))
    };
    maps.lines().filter_map(region).collect()
}

/// Bytes that are read at once.
const CHUNK: usize = 1 << 20;

/// An hour into an epoch.
const START: UnixSecs = UnixSecs(1_750_003_200);
