//! Announcements and requests between whisht nodes (spec M11).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use circuits::ids::LinkId;
use proptest::prelude::*;
use whisht::bloom::Bloom;
use whisht::envelope::{Envelope, EnvelopeHash, Topic};
use whisht::gossip::OutboundPacket;
use whisht::link::Capability;
use whisht::onion_wire::OnionMessage;

use super::world::*;

const WHISHT: &str = "whisht/v0.1.0";
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// A node among peers that announce.
fn among(links: impl IntoIterator<Item = LinkId>) -> TestNode {
    let mut node = TestNode::new(0.0);
    for link in links {
        connect_announcing(&mut node, link);
    }
    let _ = node.run(SECOND);
    node
}

/// Connects a peer that announces and requests.
fn connect_announcing(node: &mut TestNode, link: LinkId) {
    let _ = node.gossip.add_peer(node.now, link, WHISHT);
    node.gossip.defer_delivery(link);
    node.receive_status(link, 0.0, &Bloom::FULL);
    node.gossip.decide_delivery(link, true);
}

/// An envelope that does not expire during a test.
fn lasting(number: u64) -> Envelope {
    timed(START - 60, 100_000, number)
}

fn announced(send: &OutboundPacket) -> Option<Vec<EnvelopeHash>> {
    match onion_message(send)? {
        OnionMessage::Announce(hashes) => Some(hashes),
        _ => None,
    }
}

fn asked_for(send: &OutboundPacket) -> Option<Vec<EnvelopeHash>> {
    match onion_message(send)? {
        OnionMessage::GetEnvelopes(hashes) => Some(hashes),
        _ => None,
    }
}

fn onion_message(send: &OutboundPacket) -> Option<OnionMessage> {
    (send.capability == Capability::ONION_1).then(|| {
        OnionMessage::decode(send.code, &send.payload)
            .unwrap()
            .unwrap()
    })
}

/// The hashes announced to each peer, in order.
fn announced_hashes(sent: &[Sent]) -> BTreeMap<LinkId, Vec<EnvelopeHash>> {
    let mut peers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (_, send) in sent {
        if let Some(hashes) = announced(send) {
            peers.entry(send.link).or_default().extend(hashes);
        }
    }
    peers
}

/// The envelopes sent, without hashes and requests.
fn sent_envelopes(sent: &[Sent]) -> BTreeMap<LinkId, Vec<EnvelopeHash>> {
    let gives = |(_, send): &&Sent| send.capability == Capability::SHH_6;
    let sent: Vec<Sent> = sent.iter().filter(gives).cloned().collect();
    by_peer(&sent)
}

#[test]
fn envelope_is_pushed_to_two_peers_and_announced_to_others() {
    let mut node = among((1..=8).map(LinkId));
    let mut eager_peers = BTreeMap::new();
    for number in 0..200 {
        node.post(&lasting(number));
        let sent = node.run(Duration::from_secs(10));
        let (sent_envelopes, announced_hashes) = (sent_envelopes(&sent), announced_hashes(&sent));
        assert_eq!((sent_envelopes.len(), announced_hashes.len()), (2, 6));
        assert!(
            sent_envelopes
                .keys()
                .all(|link| !announced_hashes.contains_key(link))
        );
        for link in sent_envelopes.keys() {
            *eager_peers.entry(*link).or_insert(0) += 1;
        }
    }
    // 50 expected for each, standard deviation 6.1.
    assert!(
        eager_peers.values().all(|count| (25..=75).contains(count)),
        "{eager_peers:?}"
    );
}

#[test]
fn announcement_delay_is_drawn_per_peer() {
    let mut node = among((1..=8).map(LinkId));
    let mut waits = Vec::new();
    for number in 0..100_u64 {
        let begin = node.now.mono;
        node.post(&lasting(number));
        let sent = node.run(Duration::from_secs(10));
        assert_eq!(sent.len(), 8);
        waits.extend(sent.iter().map(|(at, _)| at.since(begin).as_secs_f64()));
    }
    let mean = waits.iter().sum::<f64>() / 800.0;
    assert!((0.27..0.33).contains(&mean), "{mean}");
}

#[test]
fn new_peer_is_announced_pool_in_random_order_one_packet_per_second() {
    let mut node = TestNode::new(0.0);
    for number in 0..1_000 {
        node.post(&plain(number));
    }
    connect_announcing(&mut node, A);
    let sent = node.run(MINUTE);
    let hashes = &announced_hashes(&sent)[&A];
    let distinct: BTreeSet<_> = hashes.iter().collect();
    assert_eq!((hashes.len(), distinct.len()), (1_000, 1_000));
    assert!(!hashes.is_sorted());
    assert!(sent_envelopes(&sent).is_empty());
    assert_eq!(sent.len(), 1_000_usize.div_ceil(256));
    for pair in sent.windows(2) {
        assert_eq!(pair[1].0.since(pair[0].0), SECOND);
    }
}

