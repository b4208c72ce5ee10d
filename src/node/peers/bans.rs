//! The ban list: temporary bans for peers that violate the protocol.
//!
//! A strike counts against a key, for messages under that key's own authentication that another
//! peer cannot have caused: packets that cannot be decoded, proof of work that was not done. An
//! expired envelope is not a strike, since any sender can choose its times so that an honest peer
//! forwards it (docs/decisions/0003). The first strike bans a key for a minute, each further one
//! for twice as long, up to six hours. An hour without a strike removes one.
//!
//! Keys cost nothing, so an address from which many banned keys connect is banned too, for ten
//! minutes. Many users may share an address: a ban covers a single address, never its prefix; a key
//! that was useful before is admitted nevertheless, and so are peers that the user named or that
//! we dialled. Addresses that do not identify a host (loopback, as with onion services, and
//! private ones) are never banned.

use core::time::Duration;
use std::net::IpAddr;

use circuits::backoff::Backoff;
use circuits::bounded_map::BoundedMap;
use circuits::ids::{LinkId, RelayKey};
use circuits::rate_limit::{KeyedLimiter, Quota};
use circuits::time::Instant;

/// All bans; bounded in number.
#[derive(Debug)]
pub(super) struct BanList {
    /// Ranked by the last strike.
    keys: BoundedMap<RelayKey, BanRecord, Instant>,
    /// Ranked by the last strike.
    addresses: BoundedMap<IpAddr, BanRecord, Instant>,
    /// Useful keys, ranked by the time when they disconnected.
    useful: BoundedMap<RelayKey, (), Instant>,
    /// Packets of `onion/1` that this node does not read. Gossip counts those of `shh` itself.
    unread: KeyedLimiter<LinkId>,
}

#[derive(Clone, Copy, Debug)]
struct BanRecord {
    strikes: u32,
    until: Instant,
}

impl Default for BanList {
    fn default() -> Self {
        Self {
            keys: BoundedMap::new(MAX_ENTRIES),
            addresses: BoundedMap::new(MAX_ENTRIES),
            useful: BoundedMap::new(MAX_ENTRIES),
            unread: KeyedLimiter::new(UNREAD_QUOTA, MAX_ENTRIES),
        }
    }
}

impl BanList {
    /// Counts a strike. `address` is the address that the peer connected from. Returns the end of
    /// the key's ban.
    pub(super) fn strike(
        &mut self,
        now: Instant,
        key: RelayKey,
        address: Option<IpAddr>,
    ) -> Instant {
        self.useful.remove(&key);
        if let Some(address) = address.filter(|address| identifies_host(*address)) {
            record_strike(&mut self.addresses, now, address, |strikes| {
                (strikes >= ADDRESS_STRIKES).then_some(ADDRESS_BAN)
            });
        }
        record_strike(&mut self.keys, now, key, |strikes| {
            Some(KEY_BAN.wait(strikes.saturating_sub(1)))
        })
    }

    /// Records that a peer was useful: its key is admitted from a banned address.
    pub(super) fn was_useful(&mut self, now: Instant, key: RelayKey) {
        self.useful.insert(key, now, ());
    }

    /// Whether a peer was useful in an earlier link, and not struck since.
    pub(super) fn is_useful(&self, key: RelayKey) -> bool {
        self.useful.contains_key(&key)
    }

    /// The end of a peer's ban, if it is banned. The ban of an address does not apply to a named peer.
    pub(super) fn banned_until(
        &self,
        now: Instant,
        key: RelayKey,
        address: Option<IpAddr>,
        named: bool,
    ) -> Option<Instant> {
        let by_key = self.keys.get(&key).map(|record| record.until);
        let by_address = address
            .filter(|_| !named && !self.useful.contains_key(&key))
            .and_then(|address| self.addresses.get(&address))
            .map(|record| record.until);
        [by_key, by_address]
            .into_iter()
            .flatten()
            .max()
            .filter(|until| now < *until)
    }

    /// Charges a packet that this node does not read; `false` if the link exceeds its quota.
    pub(super) fn tolerates_unread(&mut self, now: Instant, link: LinkId) -> bool {
        self.unread.take(link, now)
    }

