//! Levels as users see them: the network that mixes, and what is known about its protection.

use circuits::mixing::ArrivalRate;
use circuits::time::Now;

use super::SendContext;
use crate::node::level_policy::{LevelPolicy, LimitedNetwork};
use crate::node::views::{CustomLevelView, LevelsView, LinkedView, MixingView, ProtectionView};
use crate::protection::{self, MeasuredNetwork, Row};

impl SendContext<'_> {
    /// The levels, and what is known about them now.
    pub(in crate::node) fn levels(self, now: Now, policy: &LevelPolicy) -> LevelsView {
        let custom = policy.custom().iter();
        LevelsView {
            levels: self.level_views(now),
            custom: custom
                .map(|custom| CustomLevelView {
                    name: custom.name().to_owned(),
                    base: custom.base(),
                })
                .collect(),
            mixing: self.mixing(now),
            relay_list: self.directory.relay_list_view(now),
        }
    }

    /// What the limits of custom levels need to know.
    pub(in crate::node) fn limited_network(self, now: Now) -> LimitedNetwork {
        let network = self.directory.mix_network(now);
        let relays: usize = network.relays().iter().sum();
        LimitedNetwork {
            relays: u64::try_from(relays).unwrap_or(u64::MAX),
            pool: (network.rate() != ArrivalRate::NONE).then(|| network.pool()),
        }
    }

    /// The mixing network of the epoch; `None` while no relay states a rate.
    fn mixing(self, now: Now) -> Option<MixingView> {
        let network = self.directory.mix_network(now);
        if network.rate() == ArrivalRate::NONE {
            return None;
        }
        let measured = MeasuredNetwork {
            relays: network.relays().iter().sum(),
            rate: cells_per_second(network.rate()),
            delay: network.class().mean(),
        };
        let (_, smallest) = network.smallest_layer();
        Some(mixing_view(&measured, smallest))
    }
}

/// A rate in cells per second.
fn cells_per_second(rate: ArrivalRate) -> f64 {
    let millis = rate.per_million_secs() / 1_000;
    f64::from(u32::try_from(millis).unwrap_or(u32::MAX)) / 1_000.0
}

/// A view of the network, with what the table knows about it.
fn mixing_view(network: &MeasuredNetwork, smallest_layer: usize) -> MixingView {
    let shares = protection::assumed_shares().into_iter();
    MixingView {
        delay_secs: network.delay.as_secs(),
        rate: network.rate,
        pool: network.rate * network.delay.as_secs_f64(),
        relays: network.relays,
        smallest_layer,
        senders: network.whole_senders(),
        protection: shares
            .filter_map(|hostile| protection::protection(network, hostile))
            .map(|protection| protection_view(&protection))
            .collect(),
    }
}

fn protection_view(known: &protection::Protection) -> ProtectionView {
    let Row {
        senders,
        relays,
        delay,
        above_tenth,
        above_half,
        ..
    } = known.single;
    ProtectionView {
        hostile: known.hostile,
        one_in: known.single.one_in(),
        above_tenth: above_tenth.upper(),
        above_half: above_half.upper(),
        linked: known
            .linked
            .iter()
            .map(|row| LinkedView {
                messages: row.linked,
                one_in: row.one_in(),
            })
            .collect(),
        senders,
        relays,
        delay_secs: delay.into(),
    }
}
