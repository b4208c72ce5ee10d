//! Endpoint proofs: which nodes answered a ping at their address.
//!
//! The source address of a packet may be forged; an answer to a ping that went to the address
//! proves that its sender receives there. Only a proven node gets FindNode answers, which are
//! larger than the question (amplification).

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

use circuits::bounded_map::BoundedMap;
use circuits::ids::RelayKey;
use circuits::time::Instant;

use super::contact::{AddressScope, Contact};
use crate::endpoint::Prefix;

/// The proofs of the last day, bounded in number.
#[derive(Debug)]
pub(super) struct EndpointProofs {
    /// The proven address of each node, ranked by the time of the proof.
    proofs: BoundedMap<RelayKey, IpAddr, Instant>,
    /// The proofs of each public prefix.
    prefixes: BTreeMap<Prefix, BoundedMap<RelayKey, (), Instant>>,
}

impl EndpointProofs {
    pub(super) const fn new() -> Self {
        Self {
            proofs: BoundedMap::new(MAX_PROOFS),
            prefixes: BTreeMap::new(),
        }
    }

    /// Records that a node answered from this address. If there are too many proofs, of its prefix
    /// or in total, the oldest is evicted.
    pub(super) fn add(&mut self, contact: &Contact, now: Instant) {
        let Contact { key, ip, .. } = *contact;
        if let Some(before) = self.proofs.remove(&key) {
            self.forget_prefix(&key, before);
        }
        if AddressScope::of(ip) == AddressScope::Global {
            let proofs = self.prefixes.entry(Prefix::of(ip));
            let evicted = proofs
                .or_insert_with(|| BoundedMap::new(MAX_PROOFS_PER_PREFIX))
                .insert(key, now, ());
            if let Some((evicted, ())) = evicted {
                self.proofs.remove(&evicted);
            }
        }
        if let Some((evicted, ip)) = self.proofs.insert(key, now, ip) {
            self.forget_prefix(&evicted, ip);
        }
    }

    /// Whether a node answered from this address within the last `age`.
    pub(super) fn is_proven(
        &self,
        key: &RelayKey,
        ip: IpAddr,
        age: Duration,
        now: Instant,
    ) -> bool {
        let at = self.proofs.rank(key);
        self.proofs.get(key) == Some(&ip) && at.is_some_and(|at| now.since(at) <= age)
    }

    fn forget_prefix(&mut self, key: &RelayKey, ip: IpAddr) {
        let prefix = Prefix::of(ip);
        if let Some(proofs) = self.prefixes.get_mut(&prefix) {
            proofs.remove(key);
            if proofs.is_empty() {
                self.prefixes.remove(&prefix);
            }
        }
    }
}

/// How long a proof entitles a node to FindNode answers.
pub(super) const PROOF_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long we assume that a node keeps its proof of us. Half of `PROOF_LIFETIME`, so that a query
/// is not sent in vain.
pub(super) const OWN_PROOF_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Proofs in total.
const MAX_PROOFS: usize = 1024;
/// Proofs per prefix. Without this limit, many keys at one address would evict all other proofs.
const MAX_PROOFS_PER_PREFIX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(number: u16, ip: [u8; 4]) -> Contact {
        let mut key = [0; 64];
        key[..2].copy_from_slice(&number.to_be_bytes());
        Contact {
            key: RelayKey(key),
            ip: ip.into(),
            udp: 30303,
            tcp: 0,
        }
    }

    #[test]
    fn proof_holds_for_one_key_at_one_address_for_a_day() {
        let mut proofs = EndpointProofs::new();
        let (node, now) = (contact(1, [11, 1, 1, 1]), Instant::from_micros(5));
        proofs.add(&node, now);
        let is_proven = |key, ip, now| proofs.is_proven(key, ip, PROOF_LIFETIME, now);
        assert!(is_proven(&node.key, node.ip, now.after(PROOF_LIFETIME)));
        assert!(!is_proven(
            &node.key,
            node.ip,
            now.after(PROOF_LIFETIME + Duration::from_secs(1))
        ));
        assert!(!is_proven(&node.key, [11, 1, 1, 2].into(), now));
        assert!(!is_proven(&RelayKey([9; 64]), node.ip, now));
    }

    #[test]
    fn many_keys_at_one_address_evict_only_each_other() {
        let mut proofs = EndpointProofs::new();
        let (honest, now) = (contact(0, [11, 1, 1, 1]), Instant::from_micros(5));
        proofs.add(&honest, now);
        for number in 1..5_000_u16 {
            proofs.add(&contact(number, [12, 1, 1, 1]), now);
        }
        assert!(proofs.is_proven(&honest.key, honest.ip, PROOF_LIFETIME, now));
        assert_eq!(proofs.proofs.len(), 1 + MAX_PROOFS_PER_PREFIX);
        for number in 1..5_000_u16 {
            let [high, low] = number.to_be_bytes();
            proofs.add(&contact(number, [13, high, low, 1]), now);
        }
        assert_eq!(proofs.proofs.len(), MAX_PROOFS);
        let by_prefix = proofs.prefixes.values().map(BoundedMap::len);
        assert_eq!(by_prefix.sum::<usize>(), MAX_PROOFS);
    }
}
