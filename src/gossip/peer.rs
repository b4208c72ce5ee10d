//! One neighbour: what it said of itself, what it wants, and what waits for it.

use core::time::Duration;

use circuits::time::{Instant, UnixSecs};

use crate::bloom::Bloom;
use crate::envelope::{Envelope, ProtocolVersion};
use crate::envelope_pool::PooledEnvelope;
use crate::pow::{Generation, Generations, PowChecked};

use super::announce::{AnnounceQueue, DeliveryMode};
use super::packet::{MinPow, RateLimits, Status};
use super::peer_score::PeerScore;
use super::pow_rule::{PowRule, PowRuleEstimator};
use super::rejection_quota::RejectionQuota;
use super::send_queue::SendQueue;

/// A neighbour's state.
#[derive(Debug)]
pub(super) struct GossipPeer {
    /// Which version of the protocol the link speaks, and so which envelopes it carries.
    protocol: ProtocolVersion,
    client: String,
    client_rule: PowRule,
    /// Absent until its status has come.
    status: Option<PeerStatus>,
    /// Changes that overtook the status: go-ethereum announces them to peers that it has not yet
    /// greeted.
    early_pow: Option<MinPow>,
    early_bloom: Option<Bloom>,
    /// Whether what it hands over directly is taken past all checks.
    pub(super) trusted: bool,
    pub(super) rejection_quota: RejectionQuota,
    pub(super) score: PeerScore,
    estimator: PowRuleEstimator,
    pub(super) delivery: DeliveryMode,
    pub(super) queue: SendQueue,
    pub(super) announcements: AnnounceQueue,
    /// Envelopes that it brought, and that it was sent.
    pub(super) received: u64,
    pub(super) sent: u64,
}

/// What a peer's status said, with later changes applied.
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
    /// In so many seconds; ask again then.
    Later(u32),
    /// Not unless the peer changes its mind.
    Never,
}

/// A neighbour as a listing of peers shows it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Which version of the protocol it speaks: it is given envelopes of that form only.
    pub protocol: ProtocolVersion,
    /// What it calls itself, shortened and made printable.
    pub client: String,
    /// The proof-of-work rule that it is taken to judge by.
    pub rule: PowRule,
    /// Whether its status has come; until then the next three say nothing.
    pub has_status: bool,
    /// The least proof of work that it wants.
    pub min_pow: f64,
    /// How many of its filter's 512 bits are set; all of them for a full node.
    pub bloom_bits: u32,
    /// Whether it calls itself a light node.
    pub light: bool,
    /// Whether what it hands over directly is taken past all checks.
    pub trusted: bool,
    /// Envelopes that it brought, repetitions included.
    pub received: u64,
    /// Envelopes that it was sent.
    pub sent: u64,
    /// Envelopes that wait for it.
    pub waiting: usize,
    /// Whether it is told hashes and asks for what it lacks, as whisht nodes do.
    pub pulls: bool,
    /// From -100 to 100: what it brought, by its work, less what it did wrong.
    pub score: i8,
}

impl PeerInfo {
    /// Whether the peer takes an envelope that is sealed for these generations and this minimum, as
    /// far as its filter lets it.
    #[must_use]
    pub fn accepts(&self, generations: Generations, minimum: f64) -> bool {
        let satisfies = |generation| match generations {
            Generations::Both => true,
            Generations::Legacy => generation == Generation::Legacy,
            Generations::Modern => generation == Generation::Modern,
        };
        let (legacy, modern) = (satisfies(Generation::Legacy), satisfies(Generation::Modern));
        let rule = match self.rule {
            PowRule::Both => legacy && modern,
            PowRule::Either => legacy || modern,
            PowRule::Legacy => legacy,
            PowRule::Modern => modern,
        };
        self.has_status && (self.min_pow == 0.0 || rule && self.min_pow <= minimum)
    }
}

impl GossipPeer {
    /// A peer that has only said hello.
    pub(super) fn new(now: Instant, protocol: ProtocolVersion, client: &str) -> Self {
        Self {
            protocol,
            client: printable(client),
            client_rule: match protocol {
                ProtocolVersion::V5 => PowRule::Legacy,
                ProtocolVersion::V6 => PowRule::from_client_name(client),
            },
            status: None,
            early_pow: None,
            early_bloom: None,
            trusted: false,
            rejection_quota: RejectionQuota::new(now),
            score: PeerScore::default(),
            estimator: PowRuleEstimator::default(),
            delivery: DeliveryMode::default(),
            queue: SendQueue::default(),
            announcements: AnnounceQueue::default(),
            received: 0,
            sent: 0,
        }
    }

    /// Which version of the protocol the link speaks.
    pub(super) const fn protocol(&self) -> ProtocolVersion {
        self.protocol
    }

    /// Whether its status has come: before that it is sent no envelope.
    pub(super) const fn has_status(&self) -> bool {
        self.status.is_some()
    }

    /// Takes in its status. A second one is ignored, as go-ethereum does.
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

    /// It requires another proof of work from now on.
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

