//! Arbitrary bytes as a packet of discovery: decoded, encoded again, and passed to the state
//! machine.
//!
//! A fuzzer forges no hashes or signatures, so most mutations are refused for these. The corpus
//! contains valid packets of every type.

use std::net::SocketAddr;
use std::sync::Arc;

use circuits::time::{Instant, Now, UnixSecs};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::discovery::{
    Discovery, DiscoveryConfig, DiscoveryPacket, decode_packet, encode_packet,
};
use whisht::link::LinkKey;

/// Decodes, encodes and receives. Panics if a rule is broken.
pub fn discv4_packet(data: &[u8]) {
    let key = Arc::new(LinkKey::generate(&mut ChaCha20Rng::from_seed([1; 32])));
    if let Ok(opened) = decode_packet(data, UnixSecs(0)) {
        if let DiscoveryPacket::Neighbors(contacts) = &opened.packet {
            assert!(contacts.len() <= DiscoveryPacket::MAX_NEIGHBORS);
        }
        let (bytes, hash) = encode_packet(&opened.packet, UnixSecs(1), &key);
        let again = decode_packet(&bytes, UnixSecs(1)).expect("an encoded packet decodes");
        assert_eq!(again.packet, opened.packet);
        assert_eq!((again.hash, again.from), (hash, key.public()));
    }
    receive(key, data);
}

/// For every packet, the state machine sends at most an answer and a question, to the packet's
/// source.
fn receive(key: Arc<LinkKey>, data: &[u8]) {
    let now = Now {
        mono: Instant::from_micros(1),
        unix: UnixSecs(0),
    };
    let from: SocketAddr = ([11, 1, 1, 1], 30303).into();
    let config = DiscoveryConfig {
        bootnodes: Vec::new(),
        own: vec![([12, 1, 1, 1], 30303).into()],
        loopback_only: false,
    };
    let mut machine = Discovery::new(config, key, &[2; 32], now.mono);
    machine.receive(now, from, data);
    let sent: Vec<_> = std::iter::from_fn(|| machine.poll_transmit()).collect();
    assert!(sent.len() <= 2 && sent.iter().all(|(to, _)| *to == from));
    assert_eq!(machine.known(), 0, "no node is trusted at once");
}
