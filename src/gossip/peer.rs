//! The gossip state of one peer: its status, its requirements, and its send queues.

use core::time::Duration;

use circuits::rate_limit::TokenBucket;
use circuits::time::{Instant, UnixSecs};

use crate::bloom::Bloom;
use crate::envelope::{Envelope, ProtocolVersion};
use crate::envelope_pool::PooledEnvelope;
use crate::pow::{Generation, Generations, PowChecked};
use crate::printable;

use super::announce::{AnnounceQueue, DeliveryMode};
use super::envelope_times::EnvelopeTimes;
use super::packet::{MinPow, RateLimits, Status};
use super::peer_score::PeerScore;
use super::pow_rule::{PowRule, PowRuleEstimator};
use super::send_queue::EnvelopeQueue;
use super::waste_quota::WasteQuota;

/// The state of a peer.
#[derive(Debug)]
pub(super) struct GossipPeer {
    /// The protocol version of the link, which decides the form of its envelopes.
    protocol: ProtocolVersion,
    client: String,
    client_rule: PowRule,
    /// Absent until the peer's status arrives.
    status: Option<PeerStatus>,
    /// Changes that arrived before the status: go-ethereum announces them to peers to which it has
    /// not yet sent its status.
    early_pow: Option<MinPow>,
    early_bloom: Option<Bloom>,
    /// Whether its direct messages are accepted without checks.
    pub(super) trusted: bool,
    pub(super) rejections: TokenBucket,
    pub(super) waste: WasteQuota,
    pub(super) score: PeerScore,
    estimator: PowRuleEstimator,
    pub(super) delivery: DeliveryMode,
    /// Whether cells may travel on its link: it offered `onion/1`.
    pub(super) may_carry_cells: bool,
    pub(super) queue: EnvelopeQueue,
    pub(super) announcements: AnnounceQueue,
    /// Number of envelopes received from it; `sent` counts those sent to it.
    pub(super) received: u64,
    pub(super) sent: u64,
    /// The times of the envelopes that it brought, until the node has taken them.
    pub(super) envelope_times: Option<EnvelopeTimes>,
}

/// The content of a peer's status, with later changes applied.
#[derive(Debug)]
struct PeerStatus {
    min_pow: MinPow,
    bloom: Bloom,
    light: bool,
    confirmations: Option<bool>,
    limits: Option<RateLimits>,
}

/// Whether an envelope may be sent to a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ForwardDecision {
    /// Now.
    Now,
    /// After this many seconds; decide again then.
    Later(u32),
    /// Not unless the peer changes its requirements.
    Never,
}

/// A peer in a listing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Its protocol version: it is sent envelopes of that form only.
    pub protocol: ProtocolVersion,
    /// Its client name, truncated and made printable.
    pub client: String,
    /// The proof-of-work rule for which it is assumed to punish: what may be sent to it.
    pub rule: PowRule,
    /// The proof-of-work rule by which it is assumed to accept envelopes. It differs from `rule` for
    /// a peer that drops envelopes without punishing, such as status-im.
    pub accepted_rule: PowRule,
    /// Whether its status arrived; until then the next three fields have no meaning.
    pub has_status: bool,
    /// Its minimum proof of work.
    pub min_pow: f64,
    /// Number of set bits of its filter, of 512; all of them for a full node.
    pub bloom_bits: u32,
    /// Whether it calls itself a light node.
    pub light: bool,
    /// Whether its direct messages are accepted without checks.
    pub trusted: bool,
    /// Envelopes received from it, repetitions included.
    pub received: u64,
    /// Envelopes sent to it.
    pub sent: u64,
    /// Envelopes queued for it.
    pub waiting: usize,
    /// Whether it is sent hashes and requests bodies, as whisht nodes do.
    pub pulls: bool,
    /// From -100 to 100: the work of the envelopes that it sent, less its faults.
    pub score: i8,
}

