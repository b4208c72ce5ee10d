//! Hostile peers, each test named for the attack.

use std::sync::Arc;

use circuits::time::Instant;
use rand_core::Rng;
use whisht::ecies;
use whisht::link::frame::HEADER_LEN;
use whisht::link::{
    Capability, DisconnectReason, Link, LinkConfig, LinkFault, LinkLimits, LocalFault, Packing,
    PeerFault, Priority, QueueBudgets, SendError, hello,
};

use crate::raw::{RawPeer, snappy};
use crate::{BOTH, at, config, events, key, rng};

/// First code of `shh/6` where `onion/1` is shared too.
const SHH: u16 = 32;

fn fault(fault: PeerFault) -> Result<(), LinkFault> {
    Err(LinkFault::Peer(fault))
}

/// A link that waits for an auth packet.
fn accepting() -> Link {
    Link::accept(config(&BOTH), key(2), Instant::ZERO)
}

/// The Disconnect that a link sends after a fault, compressed.
fn disconnect(reason: u8) -> Vec<(u16, Vec<u8>)> {
    vec![(1, snappy(&[0xc1, reason]))]
}

// Before the keys agree

#[test]
fn junk_instead_of_handshake_ends_link() {
    for seed in 0..50 {
        let mut rng = rng(seed);
        let mut junk = vec![0; 10_000];
        rng.fill_bytes(&mut junk);
        let mut link = accepting();
        let result = link.receive(Instant::ZERO, &mut rng, &junk);
        let announced = usize::from(u16::from_be_bytes([junk[0], junk[1]]));
        let wanted = if (307..=2048).contains(&announced) {
            PeerFault::HandshakeCiphertext
        } else {
            PeerFault::HandshakeLength
        };
        assert_eq!(result, fault(wanted));
        assert!(link.is_closing());
        assert_eq!(link.poll_transmit(Instant::ZERO, usize::MAX), None);
        assert_eq!(link.receive(Instant::ZERO, &mut rng, &junk), Ok(()));
    }
}

#[test]
fn auth_packet_announcing_64_kib_is_refused_at_prefix() {
    let mut link = accepting();
    let mut packet = vec![0; 307];
    packet[..2].copy_from_slice(&[0xff, 0xff]);
    let (most, last) = packet.split_at(306);
    assert_eq!(link.receive(Instant::ZERO, &mut rng(1), most), Ok(()));
    let result = link.receive(Instant::ZERO, &mut rng(1), last);
    assert_eq!(result, fault(PeerFault::HandshakeLength));
}

#[test]
fn junk_ack_ends_dialled_link() {
    let mut rng = rng(3);
    for (prefix, wanted) in [
        ([0x00, 0xd1], PeerFault::HandshakeLength),
        ([0x00, 0xd2], PeerFault::HandshakeCiphertext),
        ([0x08, 0x00], PeerFault::HandshakeCiphertext),
        ([0x08, 0x01], PeerFault::HandshakeLength),
    ] {
        let remote = key(2).public();
        let mut link = Link::dial(config(&BOTH), key(1), remote, &mut rng, Instant::ZERO).unwrap();
        let mut junk = vec![0; 10_000];
        rng.fill_bytes(&mut junk);
        junk[..2].copy_from_slice(&prefix);
        assert_eq!(link.receive(Instant::ZERO, &mut rng, &junk), fault(wanted));
    }
}

#[test]
fn ack_with_off_curve_key_ends_dialled_link() {
    let ours = key(1);
    let recipient = ours.expose().public_key();
    let mut rng = rng(6);
    let mut link = Link::dial(
        config(&BOTH),
        ours,
        key(2).public(),
        &mut rng,
        Instant::ZERO,
    )
    .unwrap();
    let ack = ecies::encrypt(&mut rng, &recipient, &[], &[1; 97]);
    let result = link.receive(Instant::ZERO, &mut rng, &ack);
    assert_eq!(result, fault(PeerFault::HandshakeKey));
}

#[test]
fn trickling_handshake_times_out_after_five_seconds() {
    let mut link = accepting();
    let mut now = Instant::ZERO;
    for _ in 0..306 {
        now = now.after(std::time::Duration::from_millis(16));
        assert_eq!(link.receive(now, &mut rng(1), &[0x01]), Ok(()));
        assert_eq!(link.handle_timeout(now), Ok(()));
    }
    assert_eq!(link.poll_timeout(), Some(at(5)));
    let result = link.handle_timeout(at(5));
    assert_eq!(result, fault(PeerFault::HandshakeTimeout));
    assert!(link.is_closing());
}

