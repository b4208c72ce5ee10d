//! Frames of an authenticated peer, and the reaction of a link.
//!
//! The input is a script of messages: code 2, length 2, payload. Its first byte selects the bare
//! codec, where every message must be returned unchanged and a flipped bit must be detected, or a
//! connected link, which must survive all payloads.

use std::sync::Arc;

use circuits::bytes::ByteReader;
use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::link::frame::{HEADER_LEN, Opener, Sealer};
use whisht::link::handshake::{Ack, Initiator, Reading};
use whisht::link::limits::FrameLimit;
use whisht::link::secrets::{Half, SessionSecrets};
use whisht::link::{Capability, Link, LinkConfig, LinkEvent, LinkKey, LinkLimits, hello};

/// Runs one script. Panics if a rule is broken.
pub fn rlpx_frame(data: &[u8]) {
    match data.split_first() {
        Some((choice, script)) if choice % 2 == 0 => codec(script, choice / 2),
        Some((_, script)) => open_link(script),
        None => {}
    }
}

/// Encrypted messages decrypt. A second reader gets the last message with a bit changed at `flip`,
/// and must report it.
fn codec(script: &[u8], flip: u8) {
    let (mut sealer, mut opener) = codecs();
    let (_, mut deceived) = codecs();
    let mut reader = ByteReader::new(script);
    while let Some((code, payload)) = message(&mut reader) {
        let mut wire = Vec::new();
        sealer.seal(code, payload, &mut wire).expect("fits a frame");
        let mut copy = wire.clone();
        assert_eq!(open(&mut opener, &mut wire), Some((code, payload.to_vec())));

        let last = reader.remaining() == 0;
        if last {
            let at = usize::from(flip).wrapping_mul(7) % copy.len();
            copy[at] ^= 1 << (flip % 8);
        }
        assert_eq!(open(&mut deceived, &mut copy).is_some(), !last);
    }
}

/// A connected link may refuse a message, but keeps to its limits, and is closing afterwards.
fn open_link(script: &[u8]) {
    let (mut link, mut sealer) = opened();
    let limits = LinkLimits::default();
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let mut reader = ByteReader::new(script);
    while let Some((code, payload)) = message(&mut reader) {
        let mut wire = Vec::new();
        sealer.seal(code, payload, &mut wire).expect("fits a frame");
        let failed = link.receive(Instant::ZERO, &mut rng, &wire).is_err();
        let mut ended = false;
        while let Some(event) = link.poll_event() {
            assert!(!ended, "no event follows a disconnect");
            match event {
                LinkEvent::Connected { .. } => {}
                LinkEvent::Disconnected(_) => ended = true,
                LinkEvent::Message {
                    capability,
                    code,
                    payload,
                } => {
                    assert!(code < capability.codes());
                    assert!(
                        limits
                            .lengths(capability, code, FrameLimit::Long)
                            .contains(&payload.len())
                    );
                }
            }
        }
        assert_eq!(link.is_closing(), failed || ended);
        if link.is_closing() {
            return;
        }
        assert!(link.queued_bytes() == 0 && link.poll_timeout().is_some());
    }
}

fn message<'a>(reader: &mut ByteReader<'a>) -> Option<(u16, &'a [u8])> {
    let code = reader.u16().ok()?;
    let len = usize::from(reader.u16().ok()?).min(reader.remaining());
    Some((code, reader.take(len).ok()?))
}

fn open(opener: &mut Opener, wire: &mut [u8]) -> Option<(u16, Vec<u8>)> {
    let (header, body) = wire.split_first_chunk_mut::<HEADER_LEN>()?;
    let size = opener.open_header(header).ok()?;
    let (code, payload) = opener.open_body(size, body).ok()?;
    Some((code, payload.to_vec()))
}

/// One direction of a session with constant secrets.
fn codecs() -> (Sealer, Opener) {
    let secrets = SessionSecrets::derive(&[1; 32], &[2; 32], &[3; 32]);
    let ours = Half {
        nonce: &[2; 32],
        packet: b"auth",
    };
    let theirs = Half {
        nonce: &[3; 32],
        packet: b"ack",
    };
    let (sealer, _) = secrets.codecs(&ours, &theirs);
    let (_, opener) = secrets.codecs(&theirs, &ours);
    (sealer, opener)
}

/// A link after handshake and Hello, and the peer's sealer.
fn opened() -> (Link, Sealer) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let [ours, theirs] = [1, 2].map(|byte| {
        let key = LinkKey::from_bytes(&mut [byte; 32]);
        Arc::new(key.expect("a small number is a key"))
    });
    let capabilities = vec![Capability::ONION_1, Capability::SHH_6];
    let hello = hello::encode("fuzz", 0, &capabilities, &ours.public());
    let config = LinkConfig {
        client_id: String::new(),
        listen_port: 0,
        capabilities,
        limits: LinkLimits::default(),
    };
    let initiator = Initiator::new(ours, theirs.public(), &mut rng).expect("a key is a point");
    let mut link = Link::accept(Arc::new(config), theirs, Instant::ZERO);
    let accepted = link.receive(Instant::ZERO, &mut rng, initiator.auth());
    accepted.expect("an honest auth packet");

    let sent = link.poll_transmit(Instant::ZERO, 1).expect("an answer");
    let mut needs = Ack::LEN;
    let mut session = loop {
        match initiator.read_ack(&sent[..needs]).expect("an honest ack") {
            Reading::Needs(more) => needs = more,
            Reading::Done(session, _) => break session,
        }
    };
    let mut wire = Vec::new();
    let sealed = session.sealer.seal(0, &hello, &mut wire);
    sealed.expect("fits a frame");
    let greeted = link.receive(Instant::ZERO, &mut rng, &wire);
    greeted.expect("an honest hello");
    (link, session.sealer)
}