impl PeerInfo {
    /// Whether the peer accepts an envelope with proof of work for these generations and this
    /// minimum, if its filter matches.
    #[must_use]
    pub fn accepts(&self, generations: Generations, minimum: f64) -> bool {
        let satisfies = |generation| match generations {
            Generations::Both => true,
            Generations::Legacy => generation == Generation::Legacy,
            Generations::Modern => generation == Generation::Modern,
        };
        let (legacy, modern) = (satisfies(Generation::Legacy), satisfies(Generation::Modern));
        let rule = match self.accepted_rule {
            PowRule::Both => legacy && modern,
            PowRule::Either => legacy || modern,
            PowRule::Legacy => legacy,
            PowRule::Modern => modern,
        };
        self.has_status && (self.min_pow == 0.0 || rule && self.min_pow <= minimum)
    }
}

impl GossipPeer {
    /// A peer that has only completed the hello.
    pub(super) fn new(now: Instant, protocol: ProtocolVersion, client: &str) -> Self {
        Self {
            protocol,
            client: printable::excerpt(client, MAX_CLIENT_CHARS),
            client_rule: match protocol {
                ProtocolVersion::V5 => PowRule::Legacy,
                ProtocolVersion::V6 => PowRule::from_client_name(client),
            },
            status: None,
            early_pow: None,
            early_bloom: None,
            trusted: false,
            rejections: TokenBucket::full(now),
            waste: WasteQuota::full(now),
            score: PeerScore::default(),
            estimator: PowRuleEstimator::default(),
            delivery: DeliveryMode::default(),
            may_carry_cells: false,
            queue: EnvelopeQueue::of_envelopes(),
            announcements: AnnounceQueue::new(),
            received: 0,
            sent: 0,
            envelope_times: None,
        }
    }

    /// The protocol version of the link.
    pub(super) const fn protocol(&self) -> ProtocolVersion {
        self.protocol
    }

    /// Whether its status arrived: before that it is sent no envelope.
    pub(super) const fn has_status(&self) -> bool {
        self.status.is_some()
    }

    /// Handles its status. A second one is ignored, as in go-ethereum.
    pub(super) fn on_status(&mut self, status: &Status) {
        if self.has_status() {
            return;
        }
        self.status = Some(PeerStatus {
            min_pow: self.early_pow.unwrap_or(status.min_pow),
            bloom: self.early_bloom.or(status.bloom).unwrap_or(Bloom::FULL),
            light: status.light,
            confirmations: status.confirmations,
            limits: status.rate_limits,
        });
        self.estimator.on_min_pow(status.min_pow.value());
        if let Some(min_pow) = self.early_pow {
            self.estimator.on_min_pow(min_pow.value());
        }
        self.want_rescan();
    }

    /// Sets its minimum proof of work.
    pub(super) fn set_min_pow(&mut self, min_pow: MinPow) {
        match &mut self.status {
            Some(status) => {
                status.min_pow = min_pow;
                self.estimator.on_min_pow(min_pow.value());
                self.want_rescan();
            }
            None => self.early_pow = Some(min_pow),
        }
    }

    /// Sets its topic filter.
    pub(super) fn set_bloom(&mut self, bloom: Bloom) {
        match &mut self.status {
            Some(status) => {
                status.bloom = bloom;
                self.want_rescan();
            }
            None => self.early_bloom = Some(bloom),
        }
    }

    /// Sets its rate limits.
    pub(super) const fn set_rate_limits(&mut self, limits: RateLimits) {
        if let Some(status) = &mut self.status {
            status.limits = Some(limits);
        }
    }

    /// The time per packet under the rate limits that it set, if any.
    fn packet_cost(&self) -> Duration {
        let limits = self.status.as_ref().and_then(|status| status.limits);
        let rate = limits.and_then(|limits| {
            let set = [limits.ip, limits.peer]
                .into_iter()
                .filter(|limit| *limit > 0);
            set.min()
        });
        let rate = rate.map_or(u32::MAX, |rate| u32::try_from(rate).unwrap_or(u32::MAX));
        Duration::from_secs(1) / rate
    }

