//! A peer that completes the handshake and then writes arbitrary bytes.

use std::sync::Arc;

use circuits::ids::RelayKey;
use circuits::time::Instant;
use whisht::link::frame::{HEADER_LEN, Opener, Sealer};
use whisht::link::handshake::{Ack, Initiator, Reading};
use whisht::link::{Capability, Link, LinkConfig, LinkFault, LinkKey, hello};

use crate::{config, key, rng};

/// The other end of an accepted link, after the handshake.
pub(crate) struct RawPeer {
    pub(crate) link: Link,
    pub(crate) us: RelayKey,
    pub(crate) sealer: Sealer,
    opener: Opener,
    /// The frames that the link sent and the test has not opened yet.
    unread: Vec<u8>,
}

impl RawPeer {
    /// Dials a link with these capabilities, as the owner of `ours`.
    pub(crate) fn dial_as(ours: Arc<LinkKey>, config: Arc<LinkConfig>) -> Self {
        let mut rng = rng(1);
        let theirs = key(2);
        let us = ours.public();
        let initiator = Initiator::new(ours, theirs.public(), &mut rng).unwrap();
        let mut link = Link::accept(config, theirs, Instant::ZERO);
        link.receive(Instant::ZERO, &mut rng, initiator.auth())
            .unwrap();

        let mut sent = link.poll_transmit(Instant::ZERO, 1).unwrap();
        let mut needs = Ack::LEN;
        let session = loop {
            match initiator.read_ack(&sent[..needs]).unwrap() {
                Reading::Needs(more) => needs = more,
                Reading::Done(session, _) => break session,
            }
        };
        Self {
            link,
            us,
            sealer: session.sealer,
            opener: session.opener,
            unread: sent.split_off(needs),
        }
    }

    /// Like [`Self::dial_as`], and sends a Hello with the same capabilities.
    pub(crate) fn open(capabilities: &[Capability]) -> Self {
        Self::open_with(config(capabilities))
    }

    pub(crate) fn open_with(config: Arc<LinkConfig>) -> Self {
        let capabilities = config.capabilities.clone();
        let mut peer = Self::dial_as(key(1), config);
        let hello = hello::encode("raw", 0, &capabilities, &peer.us);
        peer.send(0, &hello).unwrap();
        assert!(peer.link.is_open());
        peer.read();
        peer
    }

    /// Sends one message unchanged; a compressed payload is the caller's task.
    pub(crate) fn send(&mut self, code: u16, payload: &[u8]) -> Result<(), LinkFault> {
        let wire = self.seal(code, payload);
        self.deliver(&wire)
    }

    pub(crate) fn seal(&mut self, code: u16, payload: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        self.sealer.seal(code, payload, &mut wire).unwrap();
        wire
    }

    /// Passes bytes to the link, at the start of its clock.
    pub(crate) fn deliver(&mut self, bytes: &[u8]) -> Result<(), LinkFault> {
        self.deliver_at(Instant::ZERO, bytes)
    }

    pub(crate) fn deliver_at(&mut self, now: Instant, bytes: &[u8]) -> Result<(), LinkFault> {
        self.link.receive(now, &mut rng(2), bytes)
    }

    /// All messages that the link sends now: code and payload, not decompressed.
    pub(crate) fn read(&mut self) -> Vec<(u16, Vec<u8>)> {
        while let Some(bytes) = self.link.poll_transmit(Instant::ZERO, usize::MAX) {
            self.unread.extend(bytes);
        }
        let mut unread = std::mem::take(&mut self.unread);
        let mut messages = Vec::new();
        let mut left = &mut unread[..];
        while !left.is_empty() {
            let (header, rest) = left.split_at_mut(HEADER_LEN);
            let header: &[u8; HEADER_LEN] = (&*header).try_into().unwrap();
            let size = self.opener.open_header(header).unwrap();
            let (body, rest) = rest.split_at_mut(size.sealed_len());
            let (code, payload) = self.opener.open_body(size, body).unwrap();
            messages.push((code, payload.to_vec()));
            left = rest;
        }
        messages
    }
}

/// A payload as one Snappy literal, for lengths up to 60.
pub(crate) fn snappy(payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).unwrap();
    assert!((1..=60).contains(&len));
    [&[len, (len - 1) << 2], payload].concat()
}
