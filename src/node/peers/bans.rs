//! Who is not let in for a while: strangers that broke the protocol.
//!
//! A strike is record_strike against a key for what came under that key's own authentication and cannot
//! have been put into its mouth by others: packets that cannot be read, work that was never done.
//! Untimely envelopes are no strike, since anybody can date one so that an honest neighbour passes
//! it on (docs/decisions/0003). The first strike keeps a key out for a minute, each further one for
//! twice as long, up to six hours; an hour without one takes one back.
//!
//! Keys cost nothing, so an address that brings many of them that are struck is refused too, for
//! ten minutes. Behind one address there may be many people: only a single address is meant, never
//! its prefix; a key that was of use before is let in all the same, and so is everybody whom the
//! user named or whom we dialled. Addresses that say nothing about who is there (loopback, as with
//! onion services, private ones) are never refused.

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::IpAddr;

use circuits::ids::{LinkId, RelayKey};
use circuits::time::{Instant, Now};

use crate::endpoint::Endpoint;
use crate::link::DisconnectReason;
use crate::node::Node;
use crate::node::peers::table::PeerConnection;

/// All strikes, bounded in number.
#[derive(Debug, Default)]
pub(in crate::node) struct BanList {
    keys: BTreeMap<RelayKey, BanRecord>,
    addresses: BTreeMap<IpAddr, BanRecord>,
    /// Keys that were of use, by when that was.
    useful: BTreeMap<RelayKey, Instant>,
}

#[derive(Clone, Copy, Debug)]
struct BanRecord {
    strikes: u32,
    last: Instant,
    until: Instant,
}

impl BanList {
    /// A peer broke the protocol. `address` is where it came from, if it dialled us and the address
    /// means something. Gives when it may come back.
    pub(in crate::node) fn strike(
        &mut self,
        now: Instant,
        key: RelayKey,
        address: Option<IpAddr>,
    ) -> Instant {
        self.useful.remove(&key);
        if let Some(address) = address.filter(|address| identifies_host(*address)) {
            let record = record_strike(&mut self.addresses, now, address);
            if record.strikes >= ADDRESS_STRIKES {
                record.until = now.after(ADDRESS_BAN);
            }
        }
        let record = record_strike(&mut self.keys, now, key);
        let doublings = record.strikes.saturating_sub(1).min(MAX_DOUBLINGS);
        let ban = KEY_BAN.saturating_mul(1 << doublings).min(MAX_KEY_BAN);
        record.until = now.after(ban);
        record.until
    }

    /// A peer leaves that was of use: its key is let in even from an address that is refused.
    pub(in crate::node) fn was_useful(&mut self, now: Instant, key: RelayKey) {
        make_room(&mut self.useful, |since| *since);
        self.useful.insert(key, now);
    }

    /// Until when a peer is refused, if it is. An invited one is refused by its key alone.
    pub(in crate::node) fn banned_until(
        &self,
        now: Instant,
        key: RelayKey,
        address: Option<IpAddr>,
        invited: bool,
    ) -> Option<Instant> {
        let by_key = self.keys.get(&key).map(|record| record.until);
        let by_address = address
            .filter(|_| !invited && !self.useful.contains_key(&key))
            .and_then(|address| self.addresses.get(&address))
            .map(|record| record.until);
        [by_key, by_address]
            .into_iter()
            .flatten()
            .max()
            .filter(|until| now < *until)
    }

    /// Keys and addresses that are refused now.
    pub(in crate::node) fn banned(&self, now: Instant) -> usize {
        let keys = self.keys.values();
        let all = keys.chain(self.addresses.values());
        all.filter(|record| now < record.until).count()
    }
}

/// Who answers for a strike.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) enum BanScope {
    /// The key.
    Key,
    /// The key, and the address that it came from.
    KeyAndAddress,
}

