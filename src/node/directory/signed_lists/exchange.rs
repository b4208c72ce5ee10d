//! Relay lists between peers: announcements, parts, and the checks of what arrived.
//!
//! A peer announces a list by its id and length. This node fetches it in parts from the peer that
//! announced it, at most two lists at once, checks it on a worker, and only then announces it itself. A
//! peer may serve two lists that this node cannot use, and then one every half hour: it can waste 128 KB
//! and a check of 15 ms with each. No list is remembered as refused by its id, because a peer could serve
//! a spoilt copy of a good list to keep the good one away.

use core::time::Duration;
use std::collections::BTreeMap;

use circuits::distributions;
use circuits::ids::{LinkId, NetworkId, Profile};
use circuits::rate_limit::{KeyedLimiter, Quota};
use circuits::time::{Instant, Now};

use super::SignedLists;
use crate::link::Priority;
use crate::node::action::Action;
use crate::node::effects::Effects;
use crate::node::jobs::{Job, JobId, JobOwner, JobResult};
use crate::node::peers::Peers;
use crate::onion_wire::{ListAnnouncement, ListPart, MAX_PART, OnionMessage};
use crate::relay_list::{BadRelayList, ListInsertion, RelayList, SignerSet, VerifiedList};

/// Announced lists, fetches and checks.
pub(super) struct ListExchange {
    /// Whether this node announces lists when a link opens. A client does not: the list that it holds
    /// would tell clients apart.
    announces: bool,
    /// The last announcement of each link that was not fetched yet.
    offers: BTreeMap<LinkId, ListAnnouncement>,
    fetches: BTreeMap<LinkId, ListFetch>,
    checks: BTreeMap<JobId, LinkId>,
    /// Fetches that each link has begun and not completed with a valid list.
    wasted: KeyedLimiter<LinkId>,
    /// Parts that each link has requested.
    served: KeyedLimiter<LinkId>,
}

/// A list that arrives from one peer.
struct ListFetch {
    announcement: ListAnnouncement,
    bytes: Vec<u8>,
    deadline: Instant,
}

impl ListFetch {
    /// The number of the part that comes next.
    fn next_part(&self) -> u8 {
        u8::try_from(self.bytes.len() / MAX_PART).unwrap_or(u8::MAX)
    }

    /// Length of the part that comes next.
    const fn next_len(&self) -> usize {
        let left = self.announcement.len.saturating_sub(self.bytes.len());
        if left < MAX_PART { left } else { MAX_PART }
    }
}

impl ListExchange {
    pub(super) const fn new(announces: bool) -> Self {
        Self {
            announces,
            offers: BTreeMap::new(),
            fetches: BTreeMap::new(),
            checks: BTreeMap::new(),
            wasted: KeyedLimiter::new(WASTED_FETCHES, MAX_LINKS),
            served: KeyedLimiter::new(SERVED_PARTS, MAX_LINKS),
        }
    }

    /// Whether no list is fetched or checked.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.fetches.is_empty() && self.checks.is_empty()
    }

    /// A link is closed.
    fn forget_link(&mut self, link: LinkId) {
        self.offers.remove(&link);
        self.fetches.remove(&link);
        self.wasted.forget(&link);
        self.served.forget(&link);
    }
}

impl SignedLists {
    /// A link is closed.
    pub(in crate::node::directory) fn on_link_closed(&mut self, link: LinkId) {
        self.exchange.forget_link(link);
    }

    /// Announces the held lists to a new peer.
    pub(super) fn announce_all(&self, fx: &mut Effects, link: LinkId) {
        if self.exchange.announces {
            for held in self.store.iter() {
                announce(fx, link, &held.list);
            }
        }
    }

    /// Announces a list that has just been verified. Two lists of one epoch are both announced by every
    /// node, so that a peer which showed one of them to a single node is noticed.
    pub(super) fn pass_on(
        &self,
        fx: &mut Effects,
        list: &VerifiedList,
        inserted: ListInsertion,
        from: Option<LinkId>,
        peers: &Peers,
    ) {
        let rival = match inserted {
            ListInsertion::Conflict(rival) => self.store.get(rival),
            ListInsertion::Known | ListInsertion::New => None,
        };
        let is_own = from.is_none();
        if !self.exchange.announces && rival.is_none() && !is_own {
            return;
        }
        for link in peers.onion_links() {
            if Some(link) != from {
                announce(fx, link, list);
            }
            if let Some(rival) = rival {
                announce(fx, link, &rival.list);
            }
        }
    }

    /// A peer announced a list.
    pub(in crate::node::directory) fn on_announced(
        &mut self,
        fx: &mut Effects,
        now: Now,
        link: LinkId,
        announcement: ListAnnouncement,
    ) {
        let exchange = &mut self.exchange;
        let has_room = exchange.offers.len() < MAX_LINKS || exchange.offers.contains_key(&link);
        if self.signers.is_some() && has_room {
            exchange.offers.insert(link, announcement);
            self.run_exchange(fx, now);
        }
    }