#[test]
fn announcements_pause_while_requests_are_pending() {
    let mut node = TestNode::new(0.0);
    for number in 0..600 {
        node.post(&sized(number, 9_000));
    }
    connect_announcing(&mut node, A);
    let sent = node.run(Duration::from_millis(10));
    let first = announced(&sent[0].1).unwrap();
    node.request(A, first.clone());
    // One envelope in each packet, ten packets a second.
    let sent = node.run(Duration::from_secs(25));
    assert_eq!(
        announced_hashes(&sent).len(),
        0,
        "256 envelopes take 25.6 s"
    );
    assert_eq!(sent_envelopes(&sent)[&A].len(), 251);
    assert_eq!(announced_hashes(&node.run(SECOND))[&A].len(), 256);
}

#[test]
fn requested_envelope_is_sent_once_and_only_from_pool() {
    let mut node = among([A]);
    node.post(&plain(1));
    node.post(&plain(3));
    // Unknown hashes are ignored.
    let ask = [1, 2, 3, 3].map(|number| plain(number).hash()).to_vec();
    node.request(A, ask.clone());
    let sent = node.run(MINUTE);
    assert_eq!(
        sent_envelopes(&sent)[&A],
        [plain(1).hash(), plain(3).hash()]
    );
    node.request(A, ask.clone());
    assert!(node.run(MINUTE).is_empty());
    // The peer's own envelope is not sent back to it.
    assert_eq!(node.deliver(A, &[plain(2)]), Ok(1));
    node.request(A, ask);
    assert!(node.run(MINUTE).is_empty());
}

#[test]
fn peer_without_requests_is_sent_only_pushed_envelopes() {
    for (peers, bodies) in [(3, 0), (4, 100), (8, 200), (25, 200)] {
        let mut node = among((1..=peers).map(LinkId));
        for number in 0..100 {
            node.post(&plain(number));
        }
        let sent_envelopes = sent_envelopes(&node.run(MINUTE));
        let sum = sent_envelopes.values().map(Vec::len).sum::<usize>();
        assert_eq!(sum, bodies, "{peers} peers");
    }
}

#[test]
fn unknown_hash_is_requested_from_one_announcer() {
    let mut node = among([A, B, C]);
    node.post(&plain(0));
    let _ = node.run(MINUTE);
    let hashes: Vec<_> = (0..100).map(|number| plain(number).hash()).collect();
    let shared = node
        .gossip
        .on_announced(node.now, A, hashes.clone(), &node.pool);
    assert!(
        shared.len() <= 1,
        "a received envelope is not announced back"
    );
    let _ = node
        .gossip
        .on_announced(node.now, B, hashes.clone(), &node.pool);
    let sent = node.run(Duration::from_secs(2));
    let asked: Vec<_> = sent
        .iter()
        .filter_map(|(_, send)| asked_for(send))
        .collect();
    let all: BTreeSet<_> = asked.iter().flatten().copied().collect();
    assert_eq!(asked.iter().map(Vec::len).sum::<usize>(), 99);
    assert_eq!(all, hashes[1..].iter().copied().collect());
    let whom: BTreeSet<_> = sent.iter().map(|(_, send)| send.link).collect();
    assert_eq!(whom, [A, B].into());
}

#[test]
fn unanswered_request_moves_to_other_peer_and_lowers_rating() {
    let mut node = among([A, B]);
    let hash = plain(1).hash();
    let _ = node
        .gossip
        .on_announced(node.now, A, vec![hash], &node.pool);
    let sent = node.run(Duration::from_secs(2));
    assert_eq!((sent.len(), sent[0].1.link), (1, A));
    let _ = node
        .gossip
        .on_announced(node.now, B, vec![hash], &node.pool);
    let sent = node.run(Duration::from_secs(5));
    assert_eq!((sent.len(), sent[0].1.link), (1, B));
    assert_eq!(node.deliver(B, &[plain(1)]), Ok(1));
    let rating: BTreeMap<_, _> = node
        .gossip
        .peers()
        .map(|(link, peer)| (link, peer.score))
        .collect();
    assert!(rating[&A] < 0 && rating[&B] > 0, "{rating:?}");
}

