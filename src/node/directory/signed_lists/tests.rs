//! Relay lists between nodes, and peers that spoil them.

use circuits::directory::{RelayEndpoint, SigningKey};
use circuits::ids::RelayId;
use circuits::secret::Secret;

use super::*;
use crate::node::action::Action;
use crate::node::config::Restored;
use crate::node::fixture::{Fixture, START, peer_key};
use crate::node::output::Output;
use crate::onion_wire::{ListAnnouncement, ListPart, MAX_PART, OnionMessage};
use crate::relay_list::{ListDraft, ListedRelay, MAX_AHEAD, SignerId};

const LINK: LinkId = LinkId(70);
const OTHER: LinkId = LinkId(71);

fn key(number: u8) -> SigningKey {
    SigningKey::new(Secret::init_with(|key| key.fill(number))).unwrap()
}

fn pinned() -> SignerSet {
    let ids = [1, 2, 3].map(|number| SignerId::of(&key(number).public()));
    SignerSet::new(2, ids.to_vec()).unwrap()
}

/// A list of the test's network that begins in this epoch and names the nodes with these numbers, and as
/// many others as `more` says.
fn list(from: u32, numbers: &[u8], more: u16) -> RelayList {
    let named = numbers.iter().map(|number| peer_key(*number));
    let others = (0..more).map(|number| {
        let mut key = [0; 64];
        key[..2].copy_from_slice(&number.to_be_bytes());
        circuits::ids::RelayKey(key)
    });
    let relay = |key| ListedRelay {
        key,
        family: 0,
        hint: Some(RelayEndpoint::Ip4([127, 0, 0, 1].into(), 30_303)),
    };
    let draft = ListDraft {
        network: NetworkId::new(Profile::Local, "test"),
        from: Epoch(from),
        until: Epoch(from + 20),
        signers: pinned(),
        next: None,
        relays: named.chain(others).map(relay).collect(),
    };
    let mut list = RelayList::draft(draft, None).unwrap();
    for number in [1, 3] {
        list.sign(&key(number)).unwrap();
    }
    list
}

fn epoch() -> u32 {
    Epoch::at(START.unix).0
}

/// A node that follows the signers, with the list of a file.
fn follower(file: Option<&RelayList>) -> Fixture {
    let mut test = Fixture::new(|config| config.signers = Some(pinned()));
    let restored = Restored {
        relay_list_file: file.map(RelayList::encode),
        ..Restored::default()
    };
    test.directory.restore(&mut test.fx, START, restored);
    test.fx.take_outputs();
    test
}

fn after(secs: u64) -> Now {
    let elapsed = core::time::Duration::from_secs(secs);
    Now {
        mono: START.mono.after(elapsed),
        unix: START.unix.after(u32::try_from(secs).unwrap()),
    }
}

fn announcement(list: &RelayList) -> OnionMessage {
    OnionMessage::RelayList(ListAnnouncement {
        from: list.header().from,
        id: list.header().id(),
        len: list.encode().len(),
    })
}

fn part(list: &RelayList, index: u8) -> OnionMessage {
    let raw = list.encode();
    let bytes = raw
        .chunks(MAX_PART)
        .nth(usize::from(index))
        .unwrap()
        .to_vec();
    let id = list.header().id();
    OnionMessage::RelayListPart(ListPart { id, index, bytes })
}

fn hand(test: &mut Fixture, now: Now, link: LinkId, message: OnionMessage) {
    let peers = &test.peers;
    test.directory
        .on_message(&mut test.fx, now, link, message, peers);
}

/// What the node sends about lists, by link.
fn sent(test: &mut Fixture) -> Vec<(LinkId, OnionMessage)> {
    let actions = test.fx.take_actions().into_iter();
    actions
        .filter_map(|action| match action {
            Action::SendOnion(
                link,
                _,
                message @ (OnionMessage::RelayList(_) | OnionMessage::RelayListPart(_)),
            ) => Some((link, message)),
            _ => None,
        })
        .collect()
}

/// Runs the checks that the node has started; returns their number.
fn check(test: &mut Fixture, now: Now) -> usize {
    let mut checks = 0;
    for output in test.fx.take_outputs() {
        if let Output::Work(id, mut job) = output {
            let result = job.step();
            let peers = &test.peers;
            test.directory
                .on_list_checked(&mut test.fx, now, id, result, peers);
            checks += 1;
        }
    }
    checks
}

fn listed(test: &Fixture) -> Option<usize> {
    let in_force = test.directory.relay_list_view(START)?.in_force?;
    Some(in_force.relays)
}

#[test]
fn list_of_a_file_decides_which_relays_are_eligible() {
    let mut test = follower(Some(&list(epoch(), &[9], 0)));
    for number in [9, 10] {
        test.list_relay(number, RelayEndpoint::Ip4([127, 0, 0, 1].into(), 30_303));
    }
    let eligible = test.directory.snapshot(START);
    let ids: Vec<RelayId> = eligible.relays().iter().map(|relay| relay.hop.id).collect();
    assert_eq!(ids, [peer_key(9).id()]);
    assert_eq!(eligible.list().map(ListedRelays::len), Some(1));
}

