//! The cost of reading: what a node spends on each envelope to find out that it is not for its user.
//!
//! First messages have no topic that is known before: each envelope costs one Elligator map, and one agreement
//! for each live generation of an address. Steps of conversations are found by their topics: a look-up among
//! those of all conversations. `goals` compares both with one raw X25519 in the same run, and computes the share
//! of a core that 100 envelopes a second take.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark, which prints its results"
)]

use std::hint::black_box;
use std::sync::Arc;

use circuits::time::UnixSecs;
use criterion::{BenchmarkId, Criterion, criterion_group};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use whisht::contact::codec::StateWriter;
use whisht::contact::conversation::Conversation;
use whisht::contact::elligator::OuterSecret;
use whisht::contact::first_contact::{FirstBox, FirstTicket};
use whisht::contact::generation::GenerationKeys;
use whisht::contact::id::ContactId;
use whisht::contact::period::Period;
use whisht::contact::scan::{ScanBatch, ScanEnvelope, ScanKeys, ScanTag};
use whisht::envelope::{Envelope, SizeClass, Topic, Ttl};
use whisht::state::{StateId, StateRow, StateRows, StateTable};

#[path = "support/min_time.rs"]
mod min_time;
#[path = "support/node_with_peers.rs"]
mod node_with_peers;

use min_time::min_nanos;
use node_with_peers::NodeWithPeers;
use whisht::gossip::packet::{code, outgoing};

const NOW: UnixSecs = UnixSecs(1_795_240_000);

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Envelopes of others: random data of the class of first messages.
fn envelopes() -> Vec<Envelope> {
    let mut rng = rng(1);
    let mut data = vec![0; SizeClass::CARD.len() - 29];
    let mut envelope = |nonce| {
        rng.fill_bytes(&mut data);
        let mut topic = [0; 4];
        rng.fill_bytes(&mut topic);
        Envelope::build(NOW, Ttl(259_200), Topic(topic), data.clone(), nonce)
    };
    (1 << 56..(1 << 56) + 64).map(&mut envelope).collect()
}

/// The keys of so many live generations of one address.
fn generations(count: u32) -> Arc<ScanKeys> {
    let id = ContactId([9; 32]);
    let mut rng = rng(2);
    let keys = (0..count).map(|number| {
        let generation = Period(20_834 + 7 * number).generation();
        let keys = GenerationKeys::create(&mut rng, generation);
        (ScanTag(number.into()), Arc::new(keys.recipient(id)))
    });
    Arc::new(ScanKeys::new(keys.collect::<Vec<_>>()))
}

/// Scans one envelope after another.
fn scan(keys: &Arc<ScanKeys>) -> impl FnMut() + use<> {
    let (keys, envelopes) = (Arc::clone(keys), envelopes());
    let mut next = envelopes.into_iter().cycle();
    move || {
        let envelope = ScanEnvelope {
            envelope: next.next().unwrap(),
            candidates: Vec::new(),
        };
        let mut batch = ScanBatch::new(Arc::clone(&keys), vec![envelope]);
        let hits = std::iter::from_fn(|| Some(batch.step())).flatten().next();
        assert!(black_box(hits).unwrap().is_empty());
    }
}

/// One X25519 with a fixed key, as `x25519-dalek` does it.
fn raw_x25519() -> impl FnMut() {
    let secret = x25519_dalek::StaticSecret::from([7; 32]);
    let public = *OuterSecret::draw(&mut rng(3)).public();
    move || {
        let public = x25519_dalek::PublicKey::from(black_box(public));
        black_box(secret.diffie_hellman(&public));
    }
}

/// Rows of conversations that wait for answers, in the format of the node's records (`contacts/record.rs`). A
/// node that does not read them awaits nothing, which [`awaiting`] notices.
fn conversations(count: u32) -> Vec<StateRow> {
    let mut rng = rng(4);
    let reader = ContactId([9; 32]);
    let keys = GenerationKeys::create(&mut rng, Period(20_834).generation());
    let row = |_| {
        let first = FirstBox::create(&mut rng, &reader, keys.block()).unwrap();
        let mut conversation = Conversation::start(NOW, keys.block(), &reader, first).unwrap();
        conversation.set_ticket(FirstTicket([0; 8]));
        let mut writer = StateWriter::new(1);
        writer.bytes(&conversation.to_bytes());
        writer.bool(false);
        writer.bool(false);
        writer.u8(0);
        writer.bool(false);
        writer.bool(false);
        writer.u32(NOW.0);
        writer.bool(false);
        writer.bool(false);
        StateRow {
            table: StateTable::Conversation,
            id: StateId::new(conversation.id().0),
            value: writer.finish(),
        }
    };
    (0..count).map(row).collect()
}

/// A node with so many conversations, and one peer.
fn awaiting(count: u32) -> NodeWithPeers {
    let mut node = NodeWithPeers::with_state(1, StateRows::new(conversations(count)));
    assert_eq!(node.conversations(), usize::try_from(count).unwrap());
    node
}

/// The node's time for each envelope of many packets, in nanoseconds: the fastest packet counts.
fn each_envelope(node: &mut NodeWithPeers) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..PACKETS {
        let envelopes: Vec<_> = (0..PACKET).map(|_| node.envelope()).collect();
        let spent = node.spent;
        node.send(0, code::MESSAGES, outgoing::messages(&envelopes));
        node.advance(std::time::Duration::from_millis(350));
        best = best.min((node.spent - spent).as_secs_f64());
    }
    best * 1e9 / f64::from(PACKET)
}

fn reading(c: &mut Criterion) {
    let mut group = c.benchmark_group("scan");
    for count in [1, 2] {
        let mut run = scan(&generations(count));
        group.bench_function(BenchmarkId::new("generations", count), |b| b.iter(&mut run));
    }
    group.finish();
    c.bench_function("raw/x25519", |b| b.iter(raw_x25519()));
}

fn goals() {
    let (one, two) = (generations(1), generations(2));
    let [one, two, raw] = min_nanos([&mut scan(&one), &mut scan(&two), &mut raw_x25519()]);
    println!(
        "scan of one envelope: {:.1} us with one generation, {:.1} us with two; one raw X25519 {:.1} us: \
         {:.2} and {:.2}",
        one / 1e3,
        two / 1e3,
        raw / 1e3,
        one / raw,
        two / raw
    );
    let (none, thousand) = (
        each_envelope(&mut awaiting(0)),
        each_envelope(&mut awaiting(1_000)),
    );
    let look_up = (thousand - none).max(0.0);
    println!(
        "look-up among the topics of 1,000 conversations: {:.2} us an envelope ({:.2} us with, {:.2} us without)",
        look_up / 1e3,
        thousand / 1e3,
        none / 1e3
    );
    let share = (two + look_up) * 100.0 / 1e9;
    println!(
        "100 envelopes a second: {:.2} % of a core (goal: 5)",
        share * 100.0
    );
}

/// Envelopes in one packet.
const PACKET: u32 = 27;
const PACKETS: u32 = 200;

criterion_group!(benches, reading);

fn main() {
    benches();
    // `--test` only checks that the benchmark runs.
    if !std::env::args().any(|argument| argument == "--test") {
        goals();
    }
    Criterion::default().configure_from_args().final_summary();
}
