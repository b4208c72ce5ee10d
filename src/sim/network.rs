//! The network between the nodes: what happens to bytes between two machines.
//!
//! A link is a reliable stream in each direction, as TCP is. A segment that is lost comes again
//! after a timeout, and everything behind it waits (head-of-line blocking). Bandwidth bounds how
//! fast bytes leave, so a full link pushes back on its sender. Each direction of each link draws
//! from a seed of its own: traffic on one link never moves the delays of another, unless the node's
//! own bandwidth is full.

mod latency;

use core::time::Duration;

pub use self::latency::LatencyModel;

use circuits::time::Instant;

use super::seed::SmallRng;

/// The properties of all links of a world.
#[derive(Clone, Copy, Debug)]
pub struct NetworkModel {
    /// One-way delays. Each pair of nodes has one, drawn once.
    pub latency: LatencyModel,
    /// Mean of the exponential delay that each packet has in addition.
    pub jitter: Duration,
    /// Probability that a segment of 1,448 bytes, or a datagram, is lost.
    pub loss: f64,
    /// Bytes per second in each direction of a link; unlimited if zero.
    pub bandwidth: u64,
    /// Bytes per second that a node sends on all its links together; unlimited if zero.
    pub uplink: u64,
    /// Probability that a cell is lost between two nodes, as if the second one dropped it. Cells are
    /// recognised only in the plain frames of fast mode; otherwise none is lost.
    pub cell_loss: f64,
}

impl NetworkModel {
    /// The same delay for everything; nothing is lost.
    #[must_use]
    pub const fn fixed(latency: Duration) -> Self {
        Self {
            latency: LatencyModel::Uniform(latency, latency),
            jitter: Duration::ZERO,
            loss: 0.0,
            bandwidth: 0,
            uplink: 0,
            cell_loss: 0.0,
        }
    }

    /// Home connections on one continent: 10 to 110 ms one way (mean 60 ms, near the 62 ms that
    /// the models of the levels assume), 4 ms of jitter, 0.1 % loss, 20 Mbit/s.
    #[must_use]
    pub const fn internet() -> Self {
        Self {
            latency: LatencyModel::Uniform(Duration::from_millis(10), Duration::from_millis(110)),
            jitter: Duration::from_millis(4),
            loss: 0.001,
            bandwidth: 2_500_000,
            uplink: 0,
            cell_loss: 0.0,
        }
    }

    /// Home connections all over the world: [`LatencyModel::Worldwide`], 4 ms of jitter, 0.1 %
    /// loss, and 10 Mbit/s from each node to all its peers together.
    #[must_use]
    pub const fn worldwide() -> Self {
        Self {
            latency: LatencyModel::Worldwide,
            bandwidth: 0,
            uplink: 1_250_000,
            ..Self::internet()
        }
    }

    /// The delay between two machines, from the generator of their pair.
    pub(super) fn latency(&self, rng: &mut SmallRng) -> Duration {
        self.latency.draw(rng)
    }

    /// When a datagram arrives, if it does.
    pub(super) fn datagram(&self, now: Instant, rng: &mut SmallRng) -> Option<Instant> {
        let latency = self.latency(rng);
        if self.loss > 0.0 && rng.unit() <= self.loss {
            return None;
        }
        Some(now.after(latency + self.jitter(rng)))
    }

    fn jitter(&self, rng: &mut SmallRng) -> Duration {
        if self.jitter.is_zero() {
            return Duration::ZERO;
        }
        self.jitter.mul_f64(rng.exponential())
    }

    /// How long `bytes` occupy a link.
    fn occupancy(&self, bytes: usize) -> Duration {
        time_at(self.bandwidth, bytes)
    }

    /// The time that lost segments cost: each loss doubles the timeout, as TCP does.
    fn retransmission(&self, rng: &mut SmallRng, latency: Duration, bytes: usize) -> Duration {
        if self.loss <= 0.0 {
            return Duration::ZERO;
        }
        let mut worst = Duration::ZERO;
        for _ in 0..bytes.div_ceil(SEGMENT).max(1) {
            let mut timeout = MIN_TIMEOUT + 2 * latency;
            let mut delay = Duration::ZERO;
            while delay < MAX_RETRANSMISSION && rng.unit() <= self.loss {
                delay += timeout;
                timeout *= 2;
            }
            worst = worst.max(delay);
        }
        worst
    }
}

/// The time of `bytes` at a rate in bytes per second; none if the rate is zero.
fn time_at(rate: u64, bytes: usize) -> Duration {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    let micros = bytes.saturating_mul(1_000_000).checked_div(rate);
    Duration::from_micros(micros.unwrap_or(0))
}