    /// Number of banned keys and addresses.
    pub(super) fn banned(&self, now: Instant) -> usize {
        let keys = self.keys.values();
        let all = keys.chain(self.addresses.values());
        all.filter(|record| now < record.until).count()
    }
}

/// What a strike counts against.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) enum BanScope {
    /// The key.
    Key,
    /// The key, and the address that it connected from.
    KeyAndAddress,
}

/// Counts one strike, after removing those that have decayed. `ban` gives the ban for the number of
/// strikes. Returns the end of the ban.
fn record_strike<K: Ord + Copy>(
    table: &mut BoundedMap<K, BanRecord, Instant>,
    now: Instant,
    name: K,
    ban: impl FnOnce(u32) -> Option<Duration>,
) -> Instant {
    let last = table.rank(&name).unwrap_or(now);
    let before = table.get(&name).copied();
    let BanRecord { strikes, until } = before.unwrap_or(BanRecord {
        strikes: 0,
        until: now,
    });
    let decayed = now.since(last).as_secs() / STRIKE_DECAY_INTERVAL.as_secs();
    let decayed = u32::try_from(decayed).unwrap_or(u32::MAX);
    let strikes = strikes.saturating_sub(decayed).saturating_add(1);
    let until = ban(strikes).map_or(until, |ban| now.after(ban));
    table.insert(name, now, BanRecord { strikes, until });
    until
}

/// Whether an address identifies a host: it is neither loopback nor private.
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

/// Packets that this node does not read, per second and at once, of one link. Later versions may have
/// codes of their own, but need few of them on a link that does not know them.
const UNREAD_QUOTA: Quota = Quota::per_second(16, 1_024);

/// Ban of a key, from its first strike on.
const KEY_BAN: Backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(6 * 3600));
/// Time after which one strike is removed.
const STRIKE_DECAY_INTERVAL: Duration = Duration::from_secs(3600);
/// Strikes within about an hour that ban an address.
const ADDRESS_STRIKES: u32 = 8;
/// Ban of an address.
const ADDRESS_BAN: Duration = Duration::from_secs(600);
/// Maximum wait before a named peer is dialled again after a strike.
pub(super) const MAX_BACKOFF: Duration = Duration::from_secs(600);
/// Maximum number of entries in each table.
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
    fn each_strike_doubles_the_ban_up_to_six_hours() {
        let mut bans = BanList::default();
        let mut now = START;
        for ban in [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360] {
            let until = bans.strike(now, key(1), None);
            assert_eq!(until.since(now), mins(ban));
            assert_eq!(
                bans.banned_until(now, key(1), None, true),
                Some(until),
                "a named peer is banned by its key"
            );
            assert_eq!(bans.banned_until(until, key(1), None, false), None);
            // The next strike comes before one has decayed.
            now = now.after(Duration::from_secs(1));
        }
        assert_eq!(bans.banned_until(now, key(2), None, false), None);
    }

    #[test]
    fn strike_decays_after_an_hour() {
        let mut bans = BanList::default();
        for _ in 0..4 {
            bans.strike(START, key(1), None);
        }
        let later = START.after(mins(180));
        let until = bans.strike(later, key(1), None);
        assert_eq!(
            until.since(later),
            mins(2),
            "three of five strikes have decayed"
        );
    }

    #[test]
    fn eighth_banned_key_bans_its_address_for_unlisted_peers() {
        let mut bans = BanList::default();
        let (home, friend) = (Some(HOME.into()), key(900));
        bans.was_useful(START, friend);
        for number in 0..7 {
            bans.strike(START, key(number), home);
        }
        let banned = |bans: &BanList, key, address, named| {
            let until = bans.banned_until(START, key, address, named);
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
        // A strike revokes the usefulness of a key.
        bans.strike(START, friend, None);
        assert!(banned(&bans, friend, home, false).is_some());
    }

    #[test]
    fn shared_address_is_never_banned() {
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
    fn flood_of_banned_keys_is_bounded() {
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