#[test]
fn node_that_follows_signers_uses_no_relay_without_their_list() {
    let mut test = follower(None);
    test.list_relay(9, RelayEndpoint::Ip4([127, 0, 0, 1].into(), 30_303));
    assert!(test.directory.snapshot(START).relays().is_empty());
    let view = test.directory.relay_list_view(START).unwrap();
    assert!(view.in_force.is_none() && view.expired.is_none());
}

#[test]
fn list_travels_in_parts_and_is_announced_after_its_check() {
    let long = list(epoch(), &[9], 400);
    let mut from = follower(Some(&long));
    let mut to = follower(None);
    from.directory
        .on_onion_peer(&mut from.fx, START, LINK, &from.peers);
    let mut messages = sent(&mut from);
    assert_eq!(messages.len(), 1);
    let mut parts = 0;
    // Each side sees the other over a link of the same number.
    while let Some((_, message)) = messages.pop() {
        hand(&mut to, START, LINK, message);
        for (_, request) in sent(&mut to) {
            hand(&mut from, START, LINK, request);
            messages.extend(sent(&mut from));
            parts += 1;
        }
    }
    assert_eq!(parts, long.encode().len().div_ceil(MAX_PART));
    assert!(parts > 3, "the list has several parts");
    assert_eq!(listed(&to), None, "nothing is used before the check");
    assert_eq!(check(&mut to, START), 1);
    assert_eq!(listed(&to), Some(401));
    // It is durable, and goes on to the next peer.
    to.directory
        .on_onion_peer(&mut to.fx, START, OTHER, &to.peers);
    assert!(matches!(
        sent(&mut to)[..],
        [(OTHER, OnionMessage::RelayList(_))]
    ));
}

#[test]
fn restart_keeps_the_list_and_other_signers_drop_it() {
    let test = follower(Some(&list(epoch(), &[9], 0)));
    let stored = test.directory.lists.encode();
    let restored = |lists: Vec<u8>| Restored {
        relay_lists: lists,
        ..Restored::default()
    };
    let mut again = follower(None);
    again
        .directory
        .restore(&mut again.fx, START, restored(stored.clone()));
    assert_eq!(listed(&again), Some(1));
    // A record that a crash cut off, at every length.
    for len in 0..stored.len() {
        let mut cut = follower(None);
        let stored = stored[..len].to_vec();
        cut.directory.restore(&mut cut.fx, START, restored(stored));
        assert_eq!(listed(&cut), None, "{len}");
    }
    let mut others = Fixture::new(|config| {
        config.signers = Some(SignerSet::new(1, vec![SignerId([5; 32])]).unwrap());
    });
    others
        .directory
        .restore(&mut others.fx, START, restored(stored));
    assert_eq!(listed(&others), None);
}

#[test]
fn node_without_signers_ignores_lists() {
    let mut test = Fixture::new(|_| {});
    let list = list(epoch(), &[9], 0);
    hand(&mut test, START, LINK, announcement(&list));
    assert!(sent(&mut test).is_empty());
    assert!(test.directory.relay_list_view(START).is_none());
    test.list_relay(10, RelayEndpoint::Ip4([127, 0, 0, 1].into(), 30_303));
    assert_eq!(test.directory.snapshot(START).relays().len(), 1);
}

#[test]
fn peer_that_serves_spoilt_lists_is_not_asked_a_third_time() {
    let good = list(epoch(), &[9], 0);
    let mut spoilt = good.encode();
    let last = spoilt.len() - 40;
    spoilt[last] ^= 1;
    let mut test = follower(None);
    let mut asked = 0;
    for _ in 0..10 {
        hand(&mut test, START, LINK, announcement(&good));
        if sent(&mut test).is_empty() {
            continue;
        }
        asked += 1;
        let id = good.header().id();
        let bytes = spoilt.clone();
        let part = OnionMessage::RelayListPart(ListPart {
            id,
            index: 0,
            bytes,
        });
        hand(&mut test, START, LINK, part);
        assert_eq!(check(&mut test, START), 1);
    }
    assert_eq!(asked, 2);
    assert_eq!(listed(&test), None);
    // The good copy of another peer is still fetched: no id is remembered as bad.
    hand(&mut test, START, OTHER, announcement(&good));
    assert_eq!(sent(&mut test).len(), 1);
    hand(&mut test, START, OTHER, part(&good, 0));
    assert_eq!(check(&mut test, START), 1);
    assert_eq!(listed(&test), Some(1));
}

