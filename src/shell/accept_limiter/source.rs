//! The number of inbound connections of each source network.
//!
//! It knows nothing of what the connections carry, and a connection over loopback has no source.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A network that one operator can be expected to own: a /24 of IPv4, a /48 of IPv6.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct SourceNetwork(u64);

impl SourceNetwork {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self(u64::from(address.to_bits() >> 8)),
            IpAddr::V6(address) => {
                let prefix = u64::try_from(address.to_bits() >> 80).unwrap_or(u64::MAX);
                Self(V6_MARK | prefix)
            }
        }
    }
}

/// Number of inbound connections of each source.
#[derive(Clone, Debug)]
pub(super) struct SourceCounts {
    max_per_source: usize,
    counts: Arc<Mutex<BTreeMap<SourceNetwork, usize>>>,
}

impl SourceCounts {
    pub(super) fn new(max_per_source: usize) -> Self {
        Self {
            max_per_source,
            counts: Arc::default(),
        }
    }

    /// Counts one more connection; `None` if the source has reached its limit.
    pub(super) fn enter(&self, address: IpAddr) -> Option<SourcePermit> {
        let source = SourceNetwork::of(address);
        let mut counts = self.lock();
        let count = counts.entry(source).or_default();
        if *count >= self.max_per_source {
            return None;
        }
        *count += 1;
        Some(SourcePermit {
            sources: self.clone(),
            source,
            address,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SourceNetwork, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection of a source; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct SourcePermit {
    sources: SourceCounts,
    source: SourceNetwork,
    address: IpAddr,
}

impl SourcePermit {
    /// The address of the connection.
    pub(super) const fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for SourcePermit {
    fn drop(&mut self) {
        let mut counts = self.sources.lock();
        if let Some(count) = counts.get_mut(&self.source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.source);
            }
        }
    }
}

/// Separates the two address families: a /48 has 48 bits.
const V6_MARK: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_one_network_are_one_source() {
        let source = |text: &str| SourceNetwork::of(text.parse().unwrap());
        assert_eq!(source("192.0.2.1"), source("192.0.2.254"));
        assert_ne!(source("192.0.2.1"), source("192.0.3.1"));
        assert_eq!(source("2001:db8:1::1"), source("2001:db8:1:ffff::2"));
        assert_ne!(source("2001:db8:1::1"), source("2001:db8:2::1"));
        assert_ne!(source("0.0.1.0"), source("0:0:1::"));
    }
}