    /// It wants other topics from now on.
    pub(super) fn set_bloom(&mut self, bloom: Bloom) {
        match &mut self.status {
            Some(status) => {
                status.bloom = bloom;
                self.want_rescan();
            }
            None => self.early_bloom = Some(bloom),
        }
    }

    /// It wants to be sent to at this rate from now on.
    pub(super) const fn set_rate_limits(&mut self, limits: RateLimits) {
        if let Some(status) = &mut self.status {
            status.limits = Some(limits);
        }
    }

    /// The time that every packet costs under the limits that it set, if it set any.
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

    /// Least time between two packets of envelopes that it did not ask for.
    pub(super) fn packet_interval(&self) -> Duration {
        PACKET_INTERVAL.max(self.packet_cost())
    }

    /// So many short packets went to it besides: what waits for it waits the longer, if it counts.
    pub(super) fn charge(&mut self, now: Instant, packets: u32) {
        let cost = self.packet_cost().saturating_mul(packets);
        if cost >= MIN_COST {
            self.queue.delay(now, cost);
        }
    }

    /// What it wants has changed: the pool is to be read through again.
    pub(super) fn want_rescan(&mut self) {
        if !self.has_status() {
            return;
        }
        match self.delivery {
            DeliveryMode::Undecided => {}
            DeliveryMode::Pull => self.announcements.queue.want_rescan(),
            DeliveryMode::Push => self.queue.want_rescan(),
        }
    }

    /// The line in which it waits for what the pool held when it came.
    pub(super) const fn scanned_queue(&mut self) -> &mut SendQueue {
        match self.delivery {
            DeliveryMode::Pull => &mut self.announcements.queue,
            DeliveryMode::Undecided | DeliveryMode::Push => &mut self.queue,
        }
    }

    /// When there is something to send to it next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        [self.queue.next_due(), self.announcements.next_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Leaves it alone for a while.
    pub(super) fn pause_until(&mut self, until: Instant) {
        self.queue.pause_until(until);
        self.announcements.pause_until(until);
    }

    /// Whether it wants to be told what became of its packets.
    pub(super) fn wants_confirmations(&self) -> bool {
        self.status
            .as_ref()
            .is_some_and(|status| status.confirmations == Some(true))
    }

    /// Whether it can be given this envelope and wants its topic.
    pub(super) fn wants(&self, envelope: &Envelope) -> bool {
        let status = self.status.as_ref();
        envelope.protocol() == self.protocol
            && status.is_some_and(|status| status.bloom.wants(envelope.topic()))
    }

    /// Judges an envelope of the pool by what the peer would punish.
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
        // A clock that is behind ours sees the envelope in the future still, and divides its work
        // by a life that is longer by as much: only work to spare goes out this early.
        let settled = envelope.sent().after(CLOCK_MARGIN);
        match settled.0.saturating_sub(now.0) {
            0 => ForwardDecision::Now,
            _ if rule.is_satisfied(pow, min * stretch(envelope)) => ForwardDecision::Now,
            wait => ForwardDecision::Later(wait),
        }
    }

    /// What a listing of peers shows.
    pub(super) fn info(&self) -> PeerInfo {
        let status = self.status.as_ref();
        PeerInfo {
            protocol: self.protocol,
            client: self.client.clone(),
            rule: self.rule(),
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

    /// It passed on an envelope that had not crossed its link before.
    pub(super) fn on_relayed(&mut self, pow: &PowChecked) {
        let before = self.rule();
        self.estimator.on_relayed(pow);
        if self.rule() != before {
            self.want_rescan();
        }
    }

    /// The rule that it judges proof of work by, as far as can be known.
    fn rule(&self) -> PowRule {
        match &self.status {
            // The mark of status-im, which refuses without hanging up.
            Some(status) if status.confirmations.is_some() => PowRule::Either,
            // Whisht nodes pass on what the crowd seals, which says nothing of what they take.
            _ if self.client_rule == PowRule::Either => PowRule::Either,
            _ => self.estimator.estimate().unwrap_or(self.client_rule),
        }
    }
}

/// By how much the requirement grows for a clock that is [`CLOCK_MARGIN`] behind.
fn stretch(envelope: &Envelope) -> f64 {
    let life = f64::from(envelope.ttl().0.max(1));
    (life + f64::from(CLOCK_MARGIN) + 1.0) / life
}

/// A name that a stranger chose, fit for a terminal.
fn printable(client: &str) -> String {
    client
        .chars()
        .take(MAX_CLIENT_CHARS)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Least time between two packets of messages to one peer: three in a second, which is below
/// every rate limit in use.
const PACKET_INTERVAL: Duration = Duration::from_millis(334);
/// Limits of a thousand packets a second and more are none.
const MIN_COST: Duration = Duration::from_millis(1);
/// Seconds that an envelope must have left to be worth sending: a peer whose clock is ahead would
/// punish us for an expired one.
const MIN_REMAINING_LIFE: u32 = 15;
/// Seconds by which a peer's clock may be behind before a young envelope costs us the peer.
const CLOCK_MARGIN: u32 = 3;
/// Characters of a peer's name that are kept.
const MAX_CLIENT_CHARS: usize = 96;
