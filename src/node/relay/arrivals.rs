//! Measures the rate at which mixing cells arrive at this relay (docs/spec.md F10).
//!
//! The descriptor of an epoch states the mean of the epoch before. The figure of one moment would
//! depend on chance, and would show what the relay does when it publishes.
//!
//! A relay cannot tell a mixing cell from another one, so the rate is estimated from the cells that
//! wait: by Little's law, the mean number of waiting cells is the arrival rate times the mean delay.
//! All mixing cells have the mean delay of the epoch's class. A cell of level `normal` waits for a
//! tenth of a second and therefore counts for a tenth of a cell at most. Because the estimate is
//! divided by the class that was in force, it does not depend on the class, and a wrong class
//! corrects itself within an epoch.

use circuits::ids::Epoch;
use circuits::mixing::{ArrivalRate, DelayClass};
use circuits::time::{Instant, Now};

/// Measures the arrival rate of each epoch.
#[derive(Default)]
pub(super) struct ArrivalMeter {
    epoch: Option<Epoch>,
    /// The delay class that is in force.
    class: DelayClass,
    /// When the measurement of this epoch began.
    began: Instant,
    /// When the number of waiting cells last changed, and to which number.
    changed: (Instant, usize),
    /// The sum of (cells x microseconds x [`SCALE`] / mean delay in seconds) until then.
    area: u128,
    /// The rate of the epoch before.
    last: ArrivalRate,
}

impl ArrivalMeter {
    /// Records the number of waiting cells from now on.
    pub(super) fn observe(&mut self, now: Now, waiting: usize) {
        let epoch = Epoch::at(now.unix);
        self.advance(now.mono);
        if self.epoch != Some(epoch) {
            self.begin(now, epoch);
        }
        self.changed.1 = waiting;
    }

    /// Records the delay class from now on.
    pub(super) fn set_class(&mut self, now: Now, class: DelayClass) {
        if class != self.class {
            self.advance(now.mono);
            self.class = class;
        }
    }

    /// The rate in the epoch before; none if this relay was not up then.
    pub(super) const fn last(&self) -> ArrivalRate {
        self.last
    }

    fn begin(&mut self, now: Now, epoch: Epoch) {
        let is_next = self.epoch.is_some_and(|last| last.next() == epoch);
        let micros = now.mono.since(self.began).as_micros();
        let cells = self.area.saturating_mul(1_000_000);
        let rate = cells.checked_div(micros.saturating_mul(SCALE));
        let rate = rate.filter(|_| is_next).unwrap_or(0);
        self.last = ArrivalRate::at_most(u64::try_from(rate).unwrap_or(u64::MAX));
        self.epoch = Some(epoch);
        self.began = now.mono;
        self.area = 0;
    }

    fn advance(&mut self, now: Instant) {
        let (since, waiting) = self.changed;
        let micros = now.since(since).as_micros();
        let waiting = u128::try_from(waiting).unwrap_or(u128::MAX);
        let weight = SCALE / u128::from(self.class.secs()).max(1);
        let area = waiting.saturating_mul(micros).saturating_mul(weight);
        self.area = self.area.saturating_add(area);
        self.changed.0 = now;
    }
}

