//! Endpoint proofs: which nodes answered a ping at their address.
//!
//! The source address of a packet may be forged; an answer to a ping that went to the address
//! proves that its sender receives there. Only a proven node gets FindNode answers, which are
//! larger than the question (amplification).

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

use circuits::ids::RelayKey;
use circuits::time::Instant;

use super::contact::{AddressScope, Contact, Prefix};

/// The proofs of the last day, bounded in number.
#[derive(Debug, Default)]
pub(super) struct EndpointProofs(BTreeMap<RelayKey, EndpointProof>);

#[derive(Debug)]
struct EndpointProof {
    ip: IpAddr,
    at: Instant,
}

impl EndpointProofs {
    /// Records that a node answered from this address.
    pub(super) fn add(&mut self, contact: &Contact, now: Instant) {
        self.0.remove(&contact.key);
        if AddressScope::of(contact.ip) == AddressScope::Global {
            let prefix = Prefix::of(contact.ip);
            self.evict_oldest(MAX_PROOFS_PER_PREFIX, |proof| {
                Prefix::of(proof.ip) == prefix
            });
        }
        self.evict_oldest(MAX_PROOFS, |_| true);
        let proof = EndpointProof {
            ip: contact.ip,
            at: now,
        };
        self.0.insert(contact.key, proof);
    }

    /// Whether a node answered from this address within the last `age`.
    pub(super) fn is_proven(
        &self,
        key: &RelayKey,
        ip: IpAddr,
        age: Duration,
        now: Instant,
    ) -> bool {
        let proof = self.0.get(key);
        proof.is_some_and(|proof| proof.ip == ip && now.since(proof.at) <= age)
    }

    /// Makes room for one more proof of a kind: the oldest is evicted.
    fn evict_oldest(&mut self, most: usize, kind: impl Fn(&EndpointProof) -> bool) {
        let of_kind = || self.0.iter().filter(|(_, proof)| kind(proof));
        if of_kind().count() < most {
            return;
        }
        let oldest = of_kind().min_by_key(|(_, proof)| proof.at);
        if let Some(key) = oldest.map(|(key, _)| *key) {
            self.0.remove(&key);
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
        let mut proofs = EndpointProofs::default();
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
        let mut proofs = EndpointProofs::default();
        let (honest, now) = (contact(0, [11, 1, 1, 1]), Instant::from_micros(5));
        proofs.add(&honest, now);
        for number in 1..5_000_u16 {
            proofs.add(&contact(number, [12, 1, 1, 1]), now);
        }
        assert!(proofs.is_proven(&honest.key, honest.ip, PROOF_LIFETIME, now));
        assert_eq!(proofs.0.len(), 1 + MAX_PROOFS_PER_PREFIX);
        for number in 1..5_000_u16 {
            let [high, low] = number.to_be_bytes();
            proofs.add(&contact(number, [13, high, low, 1]), now);
        }
        assert_eq!(proofs.0.len(), MAX_PROOFS);
    }
}
