//! Old mail: kept for others (`serve`), and fetched from others (`fetch`).
//!
//! What to do is decided in [`crate::mail`]; this file and the two beside it bring packets,
//! envelopes and time to those machines, and carry out what they say. Nothing here decides what
//! is pooled or passed on: an archive is filled from the public pool only, and what was fetched
//! goes to the filters only (spec M10, M11).

mod fetch;
mod serve;

use circuits::ids::LinkId;
use circuits::secret::Secret;
use circuits::time::{Instant, Now};

pub(super) use self::fetch::MailFetch;
pub(super) use self::serve::MailServerRole;
use super::Node;
use crate::envelope::Envelope;
use crate::gossip::packet::P2pKind;
use crate::link::DisconnectReason;
use crate::mail::query_padding::QueryPadding;
use crate::subscriptions::DeliveryPath;

/// Both sides of the mail.
pub(super) struct Mail {
    serving: Option<Box<MailServerRole>>,
    fetching: Option<Box<MailFetch>>,
    padding: QueryPadding,
    last_fetch: u64,
}

impl Mail {
    /// `kept` is a secret that the node does not lose between two runs.
    pub(super) fn new(serving: Option<MailServerRole>, kept: &Secret<16>) -> Self {
        Self {
            serving: serving.map(Box::new),
            fetching: None,
            padding: QueryPadding::new(kept.expose()),
            last_fetch: 0,
        }
    }

    /// When something of ours is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.fetching.as_ref()?.next_due()
    }
}

impl Node {
    /// A packet past gossip that carries no envelopes for us: to whom it is of no use, it is of
    /// no harm.
    pub(super) fn on_direct_packet(
        &mut self,
        now: Now,
        from: LinkId,
        kind: P2pKind,
        payload: &[u8],
    ) {
        match kind {
            P2pKind::Request | P2pKind::SyncRequest => {
                self.on_mail_request(now, from, kind, payload)
            }
            P2pKind::RequestComplete => self.on_mail_complete(now, from, payload),
            P2pKind::SyncResponse | P2pKind::Message => {}
        }
    }

    /// A trusted peer handed over envelopes: they go to the filters and nowhere else.
    pub(super) fn on_direct_envelopes(&mut self, now: Now, from: LinkId, envelopes: Vec<Envelope>) {
        let envelopes = self.on_fetched(now, from, envelopes);
        for envelope in envelopes {
            self.offer_to_filters(now, envelope, DeliveryPath::Direct);
        }
    }

    /// Goes on with whatever can go on.
    pub(super) fn run_mail(&mut self, now: Now) {
        self.serve_mail(now);
        self.fetch_mail(now);
    }

    /// A link has ended.
    pub(super) fn mail_link_closed(&mut self, link: LinkId) {
        if let Some(serving) = &mut self.mail.serving {
            serving.close(link);
        }
        if let Some(fetching) = &mut self.mail.fetching {
            fetching.close(link);
        }
    }

    /// A peer does not keep to the protocol.
    fn hang_up(&mut self, now: Now, link: LinkId) {
        self.counters.malformed += 1;
        self.disconnect(now, link, DisconnectReason::SubprotocolError);
    }
}