    /// Minimum interval between two packets of unrequested envelopes.
    pub(super) fn packet_interval(&self) -> Duration {
        PACKET_INTERVAL.max(self.packet_cost())
    }

    /// Counts further short packets against its rate limits: its queue is delayed accordingly.
    pub(super) fn charge(&mut self, now: Instant, packets: u32) {
        let cost = self.packet_cost().saturating_mul(packets);
        if cost >= MIN_COST {
            self.queue.delay(now, cost);
        }
    }

    /// Schedules a rescan of the pool after its requirements changed.
    pub(super) fn want_rescan(&mut self) {
        if !self.has_status() {
            return;
        }
        match self.delivery {
            DeliveryMode::Undecided => {}
            DeliveryMode::Pull => self.announcements.queue.backlog.want_walk(),
            DeliveryMode::Push => self.queue.backlog.want_walk(),
        }
    }

    /// Whether a packet to it may be longer than the common target. No cell waits behind it, and in
    /// `shh/5` a packet has one envelope.
    pub(super) fn takes_long_packets(&self) -> bool {
        !self.may_carry_cells && self.protocol == ProtocolVersion::V6
    }

    /// The queue for the envelopes that the pool had when the peer came.
    pub(super) const fn scanned_queue(&mut self) -> &mut EnvelopeQueue {
        match self.delivery {
            DeliveryMode::Pull => &mut self.announcements.queue,
            DeliveryMode::Undecided | DeliveryMode::Push => &mut self.queue,
        }
    }

    /// Lets the queue of hashes walk the pool for what the queue of envelopes had no room for: a peer
    /// that pulls has one walk. A wish that no queue fulfils would always be due.
    pub(super) fn move_walk(&mut self) {
        if self.delivery == DeliveryMode::Pull && self.queue.backlog.take_wish() {
            self.announcements.queue.backlog.want_walk();
        }
    }

    /// When the next packet to it is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        [self.queue.next_due(), self.announcements.next_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Delays all packets to it.
    pub(super) fn pause_until(&mut self, until: Instant) {
        self.queue.pause_until(until);
        self.announcements.pause_until(until);
    }

    /// Number of envelopes that had no room in its queues, and of its requests that had none.
    pub(super) fn displaced(&self) -> u64 {
        let announcements = &self.announcements;
        let queues = self.queue.displaced() + announcements.queue.displaced();
        queues.saturating_add(announcements.requests.refused())
    }

    /// Whether it expects confirmations of its packets.
    pub(super) fn wants_confirmations(&self) -> bool {
        self.status
            .as_ref()
            .is_some_and(|status| status.confirmations == Some(true))
    }

    /// Whether the link carries this envelope's form and the peer wants its topic.
    pub(super) fn wants(&self, envelope: &Envelope) -> bool {
        let status = self.status.as_ref();
        envelope.protocol() == self.protocol
            && status.is_some_and(|status| status.bloom.wants(envelope.topic()))
    }

    /// Decides whether to send a pooled envelope, by the rules that the peer would punish.
    pub(super) fn forward_decision(
        &self,
        now: UnixSecs,
        pooled: &PooledEnvelope,
    ) -> ForwardDecision {
        let PooledEnvelope { envelope, pow } = pooled;
        let Some(status) = &self.status else {
            return ForwardDecision::Never;
        };
        let (rule, min) = (self.rule(), status.min_pow.value());
        if !self.wants(envelope)
            || envelope.expiry() < now.after(MIN_REMAINING_LIFE)
            || !rule.is_satisfied(pow, min)
        {
            return ForwardDecision::Never;
        }
        if envelope.sent() > now {
            return ForwardDecision::Later(envelope.sent().0 - now.0);
        }
        // A peer whose clock is behind ours still sees the envelope in the future, and divides its
        // work by a longer lifetime accordingly: only envelopes with spare work are sent this
        // early.
        let settled = envelope.sent().after(clock_margin(envelope));
        match settled.0.saturating_sub(now.0) {
            0 => ForwardDecision::Now,
            _ if rule.is_satisfied(pow, min * stretch(envelope)) => ForwardDecision::Now,
            wait => ForwardDecision::Later(wait),
        }
    }