#[test]
fn announcer_counts_as_source_like_sender() {
    let mut node = among([A, B, C]);
    let hash = plain(1).hash();
    // Before the envelope arrives, in either order, and after.
    let _ = node
        .gossip
        .on_announced(node.now, A, vec![hash], &node.pool);
    assert_eq!(node.gossip.holder_count(hash), 0, "no peer has sent it yet");
    assert_eq!(node.deliver(B, &[plain(1)]), Ok(1));
    assert_eq!(node.gossip.holder_count(hash), 2);
    let shared = node
        .gossip
        .on_announced(node.now, C, vec![hash; 3], &node.pool);
    assert_eq!(shared, [hash]);
    assert_eq!(node.gossip.holder_count(hash), 3);
    // The announcing peer gets an announcement in return, which makes it a witness; no peer gets
    // the envelope.
    let sent = node.run(MINUTE);
    assert_eq!(
        announced_hashes(&sent).into_keys().collect::<Vec<_>>(),
        [A, C]
    );
    assert!(sent_envelopes(&sent).is_empty());
}

#[test]
fn nothing_is_sent_before_delivery_mode_is_settled() {
    let mut node = TestNode::new(0.0);
    node.post(&plain(1));
    let _ = node.gossip.add_peer(node.now, A, WHISHT);
    node.gossip.defer_delivery(A);
    node.receive_status(A, 0.0, &Bloom::FULL);
    node.post(&plain(2));
    assert!(node.run(Duration::from_secs(4)).is_empty());
    node.gossip.decide_delivery(A, false);
    let sent = node.run(MINUTE);
    assert_eq!(
        (
            sent_envelopes(&sent)[&A].len(),
            announced_hashes(&sent).len()
        ),
        (2, 0)
    );
    // The peer does not announce, so its announcements are ignored.
    let hashes = vec![plain(3).hash()];
    let _ = node
        .gossip
        .on_announced(node.now, A, hashes.clone(), &node.pool);
    node.request(A, hashes);
    assert!(node.run(MINUTE).is_empty());
    // The decision is final.
    node.gossip.decide_delivery(A, true);
    node.post(&plain(4));
    assert_eq!(sent_envelopes(&node.run(MINUTE))[&A].len(), 1);
}

#[test]
fn unwanted_envelope_is_not_announced() {
    let mut node = TestNode::new(0.0);
    let _ = node.gossip.add_peer(node.now, A, WHISHT);
    node.gossip.defer_delivery(A);
    node.receive_status(A, 0.0, &Bloom::merged(Topic([9, 9, 9, 1])));
    node.gossip.decide_delivery(A, true);
    let _ = node.run(SECOND);
    let (wanted, other) = (about([9, 9, 9, 1]), about([1, 1, 1, 1]));
    node.post(&other);
    node.post(&wanted);
    for number in 0..20 {
        node.post(&plain(number));
    }
    let sent = node.run(MINUTE);
    let heard: Vec<_> = sent_envelopes(&sent)
        .into_iter()
        .chain(announced_hashes(&sent))
        .collect();
    assert_eq!(heard, [(A, vec![wanted.hash()])]);
    node.request(A, vec![other.hash()]);
    assert!(node.run(MINUTE).is_empty());
}

/// The owner requests and serves its own envelope like any other.
#[test]
fn announced_own_envelope_is_indistinguishable_from_foreign() {
    let envelope = plain(1_000);
    let hash = envelope.hash();
    let watch = |own: bool| {
        let mut node = among((1..=5).map(LinkId));
        for number in 0..50 {
            node.post(&plain(number));
        }
        let _ = node.run(MINUTE);
        if own {
            assert!(node.gossip.validate(node.now, &envelope).is_ok());
        }
        let spy = LinkId(5);
        node.request(spy, vec![hash]);
        let mut sent = node.run(Duration::from_secs(10));
        assert!(sent.is_empty(), "the pool does not contain it");
        let _ = node
            .gossip
            .on_announced(node.now, spy, vec![hash], &node.pool);
        sent.extend(node.run(Duration::from_secs(2)));
        assert_eq!(asked_for(&sent[0].1), Some(vec![hash]));
        if own {
            assert_eq!(node.gossip.holder_count(hash), 0);
        }
        let received = node.deliver(spy, std::slice::from_ref(&envelope));
        sent.extend(node.run(Duration::from_secs(10)));
        node.request(LinkId(4), vec![hash]);
        sent.extend(node.run(Duration::from_secs(10)));
        (received, sent)
    };
    assert_eq!(watch(true), watch(false));
}