#[test]
fn missing_hello_times_out_after_five_seconds() {
    let mut peer = RawPeer::dial_as(key(1), config(&BOTH));
    assert_eq!(peer.link.poll_timeout(), Some(at(5)));
    let result = peer.link.handle_timeout(at(5));
    assert_eq!(result, fault(PeerFault::HandshakeTimeout));
}

// Hello

#[test]
fn hello_with_other_identity_is_refused() {
    let mut peer = RawPeer::dial_as(key(1), config(&BOTH));
    peer.read();
    let hello = hello::encode("raw", 0, &BOTH, &key(9).public());
    let result = peer.send(0, &hello);
    assert_eq!(result, fault(PeerFault::IdentityUnexpected));
    assert_eq!(peer.read(), disconnect(0x09));
    assert_eq!(events(&mut peer.link), []);
}

#[test]
fn connection_to_own_key_is_refused() {
    let us = key(2).public();
    let dialled = Link::dial(config(&BOTH), key(2), us, &mut rng(4), Instant::ZERO);
    assert_eq!(dialled.err(), Some(LocalFault::DialsSelf));
    // Another node may own our key nevertheless, or relay our own connection to us.
    let mut peer = RawPeer::dial_as(key(2), config(&BOTH));
    peer.read();
    let result = peer.send(0, &hello::encode("raw", 0, &BOTH, &peer.us.clone()));
    assert_eq!(result, fault(PeerFault::ConnectedToSelf));
    assert_eq!(peer.read(), disconnect(0x0a));
}

#[test]
fn peer_without_shared_capability_is_useless() {
    let mut peer = RawPeer::dial_as(key(1), config(&BOTH));
    peer.read();
    let strange = [Capability::new("eth", 63, 17), Capability::SHH_5];
    let result = peer.send(0, &hello::encode("raw", 0, &strange, &peer.us.clone()));
    assert_eq!(result, fault(PeerFault::NothingShared));
    assert_eq!(peer.read(), disconnect(0x03));
}

#[test]
fn hello_with_nested_lists_or_huge_lengths_is_malformed() {
    let nested = vec![0xc1; 2_000];
    let endless = [&[0xfb, 0xff, 0xff, 0xff, 0xff][..], &[0; 100]].concat();
    let long_name = [&[0xf8, 0x40, 0x05, 0xbf][..], &[0xff; 64]].concat();
    for bomb in [nested, endless, long_name, vec![]] {
        let mut peer = RawPeer::dial_as(key(1), config(&BOTH));
        peer.read();
        assert_eq!(peer.send(0, &bomb), fault(PeerFault::HelloMalformed));
        assert_eq!(peer.read(), disconnect(0x02));
    }
}

#[test]
fn hello_over_2048_bytes_is_refused_at_header() {
    let mut peer = RawPeer::dial_as(key(1), config(&BOTH));
    let wire = peer.seal(0, &[0; 2_049]);
    let result = peer.deliver(&wire[..HEADER_LEN]);
    assert_eq!(result, fault(PeerFault::FrameTooLong));
}

#[test]
fn message_before_hello_ends_link() {
    for code in [2, 3, 15, SHH, u16::MAX] {
        let mut peer = RawPeer::dial_as(key(1), config(&BOTH));
        assert_eq!(peer.send(code, &[0xc0]), fault(PeerFault::HelloMissing));
    }
}

#[test]
fn second_hello_is_ignored() {
    let mut peer = RawPeer::open(&BOTH);
    events(&mut peer.link);
    let hello = hello::encode("other", 0, &[Capability::SHH_5], &key(9).public());
    peer.send(0, &hello).unwrap();
    peer.send(SHH, &snappy(&[0xc0])).unwrap();
    assert_eq!(events(&mut peer.link).len(), 1);
}

// Frames

#[test]
fn altered_frame_byte_fails_mac() {
    let sample = RawPeer::open(&BOTH).seal(SHH, &snappy(b"whisht"));
    for position in 0..sample.len() {
        let mut peer = RawPeer::open(&BOTH);
        let mut wire = peer.seal(SHH, &snappy(b"whisht"));
        wire[position] ^= 1;
        let wanted = if position < HEADER_LEN {
            PeerFault::HeaderMac
        } else {
            PeerFault::BodyMac
        };
        assert_eq!(peer.deliver(&wire), fault(wanted));
        assert_eq!(peer.read(), [], "nothing is sent on a broken stream");
    }
}

