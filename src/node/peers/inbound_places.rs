//! Places of inbound links: which link makes room when there are too many.
//!
//! Keys and connections cost an attacker next to nothing, so a full node must not refuse every
//! newcomer: idle links would shut it for free. A newcomer takes the place of the link that is worth least, and
//! two reserves keep places for peers that have shown their worth: peers that were useful in an
//! earlier link, and relays of the directory. Among links of equal worth the choice follows
//! Bitcoin's: the subnet with the most links loses one, the older half of them is protected, and of
//! the younger half the one that had most time to show its worth goes.
//!
//! This module closes no link, and reads no message.

use std::collections::BTreeMap;

use circuits::directory::Subnet;
use circuits::ids::LinkId;
use circuits::time::Instant;

/// What a link is worth to this node, the least first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum LinkWorth {
    /// Its peer's faults outweigh the envelopes that it brought.
    Faulty,
    /// It carries cells only, and none lately.
    IdleCells,
    /// It carries gossip, and brought nothing new.
    IdleGossip,
    /// It carried cells lately.
    Cells,
    /// It brought envelopes that were new.
    Gossip,
    /// Its peer is a relay of the directory, within the reserve.
    Relay,
    /// Its peer was useful before, within the reserve.
    Proven,
}

impl LinkWorth {
    /// What a newcomer may displace: links that do nothing, and those that carry cells, in turn.
    pub(super) const NEWCOMER: Self = Self::Cells;
}

/// A reserve of places.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reserve {
    /// For peers that were useful before: a third of all places.
    Proven,
    /// For relays of the directory: a quarter.
    Relays,
}

/// A link that competes for a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) link: LinkId,
    /// Its worth without a reserve.
    pub(super) worth: LinkWorth,
    /// The reserve that its peer has a claim to.
    pub(super) reserve: Option<Reserve>,
    pub(super) subnet: Subnet,
    pub(super) since: Instant,
}

/// The link that makes room for `newcomer` among these, `None` if all are worth more. `capacity` is
/// the number of places, from which the reserves follow.
pub(super) fn choose_victim(
    capacity: usize,
    mut seats: Vec<Seat>,
    newcomer: &Seat,
) -> Option<LinkId> {
    seats.sort_by_key(|seat| (seat.since, seat.link));
    let mut reserves = ReservedPlaces::of(capacity);
    for seat in &mut seats {
        seat.worth = reserves.worth(seat);
    }
    let claim = reserves.worth(newcomer);
    let least = seats.iter().map(|seat| seat.worth).min()?;
    if least > claim {
        return None;
    }
    seats.retain(|seat| seat.worth == least);
    let mut subnets: BTreeMap<Subnet, usize> = BTreeMap::new();
    for seat in &seats {
        *subnets.entry(seat.subnet).or_default() += 1;
    }
    let most = subnets.values().max().copied();
    seats.retain(|seat| subnets.get(&seat.subnet).copied() == most);
    seats.get(seats.len() / 2).map(|seat| seat.link)
}

/// The places that are left in the reserves. They are given to the oldest links first.
struct ReservedPlaces {
    proven: usize,
    relays: usize,
}

impl ReservedPlaces {
    const fn of(capacity: usize) -> Self {
        Self {
            proven: capacity / 3,
            relays: capacity / 4,
        }
    }

    fn worth(&mut self, seat: &Seat) -> LinkWorth {
        let (left, worth) = match seat.reserve {
            None => return seat.worth,
            Some(Reserve::Proven) => (&mut self.proven, LinkWorth::Proven),
            Some(Reserve::Relays) => (&mut self.relays, LinkWorth::Relay),
        };
        match left.checked_sub(1) {
            Some(rest) => {
                *left = rest;
                worth.max(seat.worth)
            }
            None => seat.worth,
        }
    }
}

/// What has happened to inbound links for want of places.
#[derive(Debug, Default)]
pub(super) struct InboundPlaces {
    displaced: u64,
    refused: u64,
    last: Option<(Instant, PlaceShortage)>,
}

/// The places that were all taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PlaceShortage {
    /// Those of gossip peers.
    Gossip,
    /// Those of one /24 or /48.
    Prefix,
    /// Those of all inbound links.
    Links,
}

impl PlaceShortage {
    /// Each kind of places.
    pub(super) const ALL: [Self; 3] = [Self::Gossip, Self::Prefix, Self::Links];
}

impl InboundPlaces {
    /// A link made room for another.
    pub(super) const fn note_displaced(&mut self, now: Instant, shortage: PlaceShortage) {
        self.displaced = self.displaced.saturating_add(1);
        self.last = Some((now, shortage));
    }

    /// A newcomer was refused.
    pub(super) const fn note_refused(&mut self, now: Instant, shortage: PlaceShortage) {
        self.refused = self.refused.saturating_add(1);
        self.last = Some((now, shortage));
    }