impl Node {
    /// The peer on this link broke the protocol; its link is about to end.
    pub(in crate::node) fn strike(&mut self, now: Now, id: LinkId, scope: BanScope) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        let Some(key) = connection.remote.as_ref().map(|remote| remote.key) else {
            return;
        };
        let address = remote_ip(connection).filter(|_| scope == BanScope::KeyAndAddress);
        let until = self.bans.strike(now.mono, key, address);
        self.dialer
            .backoff_until(key, until.min(now.mono.after(MAX_BACKOFF)));
    }

    /// Whether a peer whose handshake is over is not let in for now. Whom we dialled is.
    pub(in crate::node) fn is_banned(&self, now: Now, id: LinkId, key: RelayKey) -> bool {
        let Some(connection) = self.connections.get(id) else {
            return false;
        };
        let invited = self.dialer.is_static(key) || self.dialer.always_admits(key);
        let until = || {
            let address = remote_ip(connection);
            self.bans.banned_until(now.mono, key, address, invited)
        };
        !connection.outbound() && until().is_some()
    }

    /// Whether there is a place for a gossip peer. Whom we dialled or always admit gets one whoever
    /// is there; for anybody else a stranger that brought only trouble makes room.
    pub(in crate::node) fn has_room_for(&mut self, now: Now, id: LinkId, key: RelayKey) -> bool {
        let dialled = self
            .connections
            .get(id)
            .is_some_and(PeerConnection::outbound);
        if dialled || self.dialer.always_admits(key) {
            return true;
        }
        if self.gossip_peers() <= self.config.max_peers {
            return true;
        }
        let unlisted = |link: &PeerConnection| {
            let key = link.remote.as_ref().map(|remote| remote.key);
            let named = |key| self.dialer.is_static(key) || self.dialer.always_admits(key);
            !link.outbound() && !key.is_some_and(named)
        };
        let worst = self
            .connections
            .iter()
            .filter(|(_, link)| unlisted(link))
            .filter_map(|(id, _)| Some((self.gossip.peer_score(id)?, id)))
            .min()
            .filter(|(rating, _)| *rating < 0);
        if let Some((_, worst)) = worst {
            self.disconnect(now, worst, DisconnectReason::TooManyPeers);
        }
        worst.is_some()
    }

    /// A peer goes: remembers whether it was of use.
    pub(in crate::node) fn note_usefulness(
        &mut self,
        now: Now,
        id: LinkId,
        connection: &PeerConnection,
    ) {
        let useful = self
            .gossip
            .peer_score(id)
            .is_some_and(|rating| rating >= MIN_USEFUL_RATING);
        if let Some(remote) = connection.remote.as_ref().filter(|_| useful) {
            self.bans.was_useful(now.mono, remote.key);
        }
    }
}

/// The address that a peer came from; nothing if we dialled it, or if its address does not show.
fn remote_ip(connection: &PeerConnection) -> Option<IpAddr> {
    match connection.address? {
        Endpoint::Tcp(address) if !connection.outbound() => Some(address.ip()),
        _ => None,
    }
}

/// Notes one more strike, and forgives those that are long past.
fn record_strike<K: Ord + Copy>(
    table: &mut BTreeMap<K, BanRecord>,
    now: Instant,
    name: K,
) -> &mut BanRecord {
    if !table.contains_key(&name) {
        make_room(table, |record| record.last);
    }
    let record = table.entry(name).or_insert(BanRecord {
        strikes: 0,
        last: now,
        until: now,
    });
    let forgiven = now.since(record.last).as_secs() / STRIKE_DECAY_INTERVAL.as_secs();
    let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
    record.strikes = record.strikes.saturating_sub(forgiven).saturating_add(1);
    record.last = now;
    record
}

/// Takes the entry out that is longest untouched, if the table is full.
fn make_room<K: Ord + Copy, V>(table: &mut BTreeMap<K, V>, touched: impl Fn(&V) -> Instant) {
    if table.len() < MAX_ENTRIES {
        return;
    }
    let oldest = table.iter().min_by_key(|(_, entry)| touched(entry));
    if let Some(name) = oldest.map(|(name, _)| *name) {
        table.remove(&name);
    }
}

/// Whether an address tells who is there: not one that everybody has, or a network of its own has.
fn identifies_host(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified())
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_unspecified())
        }
    }
}