#[test]
fn replayed_dropped_or_reordered_frame_fails_mac() {
    let [mut replayed, mut dropped, mut reordered] = [0; 3].map(|_| RawPeer::open(&BOTH));
    let wire = replayed.seal(SHH, &snappy(b"once"));
    assert_eq!(replayed.deliver(&wire), Ok(()));
    assert_eq!(replayed.deliver(&wire), fault(PeerFault::HeaderMac));

    let _lost = dropped.seal(SHH, &snappy(b"one"));
    assert_eq!(
        dropped.send(SHH, &snappy(b"two")),
        fault(PeerFault::HeaderMac)
    );

    let _first = reordered.seal(SHH, &snappy(b"one"));
    let second = reordered.seal(SHH, &snappy(b"two"));
    assert_eq!(reordered.deliver(&second), fault(PeerFault::HeaderMac));
}

#[test]
fn junk_after_handshake_ends_link() {
    let mut peer = RawPeer::open(&BOTH);
    let mut junk = vec![0; 10_000];
    rng(5).fill_bytes(&mut junk);
    assert_eq!(peer.deliver(&junk), fault(PeerFault::HeaderMac));
    assert_eq!(peer.deliver(&junk), Ok(()));
}

#[test]
fn frame_of_16_mib_is_refused_at_header() {
    let mut peer = RawPeer::open(&BOTH);
    let wire = peer.seal(SHH, &vec![0; 0xff_fffe]);
    let result = peer.deliver(&wire[..HEADER_LEN]);
    assert_eq!(result, fault(PeerFault::FrameTooLong));
}

#[test]
fn code_beyond_shared_ranges_ends_link() {
    for code in [SHH + 128, 1_000, u16::MAX] {
        let mut peer = RawPeer::open(&BOTH);
        let result = peer.send(code, &snappy(&[0xc0]));
        assert_eq!(result, fault(PeerFault::CodeOutOfRange));
        assert_eq!(peer.read(), []);
    }
}

#[test]
fn reserved_codes_are_ignored_without_decompression() {
    let mut peer = RawPeer::open(&BOTH);
    events(&mut peer.link);
    for code in [0, 3, 4, 15] {
        peer.send(code, &[0xff, 0xff, 0xff, 0xff, 0x0f]).unwrap();
    }
    assert_eq!(events(&mut peer.link), []);
}

#[test]
fn trickling_frame_does_not_reset_idle_timeout() {
    let mut peer = RawPeer::open(&BOTH);
    let wire = peer.seal(SHH, &snappy(b"slow loris"));
    for (secs, byte) in (1..30).zip(&wire) {
        peer.deliver_at(at(secs), &[*byte]).unwrap();
        peer.link.handle_timeout(at(secs)).unwrap();
    }
    let result = peer.link.handle_timeout(at(30));
    assert_eq!(result, fault(PeerFault::Idle));
    let last = peer.read().pop();
    assert_eq!(last, disconnect(0x0b).pop());
}

// Payloads

#[test]
fn snappy_bomb_is_refused_before_decompression() {
    // 2 MiB and one byte, announced; 4 GiB - 1, announced; 2 MiB + 1, honest and 100 KB short.
    let honest = snap::raw::Encoder::new()
        .compress_vec(&vec![0; 2 * 1024 * 1024 + 1])
        .unwrap();
    for bomb in [
        vec![0x81, 0x80, 0x80, 0x01],
        vec![0xff, 0xff, 0xff, 0xff, 0x0f],
        honest,
    ] {
        let mut peer = RawPeer::open(&BOTH);
        // Frames become long with the first message of Whisper.
        let first = snap::raw::Encoder::new().compress_vec(&[0xc0]).unwrap();
        assert_eq!(peer.send(SHH, &first), Ok(()));
        peer.read();
        assert_eq!(peer.send(SHH, &bomb), fault(PeerFault::PayloadLength));
        assert_eq!(peer.read(), disconnect(0x10));
    }
}

#[test]
fn payload_that_is_not_snappy_ends_link() {
    for payload in [&[][..], &[0xc0], &[5, 0], &[0xff; 11]] {
        let mut peer = RawPeer::open(&BOTH);
        assert_eq!(peer.send(SHH, payload), fault(PeerFault::SnappyMalformed));
    }
}