    /// Its entry in a listing of peers.
    pub(super) fn info(&self) -> PeerInfo {
        let status = self.status.as_ref();
        PeerInfo {
            protocol: self.protocol,
            client: self.client.clone(),
            rule: self.rule(),
            accepted_rule: self.accepted_rule(),
            has_status: status.is_some(),
            min_pow: status.map_or(0.0, |status| status.min_pow.value()),
            bloom_bits: status.map_or(0, |status| {
                status.bloom.0.iter().map(|byte| byte.count_ones()).sum()
            }),
            light: status.is_some_and(|status| status.light),
            trusted: self.trusted,
            received: self.received,
            sent: self.sent,
            waiting: self.queue.len() + self.announcements.queue.len(),
            pulls: self.delivery == DeliveryMode::Pull,
            score: self.score.value(),
        }
    }

    /// Records that it relayed an envelope that had not crossed its link before.
    pub(super) fn on_relayed(&mut self, pow: &PowChecked) {
        let before = self.rule();
        self.estimator.on_relayed(pow);
        if self.rule() != before {
            self.want_rescan();
        }
    }

    /// The proof-of-work rule that it punishes by, as far as is known.
    fn rule(&self) -> PowRule {
        if self.is_status_im() {
            return PowRule::Either;
        }
        self.accepted_rule()
    }

    /// The proof-of-work rule that it accepts by, as far as is known.
    fn accepted_rule(&self) -> PowRule {
        let assumed = if self.is_status_im() {
            // Versions up to 1.4 applied the legacy rule; what they relay shows it.
            PowRule::Modern
        } else {
            self.client_rule
        };
        // Whisht nodes also relay envelopes of others, so what they relay proves no rule.
        if assumed == PowRule::Either {
            return assumed;
        }
        self.estimator.estimate().unwrap_or(assumed)
    }

    /// Whether its status has the field that only status-im sends: it drops envelopes with too little
    /// work, and does not disconnect.
    fn is_status_im(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| status.confirmations.is_some())
    }
}

/// Seconds by which a peer's clock may be behind before it punishes us for this envelope when it is
/// young. The wait takes at most a quarter of a short lifetime, so that the rest is left for the
/// other hops.
fn clock_margin(envelope: &Envelope) -> u32 {
    MAX_CLOCK_MARGIN.min(envelope.ttl().0 / 4)
}

/// The factor of the requirement for a clock that is [`clock_margin`] behind.
fn stretch(envelope: &Envelope) -> f64 {
    let life = f64::from(envelope.ttl().0.max(1));
    (life + f64::from(clock_margin(envelope)) + 1.0) / life
}

/// Minimum interval between two packets of messages to one peer: three per second, which is below
/// every rate limit in use.
const PACKET_INTERVAL: Duration = Duration::from_millis(334);
/// Rate limits of a thousand packets per second or more are ignored.
const MIN_COST: Duration = Duration::from_millis(1);
/// Remaining lifetime in seconds that an envelope must have to be sent: the time of the transfer.
/// An envelope that expires on the way is not punished: go-ethereum, status-im and whisht drop it in
/// silence until 20 s after its expiry, and disconnect only for an older one (protocol sheet 3.6).
const MIN_REMAINING_LIFE: u32 = 1;
/// Maximum of [`clock_margin`].
const MAX_CLOCK_MARGIN: u32 = 3;
/// Maximum length of a client name in characters.
const MAX_CLIENT_CHARS: usize = 96;