    /// Ends overdue fetches and begins others.
    pub(super) fn run_exchange(&mut self, fx: &mut Effects, now: Now) {
        let Self {
            exchange, store, ..
        } = self;
        exchange
            .fetches
            .retain(|_, fetch| fetch.deadline > now.mono);
        exchange
            .offers
            .retain(|_, offer| store.is_wanted(now.unix, offer.from, offer.id));
        // A check is bounded like a fetch: a list of 128 KB and one job.
        while exchange.fetches.len() + exchange.checks.len() < MAX_FETCHES {
            let links: Vec<_> = exchange.offers.keys().copied().collect();
            let Some(link) = distributions::pick(fx.rng(), &links).copied() else {
                return;
            };
            let Some(announcement) = exchange.offers.remove(&link) else {
                return;
            };
            let busy = exchange.fetches.contains_key(&link);
            if busy || !exchange.wasted.take(link, now.mono) {
                continue;
            }
            let fetch = ListFetch {
                announcement,
                bytes: Vec::new(),
                deadline: now.mono.after(FETCH_TIMEOUT),
            };
            request_next(fx, link, &fetch);
            exchange.fetches.insert(link, fetch);
        }
    }

    /// A peer sent a part of a list, or requested one.
    pub(in crate::node::directory) fn on_part(
        &mut self,
        fx: &mut Effects,
        now: Now,
        link: LinkId,
        part: ListPart,
    ) {
        if part.bytes.is_empty() {
            return self.serve(fx, now, link, &part);
        }
        let fetches = &mut self.exchange.fetches;
        let Some(fetch) = fetches.get_mut(&link) else {
            return;
        };
        let is_next = part.id == fetch.announcement.id
            && part.index == fetch.next_part()
            && part.bytes.len() == fetch.next_len();
        if !is_next {
            fetches.remove(&link);
            return self.run_exchange(fx, now);
        }
        fetch.bytes.extend_from_slice(&part.bytes);
        if fetch.bytes.len() < fetch.announcement.len {
            return request_next(fx, link, fetch);
        }
        let fetch = fetches.remove(&link);
        let (Some(fetch), Some(signers)) = (fetch, self.signers.clone()) else {
            return;
        };
        let check = ListCheck {
            announcement: fetch.announcement,
            raw: fetch.bytes,
            network: self.network,
            profile: self.profile,
            signers,
        };
        let job = fx.start_job(JobOwner::RelayList, Job::RelayList(Box::new(check)));
        self.exchange.checks.insert(job, link);
    }

    /// The result of a check: the verified list, and the link that it came over.
    pub(super) fn on_checked(
        &mut self,
        fx: &mut Effects,
        now: Now,
        job: JobId,
        result: Option<JobResult>,
    ) -> Option<(VerifiedList, LinkId)> {
        let link = self.exchange.checks.remove(&job)?;
        self.run_exchange(fx, now);
        match result {
            Some(JobResult::RelayList(Ok(list))) => {
                self.exchange.wasted.give_back(&link);
                Some((list, link))
            }
            Some(JobResult::RelayList(Err(error))) => {
                // Not a violation: the peer may follow other signers.
                tracing::debug!(%error, "the relay list of a peer is not used");
                None
            }
            _ => None,
        }
    }

    fn serve(&mut self, fx: &mut Effects, now: Now, link: LinkId, part: &ListPart) {
        let Some(held) = self.store.get(part.id) else {
            return;
        };
        let mut parts = held.list.raw().chunks(MAX_PART);
        let Some(bytes) = parts.nth(usize::from(part.index)) else {
            return;
        };
        if self.exchange.served.take(link, now.mono) {
            let part = ListPart {
                id: part.id,
                index: part.index,
                bytes: bytes.to_vec(),
            };
            let message = OnionMessage::RelayListPart(part);
            fx.request(Action::SendOnion(link, Priority::Control, message));
        }
    }
}

fn announce(fx: &mut Effects, link: LinkId, list: &VerifiedList) {
    let message = OnionMessage::RelayList(ListAnnouncement {
        from: list.header().from,
        id: list.id(),
        len: list.raw().len(),
    });
    fx.request(Action::SendOnion(link, Priority::Control, message));
}

fn request_next(fx: &mut Effects, link: LinkId, fetch: &ListFetch) {
    let message = OnionMessage::RelayListPart(ListPart {
        id: fetch.announcement.id,
        index: fetch.next_part(),
        bytes: Vec::new(),
    });
    fx.request(Action::SendOnion(link, Priority::Control, message));
}

/// The check of a fetched list: at most 128 KB to read and 144 signatures, 15 ms of one core.
pub struct ListCheck {
    announcement: ListAnnouncement,
    raw: Vec<u8>,
    network: NetworkId,
    profile: Profile,
    signers: SignerSet,
}

impl ListCheck {
    /// Verifies the list.
    pub(in crate::node) fn run(&mut self) -> Result<VerifiedList, BadRelayList> {
        let raw = core::mem::take(&mut self.raw);
        let list = RelayList::decode(&raw)?;
        let (header, announced) = (list.header(), &self.announcement);
        if header.id() != announced.id || header.from != announced.from {
            return Err(BadRelayList::NotAnnounced);
        }
        list.verify(self.network, self.profile, &self.signers)
    }
}

/// Lists that are fetched or checked at once. With two, one slow peer does not keep the list of another
/// one away.
const MAX_FETCHES: usize = 2;

/// Time in which a list must arrive: 16 parts over Tor take half of it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Lists that a peer may announce and not serve, or that this node cannot use.
const WASTED_FETCHES: Quota = Quota::new(2, Duration::from_secs(1_800));

/// Parts that a peer may request: four lists of the largest size at once.
const SERVED_PARTS: Quota = Quota::new(64, Duration::from_secs(2));

/// Links with a quota of their own.
const MAX_LINKS: usize = 1_024;