/// A multiple of the mean delay of every class, so that the division is exact.
const SCALE: u128 = 120;

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use circuits::cell_builder::Hop;
    use circuits::directory::{EligibleRelay, EndpointKinds, Snapshot, Subnet};
    use circuits::ids::{Profile, RelayId};
    use circuits::keys::OnionSecret;
    use circuits::mixing::{Layer, MixNetwork};
    use circuits::secret::Secret;

    use super::*;
    use crate::node::fixture::START;

    fn at(secs: u32) -> Now {
        Now {
            mono: START.mono.after(Duration::from_secs(secs.into())),
            unix: Epoch::at(START.unix).start().after(secs),
        }
    }

    fn rate(cells_per_million_secs: u64) -> ArrivalRate {
        ArrivalRate::at_most(cells_per_million_secs)
    }

    #[test]
    fn rate_is_the_mean_of_the_epoch_before_and_not_of_the_moment() {
        let mut meter = ArrivalMeter::default();
        meter.observe(at(0), 1_280);
        // For half of the epoch 1,280 cells wait for 20 s, then none, and at the turn there are 60,000.
        meter.observe(at(Epoch::SECS / 2), 0);
        assert_eq!(meter.last(), ArrivalRate::NONE, "there is no epoch before");
        meter.observe(at(Epoch::SECS), 60_000);
        assert_eq!(meter.last(), rate(32_000_000));
        meter.observe(at(Epoch::SECS + 1), 0);
        assert_eq!(meter.last(), rate(32_000_000));
        // An epoch in which the machine slept gives no rate.
        meter.observe(at(3 * Epoch::SECS), 0);
        assert_eq!(meter.last(), ArrivalRate::NONE);
    }

    #[test]
    fn same_arrivals_give_the_same_rate_at_every_class() {
        for class in DelayClass::ALL {
            let mut meter = ArrivalMeter::default();
            meter.set_class(at(0), class);
            // Eight cells a second arrive.
            let waiting = usize::try_from(8 * class.secs()).unwrap();
            meter.observe(at(0), waiting);
            meter.observe(at(Epoch::SECS), waiting);
            assert_eq!(meter.last(), rate(8_000_000), "{class}");
        }
    }

    #[test]
    fn class_that_changes_within_an_epoch_counts_for_its_own_time() {
        let mut meter = ArrivalMeter::default();
        meter.set_class(at(0), DelayClass::LONGEST);
        meter.observe(at(0), 160);
        meter.set_class(at(Epoch::SECS / 4), DelayClass::LOCAL);
        meter.observe(at(Epoch::SECS / 4), 8);
        meter.observe(at(Epoch::SECS), 8);
        assert_eq!(meter.last(), rate(8_000_000));
    }

    #[test]
    fn cells_of_normal_hardly_count() {
        let mut meter = ArrivalMeter::default();
        meter.set_class(at(0), DelayClass::LONGEST);
        // Ten cells of `normal` a second wait for a tenth of a second: one waits on average.
        meter.observe(at(0), 1);
        meter.observe(at(Epoch::SECS), 1);
        assert_eq!(meter.last(), rate(50_000));
    }

    /// The mixing network whose relays state these rates.
    fn network(stated: &[ArrivalRate]) -> MixNetwork {
        let relays = stated.iter().zip(0..).map(|(rate, number)| EligibleRelay {
            hop: Hop {
                id: RelayId([number; 32]),
                onion: *OnionSecret::from_secret(Secret::init_with(|key| key.fill(9))).public(),
            },
            subnets: vec![Subnet::Ip4([8, number])],
            endpoints: EndpointKinds::IP,
            dials: EndpointKinds::IP,
            family: Vec::new(),
            layer: Layer::ALL[usize::from(number) % Layer::COUNT],
            arrivals: *rate,
            ticket_bits: 17,
        });
        MixNetwork::of(&Snapshot::new(Epoch(1), Profile::Main, false, relays))
    }

    /// The delay classes of successive epochs of a network of 50 relays. `arrivals` are the cells that
    /// reach each relay in a second, by epoch. The network begins in the middle of the first epoch.
    fn classes(arrivals: &[u64]) -> Vec<u64> {
        let mut meters: Vec<_> = (0..50).map(|_| ArrivalMeter::default()).collect();
        let mut published = vec![vec![ArrivalRate::NONE; meters.len()]];
        let mut classes = Vec::new();
        for (epoch, arrivals) in (0..).zip(arrivals) {
            // The snapshot of an epoch has the descriptors of the epoch before.
            let class = network(&published[published.len() - 1]).class();
            classes.push(class.secs());
            let start = match epoch {
                0 => at(Epoch::SECS / 2),
                _ => at(epoch * Epoch::SECS),
            };
            // Relays differ by up to a fifth.
            let spread = (0..).map(|number| 90 + number % 5 * 5);
            for (meter, percent) in meters.iter_mut().zip(spread) {
                let waiting = arrivals * class.secs() * percent / 100;
                meter.set_class(start, class);
                meter.observe(start, usize::try_from(waiting).unwrap());
            }
            published.push(meters.iter().map(ArrivalMeter::last).collect());
        }
        classes
    }

    #[test]
    fn network_that_begins_with_the_wrong_class_settles_in_its_third_epoch_and_stays() {
        // 600 senders among 50 relays: 30 cells a second.
        assert_eq!(classes(&[30; 8]), [20, 20, 3, 3, 3, 3, 3, 3]);
        // Ten times as many senders from the fourth epoch on, and then a tenth.
        let changing = [30, 30, 30, 300, 300, 300, 3, 3, 3, 3];
        assert_eq!(classes(&changing), [20, 20, 3, 3, 3, 1, 1, 1, 20, 20]);
    }
}