#[test]
fn peer_cannot_serve_another_list_than_it_announced() {
    let (announced, other) = (list(epoch(), &[9], 0), list(epoch() - 1, &[10], 0));
    let mut test = follower(None);
    let raw = other.encode();
    hand(
        &mut test,
        START,
        LINK,
        OnionMessage::RelayList(ListAnnouncement {
            from: announced.header().from,
            id: announced.header().id(),
            len: raw.len(),
        }),
    );
    let id = announced.header().id();
    let part = ListPart {
        id,
        index: 0,
        bytes: raw,
    };
    hand(&mut test, START, LINK, OnionMessage::RelayListPart(part));
    assert_eq!(check(&mut test, START), 1);
    assert_eq!(listed(&test), None);
}

#[test]
fn silent_announcers_give_way_to_a_peer_that_answers() {
    let good = list(epoch(), &[9], 0);
    let mut test = follower(None);
    for link in 0..50 {
        hand(&mut test, START, LinkId(link), announcement(&good));
    }
    // Two at once, whatever the number of announcements.
    assert_eq!(sent(&mut test).len(), 2);
    hand(&mut test, START, OTHER, announcement(&good));
    let mut waited = 0;
    while listed(&test).is_none() {
        waited += 61;
        let now = after(waited);
        test.directory.turn_lists(&mut test.fx, now);
        for (link, _) in sent(&mut test) {
            if link == OTHER {
                hand(&mut test, now, OTHER, part(&good, 0));
                check(&mut test, now);
            }
        }
        assert!(waited < 61 * 60, "the honest peer is never asked");
    }
}

#[test]
fn parts_that_were_not_requested_take_no_memory() {
    let long = list(epoch(), &[9], 400);
    let mut test = follower(None);
    for index in 0..4 {
        hand(&mut test, START, LINK, part(&long, index));
    }
    assert!(test.directory.lists.exchange.is_idle());
    // Out of order.
    hand(&mut test, START, LINK, announcement(&long));
    assert!(!test.directory.lists.exchange.is_idle());
    hand(&mut test, START, LINK, part(&long, 1));
    assert!(test.directory.lists.exchange.is_idle());
    assert_eq!(check(&mut test, START), 0);
}

#[test]
fn requests_for_parts_are_limited_per_peer() {
    let list = list(epoch(), &[9], 0);
    let mut test = follower(Some(&list));
    let request = ListPart {
        id: list.header().id(),
        index: 0,
        bytes: Vec::new(),
    };
    for _ in 0..100 {
        hand(
            &mut test,
            START,
            LINK,
            OnionMessage::RelayListPart(request.clone()),
        );
    }
    assert_eq!(sent(&mut test).len(), 64);
    hand(
        &mut test,
        START,
        OTHER,
        OnionMessage::RelayListPart(request),
    );
    assert_eq!(sent(&mut test).len(), 1);
}

#[test]
fn two_lists_of_one_epoch_are_both_announced_and_not_used() {
    let (one, other) = (list(epoch(), &[9], 0), list(epoch(), &[10], 0));
    let mut test = follower(Some(&one));
    assert_eq!(listed(&test), Some(1));
    hand(&mut test, START, LINK, announcement(&other));
    hand(&mut test, START, LINK, part(&other, 0));
    assert_eq!(check(&mut test, START), 1);
    let view = test.directory.relay_list_view(START).unwrap();
    assert!(view.in_force.is_none());
    assert_eq!(view.conflicts.len(), 1);
    sent(&mut test);
    test.directory
        .on_onion_peer(&mut test.fx, START, OTHER, &test.peers);
    assert_eq!(sent(&mut test).len(), 2);
}

#[test]
fn list_of_the_user_that_begins_too_late_is_refused_with_the_time_to_publish_it() {
    let mut test = follower(None);
    let early = list(epoch() + MAX_AHEAD + 1, &[9], 0).encode();
    let (directory, peers) = (&mut test.directory, &test.peers);
    let refusal = directory.publish_list(&mut test.fx, START, &early, peers);
    let refusal = refusal.unwrap_err();
    assert!(refusal.remedy.contains("last two days"), "{refusal}");
    assert_eq!(listed(&test), None);
}

#[test]
fn client_announces_no_list() {
    let mut test = Fixture::new(|config| {
        config.signers = Some(pinned());
        config.relay = false;
    });
    let restored = Restored {
        relay_list_file: Some(list(epoch(), &[9], 0).encode()),
        ..Restored::default()
    };
    test.directory.restore(&mut test.fx, START, restored);
    test.directory
        .on_onion_peer(&mut test.fx, START, LINK, &test.peers);
    assert!(sent(&mut test).is_empty());
}

#[test]
fn node_without_peers_connects_to_listed_relays() {
    let test = &mut follower(Some(&list(epoch(), &[9], 30)));
    let peers = test
        .directory
        .entry_peers(&mut test.fx, &test.config, START);
    assert_eq!(peers.len(), 4);
    let mut named = test.config.clone();
    named.peers = peers;
    assert!(
        test.directory
            .entry_peers(&mut test.fx, &named, START)
            .is_empty()
    );
}
