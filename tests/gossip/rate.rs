//! The length and the rate of the packets to one peer.

use std::collections::BTreeSet;
use std::time::Duration;

use circuits::ids::LinkId;
use circuits::time::Instant;

use super::world::*;

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn new_peer_receives_pool_in_random_order_three_packets_per_second() {
    let mut node = TestNode::new(0.0);
    let pool: Vec<_> = (0..500).map(|number| sized(number, 535)).collect();
    for envelope in &pool {
        node.post(envelope);
    }
    node.connect_with_cells(A);
    let sent = node.run(MINUTE);

    let hashes = by_peer(&sent).remove(&A).unwrap();
    let distinct: BTreeSet<_> = hashes.iter().copied().collect();
    assert_eq!((hashes.len(), distinct.len()), (500, 500));
    assert!(!hashes.is_sorted());
    assert_eq!(
        sent.len(),
        500_usize.div_ceil(16_381 / pool[0].as_rlp().len())
    );
    assert!(sent.iter().all(|(_, send)| send.payload.len() <= 16_384));
    assert_at_most_three_a_second(&sent, A);
    // At the maximum rate: no time is lost.
    let last = sent.last().unwrap().0.since(sent[0].0);
    assert_eq!(
        last,
        Duration::from_millis(334) * u32::try_from(sent.len() - 1).unwrap()
    );
}

#[test]
fn packet_is_filled_to_exact_limit() {
    for (excess, packets) in [(0, 1), (1, 2)] {
        let half = sized(1, 8_000);
        let rest = 16_384 - 3 - half.as_rlp().len();
        let other = sized(2, rest - (half.as_rlp().len() - 8_000) + excess);
        assert_eq!(other.as_rlp().len(), rest + excess);
        let mut node = TestNode::new(0.0);
        node.post(&half);
        node.post(&other);
        node.connect_with_cells(A);
        assert_eq!(node.run(MINUTE).len(), packets);
    }
}

#[test]
fn backlog_reaches_peer_without_cells_at_a_multiple_of_48_kilobytes_per_second() {
    // go-ethereum sends these 900 KB to go-ethereum in 1.3 s.
    let mut node = TestNode::new(0.0);
    for number in 0..1_500 {
        node.post(&sized(number, 580));
    }
    node.connect(A, GETH_OLD);
    let sent = node.run(Duration::from_secs(3));
    assert_eq!(by_peer(&sent)[&A].len(), 1_500);
    assert!(sent.iter().all(|(_, send)| send.payload.len() <= 131_072));
    assert_at_most_three_a_second(&sent, A);
}

#[test]
fn peers_without_cells_share_the_budget_for_long_packets() {
    let mut node = TestNode::new(0.0);
    for number in 0..8_000 {
        node.post(&sized(number, 580));
    }
    let links: Vec<LinkId> = (1..=20).map(LinkId).collect();
    for link in &links {
        node.connect(*link, GETH_OLD);
    }
    let sent = node.run(Duration::from_secs(10));
    let bytes: Vec<usize> = links
        .iter()
        .map(|link| {
            let to_peer = sent.iter().filter(|(_, send)| send.link == *link);
            to_peer.map(|(_, send)| send.payload.len()).sum()
        })
        .collect();
    // 31 packets of 16 KB for each peer, and 11 MiB of additional bytes for all of them.
    assert!(bytes.iter().sum::<usize>() <= 20 * 31 * 16_384 + (11 << 20));
    let (least, most) = (bytes.iter().min().unwrap(), bytes.iter().max().unwrap());
    assert!(*most <= *least * 3 / 2, "{bytes:?}");
    assert!(*least > 50 * 16_384, "{bytes:?}");
}

#[test]
fn envelope_longer_than_packet_is_sent_alone() {
    let mut node = TestNode::new(0.0);
    for number in 0..5 {
        node.post(&sized(number, 100));
    }
    let long = sized(9, 40_000);
    node.post(&long);
    node.connect_with_cells(A);
    let sent = node.run(MINUTE);
    let packet = sent
        .iter()
        .find(|(_, send)| send.payload.len() > 16_384)
        .unwrap();
    assert_eq!(envelopes(&packet.1), [long]);
    assert_eq!(by_peer(&sent)[&A].len(), 6);
}

#[test]
fn envelope_whose_packet_exceeds_mebibyte_is_not_sent() {
    // Its data and 20 bytes are within the limit of every geth, its packet is not.
    let mut node = TestNode::new(0.0);
    let huge = sized(1, (1 << 20) - 20);
    node.post(&huge);
    node.post(&sized(2, (1 << 20) - 40));
    node.connect(A, GETH_OLD);
    let sent = node.run(MINUTE);
    assert_eq!(by_peer(&sent)[&A], [sized(2, (1 << 20) - 40).hash()]);
    assert!(sent[0].1.payload.len() <= 1 << 20);
}

#[test]
fn envelope_stream_is_batched_into_three_packets_per_second() {
    let mut node = TestNode::new(0.0);
    node.connect(A, GETH_OLD);
    let mut sent = Vec::new();
    for number in 0..500 {
        node.post(&plain(number));
        sent.extend(node.run(Duration::from_millis(20)));
    }
    sent.extend(node.run(MINUTE));
    assert_eq!(by_peer(&sent)[&A].len(), 500);
    assert!(sent.len() > 20);
    assert_at_most_three_a_second(&sent, A);
}

fn assert_at_most_three_a_second(sent: &[Sent], link: LinkId) {
    let times: Vec<Instant> = sent
        .iter()
        .filter(|(_, send)| send.link == link)
        .map(|(time, _)| *time)
        .collect();
    for four in times.windows(4) {
        assert!(four[3].since(four[0]) > SECOND);
    }
}