#[test]
fn request_flood_is_answered_with_ten_packets_per_second() {
    let mut node = TestNode::new(0.0);
    for number in 0..3_000 {
        node.post(&sized(number, 9_000));
    }
    connect_announcing(&mut node, A);
    let all: Vec<_> = (0..3_000)
        .map(|number| sized(number, 9_000).hash())
        .collect();
    for _ in 0..10 {
        for chunk in all.chunks(256) {
            node.request(A, chunk.to_vec());
        }
    }
    let sent = node.run(Duration::from_secs(10));
    assert_eq!(sent_envelopes(&sent)[&A].len(), 100 + 1);
    let sent = node.run(Duration::from_secs(600));
    assert_eq!(
        sent_envelopes(&sent)[&A].len(),
        1_024 - 101,
        "the rest was not remembered"
    );
}

/// An event at a node among three peers that announce.
#[derive(Clone, Debug)]
enum PullEvent {
    Announce(u64, Vec<u32>),
    Ask(u64, Vec<u32>),
    Bring(u64, Vec<u32>),
    Post(u32),
    Return(u64),
    Wait(u16),
}

fn event() -> impl Strategy<Value = PullEvent> {
    let some = || prop::collection::vec(0..40_u32, 0..6);
    prop_oneof![
        3 => (1..4_u64, some()).prop_map(|(peer, some)| PullEvent::Announce(peer, some)),
        3 => (1..4_u64, some()).prop_map(|(peer, some)| PullEvent::Ask(peer, some)),
        3 => (1..4_u64, some()).prop_map(|(peer, some)| PullEvent::Bring(peer, some)),
        2 => (0..40_u32).prop_map(PullEvent::Post),
        1 => (1..4_u64).prop_map(PullEvent::Return),
        4 => (0..3_000_u16).prop_map(PullEvent::Wait),
    ]
}

/// The announcements and packets on a peer's link, and the open requests to it.
#[derive(Default)]
struct LinkRecord {
    link: u64,
    announced_to: BTreeSet<EnvelopeHash>,
    crossed: BTreeSet<EnvelopeHash>,
    announced: BTreeSet<EnvelopeHash>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For all announcements, requests and packets of peers: nothing is announced or sent twice
    /// over one link, sent from outside the pool, or requested from a peer that did not announce
    /// it.
    #[test]
    fn announce_and_request_invariants_hold_on_every_link(events in prop::collection::vec(event(), 1..150)) {
        let mut node = among([A, B, C]);
        let mut books: BTreeMap<u64, LinkRecord> = (1..4)
            .map(|peer| (peer, LinkRecord { link: peer, ..LinkRecord::default() }))
            .collect();
        let mut next = 10;
        for event in events {
            match event {
                PullEvent::Announce(peer, numbers) => {
                    let hashes: Vec<_> = numbers.iter().map(|one| plain(*one).hash()).collect();
                    let book = books.get_mut(&peer).unwrap();
                    book.announced.extend(&hashes);
                    let link = LinkId(book.link);
                    let _ = node.gossip.on_announced(node.now, link, hashes, &node.pool);
                }
                PullEvent::Ask(peer, numbers) => {
                    let hashes = numbers.iter().map(|one| plain(*one).hash()).collect();
                    node.request(LinkId(books[&peer].link), hashes);
                }
                PullEvent::Bring(peer, numbers) => {
                    let envelopes: Vec<_> = numbers.iter().map(|one| plain(*one)).collect();
                    let book = books.get_mut(&peer).unwrap();
                    book.crossed.extend(envelopes.iter().map(Envelope::hash));
                    prop_assert!(node.deliver(LinkId(book.link), &envelopes).is_ok());
                }
                PullEvent::Post(number) => {
                    if !node.pool.contains(&plain(number).hash()) {
                        node.post(&plain(number));
                    }
                }
                PullEvent::Return(peer) => {
                    let book = books.get_mut(&peer).unwrap();
                    node.gossip.remove_peer(node.now, LinkId(book.link));
                    *book = LinkRecord { link: next, ..LinkRecord::default() };
                    connect_announcing(&mut node, LinkId(next));
                    next += 1;
                }
                PullEvent::Wait(millis) => {
                    for (_, send) in node.run(Duration::from_millis(millis.into())) {
                        let book = books.values_mut().find(|book| book.link == send.link.0).unwrap();
                        for hash in announced(&send).into_iter().flatten() {
                            prop_assert!(book.announced_to.insert(hash) && !book.crossed.contains(&hash));
                        }
                        for hash in asked_for(&send).into_iter().flatten() {
                            prop_assert!(book.announced.contains(&hash));
                        }
                        if send.capability == Capability::SHH_6 {
                            for envelope in envelopes(&send) {
                                prop_assert!(book.crossed.insert(envelope.hash()));
                                prop_assert!(node.pool.contains(&envelope.hash()));
                            }
                        }
                    }
                }
            }
        }
    }
}
