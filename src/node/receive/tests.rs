//! Receiving without a node.

mod flood;
mod scattered;
mod state;

use core::time::Duration;
use std::collections::VecDeque;

use circuits::fair_queue::WorkRank;

use super::*;
use crate::envelope::{Envelope, NotExpired, Ttl, UnminedEnvelope};
use crate::message::{ClientPublic, CopyTag, Padding, Plaintext, seal_symmetric};
use crate::node::effects::Counter;
use crate::node::event::Event;
use crate::node::fixture::{Fixture, START, envelope};
use crate::node::hex;
use crate::node::jobs::Job;
use crate::node::output::Output;
use crate::node::untried::TrialSource;
use crate::pow::PowHashes;

const TOPIC: Topic = Topic([7; 4]);

fn key() -> SymKey {
    SymKey::new(circuits::secret::Secret::init_with(|key| key.fill(5))).unwrap()
}

/// Installs a filter of a client for every message under `key`.
fn install_filter(test: &mut Fixture) -> FilterId {
    let filter = Filter {
        key: crate::subscriptions::FilterKey::Symmetric(Arc::new(key())),
        topics: Vec::new(),
        source: None,
        minimum_pow: 0.0,
        allow_p2p: true,
    };
    test.receive.install(filter, false).unwrap()
}

/// An envelope that the identity of `key` can decrypt.
fn message(test: &mut Fixture) -> Envelope {
    let plaintext = Plaintext::build(test.fx.rng(), b"hello", Padding::Align, None).unwrap();
    sealed(test, &plaintext, 1)
}

fn sealed(test: &mut Fixture, plaintext: &Plaintext, nonce: u64) -> Envelope {
    let unmined = UnminedEnvelope {
        hint: crate::envelope::EncryptionHint::Absent,
        expiry: START.unix.after(50),
        ttl: Ttl(50),
        topic: TOPIC,
        data: seal_symmetric(test.fx.rng(), &key(), plaintext),
    };
    unmined.with_nonce(nonce)
}

/// Receives each of the messages, in an envelope of its own with the same tag, and returns the
/// payloads in the inbox.
fn received_with_one_tag(messages: &[(&[u8], Option<&ClientSecret>)]) -> Vec<String> {
    let mut test = Fixture::new(|_| {});
    listen(&mut test);
    let padding = Padding::Tagged(CopyTag::draw(test.fx.key_rng()), 400);
    for (payload, signer) in messages {
        let plaintext = Plaintext::build(test.fx.rng(), payload, padding, *signer).unwrap();
        let copy = sealed(&mut test, &plaintext, 1);
        test.receive.on_direct(&mut test.fx, START, LinkId(1), copy);
    }
    run(&mut test);
    let inbox = test.receive.messages(&InboxQuery::All).unwrap();
    let inbox = inbox.into_iter();
    inbox.map(|message| message.payload).collect()
}

#[test]
fn copy_of_a_message_in_another_envelope_is_stored_once() {
    let inbox = received_with_one_tag(&[(b"hello", None), (b"hello", None)]);
    assert_eq!(inbox, [hex(b"hello")]);
}

#[test]
fn message_with_the_tag_of_another_message_is_not_suppressed() {
    let secret = |byte| {
        let bytes = circuits::secret::Secret::init_with(|key: &mut [u8; 32]| key.fill(byte));
        ClientSecret::from_bytes(&bytes).unwrap()
    };
    let (signer, attacker) = (secret(1), secret(2));
    // Whichever the attacker who has learnt the tag sends first, the real message arrives.
    let inbox = received_with_one_tag(&[
        (b"pay me", Some(&attacker)),
        (b"hello", Some(&attacker)),
        (b"hello", None),
        (b"hello", Some(&signer)),
    ]);
    assert_eq!(inbox.len(), 4);
}

fn listen(test: &mut Fixture) {
    let identity = Identity::Shared(key(), TOPIC);
    let name = "club".to_owned();
    test.receive
        .add_identity(&mut test.fx, START, name, identity)
        .unwrap();
}

/// The same while the mempool is empty, so that nothing is left to search.
fn listen_from_the_start(test: &mut Fixture) {
    listen(test);
    assert!(begin(test).is_empty());
}