/// What a node sends on all its links passes here first.
#[derive(Default)]
pub(super) struct Uplink {
    /// From when on it is idle.
    idle_from: Instant,
}

impl Uplink {
    /// When `bytes` that are sent now have left the node.
    pub(super) fn send(&mut self, model: &NetworkModel, now: Instant, bytes: usize) -> Instant {
        if model.uplink > 0 {
            self.idle_from = now.max(self.idle_from).after(time_at(model.uplink, bytes));
        }
        now.max(self.idle_from)
    }
}

/// One direction of a link.
pub(super) struct Line {
    rng: SmallRng,
    latency: Duration,
    /// When the last byte that was given has left.
    idle_from: Instant,
    /// When the last byte that was given arrives; nothing overtakes it.
    last_arrival: Instant,
}

/// When bytes have left the sender, and when the receiver has them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Transit {
    pub(super) left: Instant,
    pub(super) arrives: Instant,
}

impl Line {
    pub(super) const fn new(rng: SmallRng, latency: Duration) -> Self {
        Self {
            rng,
            latency,
            idle_from: Instant::ZERO,
            last_arrival: Instant::ZERO,
        }
    }

    /// Sends bytes behind all that were given before.
    pub(super) fn send(&mut self, model: &NetworkModel, now: Instant, bytes: usize) -> Transit {
        let left = now.max(self.idle_from).after(model.occupancy(bytes));
        let retransmission = model.retransmission(&mut self.rng, self.latency, bytes);
        let delay = self.latency + model.jitter(&mut self.rng) + retransmission;
        self.idle_from = left;
        self.last_arrival = self.last_arrival.max(left.after(delay));
        Transit {
            left,
            arrives: self.last_arrival,
        }
    }
}

/// Payload of one TCP segment on Ethernet, in bytes.
const SEGMENT: usize = 1_448;
/// Linux's smallest retransmission timeout.
const MIN_TIMEOUT: Duration = Duration::from_millis(200);
/// No segment is lost for longer than this; a link that is worse is down, not slow.
const MAX_RETRANSMISSION: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::super::seed::WorldSeed;
    use super::*;

    fn line(latency: u64) -> Line {
        let rng = WorldSeed::from_number(7).small_rng("line", &[1, 2]);
        Line::new(rng, Duration::from_millis(latency))
    }

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    #[test]
    fn fixed_link_delivers_after_its_latency() {
        let model = NetworkModel::fixed(Duration::from_millis(20));
        let transit = line(20).send(&model, at(100), 912);
        assert_eq!((transit.left, transit.arrives), (at(100), at(120)));
    }

    #[test]
    fn bandwidth_delays_bytes_behind_earlier_bytes() {
        let model = NetworkModel {
            bandwidth: 1_000_000,
            ..NetworkModel::fixed(Duration::from_millis(10))
        };
        let mut line = line(10);
        assert_eq!(line.send(&model, at(0), 50_000).arrives, at(60));
        let second = line.send(&model, at(0), 1_000);
        assert_eq!((second.left, second.arrives), (at(51), at(61)));
    }

    #[test]
    fn links_of_one_node_share_its_uplink() {
        let model = NetworkModel {
            uplink: 1_000_000,
            ..NetworkModel::fixed(Duration::from_millis(10))
        };
        let mut uplink = Uplink::default();
        assert_eq!(uplink.send(&model, at(0), 50_000), at(50));
        assert_eq!(uplink.send(&model, at(20), 10_000), at(60));
        assert_eq!(uplink.send(&model, at(80), 0), at(80));
        let unlimited = NetworkModel::fixed(Duration::ZERO);
        assert_eq!(uplink.send(&unlimited, at(90), 50_000), at(90));
    }

    #[test]
    fn lost_segment_blocks_later_bytes() {
        let model = NetworkModel {
            loss: 0.2,
            jitter: Duration::from_millis(3),
            ..NetworkModel::fixed(Duration::from_millis(10))
        };
        let mut line = line(10);
        let arrivals: Vec<_> = (0..500)
            .map(|packet| line.send(&model, at(packet), 100).arrives)
            .collect();
        assert!(arrivals.is_sorted(), "the stream keeps its order");
        let late = arrivals
            .iter()
            .zip(0..)
            .filter(|(arrival, packet)| arrival.since(at(*packet)) >= MIN_TIMEOUT);
        assert!(late.count() > 150, "each loss delays what is behind it");
    }

    #[test]
    fn equal_seeds_give_equal_arrivals() {
        let model = NetworkModel::internet();
        let run = || -> Vec<Instant> {
            let mut line = line(30);
            (0..200)
                .map(|packet| line.send(&model, at(packet * 7), 976).arrives)
                .collect()
        };
        assert_eq!(run(), run());
    }
}
