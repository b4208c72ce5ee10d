//! A node of gossip and pool only, and peers that are links only.

use std::collections::BTreeMap;
use std::time::Duration;

use circuits::ids::LinkId;
use circuits::time::{Instant, Now, UnixSecs};
use whisht::bloom::Bloom;
use whisht::envelope::{Envelope, EnvelopeHash, Topic, Ttl};
use whisht::envelope_pool::{InsertOutcome, Pool};
use whisht::gossip::packet::{MinPow, ShhPacket, code, outgoing};
use whisht::gossip::{Gossip, GossipConfig, GossipFault, OutboundPacket, PacketOutcome};
use whisht::pow::{Generation, PowValues};

/// The start of every test.
pub(super) const START: u32 = 1_700_000_000;

pub(super) const GETH_OLD: &str = "Geth/v1.8.27-stable/linux-amd64/go1.10.4";
pub(super) const GETH_NEW: &str = "Geth/v1.9.20-stable/linux-amd64/go1.14";

pub(super) const A: LinkId = LinkId(1);
pub(super) const B: LinkId = LinkId(2);
pub(super) const C: LinkId = LinkId(3);

pub(super) struct TestNode {
    pub(super) gossip: Gossip,
    pub(super) pool: Pool,
    pub(super) now: Now,
}

/// A packet and when it was sent.
pub(super) type Sent = (Instant, OutboundPacket);

impl TestNode {
    pub(super) fn new(min_pow: f64) -> Self {
        Self::with_seed(min_pow, [1; 32])
    }

    pub(super) fn with_seed(min_pow: f64, seed: [u8; 32]) -> Self {
        let config = GossipConfig {
            min_pow: MinPow::new(min_pow).unwrap(),
            ..GossipConfig::default()
        };
        Self {
            gossip: Gossip::new(config, &seed),
            pool: Pool::new(64 << 20),
            now: Now {
                mono: Instant::from_micros(5_000_000),
                unix: UnixSecs(START),
            },
        }
    }

    /// Opens a link to a peer that wants all envelopes, and handles its status.
    pub(super) fn connect(&mut self, link: LinkId, client: &str) {
        self.connect_with(link, client, 0.0, &Bloom::FULL);
    }

    /// Opens a link that may carry cells, to a peer that does not announce.
    pub(super) fn connect_with_cells(&mut self, link: LinkId) {
        let _ = self.gossip.add_peer(self.now, link, GETH_OLD);
        self.gossip.defer_delivery(link);
        self.gossip.decide_delivery(link, false);
        self.receive_status(link, 0.0, &Bloom::FULL);
    }

    pub(super) fn connect_with(&mut self, link: LinkId, client: &str, min_pow: f64, bloom: &Bloom) {
        let _ = self.gossip.add_peer(self.now, link, client);
        self.receive_status(link, min_pow, bloom);
    }

    /// Handles a peer's status.
    pub(super) fn receive_status(&mut self, link: LinkId, min_pow: f64, bloom: &Bloom) {
        let status = outgoing::status(MinPow::new(min_pow).unwrap(), bloom, false);
        let _ = self.receive(link, code::STATUS, &status).unwrap();
    }

    /// Handles a packet like a node.
    pub(super) fn receive(
        &mut self,
        link: LinkId,
        code: u8,
        payload: &[u8],
    ) -> Result<PacketOutcome, GossipFault> {
        let received = self
            .gossip
            .receive(self.now, link, code, payload, &self.pool)?;
        for (envelope, pow, not_expired) in &received.admitted {
            if self.pool.insert(envelope.clone(), *pow, *not_expired) == InsertOutcome::New {
                self.gossip.on_pooled(self.now, envelope, Some(link));
            }
        }
        Ok(received)
    }

    /// Handles a packet of messages; returns the number of new envelopes.
    pub(super) fn deliver(
        &mut self,
        link: LinkId,
        envelopes: &[Envelope],
    ) -> Result<usize, GossipFault> {
        let received = self.receive(link, code::MESSAGES, &outgoing::messages(envelopes))?;
        Ok(received.admitted.len())
    }

    /// Adds an envelope to the pool, like a message at level `open`.
    pub(super) fn post(&mut self, envelope: &Envelope) {
        let (pow, not_expired) = self.gossip.validate(self.now, envelope).unwrap();
        assert_eq!(
            self.pool.insert(envelope.clone(), pow, not_expired),
            InsertOutcome::New
        );
        self.gossip.on_pooled(self.now, envelope, None);
    }

