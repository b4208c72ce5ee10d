//! Windows of chains: order, skipped steps, bounds, acknowledgements.

use circuits::time::UnixSecs;
use zeroize::Zeroizing;

use super::*;

const NOW: UnixSecs = UnixSecs(1_800_000_000);

fn pair() -> (SendingChain, ReceivingChain) {
    let secret = Zeroizing::new([5; 32]);
    let direction = Direction::FromReader;
    (
        SendingChain::start(&secret, direction),
        ReceivingChain::start(&secret, direction),
    )
}

#[test]
fn receiver_awaits_the_window_and_skipped_steps_only() {
    let (mut sender, mut receiver) = pair();
    let keys: Vec<_> = (0..70).map(|_| *sender.step(1, true).expose()).collect();
    let key = |receiver: &ReceivingChain, index| receiver.step(index).map(|s| *s.key().expose());
    assert_eq!(key(&receiver, 63), Some(keys[63]));
    assert_eq!(key(&receiver, 64), None);
    assert!(receiver.consume(NOW, 5));
    assert_eq!(key(&receiver, 5), None);
    assert_eq!(key(&receiver, 4), Some(keys[4]));
    assert_eq!(key(&receiver, 69), Some(keys[69]));
    assert!(receiver.consume(NOW, 4));
    assert!(!receiver.consume(NOW, 4) && !receiver.consume(NOW, 5));
    assert!(!receiver.consume(NOW, 70));
    assert_eq!(receiver.steps().count(), 4 + 64);
}

#[test]
fn skipped_steps_are_bounded_and_expire() {
    let (_, mut receiver) = pair();
    receiver.jump(NOW, 200);
    assert_eq!(receiver.steps().count(), 128);
    let first = receiver.steps().next().map(|(index, _)| index);
    assert_eq!(first, Some(136));
    receiver.jump(NOW, 100);
    receiver.jump(NOW, 200 + MAX_JUMP + 1);
    assert_eq!(receiver.steps().last().map(|(index, _)| index), Some(263));
    assert_eq!(receiver.next_expiry(), Some(NOW.after(KEEP_SECS)));
    assert!(!receiver.expire(NOW.after(KEEP_SECS - 1)));
    assert!(receiver.expire(NOW.after(KEEP_SECS)));
    assert_eq!(receiver.steps().count(), 64);
}

#[test]
fn sender_stops_after_forty_steps_and_resumes_by_any_acknowledgement() {
    let (mut sender, _) = pair();
    for number in 0..40 {
        assert!(!sender.is_blocked(), "{number}");
        sender.step(number, true);
    }
    assert!(sender.is_blocked());
    sender.acknowledge(|number| number == 0);
    assert!(!sender.is_blocked());
    sender.step(40, true);
    assert!(sender.is_blocked());
    // An attempt by a resync slot tells the next index; its acknowledgement counts for all before.
    sender.note(41, true);
    sender.acknowledge(|number| number == 41);
    for number in 42..82 {
        assert!(!sender.is_blocked(), "{number}");
        sender.step(number, true);
    }
    assert!(sender.is_blocked());
}

#[test]
fn acknowledged_retries_never_carry_the_sender_out_of_the_window() {
    let (mut sender, mut receiver) = pair();
    for _ in 0..39 {
        sender.step(1, true);
    }
    // The first attempt came; the sender cannot know which.
    assert!(receiver.consume(NOW, 0));
    sender.acknowledge(|number| number == 1);
    while !sender.is_blocked() {
        sender.step(2, true);
    }
    let last = sender.next() - 1;
    assert!(receiver.step(last).is_some(), "index {last}");
    assert!(last > 40, "index {last}");
}

#[test]
fn acknowledgement_of_message_attempted_elsewhere_moves_no_window() {
    let (mut sender, _) = pair();
    for number in 0..39 {
        sender.step(number, false);
    }
    sender.acknowledge(|_| true);
    let mut further = 0;
    while !sender.is_blocked() {
        sender.step(100, true);
        further += 1;
    }
    assert_eq!(
        further,
        64 - 39,
        "the window of the peer may still begin at 0"
    );
}

#[test]
fn acknowledgement_of_message_given_up_moves_no_window() {
    let (mut sender, _) = pair();
    for number in 0..39 {
        sender.step(number, true);
        sender.forget(number);
    }
    sender.acknowledge(|_| true);
    sender.step(39, true);
    assert!(sender.is_blocked());
}

/// An observer collects the topics of 10,000 steps of one conversation, of three shards each, and looks for what
/// random topics do not have: values that occur twice, uneven bytes, and a relation between successive ones.
#[test]
fn topics_of_one_conversation_are_uniform_and_independent() {
    let (mut sender, _) = pair();
    let mut topics = Vec::new();
    for number in 0..10_000 {
        let key = sender.step(number, true);
        topics.push(key.topic(0).0);
        sender.acknowledge(|_| true);
        // Shards of one step share its key.
        topics.extend((1..3).map(|shard| key.topic(shard).0));
    }
    let distinct: std::collections::BTreeSet<_> = topics.iter().collect();
    // 30,000 random values of 32 bits have a tenth of an equal pair on average.
    assert!(topics.len() - distinct.len() < 4);
    let bytes_of = |at: usize| topics.iter().map(move |topic| topic[at]);
    for at in 0..4 {
        assert_uniform(bytes_of(at), &format!("byte {at}"));
        // Differences of topics at a distance: of shards of one step, of steps, and across the 64 of a window.
        for lag in [1, 3, 3 * usize::try_from(WINDOW).unwrap()] {
            let pairs = bytes_of(at).zip(bytes_of(at).skip(lag));
            let differences = pairs.map(|(one, other)| one.wrapping_sub(other));
            assert_uniform(differences, &format!("byte {at}, lag {lag}"));
        }
    }
}

/// Chi-squared of bytes: 255 on average, with a deviation of 22.6.
fn assert_uniform(bytes: impl Iterator<Item = u8>, what: &str) {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    let expected = f64::from(counts.iter().sum::<u32>()) / 256.0;
    let terms = counts.iter().map(|&count| {
        let excess = f64::from(count) - expected;
        excess * excess / expected
    });
    let chi_squared: f64 = terms.sum();
    // Exceeded by chance in one of 10,000 cases: 16 are examined here.
    assert!(
        (160.0..350.0).contains(&chi_squared),
        "{what}: {chi_squared}"
    );
}
