//! One dial for a peer: the handshake up to the first frame of the other end.
//!
//! The other end can send that frame only if it read our auth packet, which is encrypted to the key that is
//! looked for. An acknowledgement alone proves nothing. Our own Hello is never sent, so the link stays
//! without a peer at the other end.

use std::sync::Arc;

use circuits::erasing_rng::ErasingRng;
use circuits::ids::RelayKey;
use circuits::time::Instant;

use crate::link::{Link, LinkConfig, LinkEvent, LinkKey};

/// The link of a dial, once it is established.
pub(super) struct Probe(Link);

impl Probe {
    /// Begins the handshake with the owner of `remote`. Returns the bytes to send, the only ones; `None` if no
    /// handshake with this key is possible.
    pub(super) fn begin(
        config: Arc<LinkConfig>,
        key: Arc<LinkKey>,
        remote: RelayKey,
        rng: &mut ErasingRng,
        now: Instant,
    ) -> Option<(Self, Vec<u8>)> {
        let mut link = Link::dial(config, key, remote, rng, now).ok()?;
        let auth = link.poll_transmit(now, usize::MAX)?;
        Some((Self(link), auth))
    }

    /// Takes bytes of the other end.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        rng: &mut ErasingRng,
        bytes: &[u8],
    ) -> ProbeProgress {
        let fault = self.0.receive(now, rng, bytes).is_err();
        match self.0.poll_event() {
            // Both come in a frame with a valid code of authentication.
            Some(LinkEvent::Connected { .. } | LinkEvent::Disconnected(_)) => ProbeProgress::Proven,
            Some(LinkEvent::Message { .. }) | None if fault => ProbeProgress::Failed,
            Some(LinkEvent::Message { .. }) | None => ProbeProgress::Unproven,
        }
    }
}

/// What the bytes of the other end have shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ProbeProgress {
    /// Nothing yet.
    Unproven,
    /// It has the key.
    Proven,
    /// It does not speak the protocol, or does not have the key.
    Failed,
}