    /// Advances time, and calls the gossip when its timer is due.
    pub(super) fn run(&mut self, span: Duration) -> Vec<Sent> {
        self.run_with(span, |_| false)
    }

    pub(super) fn run_with(
        &mut self,
        span: Duration,
        congested: impl Fn(LinkId) -> bool,
    ) -> Vec<Sent> {
        let end = self.now.mono.after(span);
        let mut sent = Vec::new();
        while let Some(due) = self.gossip.next_due().filter(|due| *due <= end) {
            self.set_time(due.max(self.now.mono));
            let sends = self.gossip.tick(self.now, &self.pool, &congested);
            sent.extend(sends.into_iter().map(|send| (self.now.mono, send)));
            assert!(
                self.gossip
                    .next_due()
                    .is_none_or(|next| next > self.now.mono),
                "time does not advance"
            );
        }
        self.set_time(end);
        sent
    }

    fn set_time(&mut self, mono: Instant) {
        let passed = mono.since(Instant::from_micros(5_000_000)).as_secs();
        self.now = Now {
            mono,
            unix: UnixSecs(START + u32::try_from(passed).unwrap()),
        };
        let expired = self.pool.expire(self.now.unix);
        self.gossip.forget(&expired);
    }
}

/// The envelopes of a packet.
pub(super) fn envelopes(send: &OutboundPacket) -> Vec<Envelope> {
    match ShhPacket::decode(send.code, &send.payload) {
        Ok(ShhPacket::Messages(envelopes)) => envelopes.map(Result::unwrap).collect(),
        other => panic!("not messages: {other:?}"),
    }
}

/// The envelopes sent to each peer, in order.
pub(super) fn by_peer(sent: &[Sent]) -> BTreeMap<LinkId, Vec<EnvelopeHash>> {
    let mut peers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (_, send) in sent {
        let hashes = envelopes(send).into_iter().map(|envelope| envelope.hash());
        peers.entry(send.link).or_default().extend(hashes);
    }
    peers
}

/// Whether this peer was sent that envelope.
pub(super) fn was_sent(sent: &[Sent], link: LinkId, envelope: &Envelope) -> bool {
    by_peer(sent)
        .get(&link)
        .is_some_and(|hashes| hashes.contains(&envelope.hash()))
}

/// An envelope without work, valid from a minute ago for eleven minutes, identified by its number.
pub(super) fn plain(number: u32) -> Envelope {
    let data = number.to_be_bytes().repeat(8);
    Envelope::build(
        UnixSecs(START + 600),
        Ttl(660),
        Topic([1, 2, 3, 4]),
        data,
        u64::from(number),
    )
}

/// An envelope with `topic`, otherwise like [`plain`].
pub(super) fn about(topic: [u8; 4]) -> Envelope {
    Envelope::build(
        UnixSecs(START + 600),
        Ttl(660),
        Topic(topic),
        vec![7; 40],
        9,
    )
}

/// An envelope with `len` bytes of data, otherwise like [`plain`].
pub(super) fn sized(number: u32, len: usize) -> Envelope {
    let data = [number.to_be_bytes().to_vec(), vec![3; len - 4]].concat();
    Envelope::build(
        UnixSecs(START + 600),
        Ttl(660),
        Topic([1, 2, 3, 4]),
        data,
        9,
    )
}

/// An envelope sent at `sent` with this ttl.
pub(super) fn timed(sent: u32, ttl: u32, number: u64) -> Envelope {
    Envelope::build(
        UnixSecs(sent + ttl),
        Ttl(ttl),
        Topic([1, 2, 3, 4]),
        vec![5; 40],
        number,
    )
}

/// Searches a nonce until the work meets a condition.
pub(super) fn sealed(base: &Envelope, wanted: impl Fn(PowValues) -> bool) -> Envelope {
    (0..1 << 22)
        .map(|nonce| {
            let data = base.data().to_vec();
            Envelope::build(base.expiry(), base.ttl(), base.topic(), data, nonce)
        })
        .find(|envelope| wanted(PowValues::of(envelope)))
        .unwrap()
}

/// Searches a nonce with which exactly these generations count at least `min`.
pub(super) fn sealed_for(base: &Envelope, min: f64, generations: &[Generation]) -> Envelope {
    sealed(base, |pow| {
        [Generation::Legacy, Generation::Modern]
            .iter()
            .all(|generation| (pow.by(*generation) >= min) == generations.contains(generation))
    })
}
