//! Handshake packets of unknown peers.
//!
//! The first byte selects the use of the rest: bytes that an unknown peer sends to an accepted or
//! dialled link, or the plaintext of a validly encrypted packet, which only the reader's parser can
//! refuse.

use std::sync::Arc;

use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::ecies;
use whisht::link::handshake::{Ack, Auth, Reading, respond};
use whisht::link::{Capability, Link, LinkConfig, LinkKey, LinkLimits, PeerFault};

/// Reads one input. Panics if a rule is broken.
pub fn rlpx_handshake(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    // The recipients of the recorded packets, so that these decrypt.
    let [dialler, acceptor] = [DIALLER, ACCEPTOR].map(|mut secret| {
        let key = LinkKey::from_bytes(&mut secret);
        Arc::new(key.expect("a published key"))
    });
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    match choice % 4 {
        0 => unknown_peer(Link::accept(config(), acceptor, Instant::ZERO), rest),
        1 => {
            let remote = acceptor.public();
            let link = Link::dial(config(), dialler, remote, &mut rng, Instant::ZERO);
            unknown_peer(link.expect("a key is a point"), rest);
        }
        2 => plaintext(&acceptor, rest, Auth::LEN, |packet| {
            let read = Auth::read(&acceptor, packet)?;
            if let Reading::Done(auth, format) = &read {
                let answer = respond(&acceptor, auth, *format, packet, &mut rng);
                assert!(answer.is_err() || auth.signature[64] < 4);
            }
            Ok(matches!(read, Reading::Done(..)))
        }),
        _ => plaintext(&dialler, rest, Ack::LEN, |packet| {
            Ok(matches!(Ack::read(&dialler, packet)?, Reading::Done(..)))
        }),
    }
}

/// A link survives all bytes of an unknown peer, and reacts alike to one chunk and to two.
fn unknown_peer(mut link: Link, bytes: &[u8]) {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let result = link.receive(Instant::ZERO, &mut rng, bytes);
    assert_eq!(link.is_closing(), result.is_err());
    assert!(!link.is_open(), "a forged frame is impossible");
    assert_eq!(link.poll_event(), None);
}

/// Only the plaintext decides on an encrypted packet; a packet without its last byte is never
/// accepted.
fn plaintext(
    reader: &LinkKey,
    body: &[u8],
    least: usize,
    mut read: impl FnMut(&[u8]) -> Result<bool, PeerFault>,
) {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let mut padded = body.to_vec();
    padded.resize(body.len().clamp(least, MAX_BODY), 0);
    let size = u16::try_from(padded.len() + ecies::OVERHEAD).expect("below 2,048");
    let prefix = size.to_be_bytes();
    let recipient = reader.expose().public_key();
    let mut packet = prefix.to_vec();
    packet.extend(ecies::encrypt(&mut rng, &recipient, &prefix, &padded));
    match read(&packet) {
        Ok(done) => assert!(done, "a whole packet needs no more"),
        Err(fault) => assert!(matches!(
            fault,
            PeerFault::HandshakeMalformed | PeerFault::HandshakeLength
        )),
    }
    packet.pop();
    assert_eq!(read(&packet), Ok(false));
}

fn config() -> Arc<LinkConfig> {
    Arc::new(LinkConfig {
        client_id: String::new(),
        listen_port: 0,
        capabilities: vec![Capability::SHH_6],
        limits: LinkLimits::default(),
    })
}

/// Longest plaintext of a packet that a reader accepts.
const MAX_BODY: usize = 2_048 - ecies::OVERHEAD;

/// The keys of the examples in EIP-8.
const DIALLER: [u8; 32] = [
    0x49, 0xa7, 0xb3, 0x7a, 0xa6, 0xf6, 0x64, 0x59, 0x17, 0xe7, 0xb8, 0x07, 0xe9, 0xd1, 0xc0, 0x0d,
    0x4f, 0xa7, 0x1f, 0x18, 0x34, 0x3b, 0x0d, 0x41, 0x22, 0xa4, 0xd2, 0xdf, 0x64, 0xdd, 0x6f, 0xee,
];
const ACCEPTOR: [u8; 32] = [
    0xb7, 0x1c, 0x71, 0xa6, 0x7e, 0x11, 0x77, 0xad, 0x4e, 0x90, 0x16, 0x95, 0xe1, 0xb4, 0xb9, 0xee,
    0x17, 0xae, 0x16, 0xc6, 0x66, 0x8d, 0x31, 0x3e, 0xac, 0x2f, 0x96, 0xdb, 0xcd, 0xa3, 0xf2, 0x91,
];