/// Inserts an envelope into the mempool as if this link had brought it.
fn pool(test: &mut Fixture, envelope: Envelope, link: u64) {
    let from = Some(LinkId(link));
    let alive = NotExpired::check(envelope.expiry(), envelope.ttl(), START.unix).unwrap();
    let pow = PowChecked::check(&envelope, alive, 0.0).unwrap();
    let fx = &mut test.fx;
    let path = test.gossip.insert(fx, START, &envelope, (pow, alive), from);
    let path = path.expect("the mempool has room");
    test.receive
        .on_dropped(fx, test.gossip.pool().last_evicted());
    test.receive
        .on_pooled(fx, START, from, &envelope, pow, path);
}

/// Starts batches; returns the jobs that were started.
fn begin(test: &mut Fixture) -> Vec<(JobId, Job)> {
    let pool = test.gossip.pool();
    test.receive.try_decrypt(&mut test.fx, START, pool);
    jobs(test)
}

/// The jobs that were started, and the events so far.
fn jobs(test: &mut Fixture) -> Vec<(JobId, Job)> {
    let outputs = test.fx.take_outputs().into_iter();
    let jobs = outputs.filter_map(|output| match output {
        Output::Work(id, job) => Some((id, job)),
        _ => None,
    });
    jobs.collect()
}

/// Reports the result of a job; returns the number of direct messages.
fn finish(test: &mut Fixture, (id, mut job): (JobId, Job)) -> u32 {
    let result = loop {
        if let Some(result) = job.step() {
            break result;
        }
    };
    let pool = test.gossip.pool();
    let fx = &mut test.fx;
    test.receive.on_tried(fx, START, id, Some(result), pool)
}

/// Runs jobs until none is left; returns the number of direct messages.
fn run(test: &mut Fixture) -> u32 {
    let mut direct = 0;
    let mut waiting: VecDeque<_> = begin(test).into();
    while let Some(job) = waiting.pop_front() {
        direct += finish(test, job);
        waiting.extend(jobs(test));
    }
    direct
}

#[test]
fn envelope_without_a_key_to_try_is_not_queued() {
    let mut test = Fixture::new(|_| {});
    pool(&mut test, envelope(1), 1);
    assert_eq!(test.receive.waiting(), 0);
}

#[test]
fn direct_message_for_an_identity_is_stored_once_and_counted() {
    let mut test = Fixture::new(|_| {});
    listen(&mut test);
    let sent = message(&mut test);
    for _ in 0..2 {
        test.receive
            .on_direct(&mut test.fx, START, LinkId(1), sent.clone());
    }
    assert!(test.receive.has_direct());
    let [job] = begin(&mut test).try_into().unwrap();
    assert!(test.receive.has_direct(), "it is being tried");
    assert_eq!(finish(&mut test, job), 1);
    assert!(!test.receive.has_direct());
    let outputs = test.fx.take_outputs();
    assert!(matches!(outputs[..], [Output::Notify(Event::Message(_))]));
    let inbox = test.receive.messages(&InboxQuery::All).unwrap();
    assert_eq!(inbox.len(), 1);
    assert_eq!(inbox[0].payload, hex::encode(b"hello"));
}

#[test]
fn locked_identity_gives_an_error_instead_of_an_empty_inbox() {
    let mut test = Fixture::new(|_| {});
    let locked = PublicIdentity::Shared(TOPIC);
    test.receive.add_locked("club".to_owned(), locked).unwrap();
    assert!(test.receive.messages(&InboxQuery::All).is_err());
    assert!(test.receive.shared_key("club").is_err());
    listen(&mut test);
    assert!(test.receive.messages(&InboxQuery::All).unwrap().is_empty());
}

