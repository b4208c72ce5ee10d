//! Who proved that an address is its own, by answering what was sent there.
//!
//! A packet may bear any address; an answer to a question that went to that address may not. Only
//! who has proved its address is told of others, since that takes more bytes than it costs to ask.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

use circuits::ids::RelayKey;
use circuits::time::Instant;

use super::contact::{Contact, Prefix, Reach};

/// The proofs of the last day, bounded in number.
#[derive(Debug, Default)]
pub(super) struct Proofs(BTreeMap<RelayKey, Proof>);

#[derive(Debug)]
struct Proof {
    ip: IpAddr,
    at: Instant,
}

impl Proofs {
    /// A node has answered from this address.
    pub(super) fn add(&mut self, contact: &Contact, now: Instant) {
        self.0.remove(&contact.key);
        if Reach::of(contact.ip) == Reach::Public {
            let prefix = Prefix::of(contact.ip);
            self.thin(MOST_OF_PREFIX, |proof| Prefix::of(proof.ip) == prefix);
        }
        self.thin(MOST, |_| true);
        let proof = Proof {
            ip: contact.ip,
            at: now,
        };
        self.0.insert(contact.key, proof);
    }

    /// Whether a node has answered from this address within the last `age`.
    pub(super) fn holds(&self, key: &RelayKey, ip: IpAddr, age: Duration, now: Instant) -> bool {
        let proof = self.0.get(key);
        proof.is_some_and(|proof| proof.ip == ip && now.since(proof.at) <= age)
    }

    /// Makes room for one more of a kind: the oldest goes.
    fn thin(&mut self, most: usize, kind: impl Fn(&Proof) -> bool) {
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

/// How long others are told of nodes after they proved where they are.
pub(super) const ANSWERED_FOR: Duration = Duration::from_secs(24 * 3600);
/// How long we take it that somebody has such a proof of us. Half as long, so that a question is
/// not in vain.
pub(super) const ASKED_FOR: Duration = Duration::from_secs(12 * 3600);
/// Proofs in all.
const MOST: usize = 1024;
/// Proofs of one prefix, or whoever has many keys and one address would push out everybody else's.
const MOST_OF_PREFIX: usize = 16;

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
    fn a_proof_is_for_one_key_at_one_address_for_a_day() {
        let mut proofs = Proofs::default();
        let (node, now) = (contact(1, [11, 1, 1, 1]), Instant::from_micros(5));
        proofs.add(&node, now);
        let holds = |key, ip, now| proofs.holds(key, ip, ANSWERED_FOR, now);
        assert!(holds(&node.key, node.ip, now.after(ANSWERED_FOR)));
        assert!(!holds(
            &node.key,
            node.ip,
            now.after(ANSWERED_FOR + Duration::from_secs(1))
        ));
        assert!(!holds(&node.key, [11, 1, 1, 2].into(), now));
        assert!(!holds(&RelayKey([9; 64]), node.ip, now));
    }

    #[test]
    fn many_keys_at_one_address_push_out_only_each_other() {
        let mut proofs = Proofs::default();
        let (honest, now) = (contact(0, [11, 1, 1, 1]), Instant::from_micros(5));
        proofs.add(&honest, now);
        for number in 1..5_000_u16 {
            proofs.add(&contact(number, [12, 1, 1, 1]), now);
        }
        assert!(proofs.holds(&honest.key, honest.ip, ANSWERED_FOR, now));
        assert_eq!(proofs.0.len(), 1 + MOST_OF_PREFIX);
        for number in 1..5_000_u16 {
            let [high, low] = number.to_be_bytes();
            proofs.add(&contact(number, [13, high, low, 1]), now);
        }
        assert_eq!(proofs.0.len(), MOST);
    }
}