    /// Links that made room for others, since the start.
    pub(super) const fn displaced(&self) -> u64 {
        self.displaced
    }

    /// Newcomers that were refused, since the start.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// The shortage of the last minute, if there was one.
    pub(super) fn shortage(&self, now: Instant) -> Option<PlaceShortage> {
        let (at, shortage) = self.last?;
        (now.since(at) < SHORTAGE_SHOWN).then_some(shortage)
    }
}

/// Maximum number of inbound links with a complete handshake. Each costs two buffers and a file
/// descriptor.
pub const MAX_INBOUND_LINKS: usize = 256;
/// Maximum number of these from one /24 or /48, but for peers that the user named.
pub(super) const MAX_LINKS_PER_PREFIX: usize = MAX_INBOUND_LINKS / 4;
/// Number of inbound links above which places run short: then idle links for cells are closed.
pub(super) const SHORT_OF_PLACES: usize = MAX_INBOUND_LINKS / 4 * 3;
/// Time for which a shortage is shown after it last had an effect.
const SHORTAGE_SHOWN: core::time::Duration = core::time::Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(link: u64, worth: LinkWorth) -> Seat {
        Seat {
            link: LinkId(link),
            worth,
            reserve: None,
            subnet: Subnet::Onion,
            since: Instant::from_micros(link),
        }
    }

    fn seats(links: core::ops::Range<u64>, worth: LinkWorth) -> Vec<Seat> {
        links.map(|link| seat(link, worth)).collect()
    }

    fn newcomer() -> Seat {
        seat(9_999, LinkWorth::NEWCOMER)
    }

    #[test]
    fn least_useful_link_makes_room() {
        let mut all = seats(0..20, LinkWorth::Gossip);
        all.push(seat(30, LinkWorth::Cells));
        all.push(seat(31, LinkWorth::IdleGossip));
        all.push(seat(32, LinkWorth::IdleCells));
        let mut gone = Vec::new();
        while let Some(link) = choose_victim(25, all.clone(), &newcomer()) {
            all.retain(|seat| seat.link != link);
            gone.push(link.0);
        }
        assert_eq!(gone, [32, 31, 30], "links that brought envelopes stay");
    }

    #[test]
    fn largest_subnet_loses_a_link_and_its_older_half_is_protected() {
        let mut all = seats(0..10, LinkWorth::IdleCells);
        all.extend((20..24).map(|link| Seat {
            subnet: Subnet::Ip4([9, u8::try_from(link).unwrap()]),
            ..seat(link, LinkWorth::IdleCells)
        }));
        let victim = |all: &[Seat]| choose_victim(256, all.to_vec(), &newcomer()).unwrap();
        assert_eq!(victim(&all), LinkId(5));
        all.retain(|seat| seat.subnet != Subnet::Onion);
        assert_eq!(victim(&all), LinkId(22), "each subnet has one");
        assert_eq!(victim(&all[..1]), LinkId(20), "the only one");
    }

    /// Attack: links arrive without end, each under a new key, and push out the others.
    #[test]
    fn newcomer_keeps_its_place_while_half_of_the_others_are_replaced() {
        let mut all = seats(0..100, LinkWorth::IdleCells);
        all.push(seat(100, LinkWorth::IdleCells));
        let mut stays = 0;
        for link in 101.. {
            let victim = choose_victim(100, all.clone(), &newcomer()).unwrap();
            if victim == LinkId(100) {
                break;
            }
            all.retain(|seat| seat.link != victim);
            all.push(seat(link, LinkWorth::IdleCells));
            stays += 1;
        }
        assert!(stays >= 50, "{stays}");
        assert!(
            all.iter().any(|seat| seat.link == LinkId(0)),
            "the oldest stays"
        );
    }

    #[test]
    fn proven_peer_displaces_others_until_its_reserve_is_used() {
        let proven = |link| Seat {
            reserve: Some(Reserve::Proven),
            ..seat(link, LinkWorth::NEWCOMER)
        };
        let mut all = seats(0..24, LinkWorth::Gossip);
        for link in 100..108 {
            let victim = choose_victim(24, all.clone(), &proven(link)).unwrap();
            all.retain(|seat| seat.link != victim);
            all.push(proven(link));
        }
        assert!(
            choose_victim(24, all.clone(), &proven(108)).is_none_or(|link| link.0 < 100),
            "a proven peer does not displace another of its reserve"
        );
        assert_eq!(choose_victim(24, all.clone(), &newcomer()), None);
        // Idle peers cannot displace relays of the directory either.
        let relays: Vec<Seat> = (0..6)
            .map(|link| Seat {
                reserve: Some(Reserve::Relays),
                ..seat(link, LinkWorth::IdleCells)
            })
            .collect();
        assert_eq!(choose_victim(24, relays.clone(), &newcomer()), None);
        assert!(choose_victim(20, relays, &newcomer()).is_some(), "above it");
    }
}