#[test]
fn poll_after_a_loss_fails_once_and_then_returns_the_kept_messages() {
    let mut test = Fixture::new(|_| {});
    let filter = install_filter(&mut test);
    let plaintext = Plaintext::build(test.fx.rng(), &[7; 60_000], Padding::Align, None).unwrap();
    let data = seal_symmetric(test.fx.rng(), &key(), &plaintext);
    let offered = 400_u32;
    for nonce in 1..=offered {
        let envelope = Envelope::build(
            START.unix.after(50),
            Ttl(50),
            TOPIC,
            data.clone(),
            u64::from(nonce),
        );
        test.receive
            .on_direct(&mut test.fx, START, LinkId(1), envelope);
    }
    run(&mut test);
    let Err(ShhError::MessagesLost { lost }) = test.receive.poll(filter) else {
        panic!("the loss is not reported");
    };
    let kept = test.receive.poll(filter).unwrap().len();
    assert_eq!(lost + u64::try_from(kept).unwrap(), u64::from(offered));
    assert!(kept > 200);
    assert!(test.receive.poll(filter).unwrap().is_empty());
    assert_eq!(
        test.receive.poll(FilterId(99)).unwrap_err(),
        ShhError::NoFilter
    );
}

/// An envelope that our keys do not decrypt, with work that differs for every number.
fn junk(number: u32) -> Envelope {
    let data = vec![3; 300];
    let nonce = u64::from(number);
    Envelope::build(START.unix.after(50), Ttl(50), Topic([9; 4]), data, nonce)
}

#[test]
fn untried_envelopes_are_bounded_by_the_mempool_only() {
    let mut index = crate::node::untried::UntriedIndex::default();
    let rank = WorkRank::new(1.0, Duration::from_secs(50));
    let from = TrialSource::Link(LinkId(1));
    for number in 0..200_000_u32 {
        let mut hash = EnvelopeHash([0; 32]);
        hash.0[..4].copy_from_slice(&number.to_be_bytes());
        index.push(from, rank, hash, DeliveryPath::Gossip { pow: 1.0 });
    }
    assert_eq!(index.len(), 200_000);
}

#[test]
fn every_envelope_of_the_mempool_is_tried() {
    let mut test = Fixture::new(|config| config.pool_bytes = 64 << 20);
    listen_from_the_start(&mut test);
    for number in 0..3_000 {
        pool(&mut test, junk(number), 1);
    }
    let ours = message(&mut test);
    pool(&mut test, ours, 1);
    run(&mut test);
    assert_eq!(test.receive.waiting(), 0);
    assert_eq!(test.receive.messages(&InboxQuery::All).unwrap().len(), 1);
    assert_eq!(test.fx.counted(Counter::PooledUntried), 0);
}

#[test]
fn flood_through_one_link_does_not_delay_the_message_of_another() {
    let mut test = Fixture::new(|config| config.pool_bytes = 64 << 20);
    listen_from_the_start(&mut test);
    for number in 0..3_000 {
        pool(&mut test, junk(number), 1);
    }
    let ours = message(&mut test);
    pool(&mut test, ours, 2);
    let first = begin(&mut test).into_iter().next().unwrap();
    finish(&mut test, first);
    assert_eq!(test.receive.messages(&InboxQuery::All).unwrap().len(), 1);
    assert!(test.receive.waiting() > 2_000);
}

#[test]
fn peer_that_connects_again_and_again_gets_one_turn() {
    let mut index = crate::node::untried::UntriedIndex::default();
    let path = DeliveryPath::Gossip { pow: 1.0 };
    let rank = WorkRank::new(1.0, Duration::from_secs(50));
    let mut test = Fixture::new(|config| config.pool_bytes = 64 << 20);
    for link in 0..30 {
        for number in 0..10 {
            let envelope = junk(link * 10 + number);
            let from = TrialSource::Link(LinkId(link.into()));
            index.push(from, rank, envelope.hash(), path);
            pool(&mut test, envelope, link.into());
        }
        index.on_link_closed(LinkId(link.into()));
    }
    for _ in 0..30 {
        index.merge_closed();
    }
    let honest = junk(1_000);
    let from = TrialSource::Link(LinkId(99));
    index.push(from, rank, honest.hash(), path);
    pool(&mut test, honest.clone(), 99);
    let pool = test.gossip.pool();
    let first_two = [index.pop(pool).unwrap().0, index.pop(pool).unwrap().0];
    assert!(first_two.iter().any(|one| one.hash() == honest.hash()));
}