/// How long a key is refused at its first strike.
const KEY_BAN: Duration = Duration::from_secs(60);
/// And at the most.
const MAX_KEY_BAN: Duration = Duration::from_secs(6 * 3600);
/// So many doublings exceed that.
const MAX_DOUBLINGS: u32 = 9;
/// After how long a strike is taken back.
const STRIKE_DECAY_INTERVAL: Duration = Duration::from_secs(3600);
/// Strikes within about an hour for which an address is refused.
const ADDRESS_STRIKES: u32 = 8;
/// For how long.
const ADDRESS_BAN: Duration = Duration::from_secs(600);
/// How long a peer that the user named is not dialled after a strike, at the most.
const MAX_BACKOFF: Duration = Duration::from_secs(600);
/// The rating from which on a peer was of use.
const MIN_USEFUL_RATING: i8 = 20;
/// Entries in each table.
const MAX_ENTRIES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_micros(1_000_000);
    const HOME: [u8; 4] = [203, 0, 113, 7];

    fn key(number: u16) -> RelayKey {
        let mut key = [1; 64];
        key[..2].copy_from_slice(&number.to_be_bytes());
        RelayKey(key)
    }

    fn mins(number: u64) -> Duration {
        Duration::from_secs(60 * number)
    }

    #[test]
    fn each_strike_keeps_a_key_out_for_twice_as_long_up_to_six_hours() {
        let mut bans = BanList::default();
        let mut now = START;
        for ban in [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360] {
            let until = bans.strike(now, key(1), None);
            assert_eq!(until.since(now), mins(ban));
            assert_eq!(
                bans.banned_until(now, key(1), None, true),
                Some(until),
                "an invitation does not help"
            );
            assert_eq!(bans.banned_until(until, key(1), None, false), None);
            // Struck again at once: nothing was forgiven.
            now = now.after(Duration::from_secs(1));
        }
        assert_eq!(bans.banned_until(now, key(2), None, false), None);
    }

    #[test]
    fn an_hour_takes_a_strike_back() {
        let mut bans = BanList::default();
        for _ in 0..4 {
            bans.strike(START, key(1), None);
        }
        let later = START.after(mins(180));
        let until = bans.strike(later, key(1), None);
        assert_eq!(until.since(later), mins(2), "the second, as it were");
    }

    #[test]
    fn eighth_banned_key_bans_its_address_for_unlisted_peers() {
        let mut bans = BanList::default();
        let (home, friend) = (Some(HOME.into()), key(900));
        bans.was_useful(START, friend);
        for number in 0..7 {
            bans.strike(START, key(number), home);
        }
        let banned = |bans: &BanList, key, address, invited| {
            let until = bans.banned_until(START, key, address, invited);
            until.map(|until| until.since(START))
        };
        assert_eq!(banned(&bans, key(100), home, false), None);
        bans.strike(START, key(7), home);
        assert_eq!(banned(&bans, key(100), home, false), Some(mins(10)));
        assert_eq!(banned(&bans, key(100), home, true), None);
        assert_eq!(banned(&bans, friend, home, false), None);
        let other_address = Some([203, 0, 113, 8].into());
        assert_eq!(banned(&bans, key(100), other_address, false), None);
        assert_eq!(banned(&bans, key(100), None, false), None);
        // Who abuses its good name has it no more.
        bans.strike(START, friend, None);
        assert!(banned(&bans, friend, home, false).is_some());
    }

    #[test]
    fn addresses_that_many_share_by_nature_are_never_refused() {
        let mut bans = BanList::default();
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.9",
            "::1",
            "fd00::1",
            "::ffff:127.0.0.1",
        ] {
            let address: IpAddr = address.parse().unwrap();
            for number in 0..100 {
                bans.strike(START, key(number), Some(address));
            }
            assert_eq!(
                bans.banned_until(START, key(500), Some(address), false),
                None,
                "{address}"
            );
        }
    }

    #[test]
    fn a_flood_of_struck_keys_takes_no_more_than_its_room() {
        let mut bans = BanList::default();
        for number in 0..5_000_u16 {
            let now = START.after(Duration::from_millis(u64::from(number)));
            let [high, low] = number.to_be_bytes();
            bans.strike(now, key(number), Some([8, 8, high, low].into()));
            bans.was_useful(now, key(number));
        }
        assert_eq!(bans.keys.len(), MAX_ENTRIES);
        assert_eq!(bans.addresses.len(), MAX_ENTRIES);
        assert_eq!(bans.useful.len(), MAX_ENTRIES);
        assert!(bans.keys.contains_key(&key(4_999)) && !bans.keys.contains_key(&key(0)));
    }
}
