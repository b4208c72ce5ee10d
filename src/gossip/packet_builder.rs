//! Collects the envelopes of one packet, within the bounds of its length.

use circuits::distributions;
use circuits::ids::LinkId;
use rand_core::CryptoRng;

use super::bulk::TARGET_PACKET;
use super::packet::{code, outgoing, v5};
use super::{OutboundPacket, shh, shh_5};
use crate::envelope::{Envelope, ProtocolVersion};
use crate::envelope_pool::PooledEnvelope;

/// A packet of envelopes under construction.
pub(super) struct PacketBuilder {
    envelopes: Vec<Envelope>,
    body: usize,
    /// Maximum size in bytes, unless a single envelope is longer.
    pub(super) limit: usize,
}

impl Default for PacketBuilder {
    fn default() -> Self {
        Self {
            envelopes: Vec::new(),
            body: 0,
            limit: TARGET_PACKET,
        }
    }
}

/// The outcome of adding an envelope to a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PushResult {
    /// It was added.
    Added,
    /// The packet is full; the envelope goes first into the next one.
    Full,
    /// It exceeds go-ethereum's packet limit.
    TooLong,
}

impl PacketBuilder {
    /// Adds an envelope, if there is room.
    pub(super) fn push(&mut self, pooled: &PooledEnvelope) -> PushResult {
        let alone = pooled.envelope.as_rlp().len();
        if packet_len(alone) > MAX_PACKET {
            return PushResult::TooLong;
        }
        let full = match pooled.envelope.protocol() {
            ProtocolVersion::V5 => self.envelopes.len() == MAX_BURST,
            ProtocolVersion::V6 => false,
        };
        if full || (!self.envelopes.is_empty() && packet_len(self.body + alone) > self.limit) {
            return PushResult::Full;
        }
        self.body += alone;
        self.envelopes.push(pooled.envelope.clone());
        PushResult::Added
    }

    /// The packets to send: one, or in `shh/5` one per envelope. The order is random, since that of
    /// the queue would show which link brought what.
    pub(super) fn finish(
        mut self,
        link: LinkId,
        protocol: ProtocolVersion,
        rng: &mut impl CryptoRng,
    ) -> Vec<OutboundPacket> {
        distributions::shuffle(rng, &mut self.envelopes);
        let alone = |envelope| shh_5(link, v5::code::MESSAGE, v5::message(envelope));
        match protocol {
            _ if self.envelopes.is_empty() => Vec::new(),
            ProtocolVersion::V5 => self.envelopes.iter().map(alone).collect(),
            ProtocolVersion::V6 => {
                let payload = outgoing::messages(&self.envelopes);
                vec![shh(link, code::MESSAGES, payload)]
            }
        }
    }
}

const fn packet_len(body: usize) -> usize {
    body + outgoing::messages_header_len(body)
}

/// Maximum number of `shh/5` packets sent at once. The shortest message that go-ethereum pads has
/// 300 bytes, so a burst of those is as long as a packet of `shh/6`, and a flood of shorter ones
/// costs the peer no more frames than it accepts from others in one tick.
const MAX_BURST: usize = 32;
/// Maximum size in bytes of any packet: the limit of go-ethereum's receiver.
const MAX_PACKET: usize = 1 << 20;