#[test]
fn messages_are_delivered_in_the_order_of_batches_whichever_ends_first() {
    let mut test = Fixture::new(|_| {});
    listen_from_the_start(&mut test);
    let mut sent = Vec::new();
    let mut running = Vec::new();
    for _ in 0..3 {
        let ours = message(&mut test);
        sent.push(hex(&ours.hash().0));
        pool(&mut test, ours, 1);
        running.extend(begin(&mut test));
    }
    assert_eq!(running.len(), 3);
    for job in running.into_iter().rev() {
        finish(&mut test, job);
    }
    let received = test.receive.messages(&InboxQuery::All).unwrap();
    let received: Vec<_> = received.into_iter().map(|one| one.id).collect();
    assert_eq!(received, sent);
}

#[test]
fn envelope_that_expires_untried_is_counted() {
    let mut test = Fixture::new(|_| {});
    listen_from_the_start(&mut test);
    let ours = message(&mut test);
    pool(&mut test, ours.clone(), 1);
    assert!(test.receive.is_untried(&ours.hash()));
    let mut later = START;
    later.unix = START.unix.after(51);
    let expired = test.gossip.expire(later);
    test.receive.on_dropped(&mut test.fx, &expired);
    assert_eq!(test.receive.waiting(), 0);
    assert_eq!(test.fx.counted(Counter::PooledUntried), 1);
}

#[test]
fn envelope_that_is_evicted_untried_is_counted() {
    let mut test = Fixture::new(|config| config.pool_bytes = 20_000);
    listen_from_the_start(&mut test);
    for number in 0..200 {
        let envelope = junk(number);
        let alive = NotExpired::check(envelope.expiry(), envelope.ttl(), START.unix).unwrap();
        let pow = PowChecked::check(&envelope, alive, 0.0).unwrap();
        let fx = &mut test.fx;
        let from = Some(LinkId(1));
        if let Some(path) = test.gossip.insert(fx, START, &envelope, (pow, alive), from) {
            test.receive
                .on_dropped(fx, test.gossip.pool().last_evicted());
            test.receive
                .on_pooled(fx, START, from, &envelope, pow, path);
        }
    }
    assert_eq!(test.receive.waiting(), test.gossip.pool().len());
    assert!(test.fx.counted(Counter::PooledUntried) > 0);
}

#[test]
fn new_identity_finds_its_message_in_the_mempool_with_bounded_turns() {
    let mut test = Fixture::new(|config| config.pool_bytes = 64 << 20);
    for number in 0..3_000 {
        pool(&mut test, junk(number), 1);
    }
    let ours = message(&mut test);
    pool(&mut test, ours, 1);
    listen(&mut test);
    let jobs = begin(&mut test);
    let started: usize = jobs.len();
    assert!(started <= 4 && test.receive.waiting() <= 4 * 256);
    for job in jobs {
        finish(&mut test, job);
    }
    run(&mut test);
    assert_eq!(test.receive.messages(&InboxQuery::All).unwrap().len(), 1);
}

#[test]
fn lost_job_is_counted_and_does_not_hold_up_the_next() {
    let mut test = Fixture::new(|_| {});
    listen_from_the_start(&mut test);
    pool(&mut test, junk(1), 1);
    let [(id, _)] = begin(&mut test).try_into().unwrap();
    let pooled = test.gossip.pool();
    let fx = &mut test.fx;
    test.receive.on_tried(fx, START, id, None, pooled);
    assert_eq!(test.fx.counted(Counter::PooledUntried), 1);
    let ours = message(&mut test);
    pool(&mut test, ours, 1);
    run(&mut test);
    assert_eq!(test.receive.messages(&InboxQuery::All).unwrap().len(), 1);
}

#[test]
fn flood_for_256_identities_is_tried_by_jobs_of_bounded_work() {
    let mut test = Fixture::new(|config| config.pool_bytes = 64 << 20);
    for number in 0..256_u16 {
        let secret = ClientSecret::generate(test.fx.rng());
        let name = format!("identity {number}");
        let identity = Identity::KeyPair(secret);
        let fx = &mut test.fx;
        test.receive
            .add_identity(fx, START, name, identity)
            .unwrap();
    }
    for number in 0..2_000 {
        pool(&mut test, junk(number), 1);
    }
    let jobs = begin(&mut test);
    assert_eq!(jobs.len(), 4);
    for (_, job) in jobs {
        let Job::Trials(batch) = job else {
            panic!("another job")
        };
        assert!(batch.time() <= Duration::from_millis(65));
    }
}
