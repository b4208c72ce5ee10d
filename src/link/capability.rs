//! The sub-protocols that two peers share, and the message codes of each.
//!
//! Both Hellos list capabilities by name and version. For each name the highest common version is
//! used. The shared capabilities, sorted by name, divide the code space above the base protocol
//! (protocol sheet 1.7). Both ends must derive the same table, so the result depends neither on the
//! order of the lists, nor on repetitions, nor on capabilities that one side lacks.

use std::collections::BTreeMap;
use std::fmt;

/// A sub-protocol that this program speaks.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Capability {
    name: &'static str,
    version: u32,
    codes: u16,
}

impl Capability {
    /// The onion layer and directory of whisht.
    pub const ONION_1: Self = Self::new("onion", 1, 16);
    /// Whisper, fifth version.
    pub const SHH_5: Self = Self::new("shh", 5, 64);
    /// Whisper, sixth version (EIP-627).
    pub const SHH_6: Self = Self::new("shh", 6, 128);

    /// A capability that occupies `codes` message codes.
    #[must_use]
    pub const fn new(name: &'static str, version: u32, codes: u16) -> Self {
        Self {
            name,
            version,
            codes,
        }
    }

    /// The name in a Hello.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The version in a Hello.
    #[must_use]
    pub const fn version(self) -> u32 {
        self.version
    }

    /// The number of message codes that the capability occupies.
    #[must_use]
    pub const fn codes(self) -> u16 {
        self.codes
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// A sub-protocol that a peer's Hello lists; most are unknown to this program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AdvertisedCapability {
    /// The name; not checked to be text.
    pub name: Vec<u8>,
    /// The version.
    pub version: u64,
}

impl AdvertisedCapability {
    fn is(&self, capability: Capability) -> bool {
        self.name == capability.name.as_bytes() && self.version == u64::from(capability.version)
    }
}

/// The capabilities of both peers, with the first message code of each.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SharedCapabilities {
    entries: Vec<(Capability, u16)>,
}

impl SharedCapabilities {
    /// Matches our capabilities with those that the peer lists.
    #[must_use]
    pub fn negotiate(ours: &[Capability], theirs: &[AdvertisedCapability]) -> Self {
        let mut highest = BTreeMap::new();
        for &capability in ours {
            if theirs.iter().any(|listed| listed.is(capability)) {
                let best = highest.entry(capability.name).or_insert(capability);
                *best = capability.max(*best);
            }
        }
        let mut next = Some(BASE_CODES);
        let entries = highest.into_values().map_while(|capability| {
            let offset = next?;
            next = offset.checked_add(capability.codes);
            Some((capability, offset))
        });
        Self {
            entries: entries.collect(),
        }
    }

    /// The shared capabilities, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = Capability> {
        self.entries.iter().map(|&(capability, _)| capability)
    }

    /// Whether the peers share no capability.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first message code of `capability`; `None` if it is not shared.
    #[must_use]
    pub fn offset(&self, capability: Capability) -> Option<u16> {
        self.entries
            .iter()
            // Numbers first: this is asked for every message, and names seldom decide it.
            .find(|(shared, _)| shared.codes == capability.codes && *shared == capability)
            .map(|&(_, offset)| offset)
    }

    /// The capability of a wire code, and the code within it; `None` above the last range.
    #[must_use]
    pub fn locate(&self, wire: u16) -> Option<(Capability, u16)> {
        self.entries.iter().find_map(|&(capability, offset)| {
            let code = wire.checked_sub(offset)?;
            (code < capability.codes).then_some((capability, code))
        })
    }
}

/// Codes of the base protocol; the first shared capability begins here.
pub const BASE_CODES: u16 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, version: u64) -> AdvertisedCapability {
        AdvertisedCapability {
            name: name.as_bytes().to_vec(),
            version,
        }
    }

    #[test]
    fn onion_precedes_shh_and_shifts_it_by_sixteen_codes() {
        let ours = [Capability::SHH_6, Capability::SHH_5, Capability::ONION_1];
        let shared = SharedCapabilities::negotiate(&ours, &[listed("shh", 6), listed("onion", 1)]);
        assert_eq!(shared.offset(Capability::ONION_1), Some(16));
        assert_eq!(shared.offset(Capability::SHH_6), Some(32));
        assert_eq!(shared.offset(Capability::SHH_5), None);
        assert_eq!(shared.locate(31), Some((Capability::ONION_1, 15)));
        assert_eq!(shared.locate(32), Some((Capability::SHH_6, 0)));
        assert_eq!(shared.locate(159), Some((Capability::SHH_6, 127)));
        assert_eq!(shared.locate(160), None);
        assert_eq!(shared.locate(15), None);
    }

    #[test]
    fn capability_name_prefix_does_not_match() {
        let shared = SharedCapabilities::negotiate(
            &[Capability::SHH_6],
            &[listed("shh2", 6), listed("sh", 6)],
        );
        assert!(shared.is_empty());
    }

    #[test]
    fn oversized_capability_version_matches_nothing() {
        let wrapped = (1 << 32) | 6;
        assert!(
            SharedCapabilities::negotiate(&[Capability::SHH_6], &[listed("shh", wrapped)])
                .is_empty()
        );
    }
}
