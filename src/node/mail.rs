//! Mail: old messages, kept for others (`serve`) and fetched from others (`fetch`).
//!
//! The protocol is decided in [`crate::mail`]; this component feeds packets, envelopes and time to
//! it. Nothing here decides what is pooled or forwarded: the archive is filled from the public
//! mempool only, and fetched envelopes go to the filters only (spec M10, M11).

mod archive_queue;
mod fetch;
mod query;
mod serve;

use std::sync::Arc;

use circuits::directory::BadSigningKey;
use circuits::ids::{LinkId, RelayKey};
use circuits::secret::Secret;
use circuits::time::Now;

use self::fetch::{FetchedHashes, MailFetch};
use self::serve::MailServerRole;
use super::action::Action;
use super::config::NodeConfig;
use super::effects::{Counter, Effects};
use super::gossip::EnvelopeGossip;
use super::local_peer::LocalPeer;
use super::peers::Peers;
use super::receive::Receiver;
use super::views::MailView;
use crate::endpoint::PeerAddr;
use crate::envelope::{Envelope, EnvelopeHash};
use crate::gossip::OutboundPacket;
use crate::gossip::packet::P2pKind;
use crate::link::{Capability, DisconnectReason};
use crate::mail::access::AccessPolicy;
use crate::mail::archive::ArchiveResponse;
use crate::mail::query_padding::QueryPadding;
use crate::message::{ClientSecret, SymKey};

/// Both sides of the mail protocol.
pub(super) struct Mail {
    server: Option<Box<MailServerRole>>,
    fetch: Option<Box<MailFetch>>,
    padding: QueryPadding,
    last_fetch: u64,
    fetched: FetchedHashes,
    /// Possible servers, in the order of the configuration.
    trusted_peers: Vec<PeerAddr>,
    own_key: RelayKey,
}

/// What the mail protocol needs to know about the other components.
#[derive(Clone, Copy)]
pub(super) struct MailContext<'a> {
    /// The connections.
    pub(super) peers: &'a Peers,
    /// The mempool, and the state of gossip peers.
    pub(super) gossip: &'a EnvelopeGossip,
    /// Trial decryption.
    pub(super) receive: &'a Receiver,
}

impl Mail {
    /// `kept` is a secret that survives restarts; it pads queries.
    ///
    /// # Errors
    ///
    /// [`BadSigningKey`] if the link key is not a client key; every valid key is one.
    pub(super) fn new(
        config: &NodeConfig,
        local: &Arc<LocalPeer>,
        password: Option<SymKey>,
        kept: &Secret<16>,
    ) -> Result<Self, BadSigningKey> {
        let server = match &config.mail {
            None => None,
            Some(service) => {
                let node = ClientSecret::from_bytes(&local.link_key().to_bytes());
                let access = AccessPolicy {
                    password,
                    node: node.map_err(|_| BadSigningKey)?,
                    allowed: service.allow.iter().copied().collect(),
                    min_pow: config.min_pow,
                };
                Some(Box::new(MailServerRole::new(access, config.pool_bytes)))
            }
        };
        Ok(Self {
            server,
            fetch: None,
            padding: QueryPadding::new(kept.expose()),
            last_fetch: 0,
            fetched: FetchedHashes::new(),
            trusted_peers: config.trusted_peers.clone(),
            own_key: local.key(),
        })
    }

    // -- packets and envelopes

    /// A packet of the mail protocol that holds no envelopes. Packets of a role that this node does
    /// not have are ignored.
    pub(super) fn on_packet(
        &mut self,
        fx: &mut Effects,
        now: Now,
        from: LinkId,
        kind: P2pKind,
        payload: &[u8],
        context: MailContext<'_>,
    ) {
        match (kind, &mut self.server) {
            (P2pKind::Request | P2pKind::SyncRequest, Some(server)) => {
                server.on_request(fx, now, from, kind, payload, context.peers);
            }
            (P2pKind::RequestComplete, _) => self.on_completion(fx, now, from, payload),
            _ => {}
        }
    }

    /// Direct envelopes arrived from a trusted peer. Returns those for the filters.
    pub(super) fn on_direct(
        &mut self,
        now: Now,
        from: LinkId,
        envelopes: Vec<Envelope>,
        context: MailContext<'_>,
    ) -> Vec<Envelope> {
        match &mut self.fetch {
            Some(fetch) => fetch.on_envelopes(now, from, envelopes, context, &mut self.fetched),
            None => envelopes,
        }
    }

    /// An envelope entered the mempool.
    pub(super) fn on_pooled(&mut self, from: Option<LinkId>, envelope: &Envelope) {
        if let Some(server) = &mut self.server {
            server.offer(from, envelope);
        }
    }

    /// Sends acknowledgements of a packet of envelopes: a mail server waits until these are durable.
    pub(super) fn acknowledge(
        &mut self,
        fx: &mut Effects,
        packets: Vec<OutboundPacket>,
        envelopes: &[EnvelopeHash],
    ) {
        let packets = match &mut self.server {
            Some(server) => server.acknowledge(packets, envelopes),
            None => packets,
        };
        for packet in packets {
            fx.request(Action::SendPacket(packet));
        }
    }

    /// The archive answered.
    pub(super) fn on_archived(
        &mut self,
        fx: &mut Effects,
        response: ArchiveResponse,
        peers: &Peers,
    ) {
        if let Some(server) = &mut self.server {
            server.on_archived(fx, response, peers);
        }
    }

    // -- progress

    /// Continues whatever can continue at the end of a turn.
    pub(super) fn poll(&mut self, fx: &mut Effects, now: Now, context: MailContext<'_>) {
        if let Some(server) = &mut self.server {
            server.poll(fx, context);
        }
        self.poll_fetch(fx, now, context);
    }

    /// A link has sent queued bytes, and may have room for mail.
    pub(super) fn on_link_flushed(&mut self, fx: &mut Effects, link: LinkId, peers: &Peers) {
        if let Some(server) = &mut self.server {
            server.pump(fx, link, peers);
        }
    }

    /// A link is closed.
    pub(super) fn on_link_closed(&mut self, fx: &mut Effects, link: LinkId, peers: &Peers) {
        if let Some(server) = &mut self.server {
            server.on_link_closed(fx, link, peers);
        }
        if let Some(fetch) = &mut self.fetch {
            fetch.on_link_closed(link);
        }
    }

    /// The mail server, if this node is one.
    pub(super) fn server_view(&self) -> Option<MailView> {
        self.server.as_ref().map(|server| server.view())
    }
}

/// A packet of the mail protocol.
fn packet(link: LinkId, kind: P2pKind, payload: Vec<u8>) -> Action {
    Action::SendPacket(OutboundPacket {
        link,
        capability: Capability::SHH_6,
        code: kind.code(),
        payload,
    })
}

/// Disconnects a peer that violates the mail protocol.
fn disconnect(fx: &mut Effects, link: LinkId) {
    fx.count(Counter::Malformed);
    fx.request(Action::Disconnect(link, DisconnectReason::SubprotocolError));
}

#[cfg(test)]
mod tests;