#[test]
fn cell_of_wrong_length_is_refused() {
    for len in [0, 917, 919] {
        let mut peer = RawPeer::open(&BOTH);
        let payload = snap::raw::Encoder::new()
            .compress_vec(&vec![7; len])
            .unwrap();
        // An empty block is 00.
        let payload = if len == 0 { vec![0] } else { payload };
        assert_eq!(peer.send(16 + 3, &payload), fault(PeerFault::PayloadLength));
    }
}

#[test]
fn payload_limit_applies_without_compression() {
    let limits = LinkLimits {
        payload: 100,
        ..LinkLimits::default()
    };
    let config = Arc::new(LinkConfig {
        limits,
        ..LinkConfig::clone(&config(&BOTH))
    });
    let mut peer = RawPeer::dial_as(key(1), config);
    let mut hello = hello::encode("old", 0, &BOTH, &peer.us.clone());
    let version = hello.iter().position(|byte| *byte == 5).unwrap();
    hello[version] = 4;
    peer.send(0, &hello).unwrap();
    assert!(peer.link.is_open());
    assert_eq!(peer.send(SHH, &[7; 100]), Ok(()));
    assert_eq!(peer.send(SHH, &[7; 101]), fault(PeerFault::PayloadLength));
    let last = peer.read().pop();
    assert_eq!(last, Some((1, vec![0xc1, 0x10])), "not compressed");
}

// Timeouts

#[test]
fn ping_flood_is_answered_once_per_transmit() {
    let mut peer = RawPeer::open(&BOTH);
    for _ in 0..1_000 {
        peer.send(2, &snappy(&[0xc0])).unwrap();
    }
    assert_eq!(peer.link.queued_bytes(), 0);
    assert_eq!(peer.read(), [(3, snappy(&[0xc0]))]);
}

#[test]
fn peer_that_does_not_read_times_out_after_thirty_seconds() {
    let mut peer = RawPeer::open(&BOTH);
    let send = |peer: &mut RawPeer| {
        let payload = vec![0; 16_000];
        peer.link.send(
            Priority::Gossip,
            Capability::SHH_6,
            1,
            payload,
            Packing::Snappy,
        )
    };
    while send(&mut peer).is_ok() {}
    assert_eq!(send(&mut peer), Err(SendError::QueueFull));
    assert!(peer.link.queued_bytes() <= QueueBudgets::default().gossip);

    // The link requests a timer at once, and records the time.
    assert!(peer.link.poll_timeout().unwrap() <= at(1));
    peer.link.handle_timeout(at(1)).unwrap();
    assert_eq!(peer.link.congested_since(), Some(at(1)));
    // The peer is active and even reads a few bytes, which does not help it.
    let ping = peer.seal(2, &snappy(&[0xc0]));
    peer.deliver_at(at(20), &ping).unwrap();
    peer.link.poll_transmit(at(20), 1).unwrap();
    peer.link.handle_timeout(at(30)).unwrap();
    let result = peer.link.handle_timeout(at(31));
    assert_eq!(result, fault(PeerFault::ReadsTooSlowly));
}

#[test]
fn congestion_clears_when_peer_reads() {
    let mut peer = RawPeer::open(&BOTH);
    for _ in 0..16 {
        let payload = vec![0; 16_000];
        peer.link
            .send(
                Priority::Gossip,
                Capability::SHH_6,
                1,
                payload,
                Packing::Snappy,
            )
            .unwrap();
    }
    let refused = peer.link.send(
        Priority::Gossip,
        Capability::SHH_6,
        1,
        vec![0; 16_000],
        Packing::Snappy,
    );
    assert_eq!(refused, Err(SendError::QueueFull));
    peer.link.handle_timeout(at(1)).unwrap();
    assert_eq!(peer.link.congested_since(), Some(at(1)));
    assert!(peer.link.poll_transmit(at(20), usize::MAX).is_some());
    assert_eq!(peer.link.congested_since(), None);
}

#[test]
fn messages_after_disconnect_are_ignored() {
    let mut peer = RawPeer::open(&BOTH);
    events(&mut peer.link);
    let mut wire = peer.seal(1, &snappy(&[0xc1, 0x08]));
    wire.extend(peer.seal(SHH, &snappy(&[0xc0])));
    peer.deliver(&wire).unwrap();
    let disconnect = whisht::link::LinkEvent::Disconnected(DisconnectReason::Quitting);
    assert_eq!(events(&mut peer.link), [disconnect]);
}
