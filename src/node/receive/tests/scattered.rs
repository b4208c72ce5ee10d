//! Scattered messages at their reader.

use circuits::distributions;
use rand_core::CryptoRng;

use super::*;
use crate::message::ShardMark;
use crate::scatter::{ScatterProfile, ScatterShard, scatter};

/// A message of this length, scattered for the identity of `key`.
fn shards(rng: &mut impl CryptoRng, tag: CopyTag, payload: &[u8]) -> Vec<ScatterShard> {
    let padding = Padding::Given(tag.as_bytes());
    let plaintext = Plaintext::build(rng, payload, padding, None).unwrap();
    scatter(rng, ScatterProfile::Symmetric, plaintext.as_bytes()).unwrap()
}

/// The envelope of a shard.
fn carrier(test: &mut Fixture, shard: &ScatterShard) -> Envelope {
    let padding = Padding::Marked(ShardMark::of_set(shard.set), 506);
    let plaintext = Plaintext::build(test.fx.rng(), &shard.encode(), padding, None).unwrap();
    sealed(test, &plaintext, 1)
}

/// Receives these shards; returns the ids and payloads in the inbox.
fn receive(test: &mut Fixture, shards: &[ScatterShard]) -> Vec<(String, String)> {
    for shard in shards {
        let envelope = carrier(test, shard);
        test.receive
            .on_direct(&mut test.fx, START, LinkId(1), envelope);
    }
    run(test);
    let inbox = test.receive.messages(&InboxQuery::All).unwrap();
    let inbox = inbox.into_iter();
    inbox.map(|view| (view.id, view.payload)).collect()
}

#[test]
fn scattered_message_reaches_the_inbox_once_after_k_shards() {
    let mut test = Fixture::new(|_| {});
    listen(&mut test);
    let payload = vec![3; 5_000];
    let tag = CopyTag::draw(test.fx.key_rng());
    let shards = shards(test.fx.key_rng(), tag, &payload);
    assert_eq!(shards.len(), 18);
    assert!(receive(&mut test, &shards[7..]).is_empty());
    let inbox = receive(&mut test, &shards[..1]);
    assert_eq!(inbox.len(), 1);
    assert_eq!(inbox[0].1, hex(&payload));
    assert_eq!(
        receive(&mut test, &shards),
        inbox,
        "late shards add nothing"
    );
}

#[test]
fn id_of_a_scattered_message_does_not_depend_on_the_shards_that_came() {
    let ids = [0, 1].map(|skip| {
        let mut test = Fixture::new(|_| {});
        listen(&mut test);
        let tag = CopyTag::draw(test.fx.key_rng());
        let mut shards = shards(test.fx.key_rng(), tag, &[3; 600]);
        distributions::shuffle(test.fx.rng(), &mut shards);
        shards.remove(skip);
        receive(&mut test, &shards)[0].0.clone()
    });
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn second_set_of_a_message_is_a_copy() {
    let mut test = Fixture::new(|_| {});
    listen(&mut test);
    let tag = CopyTag::draw(test.fx.key_rng());
    let first = shards(test.fx.key_rng(), tag, &[3; 600]);
    let second = shards(test.fx.key_rng(), tag, &[3; 600]);
    assert!(first[0].set != second[0].set);
    let inbox = receive(&mut test, &first);
    assert_eq!(receive(&mut test, &second), inbox);
}

#[test]
fn attack_with_a_shard_around_a_false_message_stores_nothing() {
    let mut test = Fixture::new(|_| {});
    listen(&mut test);
    // Flags that promise a signature which is not there.
    let false_message = scatter(test.fx.key_rng(), ScatterProfile::Symmetric, &[4]).unwrap();
    assert!(receive(&mut test, &false_message).is_empty());
    assert_eq!(test.fx.counted(Counter::Malformed), 1);
}

#[test]
fn filter_of_a_client_gets_every_shard_as_a_message() {
    let mut test = Fixture::new(|_| {});
    let filter = install_filter(&mut test);
    let tag = CopyTag::draw(test.fx.key_rng());
    let shards = shards(test.fx.key_rng(), tag, &[3; 600]);
    assert!(receive(&mut test, &shards).is_empty());
    let messages = test.receive.poll(filter).unwrap();
    let mut got: Vec<_> = messages
        .iter()
        .map(|one| one.opened.shard().unwrap())
        .collect();
    got.sort_by_key(|shard| shard.index);
    assert_eq!(got, shards);
}
