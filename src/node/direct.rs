//! What passes between two peers past gossip: trust, envelopes handed over, and requests.
//!
//! Trust is given to a connection, not to a key: it ends with the link, as in go-ethereum, unless
//! the configuration trusts the peer at every connect. What a trusted peer hands over is offered to
//! filters that take such envelopes and to nothing else; it is never pooled or passed on. From
//! anybody else such packets are not even looked into.
//!
//! Requests to mail servers and their answers are the business of `mail`.

use circuits::ids::{LinkId, RelayKey};

use super::Node;
use super::command::Refusal;
use crate::envelope::{Envelope, ProtocolVersion};
use crate::gossip::packet::{P2pKind, outgoing, v5};
use crate::link::{Capability, Priority};

impl Node {
    /// Trusts the peer with this key for as long as its connection stands; `false` if there is
    /// none.
    pub(super) fn trust_peer(&mut self, key: RelayKey) -> bool {
        let link = self.connections.to_key(key);
        link.is_some_and(|link| self.gossip.trust(link))
    }

    /// Hands envelopes to one peer, past gossip: it takes them if it trusts us.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the peer is not there, speaks another version, or has not read what was sent
    /// before.
    pub(super) fn send_direct(
        &mut self,
        key: RelayKey,
        envelope: &Envelope,
    ) -> Result<(), Refusal> {
        let link = self.connections.to_key(key).ok_or_else(no_such_peer)?;
        let protocol = self.gossip.protocol(link).ok_or_else(no_such_peer)?;
        if protocol != envelope.protocol() {
            return Err(Refusal::usage(
                format!(
                    "the peer speaks {protocol}, and this is an envelope of {}",
                    envelope.protocol()
                ),
                "send it to a peer that speaks the same",
            ));
        }
        let payload = outgoing::p2p_message(envelope);
        let handed = match protocol {
            ProtocolVersion::V5 => {
                let code = u16::from(v5::code::P2P_MESSAGE);
                self.queue(link, Priority::Gossip, Capability::SHH_5, code, payload)
            }
            ProtocolVersion::V6 => self.send_direct_packet(link, P2pKind::Message, payload),
        };
        if handed {
            return Ok(());
        }
        let waiting = self.direct_backlog(link).ok_or_else(no_such_peer)?;
        Err(Refusal::usage(
            format!("the peer takes nothing now: {waiting} bytes wait for it"),
            "try again in a moment",
        ))
    }

    /// Queues a packet of `shh/6` past gossip; `false` if no such peer speaks it or has room now
    /// ([`direct_backlog`](Self::direct_backlog)).
    pub(super) fn send_direct_packet(
        &mut self,
        to: LinkId,
        kind: P2pKind,
        payload: Vec<u8>,
    ) -> bool {
        let code = u16::from(kind.code());
        self.queue(to, Priority::Gossip, Capability::SHH_6, code, payload)
    }

    /// Bytes that wait for a peer: who has much to send goes on when this is zero. `None` if the
    /// peer is gone.
    pub(super) fn direct_backlog(&self, to: LinkId) -> Option<usize> {
        let connection = self.connections.get(to)?;
        Some(connection.link.queued_bytes())
    }
}

pub(super) fn no_such_peer() -> Refusal {
    Refusal::usage(
        "no connected peer that gossips has this key",
        "`whisht peers` lists those that are connected",
    )
}
