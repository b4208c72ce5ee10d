//! The queue into the archive without a node.

use super::*;
use crate::envelope::{Topic, Ttl};
use crate::link::Capability;
use circuits::time::UnixSecs;

const FLOODER: ArchiveSource = Some(LinkId(1));
const HONEST: ArchiveSource = Some(LinkId(2));

fn envelope(number: u64) -> Envelope {
    Envelope::build(
        UnixSecs(1_000),
        Ttl(60),
        Topic([1; 4]),
        vec![1; 100],
        number,
    )
}

fn acknowledgement(number: u8) -> Vec<OutboundPacket> {
    vec![OutboundPacket {
        link: LinkId(number.into()),
        capability: Capability::SHH_6,
        code: 11,
        payload: vec![number; 32],
    }]
}

/// Numbers of the acknowledged packets.
fn numbers(packets: &[OutboundPacket]) -> Vec<u8> {
    packets.iter().map(|packet| packet.payload[0]).collect()
}

/// Writes all that waits; returns the acknowledgements.
fn write_all(queue: &mut ArchiveQueue) -> Vec<u8> {
    let mut acknowledged = Vec::new();
    while let Some((id, _)) = queue.next_batch() {
        acknowledged.extend(numbers(&queue.kept(id)));
    }
    acknowledged
}

#[test]
fn flood_of_envelopes_through_one_link_delays_no_acknowledgement_of_another() {
    let mut queue = ArchiveQueue::new(64 << 20);
    for number in 0..20_000 {
        queue.offer(FLOODER, envelope(number));
    }
    queue.offer(HONEST, envelope(100_000));
    let honest = [envelope(100_000).hash()];
    assert!(queue.acknowledge(acknowledgement(2), &honest).is_empty());
    let (id, batch) = queue.next_batch().unwrap();
    assert!(batch.contains(&envelope(100_000)));
    assert_eq!(numbers(&queue.kept(id)), [2]);
}

#[test]
fn flood_of_envelopes_through_one_link_displaces_none_of_another() {
    let mut queue = ArchiveQueue::new(1 << 20);
    queue.offer(HONEST, envelope(100_000));
    let honest = [envelope(100_000).hash()];
    assert!(queue.acknowledge(acknowledgement(2), &honest).is_empty());
    for number in 0..20_000 {
        queue.offer(FLOODER, envelope(number));
    }
    assert!(queue.missed > 10_000);
    assert_eq!(write_all(&mut queue), [2]);
}

#[test]
fn acknowledgement_waits_for_envelopes_that_another_link_brought() {
    let mut queue = ArchiveQueue::new(64 << 20);
    queue.offer(FLOODER, envelope(1));
    queue.offer(HONEST, envelope(2));
    let both = [envelope(1).hash(), envelope(2).hash(), envelope(2).hash()];
    assert!(queue.acknowledge(acknowledgement(2), &both).is_empty());
    let (id, batch) = queue.next_batch().unwrap();
    assert_eq!(batch.len(), 2);
    // Envelopes that are kept already need no wait.
    let other = [envelope(3).hash()];
    assert_eq!(numbers(&queue.acknowledge(acknowledgement(3), &other)), [3]);
    assert_eq!(numbers(&queue.kept(id)), [2]);
    assert_eq!((queue.awaited, queue.acknowledgement_bytes), (0, 0));
}

#[test]
fn missed_envelope_is_acknowledged_only_after_it_was_offered_again_and_kept() {
    let mut queue = ArchiveQueue::new(2 * cost(&envelope(0)));
    for number in 0..4 {
        queue.offer(FLOODER, envelope(number));
        let packet = [envelope(number).hash()];
        let number = u8::try_from(number).unwrap();
        assert!(
            queue
                .acknowledge(acknowledgement(number), &packet)
                .is_empty()
        );
    }
    assert_eq!(queue.missed, 2);
    let first = write_all(&mut queue);
    assert_eq!(first.len(), 2);
    // One of the missed envelopes has left the mempool.
    let missed = queue.missed_hashes();
    let pool: Vec<_> = (0..4).map(envelope).collect();
    let kept = |envelope: &&Envelope| Some(&envelope.hash()) != missed.first();
    queue.catch_up(pool.iter().filter(kept));
    let second = write_all(&mut queue);
    assert_eq!(second.len(), 1);
    assert!(!first.contains(&second[0]));
    assert!(queue.pending.is_empty() && queue.acknowledgements.is_empty());
}

#[test]
fn archive_that_lost_track_acknowledges_nothing_before_all_was_offered_again() {
    let mut queue = ArchiveQueue::new(cost(&envelope(0)));
    let count = u64::try_from(MAX_MISSED).unwrap() + 10;
    for number in 0..count {
        queue.offer(FLOODER, envelope(number));
    }
    assert!(queue.lost_track && queue.pending.len() <= MAX_MISSED + 10);
    let unknown = [envelope(count + 1).hash()];
    assert!(queue.acknowledge(acknowledgement(1), &unknown).is_empty());
    assert!(write_all(&mut queue).is_empty());
    queue.catch_up([envelope(7)].iter());
    assert!(!queue.lost_track);
    let pooled = [envelope(7).hash()];
    assert!(queue.acknowledge(acknowledgement(2), &pooled).is_empty());
    assert_eq!(write_all(&mut queue), [2]);
}

#[test]
fn acknowledgements_of_a_failing_archive_are_bounded() {
    let mut queue = ArchiveQueue::new(64 << 20);
    let hashes: Vec<_> = (0..1_000).map(|number| envelope(number).hash()).collect();
    for number in 0..1_000 {
        queue.offer(HONEST, envelope(number));
    }
    for _ in 0..1_000 {
        assert!(queue.acknowledge(acknowledgement(1), &hashes).is_empty());
    }
    assert!(queue.awaited <= MAX_AWAITED);
    assert_eq!(write_all(&mut queue).len(), MAX_AWAITED / 1_000);
}
